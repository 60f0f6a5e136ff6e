"""
The page /runs in a real browser: a text that goes on, whatever happens to the page.
"""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, Response, expect

from tests.e2e.live import PATIENT_TEXTS, Service, Shown, Visit
from twistream.demo.runs import TEXTS, pieces

RECORD = """
const sources = [];
window.EventSource = class extends EventSource {
  constructor(url) {
    super(url);
    sources.push(this);
    this.addEventListener("error", () => {
      document.documentElement.dataset.sources = sources.map((source) => source.readyState);
    });
  }
};
"""
"""
Writes the states of the page's streams into the page whenever one of them breaks.
"""

CLOSED = "2"
"""
The state of one stream that the browser has given up.
"""

QUICK = """
from twistream.demo import make_root

def root():
    return make_root(interval=0.02)
"""


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[Service]:
    """
    The demo, with texts that take half a second.
    """
    (tmp_path / "quick.py").write_text(QUICK)
    service = Service(tmp_path, "--app", "quick:root")
    yield service
    service.stop()


class Run(Shown):
    """
    The page /runs.
    """

    def __init__(self, where: Browser | BrowserContext | Page, url: str) -> None:
        super().__init__(where, url, "runs")
        self.paper = self.page.get_by_role("region", name="The text")
        self.pieces = self.paper.locator("> :is(span, mark):not(.missing)")
        self.marks = self.paper.locator("mark")
        self.missing = self.paper.locator(".missing")
        self.gap = self.page.locator(".gap")
        self.replay = self.page.locator(".replay")
        self.stop = self.page.get_by_role("button", name="Stop")
        self.new = self.page.get_by_role("button", name="New text")
        self.drop = self.page.get_by_role("button", name="Drop my connection")

    def awaits(self, count: int) -> None:
        """
        Wait until the page has at least so many pieces.
        """
        expect(self.pieces.nth(count - 1)).to_be_visible()

    def shown(self) -> list[str]:
        """
        The pieces, all of which are the beginning of a text.
        """
        shown = [text.strip() for text in self.pieces.all_inner_texts()]
        texts = (*TEXTS, *PATIENT_TEXTS)
        assert any(shown == stripped(text)[: len(shown)] for text in texts), shown
        return shown

    def is_in_state(self, state: str) -> None:
        expect(self.status).to_have_text(state)


def stripped(text: str) -> list[str]:
    """
    The pieces of a text without the white space that separates them.
    """
    return [piece.strip() for piece in pieces(text)]


def is_disabled(button: Locator, *, disabled: bool = True) -> None:
    expect(button).to_have_attribute("aria-disabled", "true" if disabled else "false")


def test_a_reload_and_other_pages_continue_where_the_text_is(
    patient: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        context = browser.new_context()
        first = Run(context, patient.url)
        first.is_in_state("running")
        first.awaits(3)
        before = first.shown()
        first.page.reload()
        first.is_in_state("running")
        first.awaits(len(before) + 1)
        assert first.shown()[: len(before)] == before
        # A second tab, and another browser.
        tab = Run(context, patient.url)
        other = Run(browser, patient.url)
        for run in tab, other:
            run.awaits(len(before) + 2)
            assert run.shown()[: len(before)] == before
            expect(run.marks).to_have_count(0)
        # It goes on while nobody reads it.
        for run in first, tab, other:
            assert run.complaints == []
            run.page.close()
        again = Run(browser, patient.url)
        again.awaits(len(before) + 3)
        again.shown()
        assert again.complaints == []

    visit(script)


def test_the_end_is_shown_and_the_page_stays_without_reconnecting(
    quick: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        context = browser.new_context()
        context.add_init_script(RECORD)
        page = context.new_page()
        statuses: list[int] = []
        page.on("response", lambda r: statuses.append(r.status) if is_stream(r) else None)
        run = Run(page, quick.url)
        for _ in range(2):
            run.is_in_state("done")
            # The browser reconnects once, and has then given up the stream.
            expect(page.locator("html")).to_have_attribute("data-sources", CLOSED)
            assert statuses == [200, 204]
            run.is_in_state("done")
            expect(run.paper).to_have_text(TEXTS[0])
            expect(page.locator(".tally")).to_have_text(f"{len(pieces(TEXTS[0]))} messages")
            is_disabled(run.stop)
            is_disabled(run.drop)
            statuses.clear()
            page.reload()
        assert run.complaints == []

    visit(script)


def is_stream(response: Response) -> bool:
    return response.request.resource_type == "eventsource"


def test_stop_is_for_all_pages_and_new_text_starts_the_next_one(
    patient: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        one, two = Run(browser, patient.url), Run(browser, patient.url)
        one.awaits(2)
        two.awaits(2)
        with one.page.expect_response(lambda response: response.status == 204):
            one.stop.click()
            for run in one, two:
                run.is_in_state("stopped")
                is_disabled(run.stop)
        assert one.shown() == two.shown()
        two.page.reload()
        two.is_in_state("stopped")
        assert one.shown() == two.shown()
        one.new.click()
        one.is_in_state("running")
        one.awaits(2)
        assert one.shown() == stripped(PATIENT_TEXTS[1])[: len(one.shown())]
        is_disabled(one.stop, disabled=False)
        two.page.reload()
        two.awaits(2)
        assert two.shown()[:2] == one.shown()[:2]
        assert one.complaints == two.complaints == []

    visit(script)


def test_a_new_text_in_place_of_a_running_one_reaches_the_other_pages(
    patient: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        one, two = Run(browser, patient.url), Run(browser, patient.url)
        two.awaits(2)
        one.new.click()
        for run in one, two:
            expect(run.pieces.first).to_have_text(stripped(PATIENT_TEXTS[1])[0])
            run.awaits(2)
            run.is_in_state("running")
            assert run.shown() == stripped(PATIENT_TEXTS[1])[: len(run.shown())]
            assert run.complaints == []

    visit(script)


def test_a_dropped_connection_shows_what_it_misses_and_then_the_replay(
    patient: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        run, other = Run(browser, patient.url), Run(browser, patient.url)
        run.awaits(2)
        run.drop.focus()
        run.page.keyboard.press("Enter")
        run.is_in_state("disconnected")
        before = len(run.shown())
        expect(run.gap).to_have_text(
            re.compile("^Disconnected. [01] messages? fell into the gap.$")
        )
        is_disabled(run.drop)
        is_disabled(run.stop)
        # The text goes on elsewhere, and this page only counts.
        other.awaits(before + 2)
        expect(run.missing.nth(1)).to_be_visible()
        assert len(run.shown()) == before
        # Then all of it is there, once.
        run.is_in_state("running")
        expect(run.missing).to_have_count(0)
        expect(run.gap).to_be_hidden()
        count = run.marks.count()
        assert count >= 3
        replayed = [text.strip() for text in run.marks.all_inner_texts()]
        assert replayed == run.shown()[before : before + count]
        expect(run.replay).to_have_text(
            f"The server replayed {count} messages that fell into the gap: “{' '.join(replayed)}”"
        )
        expect(run.drop).to_be_focused()
        run.awaits(before + count + 2)
        expect(run.marks).to_have_count(count)
        assert run.shown()[:before] == other.shown()[:before]
        assert run.complaints == []

    visit(script)


def test_a_text_that_ends_while_the_page_is_away_is_replayed_with_its_end(
    quick: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        run = Run(browser, quick.url)
        run.is_in_state("done")
        run.new.click()
        run.pieces.first.wait_for()
        # In one step, because the text is quick.
        run.page.evaluate(
            "document.querySelector('.new').click();"
            "const seen = new MutationObserver(() => {"
            "  if (document.querySelectorAll('.paper > span').length === 2) {"
            "    seen.disconnect(); document.querySelector('.drop').click();"
            "  }"
            "});"
            "seen.observe(document.querySelector('.paper'), { childList: true });"
        )
        expect(run.marks.first).to_be_visible()
        run.is_in_state("done")
        assert any(run.shown() == stripped(text) for text in TEXTS)
        expect(run.missing).to_have_count(0)
        expect(run.gap).to_be_hidden()
        assert run.complaints == []

    visit(script)


def test_a_reload_ends_the_drop_and_new_text_does_too(
    patient: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        run = Run(browser, patient.url)
        run.awaits(1)
        run.drop.click()
        run.is_in_state("disconnected")
        run.new.click()
        run.is_in_state("running")
        run.awaits(2)
        expect(run.missing).to_have_count(0)
        expect(run.gap).to_be_hidden()
        assert run.shown() == stripped(PATIENT_TEXTS[1])[: len(run.shown())]
        run.drop.click()
        run.is_in_state("disconnected")
        run.page.reload()
        run.is_in_state("running")
        expect(run.gap).to_be_hidden()
        assert run.complaints == []

    visit(script)


def test_a_server_that_was_killed_has_a_new_text(
    patient: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        run = Run(browser, patient.url)
        run.awaits(3)
        patient.kill()
        run.is_in_state("reconnecting")
        run.new.click()
        expect(run.reason).to_have_text("The server cannot be reached.")
        patient.start_again()
        run.is_in_state("running")
        run.awaits(2)
        assert run.shown() == stripped(PATIENT_TEXTS[0])[: len(run.shown())]
        assert [line for line in run.complaints if "net::ERR_" not in line] == []

    visit(script)


def test_a_refused_stream_can_be_opened_again(
    patient: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        page = browser.new_page()
        page.route(
            "**/runs",
            lambda route: (
                route.fulfill(status=503)
                if route.request.resource_type == "eventsource"
                else route.continue_()
            ),
        )
        run = Run(page, patient.url)
        run.is_in_state("ended")
        page.unroute_all()
        page.get_by_role("button", name="Reconnect").click()
        run.is_in_state("running")
        expect(page.get_by_role("button", name="Reconnect")).to_be_hidden()
        run.awaits(1)

    visit(script)


def test_screen_readers_hear_the_state_and_the_replay_but_not_each_message(
    patient: Service, visit: Callable[[Visit], None]
) -> None:
    def script(browser: Browser) -> None:
        run = Run(browser, patient.url)
        run.awaits(1)
        live = "[aria-live]:not([aria-live=off]), [role=status], [role=alert], [role=log]"
        assert run.page.locator(f".paper:is({live}), :is({live}) .paper").count() == 0
        assert run.page.locator(f".gap:is({live})").count() == 0
        expect(run.replay).to_have_attribute("aria-live", "polite")

    visit(script)
