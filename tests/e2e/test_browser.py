"""
The demo's page in a real browser, over loopback.

Playwright's synchronous API runs in a thread, and the server in the reactor that
pytest-twisted runs. The two communicate through events.
"""

import json
from collections.abc import Callable, Generator, Iterator
from threading import Event
from typing import Any, TypeAlias

import pytest
import pytest_twisted
from playwright.sync_api import Page, ViewportSize, expect
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.web.server import Request, Site
from zope.interface import implementer

from tests.e2e.browser import SECONDS, launched
from tests.e2e.conftest import Log
from twistream import Context, StreamResource
from twistream.demo import make_root
from twistream.demo.streams import NUMBERS

PHONE: ViewportSize = {"width": 390, "height": 844}
DESKTOP: ViewportSize = {"width": 1280, "height": 800}

MESSAGES = [f"Message number {n}" for n in NUMBERS]
CUT_OFF = "The response was cut off before its end."


Script: TypeAlias = Callable[[Page], None]


@implementer(ILogObserver)
class Lines:
    """
    Lets a thread wait for a line of the log.
    """

    def __init__(self) -> None:
        self._seen: dict[str, Event] = {}

    def __call__(self, event: LogEvent) -> None:
        self._event(formatEvent(event)).set()

    def _event(self, line: str) -> Event:
        return self._seen.setdefault(line, Event())

    def wait_for(self, line: str) -> None:
        assert self._event(line).wait(SECONDS), f"not in the log: {line}"


class Demo:
    """
    The demo on a port of its own, and a browser that visits it.

    Attributes:
        root: Its resource tree. Tests may add children.
        requests: The requests that the server has received.
        log: The log of the server.
        complaints: Messages on the console of the page, and uncaught errors.
    """

    def __init__(self, chromium: str) -> None:
        from twisted.internet import reactor

        self._chromium = chromium
        self._reactor: Any = reactor
        self.complaints: list[str] = []
        self.requests: list[Request] = []
        self.root: Any = make_root()
        self.log = Lines()
        site: Any = Site(self.root, requestFactory=self._request)
        self._port = self._reactor.listenTCP(0, site, interface="127.0.0.1")
        address = self._port.getHost()
        assert isinstance(address, IPv4Address)
        self.url = f"http://127.0.0.1:{address.port}/"
        globalLogPublisher.addObserver(self.log)

    def _request(self, *args: Any) -> Request:
        request = Request(*args)
        self.requests.append(request)
        return request

    def finished(self, path: str) -> list[bool]:
        """
        Whether the response is complete, for each request for `path`.
        """
        return [bool(r.finished) for r in list(self.requests) if r.path == path.encode()]

    def in_reactor(self, function: Callable[..., object], *args: object) -> None:
        """
        Call `function` in the reactor's thread.
        """
        self._reactor.callFromThread(function, *args)

    def visit(self, script: Script, viewport: ViewportSize = DESKTOP) -> Deferred[None]:
        """
        Open the page and run `script` in a thread while the reactor continues.

        Returns:
            Fires when the script returns; fails if it raises.
        """
        return deferToThread(self._visit, script, viewport)

    def _visit(self, script: Script, viewport: ViewportSize) -> None:
        with launched(self._chromium) as browser:
            page = browser.new_page(viewport=viewport)
            page.set_default_timeout(SECONDS * 1000)
            page.on("console", lambda message: self.complaints.append(message.text))
            page.on("pageerror", lambda error: self.complaints.append(str(error)))
            page.goto(self.url)
            script(page)

    def close(self) -> None:
        globalLogPublisher.removeObserver(self.log)
        pytest_twisted.blockon(self._port.stopListening())


@pytest.fixture
def demo(chromium: str) -> Iterator[Demo]:
    """
    The demo, served until the test ends.
    """
    expect.set_options(timeout=SECONDS * 1000)
    demo = Demo(chromium)
    yield demo
    demo.close()


class Card:
    """
    One stream on the page.
    """

    def __init__(self, page: Page, name: str) -> None:
        self.root = page.locator(f"#{name}")
        self.pace = self.root.locator("input")
        self.status = self.root.get_by_role("status")
        self.reason = self.root.get_by_role("alert")
        self.tally = self.root.locator(".tally")
        self.lines = self.root.locator(".messages li")
        self.texts = self.root.locator(".messages .text")
        self.command = self.root.locator(".curl code")

    def click(self, label: str) -> None:
        self.root.get_by_role("button", name=label, exact=False).first.click()

    def ask_for_pace(self, value: str) -> None:
        self.pace.fill(value)
        self.pace.press("Enter")


def test_messages_are_on_the_page_while_the_response_is_open(demo: Demo) -> Deferred[None]:
    def script(page: Page) -> None:
        numbers = Card(page, "numbers")
        expect(numbers.lines.nth(1)).to_be_visible()
        expect(numbers.status).to_have_text("streaming")
        shown = numbers.texts.all_inner_texts()
        assert demo.finished("/numbers") == [False]
        assert 2 <= len(shown) < len(MESSAGES)
        assert shown == MESSAGES[: len(shown)]

        expect(numbers.status).to_have_text("complete")
        assert demo.finished("/numbers") == [True]
        assert numbers.texts.all_inner_texts() == MESSAGES
        expect(numbers.tally).to_contain_text("12 messages in ")
        expect(numbers.reason).to_be_empty()
        arrived = [
            float(text.strip("+ s")) for text in numbers.root.locator(".arrived").all_inner_texts()
        ]
        assert arrived == sorted(arrived)
        assert arrived[0] < arrived[-1]
        assert demo.complaints == []

    return demo.visit(script)


def test_the_other_streams_start_at_a_click(demo: Demo) -> Deferred[None]:
    def script(page: Page) -> None:
        json_lines, clock = Card(page, "json"), Card(page, "clock")
        expect(json_lines.status).to_have_text("not started")
        expect(clock.status).to_have_text("not started")
        clock.click("Start")
        json_lines.click("Start")
        expect(json_lines.status).to_have_text("streaming")
        json_lines.ask_for_pace("0.05")
        expect(json_lines.status).to_have_text("complete")
        values = [json.loads(text) for text in json_lines.texts.all_inner_texts()]
        assert values == [{"number": n} for n in NUMBERS]
        expect(clock.lines.nth(1)).to_contain_text("T")
        expect(clock.status).to_have_text("streaming")
        assert demo.finished("/clock") == [False]
        assert demo.complaints == []

    return demo.visit(script)


def test_stop_disconnects_from_the_server(demo: Demo) -> Deferred[None]:
    def script(page: Page) -> None:
        for name, line in (
            ("numbers", "stream: client disconnected"),
            ("json", "Connection closed, loop end."),
        ):
            card = Card(page, name)
            if name != "numbers":
                card.click("Start")
            expect(card.lines.first).to_be_visible()
            card.click("Stop")
            expect(card.status).to_have_text("stopped by you")
            demo.log.wait_for(line)
            assert demo.finished(f"/{name}") == [False]
        assert demo.complaints == []

    return demo.visit(script)


def test_the_reason_for_an_error_page_is_on_the_page(demo: Demo) -> Deferred[None]:
    def script(page: Page) -> None:
        clock = Card(page, "clock")
        clock.ask_for_pace("<b>fast")
        expect(clock.status).to_have_text("failed")
        expect(clock.reason).to_contain_text("400 Bad Request")
        expect(clock.reason).to_contain_text("from 0.05 to 60, such as 0.5, not '<b>fast'.")
        expect(clock.lines).to_have_count(0)
        clock.ask_for_pace("0.05")
        expect(clock.status).to_have_text("streaming")
        expect(clock.reason).to_be_empty()

    return demo.visit(script)


@pytest.mark.parametrize("shown", [[], ["one", "two"], ["one", "tw"]])
def test_an_aborted_stream_is_shown_as_failed(
    demo: Demo, log: Log, shown: list[str]
) -> Deferred[None]:
    gate: Deferred[None] = Deferred()

    async def fails(ctx: Context) -> None:
        ctx.write("<br>".join([*shown, ""] if "two" in shown else shown))
        await ctx.flush()
        await gate
        raise RuntimeError("made up")

    def script(page: Page) -> None:
        numbers = Card(page, "numbers")
        expect(numbers.status).to_have_text("streaming" if shown else "waiting for the server")
        demo.in_reactor(gate.callback, None)
        expect(numbers.status).to_have_text("failed")
        expect(numbers.reason).to_have_text(CUT_OFF)
        assert numbers.texts.all_inner_texts() == shown
        assert log.failures(RuntimeError) == 1

    demo.root.putChild(b"numbers", StreamResource(fails))
    return demo.visit(script)


def test_messages_are_shown_as_text_with_whole_characters(demo: Demo) -> Deferred[None]:
    hostile = "<img src=x onerror=alert(1)>"

    async def hostile_numbers(ctx: Context) -> None:
        ctx.content_type("text/html")
        for part in (f"{hostile}<b".encode(), b"r>\xe2\x82", b"\xac<br>", b"the rest"):
            ctx.write(part)
            await ctx.flush()
            await ctx.sleep(0.05)

    def script(page: Page) -> None:
        numbers = Card(page, "numbers")
        expect(numbers.status).to_have_text("complete")
        assert numbers.texts.all_inner_texts() == [hostile, "€", "the rest"]
        assert demo.complaints == []

    demo.root.putChild(b"numbers", StreamResource(hostile_numbers))
    return demo.visit(script)


def test_a_long_stream_keeps_its_last_lines(demo: Demo) -> Deferred[None]:
    def many(ctx: Context) -> Generator[str, None, None]:
        for n in range(1000):
            yield f"{n}<br>"

    def script(page: Page) -> None:
        numbers = Card(page, "numbers")
        expect(numbers.status).to_have_text("complete")
        expect(numbers.tally).to_contain_text("1000 messages")
        assert numbers.texts.all_inner_texts() == [str(n) for n in range(800, 1000)]
        expect(numbers.lines.last).to_be_in_viewport()

    demo.root.putChild(b"numbers", StreamResource(many))
    return demo.visit(script)


def test_the_command_has_the_address_and_the_pace_and_can_be_copied(demo: Demo) -> Deferred[None]:
    def script(page: Page) -> None:
        json_lines = Card(page, "json")
        expect(json_lines.command).to_have_text(f"curl -N {demo.url}json")
        json_lines.pace.fill("2'")
        command = f"curl -N '{demo.url}json?interval=2%27'"
        expect(json_lines.command).to_have_text(command)
        page.context.grant_permissions(["clipboard-read", "clipboard-write"])
        json_lines.click("Copy")
        expect(json_lines.root.locator(".copy")).to_have_accessible_name("Copied the curl command")
        assert page.evaluate("navigator.clipboard.readText()") == command

    return demo.visit(script)


def test_nothing_is_wider_than_a_phone(demo: Demo) -> Deferred[None]:
    def wide(ctx: Context) -> str:
        return "wide" * 200

    def script(page: Page) -> None:
        numbers, clock = Card(page, "numbers"), Card(page, "clock")
        clock.ask_for_pace("9" * 400)
        expect(clock.status).to_have_text("failed")
        expect(numbers.status).to_have_text("complete")
        for width in (390, 320):
            page.set_viewport_size({"width": width, "height": 844})
            assert page.evaluate("document.documentElement.scrollWidth") == width

    demo.root.putChild(b"numbers", StreamResource(wide))
    return demo.visit(script, PHONE)
