"""
Runs on real sockets: a browser that reloads, curl that resumes, a process that shuts down, and memory.
"""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import expect
from pytest_twisted import ensureDeferred
from twisted.internet.defer import DeferredQueue
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource

from tests.e2e.browser import SECONDS, launched
from tests.e2e.conftest import program
from tests.e2e.net import LIMIT, reactor, serving
from tests.e2e.twistd import LOCAL, Running, until
from twistream import Context, Hub, Run, StreamResource

ROOT = Path(__file__).parents[2]

PAGE = """<!DOCTYPE html><link rel="icon" href="data:,"><p id="text"></p><p id="end"></p><script>
const source = new EventSource("/answer");
source.onmessage = e => { document.getElementById("text").textContent += e.data; };
source.addEventListener("end", e => { document.getElementById("end").textContent += e.data; });
const isClosed = () => source.readyState === EventSource.CLOSED;
</script>"""


def test_fifty_thousand_runs_leave_nothing() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.e2e.run_churn", "50000"],
        capture_output=True,
        check=False,
        cwd=ROOT,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    assert all(count <= 5 for count in found["left"].values()), found
    assert found["left"]["RunCore"] == found["left"]["Message"] == 0, found
    # A hundred bytes for each would be five megabytes.
    assert found["grown"] < 3_000, found


class Typist:
    """
    A producer that a test steps by hand, letter by letter, and a site that shows the letters.

    Attributes:
        answers: The statuses of the requests for the stream.
        hub: The hub of the run.
        root: The site.
    """

    def __init__(self) -> None:
        self.hub = Hub()
        self.answers: list[int] = []
        self._letters: DeferredQueue[str] = DeferredQueue()
        self.root = Resource()
        self.root.putChild(b"", StreamResource(self._page))
        self.root.putChild(b"answer", StreamResource(self._answer))
        self.root.putChild(b"stop", StreamResource(self._stop, methods=("POST",)))

    def press(self, letters: str) -> None:
        """
        Type letters, from the thread of the browser. A dot ends the answer.
        """
        for letter in letters:
            reactor.callFromThread(self._letters.put, letter)

    async def _type(self, run: Run) -> int:
        count = 0
        while (letter := await self._letters.get()) != ".":
            count += 1
            await run.publish(letter)
        return count

    async def _page(self, ctx: Context) -> None:
        ctx.html(PAGE)

    async def _answer(self, ctx: Context) -> None:
        ctx.on_close(lambda ctx: self.answers.append(ctx.request.code))
        await ctx.sse(retry=0.1).subscribe(self.hub.run("answer", self._type))

    async def _stop(self, ctx: Context) -> str:
        state = await self.hub.runs["answer"].stop("user pressed stop")
        return f"{state.value}{ctx.path[5:]}"


@ensureDeferred
async def test_a_page_that_is_reloaded_continues_and_another_follows(chromium: str) -> None:
    typist = Typist()

    def visit(url: str) -> None:
        expect.set_options(timeout=SECONDS * 1000)
        with launched(chromium) as browser:
            first, second = browser.new_page(), browser.new_page()
            first.goto(url)
            typist.press("ab")
            expect(first.locator("#text")).to_have_text("ab")
            first.reload()
            expect(first.locator("#text")).to_have_text("ab")
            typist.press("c")
            expect(first.locator("#text")).to_have_text("abc")
            second.goto(url)
            typist.press("d.")
            for page in (first, second):
                expect(page.locator("#text")).to_have_text("abcd")
                expect(page.locator("#end")).to_have_text('{"state":"done","result":4}')
                # It has reconnected with the id of the end, and was answered with a 204.
                page.wait_for_function("isClosed")
                expect(page.locator("#text")).to_have_text("abcd")

    async with serving(typist.root) as server:
        await deferToThread(visit, server.url())
    assert sorted(typist.answers) == [200, 200, 200, 204, 204]


@ensureDeferred
async def test_a_user_presses_stop_and_every_page_shows_it(chromium: str) -> None:
    typist = Typist()

    def visit(url: str) -> None:
        expect.set_options(timeout=SECONDS * 1000)
        with launched(chromium) as browser:
            first, second = browser.new_page(), browser.new_page()
            for page in (first, second):
                page.goto(url)
            typist.press("a")
            for page in (first, second):
                expect(page.locator("#text")).to_have_text("a")
            answer = second.evaluate(
                "() => fetch('/stop', {method: 'POST'}).then(response => response.text())"
            )
            assert answer == "stopped"
            for page in (first, second):
                expect(page.locator("#end")).to_have_text(
                    '{"state":"stopped","reason":"user pressed stop"}'
                )
                page.wait_for_function("isClosed")

    async with serving(typist.root) as server:
        await deferToThread(visit, server.url())


def curl(url: str, *options: str) -> str:
    command = [program("curl"), "-sS", "--max-time", str(LIMIT), *options, url]
    return subprocess.check_output(command, text=True, timeout=2 * LIMIT)


@ensureDeferred
async def test_curl_resumes_with_an_id() -> None:
    typist = Typist()
    async with serving(typist.root) as server:
        url = server.url("/answer")
        typist.press("abc.")
        whole = await deferToThread(curl, url)
        ids = re.findall("id: (.*)", whole)
        assert re.findall("data: (.*)", whole) == ["a", "b", "c", '{"state":"done","result":3}']
        rest = await deferToThread(curl, url, "-H", f"Last-Event-ID: {ids[1]}")
        assert rest == "retry: 100\n" + whole.partition(ids[1] + "\ndata: b\n\n")[2]
        status = "%{http_code}"
        last = await deferToThread(curl, url, "-w", status, "-H", f"Last-Event-ID: {ids[3]}")
        assert last == "204"


APP = """
from twisted.internet.defer import CancelledError, Deferred
from twistream import Hub

hub = Hub()

async def work(run):
    await run.publish("started")
    try:
        await Deferred()
    except CancelledError:
        print("the producer was cancelled", flush=True)
        raise

async def follow(ctx):
    await ctx.sse().subscribe(hub.run("work", work))
"""


def test_a_process_that_shuts_down_tells_clients_that_the_run_is_lost(tmp_path: Path) -> None:
    (tmp_path / "app.py").write_text(APP)
    running = Running(tmp_path, "--listen", LOCAL, "--app", "app:follow")
    [url] = running.urls()
    output = tmp_path / "curl.txt"
    with output.open("w") as file:
        client = subprocess.Popen([program("curl"), "-sSN", url], stdout=file)
    try:
        until(lambda: "data: started" in output.read_text(), "starts")
        running.process.send_signal(signal.SIGTERM)
        assert client.wait(LIMIT) == 0, "the response is complete"
    finally:
        client.kill()
        client.wait()
        running.stop()
    assert output.read_text().endswith('data: {"state":"lost"}\n\n')
    assert "the producer was cancelled" in running.log
    assert "Traceback" not in running.log
