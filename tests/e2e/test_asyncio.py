"""
Handlers that await asyncio's futures and coroutines, on asyncio's reactor and on another one.
"""

import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import program
from tests.e2e.net import LIMIT
from tests.e2e.twistd import LOCAL, Running, until

PAGE = Path(__file__).parents[2] / "docs" / "asyncio.rst"

APP = """
import asyncio

from twisted.internet.defer import Deferred

async def sleeps(ctx):
    await asyncio.sleep(0.01)
    return "slept"

async def yields(ctx):
    for _ in range(3):
        await asyncio.sleep(0)
    return "yielded"

async def gathers(ctx):
    async def one(n):
        await asyncio.sleep(0.01)
        return n
    return repr(await asyncio.gather(one(1), one(2)))

async def threads(ctx):
    return await asyncio.to_thread(lambda: "from a thread")

async def tasks(ctx):
    async def inner():
        async with asyncio.timeout(5):
            await asyncio.sleep(0.01)
        return "in a task"
    return await asyncio.create_task(inner())

async def fails(ctx):
    async def inner():
        raise KeyError("mine")
    try:
        await asyncio.create_task(inner())
    except KeyError as err:
        return f"caught {err}"

async def items(ctx):
    for n in "123":
        await asyncio.sleep(0.01)
        yield n

def returns_a_future(ctx):
    return asyncio.ensure_future(asyncio.sleep(0.01, "a future"))

async def mixes(ctx):
    await ctx.sleep(0.01)
    await asyncio.sleep(0.01)
    await ctx.flush()
    return "mixed"

async def waits(ctx):
    ctx.write("first")
    await ctx.flush()
    try:
        await Deferred.fromFuture(asyncio.ensure_future(asyncio.sleep(600)))
    finally:
        ctx.log.info("the handler has ended")

async def waits_directly(ctx):
    ctx.write("first")
    await ctx.flush()
    try:
        await asyncio.sleep(600)
    finally:
        ctx.log.info("the handler has ended")

async def app(ctx):
    pass

def root():
    from twisted.web.resource import Resource
    from twistream import StreamResource
    tree = Resource()
    for handler in (sleeps, yields, gathers, threads, tasks, fails, items, returns_a_future,
                    mixes, waits, waits_directly):
        tree.putChild(handler.__name__.encode(), StreamResource(handler))
    return tree
"""

ANSWERS = {
    "sleeps": "slept",
    "yields": "yielded",
    "gathers": "[1, 2]",
    "threads": "from a thread",
    "tasks": "in a task",
    "fails": "caught 'mine'",
    "items": "123",
    "returns_a_future": "a future",
    "mixes": "mixed",
}


def curl(url: str) -> str:
    done = subprocess.run(
        [program("curl"), "-sSN", "-w", " %{http_code}", url],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    return done.stdout + done.stderr


def test_on_the_reactor_of_asyncio_they_work(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    server = Running(tmp_path, "--app", "app:root", "--listen", LOCAL, reactor="asyncio")
    try:
        [url] = server.urls()
        for name, answer in ANSWERS.items():
            assert curl(url + name) == f"{answer} 200", (name, server.log)
        assert "Traceback" not in server.log, server.log
    finally:
        server.stop()


@pytest.mark.parametrize("name", ["waits", "waits_directly"])
def test_a_client_that_disconnects_cancels_them_and_is_no_failure(
    tmp_path: Path, name: str
) -> None:
    (tmp_path / "app.py").write_text(APP)
    server = Running(tmp_path, "--app", "app:root", "--listen", LOCAL, reactor="asyncio")
    try:
        [url] = server.urls()
        match = re.fullmatch(r"http://(.*):(\d+)/", url)
        assert match is not None
        with socket.create_connection((match[1], int(match[2])), LIMIT) as client:
            client.sendall(b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n" % name.encode())
            data = b""
            while b"first" not in data:
                data += client.recv(1000)
        until(lambda: "the handler has ended" in server.log, "cancels the handler")
    finally:
        server.stop()
    assert "Traceback" not in server.log, server.log


def test_on_another_reactor_the_error_says_so(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    server = Running(tmp_path, "--app", "app:root", "--listen", LOCAL)
    try:
        [url] = server.urls()
        for name in ("sleeps", "yields"):
            assert curl(url + name).endswith(" 500")
        assert server.log.count("--reactor=asyncio") == 2, server.log
    finally:
        server.stop()


def test_the_page_on_asyncio_shows_what_happens(tmp_path: Path) -> None:
    code, *_ = re.findall(r"code-block:: python\n\n((?:    .*\n|\n)+)", PAGE.read_text())
    (tmp_path / "app.py").write_text(re.sub("^    ", "", code, flags=re.MULTILINE))
    server = Running(tmp_path, "--app", "app:ticks", "--listen", LOCAL, reactor="asyncio")
    try:
        [url] = server.urls()
        assert curl(url) == "0\n1\n2\n 200"
    finally:
        server.stop()
