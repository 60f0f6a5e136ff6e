"""
The program, the commands and the scripts of docs/events.rst, run. `test_docs` runs the curl commands.
"""

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from playwright.sync_api import ConsoleMessage
from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource

from tests.e2e.browser import SECONDS, launched
from tests.e2e.conftest import Log, program
from tests.e2e.net import Server, serving
from tests.e2e.pages import BLANK, Page
from tests.e2e.twistd import until
from twistream import Context, EventDecoder, HTTPError, StreamResource

EVENTS = Page("docs/events.rst")


@pytest.fixture
def names(monkeypatch: Any) -> dict[str, Any]:
    """
    The names that the page defines. Its tree gets a blank page for scripts to run in.
    """
    names = EVENTS.executed(monkeypatch)
    names["root"].putChild(b"", BLANK)
    return names


def console(chromium: str, url: str, script: str, last: str) -> list[str]:
    """
    The messages that a script logs to the console, up to one that contains `last`.
    """
    messages: list[str] = []

    def is_last(message: ConsoleMessage) -> bool:
        messages.append(message.text)
        return last in message.text

    with launched(chromium) as browser:
        page = browser.new_page()
        page.goto(url)
        with page.expect_console_message(is_last, timeout=SECONDS * 1000):
            page.evaluate(f"() => {{ (async () => {{ {script}\n }})(); }}")
    return messages


@ensureDeferred
async def test_its_scripts_read_the_streams(names: dict[str, Any], chromium: str) -> None:
    countdown, launch, letters = EVENTS.blocks("javascript")
    async with serving(names["root"]) as server:
        counted = await deferToThread(console, chromium, server.url(), countdown, "0")
        resumed = await deferToThread(console, chromium, server.url(), launch, "ended")
        spelled = await deferToThread(console, chromium, server.url(), letters, "sun")
    assert counted == [str(n) for n in reversed(range(10))]
    assert resumed == [*(f"{n} {n}" for n in reversed(range(10))), "the stream has ended"]
    assert [event.data for event in EventDecoder().feed("".join(spelled).encode())] == [
        '{"word":"rain","letters":4}',
        '{"word":"and","letters":3}',
        '{"word":"sun","letters":3}',
    ]


@ensureDeferred
async def test_the_reader_receives_the_events(names: dict[str, Any]) -> None:
    seen: list[tuple[str, str, str]] = []
    async with serving(names["root"]) as server:
        last = await names["read"](
            server.url("/launch?last_event_id=2"), lambda *event: seen.append(event)
        )
    assert seen == [("1", "tick", '{"left":1}'), ("0", "tick", '{"left":0}')]
    assert last == "0"


FROM_ELSEWHERE = """
const server = "{url}";
const send = (path, options) => fetch(server + path, options)
    .then(response => response.text(), () => "refused");
const source = new EventSource(server + "others");
const event = new Promise(resolve => {{
    source.onmessage = e => resolve(e.data);
    source.onerror = () => resolve("refused");
}});
const headers = {{"Content-Type": "application/json"}};
const asked = await send("letters-for-others", {{method: "POST", body: "sun", headers}});
const refused = await send("letters", {{method: "POST", body: "sun"}});
console.log([await event, asked.trim(), refused].join("|"));
"""


@pytest.mark.parametrize("named", [True, False])
@ensureDeferred
async def test_pages_of_other_origins_read_only_streams_that_allow_them(
    names: dict[str, Any], chromium: str, named: bool
) -> None:
    async with serving(names["root"]) as server:
        elsewhere = f"http://localhost:{server.number}"
        if named:
            names["ORIGINS"].append(elsewhere)
        script = FROM_ELSEWHERE.format(url=server.url())
        *_, message = await deferToThread(console, chromium, elsewhere, script, "|")
    answers = message.split("|")
    if named:
        assert answers == ["for example.org and its friends", 'data: {"word":"sun"}', "refused"]
    else:
        assert answers == ["refused"] * 3


class Ends:
    """
    Streams that end in each way of the table, with a count of the requests for each.
    """

    def __init__(self) -> None:
        self.asked: dict[str, int] = {}

    async def __call__(self, ctx: Context) -> None:
        self.asked[ctx.path] = self.asked.get(ctx.path, 0) + 1
        if ctx.path == "/page":
            raise HTTPError(503)
        if ctx.path == "/type":
            await ctx.stream(["data: no event\n\n"])
            return
        events = ctx.sse()
        if self.asked[ctx.path] == 4 or ctx.path == "/stop":
            events.stop_reconnecting()
            return
        await events.send("something", retry=0.05)
        if ctx.path == "/break":
            ctx.abort()


AT_EACH_END = """
const ended = path => new Promise(resolve => {
    const source = new EventSource(path);
    source.onerror = () => { if (source.readyState === EventSource.CLOSED) resolve(); };
});
await Promise.all(["/return", "/break", "/stop", "/page", "/type"].map(ended));
console.info("all have ended");
"""


@ensureDeferred
async def test_a_browser_does_at_each_end_what_the_table_says(chromium: str) -> None:
    ends, root = Ends(), Resource()
    root.putChild(b"", BLANK)
    for path in (b"return", b"break", b"stop", b"page", b"type"):
        root.putChild(path, StreamResource(ends))

    async with serving(root) as server:
        await deferToThread(console, chromium, server.url(), AT_EACH_END, "all have ended")
    assert ends.asked == {"/return": 4, "/break": 4, "/stop": 1, "/page": 1, "/type": 1}


NGINX = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen unix:{folder}/nginx.sock;
        {lines}
    }}
}}
"""


def holds(path: Path, text: str) -> bool:
    return path.read_text() == text


@pytest.fixture
def folder() -> Iterator[Path]:
    """
    A folder with a short name, because the path of a Unix socket is limited.
    """
    with TemporaryDirectory(prefix="nginx-") as folder:
        yield Path(folder)


@pytest.mark.parametrize("kept", ["proxy_pass", ""])
@ensureDeferred
async def test_nginx_delays_no_event_and_hides_no_abort(folder: Path, log: Log, kept: str) -> None:
    (lines,) = EVENTS.blocks("nginx")
    # With proxy_pass alone, and with all lines of the page.
    lines = "\n".join(line for line in lines.splitlines() if kept in line or line[0] != " ")

    async def handler(ctx: Context) -> None:
        events = ctx.sse()
        for number in range(3):
            await events.send(number)
            while not (folder / f"{number}.read").exists():
                await ctx.sleep(0.01)
        raise RuntimeError("made to fail")

    def read(server: Server) -> int:
        """
        The exit code of curl for a stream that is aborted after its events.
        """
        here = lines.replace("127.0.0.1:8080", f"127.0.0.1:{server.number}")
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, lines=here))
        command = [program("nginx", "/usr/sbin/nginx"), "-p", str(folder), "-c", "nginx.conf"]
        nginx = subprocess.Popen([*command, "-e", "stderr"], stderr=subprocess.DEVNULL)
        started = [nginx]
        try:
            until((folder / "nginx.sock").exists, "nginx listens")
            output = folder / "output"
            with output.open("wb") as file:
                curl = subprocess.Popen(
                    [
                        program("curl"),
                        "--silent",
                        "-N",
                        "--unix-socket",
                        str(folder / "nginx.sock"),
                        "http://proxied/",
                    ],
                    stdout=file,
                )
            started.append(curl)
            for number in range(3):
                events = "".join(f"data: {each}\n\n" for each in range(number + 1))
                until(partial(holds, output, events), f"{events} arrives")
                (folder / f"{number}.read").touch()
            return curl.wait(SECONDS)
        finally:
            for process in started:
                process.terminate()
                process.wait(SECONDS)

    async with serving(handler) as server:
        code = await deferToThread(read, server)
    assert log.failures(RuntimeError) == 1
    assert code == 18, "curl notices that the response is incomplete"
