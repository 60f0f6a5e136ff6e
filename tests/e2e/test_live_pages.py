"""
The pages /events and /chat in a real browser, served by a real twistd that may be killed.

Playwright's synchronous API runs in a thread, as in `tests.e2e.test_browser`.
"""

import re
from collections.abc import Callable
from typing import Literal

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.e2e.live import Service, Shown, Visit

RESTARTED = "The server was restarted. Messages from before may be missing."


def full_chat(browser: Browser, service: Service) -> Shown:
    """
    The chat, with more messages than its pane shows at once.
    """
    for number in range(40):
        service.post(str(number))
    shown = Shown(browser, service.url, "chat")
    expect(shown.lines).to_have_count(40)
    return shown


def test_a_message_is_on_both_pages_and_both_count_who_is_online(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        one = Shown(browser, service.url, "chat")
        expect(one.present).to_have_text("1 online")
        two = Shown(browser, service.url, "chat")
        for page in one, two:
            page.is_live()
            expect(page.present).to_have_text("2 online")
        one.say("hello")
        two.shows("hello")
        two.say("and good day")
        for page in one, two:
            page.shows("hello", "and good day")
            expect(page.wires).to_have_text(
                [re.compile(r"^id: \w+-1\s"), re.compile(r"^id: \w+-2\s")]
            )
        expect(one.field).to_have_value("")
        expect(one.field).to_be_focused()
        two.page.close()
        expect(one.present).to_have_text("1 online")
        assert one.complaints == two.complaints == []

    visit(script)


def test_a_chat_page_that_reconnects_shows_each_message_once(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        service.post("before")
        shown = Shown(browser, service.url, "chat")
        shown.shows("before")
        shown.page.reload()
        shown.shows("before")
        shown.page.get_by_role("link", name="Streams").click()
        shown.page.wait_for_url(service.url)
        service.post("meanwhile")
        shown.page.go_back()
        shown.shows("before", "meanwhile")
        expect(shown.present).to_have_text("1 online")
        service.post("after")
        shown.shows("before", "meanwhile", "after")
        assert shown.complaints == []

    visit(script)


def test_a_reload_of_the_ticker_resumes_after_the_last_tick(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        shown = Shown(browser, service.url, "events")
        shown.await_tick(3)
        before = shown.ticks()
        last_id = shown.ids.last.inner_text()
        shown.page.goto("about:blank")
        other = Shown(browser, service.url, "events")
        other.await_tick(before[-1] + 2)
        shown.page.goto(f"{service.url}events")
        shown.is_live()
        shown.await_tick(before[-1] + 3)
        after = shown.ticks()
        assert before == list(range(1, before[-1] + 1))
        assert after == list(range(before[-1] + 1, after[-1] + 1))
        expect(shown.notes).to_have_text([f"Resuming after {last_id}."])
        assert shown.complaints == []

    visit(script)


def test_the_ticker_works_in_a_browser_that_blocks_storage(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        context = browser.new_context()
        context.add_init_script(
            "Object.defineProperty(window, 'sessionStorage', { get() { throw new Error('no'); } })"
        )
        shown = Shown(context, service.url, "events")
        shown.await_tick(1)
        shown.page.reload()
        shown.is_live()
        expect(shown.texts).not_to_have_count(0)
        expect(shown.notes).to_have_count(0)
        assert shown.complaints == []

    visit(script)


def test_the_chat_reports_missing_messages_after_the_server_was_killed_and_resumes(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        one, two = (Shown(browser, service.url, "chat") for _ in range(2))
        one.say("before")
        two.shows("before")
        service.kill()
        for page in one, two:
            expect(page.status).to_have_text("reconnecting")
            expect(page.present).to_be_hidden()
        one.say("to nobody")
        expect(one.reason).to_have_text("The server cannot be reached.")
        expect(one.field).to_have_value("to nobody")
        service.start_again()
        service.post("at once")
        for page in one, two:
            page.shows("before", RESTARTED, "at once")
            page.is_live()
            expect(page.present).to_have_text("2 online")
        expect(one.reason).to_be_empty()
        expect(one.field).to_have_value("to nobody")
        one.field.press("Enter")
        two.shows("before", RESTARTED, "at once", "to nobody")
        for page in one, two:
            assert [line for line in page.complaints if "net::ERR_" not in line] == []

    visit(script)


def test_the_ticker_reports_missing_ticks_after_the_server_was_killed_and_resumes(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        shown = Shown(browser, service.url, "events")
        shown.await_tick(2)
        service.kill()
        expect(shown.status).to_have_text("reconnecting")
        before = shown.ticks()
        service.start_again()
        expect(shown.notes).to_have_text([RESTARTED])
        shown.is_live()
        expect(shown.lines).to_have_count(len(before) + 3)
        assert shown.ticks()[: len(before) + 2] == [*before, 1, 2]
        # The gap is reported once: a reload resumes with the restarted server.
        shown.page.reload()
        expect(shown.notes).to_have_text(re.compile("^Resuming after "))
        expect(shown.lines).to_have_count(3)
        assert RESTARTED not in shown.texts.all_inner_texts()
        assert [line for line in shown.complaints if "net::ERR_" not in line] == []

    visit(script)


def test_a_message_that_is_refused_stays_in_the_field_with_the_reason(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        shown = Shown(browser, service.url, "chat")
        for text, reason in (
            ("  ", "The message is empty."),
            ("é" * 2049, "longer than 4096 bytes of UTF-8"),
        ):
            shown.say(text)
            expect(shown.reason).to_contain_text("400 Bad Request")
            expect(shown.reason).to_contain_text(reason)
            expect(shown.field).to_have_value(text)
        shown.field.fill("é" * 2048)
        shown.button.click()
        shown.shows("é" * 2048)
        expect(shown.reason).to_be_empty()
        expect(shown.field).to_have_value("")
        assert all("status of 400" in line for line in shown.complaints)

    visit(script)


def test_a_reconnect_removes_only_the_message_that_the_server_cannot_be_reached(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        refused, proxied = (Shown(browser, service.url, "chat") for _ in range(2))
        refused.say("  ")
        expect(refused.reason).to_contain_text("The message is empty.")
        proxied.page.route(
            "**/chat",
            lambda route: (
                route.fulfill(status=502, body="<h1>Bad Gateway</h1>")
                if route.request.method == "POST"
                else route.continue_()
            ),
        )
        proxied.say("one")
        expect(proxied.reason).to_have_text("The server cannot be reached.")
        service.kill()
        for page in refused, proxied:
            expect(page.status).to_have_text("reconnecting")
        service.start_again()
        for page in refused, proxied:
            page.is_live()
        expect(proxied.reason).to_be_empty()
        expect(refused.reason).to_contain_text("The message is empty.")

    visit(script)


def test_messages_that_come_while_one_reads_older_ones_are_counted(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        shown = full_chat(browser, service)
        expect(shown.texts.last).to_be_in_viewport()
        expect(shown.unread).to_be_hidden()
        expect(shown.announced).to_be_empty()
        shown.scroll("100")
        service.post("first")
        expect(shown.unread).to_have_text("1 new message")
        expect(shown.announced).to_have_text("New messages below")
        service.post("second")
        expect(shown.unread).to_have_text("2 new messages")
        assert shown.list.evaluate("list => list.scrollTop") == 100
        # With the keyboard, it is the next stop after the messages.
        shown.list.focus()
        shown.page.keyboard.press("Tab")
        expect(shown.unread).to_be_focused()
        shown.page.keyboard.press("Enter")
        expect(shown.unread).to_be_hidden()
        expect(shown.announced).to_be_empty()
        expect(shown.list).to_be_focused()
        assert shown.is_at_end()
        # At the end, the pane follows again, and nothing is counted.
        service.post("third")
        expect(shown.texts.get_by_text("third")).to_be_in_viewport(ratio=1)
        expect(shown.unread).to_be_hidden()
        assert shown.complaints == []

    visit(script)


def test_the_count_of_new_messages_goes_when_the_reader_is_at_the_end_again(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        shown = full_chat(browser, service)
        for text in ("by scrolling", "by writing", "by a larger window"):
            shown.scroll("0" if text != "by a larger window" else "list.scrollTop - 60")
            service.post(text)
            expect(shown.unread).to_have_text("1 new message")
            if text == "by scrolling":
                shown.scroll("list.scrollHeight")
            elif text == "by writing":
                shown.say("my own")
            else:
                shown.page.set_viewport_size({"width": 1280, "height": 2000})
            expect(shown.unread).to_be_hidden()
            expect(shown.lines.last).to_be_in_viewport(ratio=1)
        assert shown.complaints == []

    visit(script)


def test_a_smaller_window_still_shows_the_newest_message(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        for number in range(40):
            service.post(str(number))
        shown = Shown(browser, service.url, "chat")
        shown.page.set_viewport_size({"width": 1280, "height": 900})
        expect(shown.texts.last).to_be_in_viewport(ratio=1)
        shown.page.set_viewport_size({"width": 390, "height": 500})
        service.post("newest")
        expect(shown.texts.last).to_have_text("newest")
        assert shown.is_at_end()
        expect(shown.unread).to_be_hidden()

    visit(script)


def test_ticks_that_come_while_one_reads_older_ones_are_counted(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        context = browser.new_context(viewport={"width": 390, "height": 300})
        shown = Shown(context, service.url, "events")
        expect(shown.texts).to_have_count(10)
        shown.scroll("0")
        expect(shown.unread).to_have_text("2 new messages")
        shown.unread.click()
        expect(shown.unread).to_be_hidden()
        assert shown.complaints == []

    visit(script)


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("text", ["wide " * 600, "wide" * 750, "line\n" * 40 + "end"])
def test_a_long_message_is_shown_in_part_until_one_asks_for_all_of_it(
    service: Service, visit: Callable[[Visit], None], text: str, width: int
) -> None:
    def script(browser: Browser) -> None:
        service.post(text)
        service.post("short")
        context = browser.new_context(viewport={"width": width, "height": 844})
        shown = Shown(context, service.url, "chat")
        expect(shown.texts).to_have_count(2)
        long = shown.texts.first
        toggle = shown.page.get_by_role("button", name="Show all")
        expect(toggle).to_have_count(1)
        expect(toggle).to_have_attribute("aria-expanded", "false")
        for each in (long, shown.texts.last):
            expect(each).to_be_in_viewport(ratio=1)
        # All of the text is there for screen readers.
        assert shown.list.aria_snapshot().count(text[:4]) == text.count(text[:4])
        short = long.evaluate("text => text.clientHeight")
        shown.list.focus()
        shown.page.keyboard.press("Tab")
        expect(toggle).to_be_focused()
        shown.page.keyboard.press("Enter")
        less = shown.page.get_by_role("button", name="Show less")
        expect(less).to_be_focused()
        expect(less).to_have_attribute("aria-expanded", "true")
        assert long.evaluate("text => text.scrollHeight <= text.clientHeight")
        assert long.evaluate("text => text.clientHeight") > 2 * short
        # The reader is in the long message now, not at the end.
        service.post("next")
        expect(shown.unread).to_be_visible()
        shown.page.keyboard.press("Space")
        expect(toggle).to_be_focused()
        assert long.evaluate("text => text.clientHeight") == short
        expect(toggle).to_be_in_viewport(ratio=1)
        assert shown.page.evaluate("document.documentElement.scrollWidth") == width
        assert shown.complaints == []

    visit(script)


def test_a_message_that_fits_has_no_toggle(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        for text in ("a" * 400, "one\n" * 4 + "five", "\N{ZERO WIDTH JOINER}" * 500 + "a"):
            service.post(text)
        shown = Shown(browser, service.url, "chat")
        expect(shown.texts).to_have_count(3)
        expect(shown.page.get_by_role("button", name="Show all")).to_have_count(0)
        expect(shown.texts.nth(1)).to_have_text("one one one one five")

    visit(script)


def test_text_that_is_typed_while_a_message_is_sent_stays_in_the_field(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        def write_on(route: Route) -> None:
            if route.request.method == "POST":  # The page's stream has the same address.
                shown.say("second")
            route.continue_()

        shown = Shown(browser, service.url, "chat")
        shown.page.route("**/chat", write_on)
        with shown.page.expect_response("**/chat"):
            shown.say("first")
        shown.shows("first")
        expect(shown.field).to_have_value("second")
        assert shown.complaints == []

    visit(script)


def test_a_page_in_the_back_forward_cache_is_not_online(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        left, other = (Shown(browser, service.url, "chat") for _ in range(2))
        left.say("before")
        left.shows("before")
        # Chromium under Playwright has no back/forward cache, so send the events of one.
        left.page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide', {persisted: true}))")
        expect(other.present).to_have_text("1 online")
        other.say("meanwhile")
        other.shows("before", "meanwhile")
        left.page.evaluate("dispatchEvent(new PageTransitionEvent('pageshow', {persisted: true}))")
        left.shows("before", "meanwhile")
        for page in left, other:
            expect(page.present).to_have_text("2 online")
            assert page.complaints == []

    visit(script)


def test_the_chat_can_be_used_with_the_keyboard_alone(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        shown = Shown(browser, service.url, "chat")
        shown.is_live()
        for name in ("Streams", "Events", "Chat", "Runs"):
            shown.page.keyboard.press("Tab")
            expect(shown.page.get_by_role("link", name=name)).to_be_focused()
        shown.page.keyboard.press("Tab")
        expect(shown.name).to_be_focused()
        shown.page.keyboard.type("Ann")
        shown.page.keyboard.press("Tab")
        expect(shown.wire).to_be_focused()
        shown.page.keyboard.press("Space")
        expect(shown.wire).to_have_attribute("aria-pressed", "true")
        shown.page.keyboard.press("Tab")
        expect(shown.page.get_by_role("list", name="Messages")).to_be_focused()
        shown.page.keyboard.press("Tab")
        shown.page.keyboard.type("one")
        shown.page.keyboard.press("Enter")
        shown.shows("one")
        shown.page.keyboard.type("two")
        shown.page.keyboard.press("Tab")
        expect(shown.button).to_be_focused()
        shown.page.keyboard.press("Space")
        shown.shows("one", "two")
        assert shown.complaints == []

    visit(script)


def test_messages_are_shown_as_text(service: Service, visit: Callable[[Visit], None]) -> None:
    hostile = "<img src=x onerror=alert(1)>"

    def script(browser: Browser) -> None:
        service.post(hostile)
        shown = Shown(browser, service.url, "chat")
        shown.is_live()
        assert shown.texts.all_inner_texts() == [hostile]
        assert shown.complaints == []

    visit(script)


@pytest.mark.parametrize("width", [360, 320])
def test_nothing_is_wider_than_a_phone(
    service: Service, visit: Callable[[Visit], None], width: int
) -> None:
    def script(browser: Browser) -> None:
        service.post("wide" * 1000)
        context = browser.new_context(viewport={"width": width, "height": 740})
        for path in ("", "events", "runs", "chat"):
            shown = Shown(context, service.url, path)
            expect(shown.page.locator(".messages .text, .paper span")).not_to_have_count(0)
            assert shown.page.evaluate("document.documentElement.scrollWidth") == width
        # The newest message and the input field are in view.
        service.post("short")
        expect(shown.texts.get_by_text("short")).to_be_in_viewport(ratio=1)
        expect(shown.button).to_be_in_viewport(ratio=1)

    visit(script)


def test_each_gap_is_described_and_a_stream_that_has_ended_can_be_reopened(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    asked: list[str] = []

    def answer(route: Route) -> None:
        if route.request.resource_type != "eventsource" or len(asked) == 2:
            route.continue_()
            return
        asked.append(route.request.url)
        if len(asked) == 2:
            route.fulfill(status=204)
            return
        reasons = ("unknown", "trimmed", "rewound", "dropped")
        gaps = [f'event: gap\nid: i\ndata: {{"reason":"{reason}"}}\n\n' for reason in reasons]
        route.fulfill(content_type="text/event-stream", body="retry: 1\n" + "".join(gaps))

    def script(browser: Browser) -> None:
        page = browser.new_page()
        page.route("**/chat*", answer)
        shown = Shown(page, service.url, "chat")
        expect(shown.status).to_have_text("ended")
        assert len({*shown.notes.all_inner_texts()}) == 4
        expect(shown.notes.first).to_have_text(RESTARTED)
        page.get_by_role("button", name="Reconnect").click()
        shown.is_live()
        expect(page.get_by_role("button", name="Reconnect")).to_be_hidden()
        # It resumes after an id that this server does not know.
        expect(shown.notes.nth(4)).to_have_text(RESTARTED)
        assert shown.complaints == []

    visit(script)


def test_without_javascript_the_pages_show_the_curl_command_and_accept_no_message(
    service: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        context = browser.new_context(java_script_enabled=False)
        for path in ("events", "chat", "runs"):
            shown = Shown(context, service.url, path)
            expect(shown.page.get_by_text(f"curl -N 127.0.0.1:8080/{path}")).to_be_visible()
            if path == "chat":
                expect(shown.field).to_be_disabled()

    visit(script)


CONTRAST = """
([selector, part]) => {
  const light = (color) => {
    const [r, g, b] = color.match(/[0-9.]+/g).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  let element = document.querySelector(selector);
  const text = light(getComputedStyle(element, part).color);
  while (getComputedStyle(element).backgroundColor === "rgba(0, 0, 0, 0)") element = element.parentElement;
  const page = light(getComputedStyle(element).backgroundColor);
  return (Math.max(text, page) + 0.05) / (Math.min(text, page) + 0.05);
}
"""
"""
The contrast of a text, or of one of its pseudo-elements, as WCAG 2.2 defines it.
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(
    service: Service, visit: Callable[[Visit], None], scheme: Literal["light", "dark"]
) -> None:
    def script(browser: Browser) -> None:
        service.post("hello")
        context = browser.new_context(color_scheme=scheme, reduced_motion="reduce")
        shown = Shown(context, service.url, "chat")
        shown.shows("hello")
        shown.say("\a")
        expect(shown.reason).to_contain_text("control character")
        for selector, part in (
            ("#text", "::placeholder"),
            *(
                (of, "")
                for of in ("a", ".page-head p", ".stream header p", ".tally", ".state span")
            ),
            *((of, "") for of in (".time", ".name", ".text", ".reason", "form button", ".copy")),
        ):
            assert shown.page.evaluate(CONTRAST, [selector, part]) >= 4.5, (selector, part)

    visit(script)
