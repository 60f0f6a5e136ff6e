"""
The names on /chat, the reader's own messages, and the events as they were sent, in a real browser.
"""

import re
from collections.abc import Callable
from http.client import HTTPConnection
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, expect

from tests.e2e.live import Service, Shown, Visit
from tests.e2e.net import LIMIT

BLOCKED = """
for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, { get() { throw new Error("no"); } });
}
"""

FULL = "Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); }"


def test_a_message_has_the_name_of_its_sender_and_the_own_ones_are_apart(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        ann, ben = (Shown(browser, service.url, "chat") for _ in range(2))
        ann.name.fill(" Ann B. ")
        ann.name.press("Enter")
        expect(ann.field).to_be_focused()
        ann.say("hello")
        ben.shows("hello")
        ben.say("who is there?")
        expect(ann.names).to_have_text(["You", "Somebody"])
        expect(ben.names).to_have_text(["Ann B.", "You"])
        for page, own in (ann, 0), (ben, 1):
            expect(page.page.locator(".messages .own .text")).to_have_count(1)
            assert middle(page.lines.nth(own)) > middle(page.list) > middle(page.lines.nth(1 - own))
            assert page.complaints == []

    visit(script)


def middle(element: Locator) -> float:
    """
    Where the middle of an element is, from left to right.
    """
    box = element.bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2


def test_the_name_and_the_own_messages_are_there_after_a_reload_and_in_another_tab(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        context = browser.new_context()
        shown = Shown(context, service.url, "chat")
        shown.name.fill("Ann")
        shown.say("mine")
        expect(shown.names).to_have_text("You")
        service.post("another Ann", "/chat?name=Ann")
        shown.page.reload()
        for page in shown, Shown(context, service.url, "chat"):
            expect(page.name).to_have_value("Ann")
            expect(page.names).to_have_text(["You", "Ann"])
        other = Shown(browser, service.url, "chat")
        expect(other.name).to_be_empty()
        expect(other.names).to_have_text(["Ann", "Ann"])

    visit(script)


def test_it_works_in_a_browser_that_blocks_storage_or_has_no_room(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        for blocked in BLOCKED, FULL:
            context = browser.new_context()
            context.add_init_script(blocked)
            shown = Shown(context, service.url, "chat")
            shown.name.fill("Ann")
            shown.say("hello")
            expect(shown.names.last).to_have_text("You")
            shown.page.reload()
            expect(shown.names.last).to_have_text("Ann")
            assert shown.complaints == []

    visit(script)


def test_a_name_that_is_refused_is_explained(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        shown = Shown(browser, service.url, "chat")
        shown.name.fill("a\x1bb")
        shown.say("hello")
        expect(shown.reason).to_contain_text("The name contains a control character")
        expect(shown.field).to_have_value("hello")
        expect(shown.lines).to_have_count(0)

    visit(script)


def test_markup_in_a_name_is_text(service: Service, visit: Callable[[Visit], None]) -> None:
    def script(browser: Browser) -> None:
        service.post("hello", "/chat?name=%3Cimg%20src=x%20onerror=alert(1)%3E")
        shown = Shown(browser, service.url, "chat")
        expect(shown.names).to_have_text("<img src=x onerror=alert(1)>")
        assert shown.complaints == []

    visit(script)


def test_it_shows_the_names_of_those_who_are_there(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        ann, ben = (Shown(browser, service.url, "chat") for _ in range(2))
        expect(ann.here).to_be_hidden()
        ann.name.fill("Ann")
        ann.name.press("Enter")
        for page in ann, ben:
            expect(page.here).to_have_text("Here: Ann")
        ben.name.fill("<b>Ben</b>")
        ben.name.press("Enter")
        for page in ann, ben:
            expect(page.here).to_have_text("Here: Ann, <b>Ben</b>")
            expect(page.present).to_have_text("2 online")
        ann.page.reload()
        expect(ann.here).to_have_text("Here: Ann, <b>Ben</b>")
        ann.say("hello")
        ben.shows("hello")
        ben.page.close()
        expect(ann.here).to_have_text("Here: Ann")
        assert ann.complaints == []

    visit(script)


def test_the_wire_shows_the_events_as_the_server_sent_them(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        for text in ("one", "<b>two</b>\n\nlines \N{EURO SIGN}"):
            service.post(text, "/chat?name=Ann")
        shown = Shown(browser, service.url, "chat")
        expect(shown.wires).to_have_count(2)
        expect(shown.wires.first).to_be_hidden()
        expect(shown.wire).to_have_attribute("aria-pressed", "false")
        expect(shown.page.get_by_text(re.compile("[0-9a-f]{16}")).first).to_be_hidden()
        shown.wire.click()
        expect(shown.wire).to_have_attribute("aria-pressed", "true")
        expect(shown.wires.last).to_be_visible()
        sent = raw(service)
        assert len(sent) == 2
        assert [text + "\n" for text in shown.wires.all_text_contents()] == sent
        service.post("three")
        expect(shown.wires.nth(2)).to_be_visible()
        shown.wire.click()
        expect(shown.wires.first).to_be_hidden()
        assert shown.complaints == []

    visit(script)


def raw(service: Service) -> list[str]:
    """
    The messages of the chat, as a client without a browser receives them.
    """
    connection = HTTPConnection(urlsplit(service.url).netloc, timeout=LIMIT)
    connection.request("GET", "/chat")
    response = connection.getresponse()
    sent = ""
    while "event: presence" not in sent:  # It comes after the messages.
        line = response.readline().decode()
        assert line, sent
        sent += line
    connection.close()
    return re.findall(r"^id: .+\ndata: .+\n\n", sent, flags=re.MULTILINE)


def test_the_newest_message_stays_in_view_with_the_wire(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        for number in range(40):
            service.post(str(number))
        shown = Shown(browser, service.url, "chat")
        expect(shown.lines).to_have_count(40)
        for _ in range(2):
            shown.wire.click()
            expect(shown.texts.last).to_be_in_viewport(ratio=1)
            assert shown.is_at_end()
            expect(shown.unread).to_be_hidden()
        shown.scroll("100")
        shown.wire.click()
        assert not shown.is_at_end()
        service.post("new")
        expect(shown.unread).to_have_text("1 new message")

    visit(script)
