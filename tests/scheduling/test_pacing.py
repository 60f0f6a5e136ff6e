"""
A pacer: a budget for each turn, in the order in which streams came, fairly.
"""

import gc

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twistream.scheduling.pacing import BUDGET, Pacer
from twistream.scheduling.turn import Turn


class PacerTests(SynchronousTestCase):
    """
    A pacer with a budget of 100 bytes.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.turn = Turn.of(self.clock)
        self.pacer = Pacer(self.turn, 100)
        self.worked: list[str] = []

    async def work(self, name: str, pieces: int, size: int) -> None:
        for _ in range(pieces):
            if (wait := self.pacer.wait()) is not None:
                await wait
            self.worked.append(name)
            self.pacer.spend(size)

    def start(self, name: str, pieces: int, size: int) -> Deferred[None]:
        return Deferred.fromCoroutine(self.work(name, pieces, size))

    def next_turn(self) -> list[str]:
        """
        What is done in the next turn.
        """
        self.worked.clear()
        self.clock.advance(1e-9)
        return list(self.worked)

    def test_what_fits_into_the_budget_does_not_wait(self) -> None:
        self.start("a", 3, 33)
        self.assertEqual(self.worked, ["a", "a", "a"])

    def test_the_rest_waits_for_the_next_turns(self) -> None:
        self.start("a", 5, 60)
        self.assertEqual(self.worked, ["a", "a"])
        self.assertEqual(self.next_turn(), ["a", "a"])
        self.assertEqual(self.next_turn(), ["a"])
        self.assertEqual(self.next_turn(), [])
        self.assertEqual((len(self.pacer), self.clock.getDelayedCalls()), (0, []))

    def test_all_get_their_part_in_turn(self) -> None:
        for name in "abc":
            self.start(name, 4, 60)
        self.assertEqual("".join(self.worked), "aa")
        served = ["".join(self.next_turn()) for _ in range(6)]
        self.assertEqual(served, ["ab", "ca", "bc", "bc", "bc", ""])

    def test_a_turn_never_exceeds_the_budget_by_more_than_one_piece(self) -> None:
        for name in "abcdefgh":
            self.start(name, 3, 45)
        total = len(self.worked)
        self.assertEqual(total, 3)
        while turn := self.next_turn():
            self.assertLessEqual(len(turn), 3)
            total += len(turn)
        self.assertEqual(total, 24)

    def test_one_that_is_cancelled_gives_its_place_away(self) -> None:
        self.start("a", 2, 100)
        gone = self.start("b", 1, 100)
        self.start("c", 1, 100)
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.assertEqual([self.next_turn(), self.next_turn(), self.next_turn()], [["a"], ["c"], []])

    def test_the_failure_of_one_does_not_stop_the_others(self) -> None:
        self.start("a", 1, 100)
        wait = self.pacer.wait()
        assert wait is not None
        failed = wait.addCallback(lambda _: 1 / 0)
        self.start("c", 1, 100)
        self.assertEqual(self.next_turn(), ["c"])
        self.failureResultOf(failed, ZeroDivisionError)

    def test_a_clock_has_one_pacer_as_long_as_somebody_holds_it(self) -> None:
        pacer = Pacer.of(self.turn)
        self.assertIs(Pacer.of(self.turn), pacer)
        self.assertIsNot(Pacer.of(Turn.of(Clock())), pacer)
        self.assertEqual(pacer.budget, BUDGET)
        before = len(Pacer._pacers)
        del pacer
        gc.collect()
        self.assertEqual(len(Pacer._pacers), before - 1)
