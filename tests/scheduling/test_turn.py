"""
Turns: one slice for all streams, in order, also on a clock that stands still.
"""

import gc
from functools import partial

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twistream.scheduling.turn import SLICE, Turn


class TurnTests(SynchronousTestCase):
    """
    Each test has its own clock, and so its own turn.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.turn = Turn.of(self.clock)

    def test_a_clock_has_one_turn(self) -> None:
        self.assertIs(Turn.of(self.clock), self.turn)
        self.assertIsNot(Turn.of(Clock()), self.turn)

    def test_a_turn_is_collected_with_its_clock(self) -> None:
        gc.collect()
        before = len(Turn._turns)
        other = Turn.of(Clock())
        self.assertEqual(len(Turn._turns), before + 1)
        del other
        gc.collect()
        self.assertEqual(len(Turn._turns), before)

    def test_a_turn_has_a_number_until_it_ends(self) -> None:
        first = self.turn.enter()
        self.assertEqual(self.turn.enter(), first)
        self.clock.advance(0)
        self.assertGreater(self.turn.enter(), first)

    def test_the_slice_is_shared_and_ends(self) -> None:
        self.turn.enter()
        self.assertEqual(self.turn.ends, SLICE)
        self.clock.rightNow += SLICE / 2
        self.turn.enter()
        self.assertEqual(self.turn.ends, SLICE)
        self.clock.rightNow += SLICE
        self.clock.advance(0)
        self.turn.enter()
        self.assertEqual(self.turn.ends, 2.5 * SLICE)

    def test_it_knows_when_it_began(self) -> None:
        self.clock.rightNow = 5.0
        self.turn.enter()
        self.clock.rightNow = 6.0
        self.turn.enter()
        self.assertEqual(self.turn.began, 5.0)
        seen: list[float] = []
        self.turn.at_end(lambda: seen.append(self.turn.began))
        self.turn.soon(lambda: seen.append(self.turn.began))
        self.clock.advance(1)
        # Its end is a part of it, and the slices that follow are the next.
        self.assertEqual(seen, [5.0, 7.0])
        self.clock.advance(1)
        self.turn.enter()
        self.assertEqual(self.turn.began, 8.0)

    def test_calls_for_the_end_of_a_turn_run_once_in_order(self) -> None:
        made: list[object] = []
        number = self.turn.enter()
        for name in "ab":
            self.turn.at_end(partial(made.append, name))
        self.turn.at_end(lambda: made.append(self.turn.enter()))
        self.turn.soon(partial(made.append, "next turn"))
        self.assertEqual(made, [])
        self.clock.advance(0)
        self.assertEqual(made, ["a", "b", number, "next turn"])
        self.clock.advance(1)
        self.assertEqual(len(made), 4)

    def test_at_end_calls_from_a_slice_run_after_the_slice(self) -> None:
        made: list[str] = []

        def work() -> None:
            self.turn.at_end(partial(made.append, "end"))
            made.append("work")

        self.turn.soon(work)
        self.turn.soon(partial(made.append, "more work"))
        self.clock.advance(0)
        self.assertEqual(made, ["work", "more work", "end"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_at_end_calls_from_the_end_wait_for_the_next_end(self) -> None:
        made: list[float] = []

        def again() -> None:
            made.append(self.clock.seconds())
            self.turn.at_end(again)

        self.turn.at_end(again)
        for _ in range(10):
            self.clock.advance(0.1)
        # The end of what came before and the end of the slices, and no more in a turn.
        self.assertLessEqual(max(map(made.count, made)), 2)
        self.assertEqual(len(set(made)), 10)

    def test_soon_calls_run_in_the_next_turn_in_order(self) -> None:
        made: list[int] = []
        for number in range(3):
            self.turn.soon(partial(made.append, number))
        self.assertEqual(made, [])
        self.clock.advance(0)
        self.assertEqual(made, [0, 1, 2])

    def test_soon_calls_without_time_run_first_in_the_next_turn(self) -> None:
        made: list[str] = []

        def long(name: str) -> None:
            made.append(name)
            self.clock.rightNow += SLICE

        self.turn.soon(lambda: long("a"))
        self.turn.soon(lambda: long("b"))
        self.clock.advance(0)
        self.assertEqual(made, ["a"])
        self.turn.soon(lambda: long("c"))
        self.clock.advance(1)
        self.clock.advance(1)
        self.assertEqual(made, ["a", "b", "c"])

    def test_a_call_that_schedules_itself_waits_for_time_to_pass(self) -> None:
        made: list[int] = []

        def again() -> None:
            made.append(1)
            self.turn.soon(again)

        self.turn.soon(again)
        self.clock.advance(0)
        self.assertEqual(len(made), 1)
        self.clock.advance(0.001)
        self.assertEqual(len(made), 2)

    def test_a_failing_call_is_logged_and_the_others_run(self) -> None:
        made: list[int] = []

        def fails() -> None:
            raise KeyError("made to fail")

        self.turn.soon(fails)
        self.turn.soon(lambda: made.append(1))
        self.clock.advance(0)
        self.assertEqual(made, [1])
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    def test_an_idle_turn_schedules_nothing(self) -> None:
        self.turn.soon(lambda: None)
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
