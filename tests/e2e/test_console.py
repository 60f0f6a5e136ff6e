"""
``python -m twistream URL``, in a process of its own.
"""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread

from tests.e2e.conftest import Log
from tests.e2e.net import LIMIT, Server, eventually, serving
from tests.e2e.twistd import until
from twistream import Context

COMMAND = [sys.executable, "-m", "twistream"]


class Served:
    """
    A handler for each test, by path.
    """

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str | None], str]] = []

    async def __call__(self, ctx: Context) -> None:
        method = ctx.request.method.decode()
        names = ("Last-Event-ID", "X-A", "Accept")
        content: Any = ctx.request.content
        fields = {name: ctx.request.getHeader(name) for name in names}
        self.requests.append((method, fields, content.read().decode()))
        await getattr(self, ctx.path.strip("/"))(ctx)

    async def text(self, ctx: Context) -> None:
        ctx.content_type("text/plain; charset=utf-8")
        for part in ("one\ntw", "o \u017c"):
            ctx.write(part)
            await ctx.flush()

    async def lines(self, ctx: Context) -> None:
        await ctx.json_line({"a": 1})
        ctx.write('[2,\r "\u017c"]\r\n')

    async def events(self, ctx: Context) -> None:
        events = ctx.sse()
        await events.send("a\nb", id="1")
        await events.send({"n": 1}, event="gap")

    async def resumed(self, ctx: Context) -> None:
        last = int(ctx.last_event_id or 0)
        if last == 3:
            ctx.status_code(204)
        else:
            await ctx.sse().send(f"event {last + 1}", id=str(last + 1), retry=0.01)

    async def refused(self, ctx: Context) -> None:
        ctx.status_code(403)
        ctx.write("not for you")

    async def broken(self, ctx: Context) -> None:
        await ctx.json_line(1)
        raise KeyError("made to fail")

    async def endless(self, ctx: Context) -> None:
        ctx.content_type("text/plain")
        while True:
            ctx.write("x" * 1000 + "\n")
            await ctx.flush()
            await ctx.sleep(0.001)

    async def silent(self, ctx: Context) -> None:
        await ctx.json_line(1)
        await ctx.sleep(LIMIT * 10)


@pytest.fixture
def served() -> Served:
    return Served()


async def run(server: Server, path: str, *arguments: str) -> tuple[int, str, str]:
    """
    The exit status, the output and the errors.
    """
    done = await deferToThread(
        subprocess.run,
        [*COMMAND, *arguments, server.url(path)],
        capture_output=True,
        timeout=LIMIT,
        check=False,
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.parametrize(
    ("path", "arguments", "output"),
    [
        ("/text", (), "one\ntwo \u017c"),
        ("/lines", (), '{"a":1}\n[2,"\u017c"]\n'),
        ("/events", (), 'a\nb\ngap: {"n":1}\n'),
        (
            "/events",
            ("--json",),
            """{"event":"message","id":"1","data":"a\\nb"}
{"event":"gap","id":"1","data":"{\\"n\\":1}"}
""",
        ),
        ("/resumed", (), "event 1\n"),
        ("/resumed", ("--last-event-id", "1"), "event 2\n"),
        ("/resumed", ("--reconnect",), "event 1\nevent 2\nevent 3\n"),
        ("/resumed", ("--reconnect", "--last-event-id", "2"), "event 3\n"),
    ],
)
@ensureDeferred
async def test_complete_streams(
    served: Served, path: str, arguments: tuple[str, ...], output: str
) -> None:
    async with serving(served) as server:
        assert await run(server, path, *arguments) == (0, output, "")


@ensureDeferred
async def test_the_request_is_what_was_asked_for(served: Served) -> None:
    async with serving(served, methods=("GET", "POST", "PUT")) as server:
        await run(server, "/text", "-H", "X-A: b: c", "--header", "Accept: text/html")
        await run(server, "/text", "--data", "\u017c")
        await run(server, "/text", "--data", "a", "--method", "put")
        await run(
            server, "/resumed", "--reconnect", "-d", "a", "-H", "X-A: b", "--last-event-id", "3"
        )
    (first, second, third, fourth) = served.requests
    assert first == ("GET", {"Last-Event-ID": None, "X-A": "b: c", "Accept": "text/html"}, "")
    assert (second[0], second[2]) == ("POST", "\u017c")
    assert (third[0], third[2]) == ("PUT", "a")
    fields = {"Last-Event-ID": "3", "X-A": "b", "Accept": "text/event-stream"}
    assert fourth == ("POST", fields, "a")


@ensureDeferred
async def test_refused(served: Served) -> None:
    async with serving(served) as server:
        for arguments in ((), ("--reconnect",)):
            status, output, errors = await run(server, "/refused", *arguments)
            assert (status, output) == (1, "")
            assert "403" in errors
            assert "not for you" in errors
        status, _, errors = await run(server, "/text", "--reconnect")
        assert status == 1
        assert "expected an event stream" in errors


@ensureDeferred
async def test_truncated(served: Served, log: Log) -> None:
    async with serving(served) as server:
        status, output, errors = await run(server, "/broken")
        assert (status, output) == (3, "1\n")
        assert "ended early, after 2 bytes" in errors
        status, output, errors = await run(server, "/silent", "--idle-timeout", "0.2")
        assert (status, output) == (3, "1\n")
        assert "no byte for 0.2 seconds" in errors
        status, output, errors = await run(server, "/text", "--json")
        assert (status, output) == (3, "")
        assert "invalid JSON" in errors
    assert log.failures(KeyError) == 1


@ensureDeferred
async def test_unreachable(served: Served) -> None:
    async with serving(served) as server:
        gone = server
    status, output, errors = await run(gone, "/text")
    assert (status, output) == (4, "")
    assert errors.startswith("twistream: ")
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "URL"),
        (("ftp://test/",), "http or https"),
        (("http://test/", "--header", "no colon"), "NAME: VALUE"),
        (("http://test/", "--method", "a b"), "method"),
        (("http://test/", "--idle-timeout", "0"), "seconds"),
        (("http://test/", "--unknown"), "--unknown"),
    ],
)
def test_wrong_arguments(arguments: tuple[str, ...], says: str) -> None:
    done = subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_the_help_explains_every_status() -> None:
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True)
    for status in (0, 1, 2, 3, 4, 130, 141):
        assert f"\n  {status:<5}" in done.stdout


@ensureDeferred
async def test_ctrl_c_ends_it_and_the_handler(served: Served, tmp_path: Path) -> None:
    output = tmp_path / "output"

    def interrupt(url: str) -> tuple[int, bytes]:
        with output.open("wb") as file:
            process = subprocess.Popen([*COMMAND, url], stdout=file, stderr=subprocess.PIPE)
        until(output.read_bytes, "the first line is printed")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT)
        return process.returncode, errors

    async with serving(served) as server:
        assert await deferToThread(interrupt, server.url("/silent")) == (130, b"")
        await eventually(lambda: server.contexts[0].is_cancelled)
    assert output.read_bytes() == b"1\n"


@ensureDeferred
async def test_a_closed_output_ends_it_and_the_handler(served: Served) -> None:
    def close(url: str) -> tuple[int, bytes]:
        with subprocess.Popen(
            [*COMMAND, url], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            errors = process.stderr.read()
            return process.wait(LIMIT), errors

    async with serving(served) as server:
        assert await deferToThread(close, server.url("/endless")) == (141, b"")
        await eventually(lambda: server.contexts[0].is_cancelled)


def on_terminal(url: str, *arguments: str, until_seen: Callable[[bytes], bool]) -> bytes:
    """
    What the program shows on a terminal, up to where it is interrupted.
    """
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments, url], stdout=subprocess.DEVNULL, stderr=terminal
    )
    os.close(terminal)
    seen = b""
    try:
        while not until_seen(seen):
            part = os.read(controller, 1000)
            assert part
            seen += part
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(LIMIT)
        os.close(controller)
    return seen


@ensureDeferred
async def test_a_terminal_shows_the_progress(served: Served) -> None:
    async with serving(served) as server:
        seen = await deferToThread(
            on_terminal, server.url("/endless"), until_seen=lambda seen: b"kB, " in seen
        )
    assert b" messages, " in seen
    assert b"/s" in seen
    assert b"\r\x1b[K" in seen
