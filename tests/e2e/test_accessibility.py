"""
Every page of the demo under axe-core, which finds what assistive technology cannot use, and under the
keyboard alone.
"""

from collections.abc import Callable
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.e2e.live import Service, Shown, Visit
from twistream.demo.source import source_of
from twistream.demo.streams import numbers

PHONE, DESKTOP = 390, 1280

PATHS = ("", "events", "chat", "runs")


def findings(page: Page) -> str:
    """
    What axe finds on a page as it is now; empty if it finds nothing.
    """
    results = Axe().run(page)
    return results.generate_report() if results.violations_count else ""


def open_all(page: Page) -> None:
    """
    Show the source code, if it is closed.
    """
    for details in page.locator("details").all():
        if details.get_attribute("open") is None:
            details.locator("summary").click()


@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(
    patient: Service,
    visit: Callable[[Visit], None],
    scheme: Literal["light", "dark"],
    width: int,
) -> None:
    def script(browser: Browser) -> None:
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 844}, reduced_motion="reduce"
        )
        pages = {path: Shown(context, patient.url, path) for path in PATHS}
        expect(pages[""].lines.nth(1)).to_be_visible()
        pages["events"].await_tick(1)
        chat = pages["chat"]
        patient.post("from somebody", "/chat?name=Ann")
        chat.name.fill("Bea")
        chat.say("long " * 500)
        expect(chat.page.locator(".messages .own")).to_have_count(1)
        chat.wire.click()
        chat.say("\a")
        expect(chat.reason).to_contain_text("control character")
        run = pages["runs"].page
        expect(run.locator(".paper span").first).to_be_visible()
        run.get_by_role("button", name="Drop").click()
        expect(run.locator(".missing").first).to_be_visible()
        for path, shown in pages.items():
            open_all(shown.page)
            assert findings(shown.page) == "", path
        expect(run.locator("mark").first).to_be_visible()
        assert findings(run) == ""
        run.get_by_role("button", name="Stop").click()
        expect(run.get_by_role("status")).to_have_text("stopped")
        assert findings(run) == ""

    visit(script)


def test_axe_finds_what_is_wrong(service: Service, visit: Callable[[Visit], None]) -> None:
    def script(browser: Browser) -> None:
        page = Shown(browser, service.url, "chat").page
        page.evaluate("document.querySelector('#text').labels[0].remove()")
        page.evaluate("document.querySelector('#text').placeholder = ''")
        assert "Found 1 accessibility violations" in findings(page)

    visit(script)


@pytest.mark.parametrize("path", PATHS)
def test_the_code_is_open_on_a_desktop_and_closed_on_a_phone(
    service: Service, visit: Callable[[Visit], None], path: str
) -> None:
    def script(browser: Browser) -> None:
        for width in PHONE, DESKTOP:
            context = browser.new_context(viewport={"width": width, "height": 844})
            shown = Shown(context, service.url, path)
            code = shown.page.locator(".source code").first
            expect(code).to_be_visible(visible=width == DESKTOP)
            summary = shown.page.locator(".source summary").first
            summary.press("Enter")
            expect(code).to_be_visible(visible=width == PHONE)
            if path == "" and width == PHONE:
                assert code.inner_text() == source_of(numbers)
            assert shown.page.evaluate("document.documentElement.scrollWidth") == width
            assert shown.complaints == []

    visit(script)


def test_without_javascript_the_code_can_be_opened(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        context = browser.new_context(java_script_enabled=False)
        for path in PATHS:
            page = Shown(context, service.url, path).page
            open_all(page)
            expect(page.locator(".source code").last).to_be_visible()

    visit(script)
