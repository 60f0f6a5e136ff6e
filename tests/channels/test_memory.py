"""
The engine that keeps messages in this process.
"""

import gc
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twistream.channels.engine import Bounds, Page
from twistream.channels.memory import PAGE_COUNT, PAGE_SIZE, MemoryLog
from twistream.channels.memory_engine import MemoryEngine
from twistream.wire.messages import Message
from twistream.wire.notices import Reason


class Opened:
    """
    A log, on a clock of its own.

    Attributes:
        received: What it has told of.
    """

    def __init__(self, *, clock: Clock | None = None, **bounds: Any) -> None:
        self.clock = clock or Clock()
        self.received: list[Message] = []
        self.log = MemoryEngine().open(
            "news", Bounds(**bounds), lambda: self.clock, self.received.append
        )

    def add(self, *payloads: str) -> list[str]:
        """
        The ids of messages that say this.
        """
        return [result_of(self.log.append(None, payload)) for payload in payloads]

    @property
    def history(self) -> tuple[int, int]:
        """
        The number of messages in the history, and their size.
        """
        return self.log.history, self.log.history_bytes

    def all(self) -> list[str]:
        """
        What the messages say that are held, read page by page.
        """
        found: list[str] = []
        after = self.log.oldest
        while after != self.log.last:
            page = read(self.log, after)
            assert page.gap is None
            assert page.start == after
            found += payloads(page)
            after = page.messages[-1].id
        return found


def result_of(deferred: Any) -> Any:
    """
    What a Deferred has fired with.
    """
    results: list[Any] = []
    deferred.addCallback(results.append)
    (result,) = results
    return result


def read(log: MemoryLog, after: str) -> Page:
    page: Page = result_of(log.read(after))
    return page


def payloads(page: Page) -> list[str]:
    return [str(message.payload) for message in page.messages]


def alive() -> set[str]:
    """
    What all messages say that are in memory.
    """
    gc.collect()
    return {str(each.payload) for each in gc.get_objects() if isinstance(each, Message)}


class IdTests(SynchronousTestCase):
    """
    Ids order the messages of one life of one channel, and are no other's.
    """

    def test_ids_are_an_epoch_and_a_number(self) -> None:
        opened = Opened()
        epoch, _, number = opened.log.last.partition("-")
        self.assertEqual((len(epoch), number), (16, "0"))
        self.assertEqual(opened.add("a", "b"), [f"{epoch}-1", f"{epoch}-2"])
        self.assertEqual((opened.log.last, opened.log.published), (f"{epoch}-2", 2))

    def test_each_log_has_an_epoch_of_its_own(self) -> None:
        self.assertEqual(len({Opened().log.last for _ in range(100)}), 100)

    def test_it_tells_its_own_ids_from_all_others(self) -> None:
        opened = Opened()
        epoch = opened.log.last[:-2]
        for number in ("0", "1", "10", "9" * 18):
            self.assertTrue(opened.log.owns(f"{epoch}-{number}"))
        for other in (
            *("", "1", "-", f"{epoch}", f"{epoch}-", f"{epoch}1", f" {epoch}-1", f"{epoch}-1 "),
            *(f"{epoch}-{bad}" for bad in ("01", "00", "-1", "+1", "1.0", "1\n", "x", "1,", "1-1")),
            *(f"{epoch}-{bad}" for bad in ("\u0661", "9" * 19, "9" * 5000)),
            *(f"{epoch.upper()}x-1", f"{epoch[:-1]}-1", f"{epoch},{epoch}-1", Opened().log.last),
        ):
            self.assertFalse(opened.log.owns(other), other)

    def test_each_message_is_told_of_once_when_it_is_the_last(self) -> None:
        seen: list[tuple[str, str, str, int, str | None, object, str]] = []

        def received(message: Message) -> None:
            seen.append(
                (
                    *(message.channel, message.previous, message.id, log.published),
                    *(message.event, message.payload, log.last),
                )
            )

        log = MemoryEngine().open("news", Bounds(), Clock, received)
        zero = log.last
        first = result_of(log.append("story", "a"))
        second = result_of(log.append(None, b"[1]"))
        self.assertEqual(
            seen,
            [
                ("news", zero, first, 1, "story", "a", first),
                ("news", first, second, 2, None, b"[1]", second),
            ],
        )

    def test_a_message_can_be_read_when_it_is_told_of(self) -> None:
        pages: list[Page] = []
        log = MemoryEngine().open(
            "news", Bounds(history=9), Clock, lambda m: pages.append(read(log, m.previous))
        )
        log.append(None, "a")
        log.append(None, "b")
        self.assertEqual([payloads(page) for page in pages], [["a"], ["b"]])


class BoundsTests(SynchronousTestCase):
    """
    What is kept: the newest, within all bounds.
    """

    def test_without_bounds_nothing_is_kept(self) -> None:
        opened = Opened()
        opened.add("a", "b")
        self.assertEqual(opened.history, (0, 0))
        self.assertEqual(opened.log.oldest, opened.log.last)
        self.assertEqual(len(opened.received), 2)
        opened.received.clear()
        self.assertEqual(alive() & {"a", "b"}, set())

    def test_so_many_are_kept(self) -> None:
        opened = Opened(history=3)
        ids = opened.add("a", "b", "c")
        self.assertEqual(opened.all(), ["a", "b", "c"])
        ids += opened.add("d", "e")
        self.assertEqual(opened.all(), ["c", "d", "e"])
        self.assertEqual(opened.log.oldest, ids[1])
        self.assertEqual(opened.history, (3, 3))

    def test_so_many_bytes_are_kept(self) -> None:
        opened = Opened(history=100, history_bytes=10)
        opened.add("aaaa", "bbbb", "cc")
        self.assertEqual((opened.all(), opened.history), (["aaaa", "bbbb", "cc"], (3, 10)))
        opened.add("d")
        self.assertEqual((opened.all(), opened.history), (["bbbb", "cc", "d"], (3, 7)))
        opened.add("\u017c" * 5)
        self.assertEqual(opened.history, (1, 10))

    def test_one_that_is_larger_than_all_of_it_leaves_nothing(self) -> None:
        opened = Opened(history=100, history_bytes=10)
        opened.add("a", "b" * 11)
        self.assertEqual(opened.history, (0, 0))
        self.assertEqual(opened.log.oldest, opened.log.last)
        opened.add("c")
        self.assertEqual(opened.all(), ["c"])

    def test_the_name_of_an_event_counts(self) -> None:
        opened = Opened(history=100, history_bytes=10)
        opened.log.append("story", "text")
        self.assertEqual(opened.history, (1, 9))

    def test_they_are_kept_for_so_long(self) -> None:
        opened = Opened(history=100, history_ttl=10.0)
        opened.add("a")
        opened.clock.advance(4)
        opened.add("b")
        opened.clock.advance(5.5)
        self.assertEqual(opened.all(), ["a", "b"])
        opened.clock.advance(0.5)
        self.assertEqual(opened.all(), ["b"])
        opened.clock.advance(4)
        self.assertEqual((opened.all(), opened.history), ([], (0, 0)))
        self.assertEqual(opened.log.oldest, opened.log.last)

    def test_what_is_too_old_is_read_by_nobody_though_no_timer_has_come(self) -> None:
        opened = Opened(history=100, history_ttl=10.0)
        ids = opened.add("a", "b")
        opened.clock.rightNow = 10.0
        self.assertEqual(read(opened.log, ids[0]), Page([], ids[1], "trimmed"))
        self.assertEqual(opened.history, (0, 0))
        opened.add("c")
        self.assertEqual(opened.all(), ["c"])

    def test_a_clock_that_is_put_back_keeps_nothing_for_longer(self) -> None:
        opened = Opened(history=100, history_ttl=10.0)
        opened.clock.advance(1_000)
        opened.add("a")
        opened.clock.rightNow = 0
        opened.add("b")
        self.assertEqual(opened.all(), ["b"])
        opened.clock.rightNow = 10
        self.assertEqual(opened.all(), [])

    def test_what_is_too_old_goes_though_nobody_asks(self) -> None:
        opened = Opened(history=100, history_ttl=8.0)
        for number in range(20):
            opened.add(f"unasked {number}")
            opened.received.clear()
            opened.clock.advance(1)
        gone = {f"unasked {number}" for number in range(11)}
        self.assertEqual(alive() & gone, set())  # The timer may be an eighth late.
        opened.clock.pump([0.5] * 30)
        self.assertEqual({text for text in alive() if text.startswith("unasked")}, set())
        self.assertEqual(opened.clock.getDelayedCalls(), [])

    def test_one_timer_is_enough(self) -> None:
        opened = Opened(history=100, history_ttl=8.0)
        for _ in range(50):
            opened.add("a")
            opened.clock.advance(0.25)
            self.assertEqual(len(opened.clock.getDelayedCalls()), 1)

    def test_messages_that_may_be_of_any_age_need_no_clock(self) -> None:
        def no_clock() -> Any:
            raise AssertionError

        log = MemoryEngine().open("news", Bounds(history=3), no_clock, repr)
        log.append(None, "a")
        self.assertEqual((log.history, log.history_bytes), (1, 1))
        self.assertEqual(payloads(read(log, log.oldest)), ["a"])
        log.close()

    def test_what_is_not_kept_needs_no_timer(self) -> None:
        opened = Opened(history_ttl=10.0)
        opened.add("a")
        self.assertEqual(opened.clock.getDelayedCalls(), [])

    def test_no_age_at_all_keeps_nothing(self) -> None:
        opened = Opened(history=3, history_ttl=0.0)
        opened.add("a", "b")
        self.assertEqual(opened.history, (0, 0))

    @given(
        count=st.integers(1, 5),
        size=st.none() | st.integers(0, 12),
        seconds=st.none() | st.integers(0, 5),
        steps=st.lists(
            st.tuples(st.just("add"), st.integers(0, 6))
            | st.tuples(st.just("wait"), st.integers(0, 3)),
            max_size=40,
        ),
    )
    def test_a_naive_history_holds_the_same(
        self, count: int, size: int | None, seconds: int | None, steps: list[tuple[str, int]]
    ) -> None:
        opened = Opened(history=count, history_bytes=size, history_ttl=seconds)
        naive: list[tuple[str, float]] = []
        published = 0
        for step, number in steps:
            if step == "wait":
                opened.clock.advance(number)
            else:
                published += 1
                naive.append(("x" * number, opened.clock.seconds()))
                opened.add("x" * number)
            now = opened.clock.seconds()
            naive = naive[-count:]
            while size is not None and sum(len(text) for text, _ in naive) > size:
                del naive[0]
            naive = [one for one in naive if seconds is None or now - one[1] < seconds]
            texts = [text for text, _ in naive]
            assert opened.history == (len(naive), sum(map(len, texts)))
            assert opened.all() == texts
            assert opened.log.oldest.endswith(f"-{published - len(naive)}")
        opened.log.close()
        assert opened.clock.getDelayedCalls() == []


class ReadTests(SynchronousTestCase):
    """
    From every id there is a way on, and it says what is missing.
    """

    def setUp(self) -> None:
        self.opened = Opened(history=3)
        self.ids = self.opened.add("a", "b", "c", "d", "e")
        self.epoch = self.ids[0][:-2]

    def test_from_an_id_that_is_held_or_just_before_there_is_no_gap(self) -> None:
        for index, expected in ((1, ["c", "d", "e"]), (2, ["d", "e"]), (3, ["e"]), (4, [])):
            page = read(self.opened.log, self.ids[index])
            self.assertEqual(payloads(page), expected)
            self.assertEqual((page.start, page.gap), (self.ids[index], None))

    def test_from_any_other_there_is_all_that_is_held_after_a_gap(self) -> None:
        for id_, reason in (
            (self.ids[0], "trimmed"),
            (f"{self.epoch}-0", "trimmed"),
            (f"{self.epoch}-6", "rewound"),
            (f"{self.epoch}-{'9' * 18}", "rewound"),
            (f"{self.epoch}-{'9' * 19}", "unknown"),
            (f"{self.epoch}-05", "unknown"),
            ("", "unknown"),
            ("5", "unknown"),
            ("\0\ud800", "unknown"),
            (Opened().log.last, "unknown"),
            (",".join(self.ids[:2]), "unknown"),
        ):
            page = read(self.opened.log, id_)
            self.assertEqual((page.start, page.gap), (self.ids[1], reason))
            self.assertEqual(payloads(page), ["c", "d", "e"])

    def test_without_a_history_any_id_but_the_newest_is_a_gap(self) -> None:
        opened = Opened()
        ids = opened.add("a", "b")
        self.assertEqual(read(opened.log, ids[1]), Page([], ids[1]))
        missing: tuple[tuple[str, Reason], ...] = (
            (ids[0], "trimmed"),
            (f"{ids[1]}9", "rewound"),
            ("x", "unknown"),
        )
        for id_, reason in missing:
            self.assertEqual(read(opened.log, id_), Page([], ids[1], reason))

    def test_before_the_first_message(self) -> None:
        opened = Opened(history=3)
        zero = opened.log.last
        self.assertEqual(opened.log.oldest, zero)
        self.assertEqual(read(opened.log, zero), Page([], zero))
        self.assertEqual(read(opened.log, "x"), Page([], zero, "unknown"))
        opened.add("a")
        self.assertEqual(payloads(read(opened.log, zero)), ["a"])

    def test_a_page_has_so_many_messages(self) -> None:
        opened = Opened(history=1000)
        texts = [f"{number}" for number in range(2 * PAGE_COUNT + 3)]
        ids = opened.add(*texts)
        self.assertEqual(len(read(opened.log, ids[9]).messages), PAGE_COUNT)
        self.assertEqual(payloads(read(opened.log, ids[9]))[0], "10")
        self.assertEqual(len(read(opened.log, "x").messages), PAGE_COUNT)
        self.assertEqual(opened.all(), texts)

    def test_a_page_has_so_many_bytes_and_at_least_one_message(self) -> None:
        opened = Opened(history=1000)
        half = "x" * (PAGE_SIZE // 2)
        (*_, last) = opened.add(half, half, "y", "z" * (PAGE_SIZE + 1), "last")
        pages: list[int] = []
        after = opened.log.oldest
        while after != last:
            messages = read(opened.log, after).messages
            pages.append(len(messages))
            after = messages[-1].id
        self.assertEqual(pages, [2, 1, 1, 1])

    def test_a_page_stays_as_it_was(self) -> None:
        page = read(self.opened.log, self.opened.log.oldest)
        self.opened.add("f", "g", "h", "i")
        self.assertEqual(payloads(page), ["c", "d", "e"])


class EndTests(SynchronousTestCase):
    """
    Nothing stays that nobody can get.
    """

    def test_no_timer_is_left_after_the_end(self) -> None:
        for seconds in (None, 10.0):
            opened = Opened(history=3, history_ttl=seconds)
            opened.log.close()
            opened = Opened(history=3, history_ttl=seconds)
            opened.add("a")
            opened.log.close()
            opened.log.close()
            self.assertEqual(opened.clock.getDelayedCalls(), [])

    def test_after_the_end_what_is_held_can_be_read_until_it_is_too_old(self) -> None:
        opened = Opened(history=3, history_ttl=10.0)
        opened.add("a", "b")
        opened.log.close()
        opened.clock.advance(9)
        self.assertEqual(opened.all(), ["a", "b"])
        opened.clock.advance(1)
        self.assertEqual(opened.all(), [])
        self.assertEqual(opened.clock.getDelayedCalls(), [])

    def test_what_was_dropped_is_freed(self) -> None:
        opened = Opened(history=100)
        for number in range(350):
            opened.add(f"dropped or not {number}")
            opened.received.clear()
        texts = {text for text in alive() if text.startswith("dropped or not")}
        self.assertEqual(texts, {f"dropped or not {number}" for number in range(250, 350)})

    def test_so_is_the_place_where_it_was(self) -> None:
        opened = Opened(history=10)
        opened.add(*map(str, range(1000)))
        self.assertLessEqual(len(opened.log._history._entries), 20)
