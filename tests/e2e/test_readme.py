"""
What the README says, done.
"""

import re
import unittest
from pathlib import Path
from typing import Any

from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread
from twisted.web.resource import Resource

import twistream
from tests.e2e.browser import SECONDS, launched
from tests.e2e.net import Server, serving
from tests.e2e.pages import BLANK, ROOT, Page, run_curl
from twistream import Context, StreamResource

README = Page("README.rst")


@ensureDeferred
async def test_the_handlers_stream(monkeypatch: Any) -> None:
    names, endpoints = README.executed(monkeypatch)
    root = Resource()
    for name in ("hello", "numbers", "ticks"):
        root.putChild(name.encode(), StreamResource(names[name]))
    request = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
    async with serving(root) as server:
        hello = await server.get(request % b"hello")
        numbers = await server.get(request % b"numbers")
        ticks = await server.get(request % b"ticks")
        await hello.holds(b"7\r\nHello, \r\n")
        await numbers.holds(b"Message number 1<br>")
        await ticks.holds(b"\n\r\n")
    async with serving(endpoints.sites[0].resource) as server:
        ticks = await server.get(request % b"ticks")
        await ticks.holds(b"\n\r\n")
    async with serving(names["app"].resource()) as server:
        count = await server.get(request % b"count/3")
        await count.holds(b"2\r\n0\n\r\n2\r\n1\n\r\n2\r\n2\n\r\n0\r\n\r\n")


@ensureDeferred
async def test_its_curl_lines_print_what_it_says(monkeypatch: Any, tmp_path: Path) -> None:
    names, _ = README.executed(monkeypatch)
    names["root"].putChild(b"", StreamResource(names["hello"]))
    async with serving(names["root"]) as server:
        await deferToThread(run_curl, README.commands("curl"), server.number, tmp_path)


@ensureDeferred
async def test_its_script_shows_a_story_in_a_browser(monkeypatch: Any, chromium: str) -> None:
    names, _ = README.executed(monkeypatch)
    names["root"].putChild(b"", BLANK)
    (script,) = README.blocks("javascript")

    def shown(server: Server) -> str:
        with launched(chromium) as browser:
            page = browser.new_page()
            page.goto(server.url())
            page.evaluate(f"() => {{ {script}\nwindow.source = source; }}")
            page.wait_for_function("() => source.readyState === EventSource.OPEN")
            with page.expect_console_message(timeout=SECONDS * 1000) as message:
                page.evaluate("() => fetch('/publish', {method: 'POST', body: 'Rain'})")
            return message.value.text

    async with serving(names["root"]) as server:
        assert await deferToThread(shown, server) == "Rain"


def test_its_test_passes_and_can_fail(monkeypatch: Any) -> None:
    names, _ = README.executed(monkeypatch)
    case: type[unittest.TestCase] = names["TicksTests"]
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])
    names["ticks"] = lambda ctx: "nothing ticks"
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert len(result.failures) == 1


def test_the_table_names_what_is_there() -> None:
    for name in set(re.findall(r"ctx\.([a-z_]+)", README.tables())):
        assert hasattr(Context, name), name
    assert hasattr(twistream, "StopStream")


def test_the_commands_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = [command.line.split()[1] for command in README.commands("make")]
    assert targets == ["demo", "test"]
    assert all(f"\n{target}:" in makefile for target in targets)
