"""
The demo's pages in a real browser, served by a real twistd that may be killed.

Playwright's synchronous API runs in a thread, as in `tests.e2e.test_browser`.
"""

import re
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeAlias
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.browser import SECONDS
from tests.e2e.net import LIMIT
from tests.e2e.twistd import LOCAL, Running
from twistream.demo.runs import TEXTS

Visit: TypeAlias = Callable[[Browser], None]

PATIENT = """
from twistream.demo import make_root, runs

runs.TEXTS = tuple(f"{text} " * 10 for text in runs.TEXTS)
root = make_root
"""
"""
An application: the demo, with texts that go on for as long as a test may take.
"""

PATIENT_TEXTS = tuple(f"{text} " * 10 for text in TEXTS)


class Service:
    """
    The demo, which can be killed and restarted at the same address.

    Attributes:
        url: Its address.
    """

    def __init__(self, folder: Path, *arguments: str) -> None:
        self._folder = folder
        self._arguments = arguments
        self._running = Running(folder, "--listen", LOCAL, *arguments)
        [self.url] = self._running.urls()

    def kill(self) -> None:
        self._running.kill()

    def start_again(self) -> None:
        port = urlsplit(self.url).port
        self._running = Running(
            self._folder, "--listen", f"tcp:{port}:interface=127.0.0.1", *self._arguments
        )
        assert self._running.urls() == [self.url]

    def post(self, text: str, path: str = "/chat") -> int:
        """
        Post a message to the chat, or elsewhere, and return the status.
        """
        connection = HTTPConnection(urlsplit(self.url).netloc, timeout=LIMIT)
        connection.request("POST", path, text.encode())
        status = connection.getresponse().status
        connection.close()
        return status

    def stop(self) -> None:
        self._running.stop()
        assert "Traceback" not in self._running.log


def close_all(browser: Browser) -> None:
    """
    Close all pages.
    """
    for context in browser.contexts:
        context.close()


class Shown:
    """
    One page with a stream of events.

    Attributes:
        complaints: Messages on its console, and uncaught errors.
    """

    def __init__(self, where: Browser | BrowserContext | Page, url: str, path: str) -> None:
        page = where if isinstance(where, Page) else where.new_page()
        page.set_default_timeout(SECONDS * 1000)
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(f"{url}{path}")
        self.page = page
        self.status = page.get_by_role("status")
        self.lines = page.locator(".messages li")
        self.texts = page.locator(".messages .text")
        self.ids = page.locator(".messages .id")
        self.notes = page.locator(".messages .note")
        self.present = page.locator(".tally")
        self.here = page.locator(".here")
        self.reason = page.get_by_role("alert")
        self.names = page.locator(".messages .name")
        self.wires = page.locator(".messages .wire")
        self.wire = page.get_by_role("button", name="Wire")
        self.name = page.get_by_role("textbox", name="as")
        self.field = page.get_by_role("textbox", name="Message")
        self.button = page.get_by_role("button", name="Send")
        self.list = page.locator(".messages")
        self.unread = page.get_by_role("button", name="new message")
        self.announced = page.locator(".messages ~ [aria-live=polite]")

    def is_live(self) -> None:
        expect(self.status).to_have_text("live")

    def say(self, text: str) -> None:
        self.field.fill(text)
        self.field.press("Enter")

    def shows(self, *texts: str) -> None:
        expect(self.texts).to_have_text(list(texts))

    def scroll(self, where: str) -> None:
        self.list.evaluate(f"list => list.scrollTop = {where}")

    def is_at_end(self) -> bool:
        end = "list => list.scrollHeight - list.scrollTop - list.clientHeight < 2"
        return bool(self.list.evaluate(end))

    def ticks(self) -> list[int]:
        """
        The numbers of the ticks, each shown with its id.
        """
        lines = self.page.locator(".messages li:not(.note)").all_inner_texts()
        ticks = [
            re.search(r"Tick (\d+)\s+\w+-(\d+)$|\w+-(\d+)\s+Tick (\d+)$", line) for line in lines
        ]
        assert all(ticks), lines
        found = [[int(part) for part in tick.groups() if part] for tick in ticks if tick]
        assert all(number == of_id for number, of_id in found), lines
        return [number for number, _ in found]

    def await_tick(self, number: int) -> None:
        expect(self.texts.get_by_text(f"Tick {number}", exact=True)).to_be_visible()
