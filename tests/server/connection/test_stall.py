"""
StallWatch: times out for clients that accept nothing, and for no others.
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twistream.scheduling.turn import Turn
from twistream.server.connection.stall import StallWatch


class StallWatchTests(SynchronousTestCase):
    """
    The client is a number that grows when it accepts something.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.taken = 0
        self.waiting = True
        self.timeouts: list[float] = []
        self.watch = StallWatch(
            Turn.of(self.clock),
            8.0,
            lambda: (0, self.taken),
            lambda: self.timeouts.append(self.clock.seconds()),
        )

    def test_it_times_out_without_progress(self) -> None:
        self.watch.start(lambda: self.waiting)
        self.clock.pump([0.5] * 15)
        self.assertEqual(self.timeouts, [])
        self.clock.pump([0.5] * 20)
        self.assertEqual(self.timeouts, [8.0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_progress_restarts_the_timeout(self) -> None:
        self.watch.start(lambda: self.waiting)
        for _ in range(10):
            self.clock.pump([0.5] * 12)
            self.taken += 1
        self.assertEqual(self.timeouts, [])
        self.clock.pump([0.5] * 20)
        self.assertEqual(len(self.timeouts), 1)
        # No sooner than the timeout after the last, and an eighth of it late at most.
        self.assertTrue(68.0 <= self.timeouts[0] <= 69.0, self.timeouts)

    def test_progress_before_the_start_does_not_count(self) -> None:
        self.taken = 1000
        self.watch.start(lambda: self.waiting)
        self.clock.pump([0.5] * 17)
        self.assertEqual(self.timeouts, [8.0])

    def test_it_stops_by_itself_when_nothing_is_queued(self) -> None:
        self.watch.start(lambda: self.waiting)
        self.waiting = False
        self.clock.pump([0.5] * 20)
        self.assertEqual((self.timeouts, self.clock.getDelayedCalls()), ([], []))

    def test_starting_it_again_does_not_extend_the_timeout(self) -> None:
        self.watch.start(lambda: self.waiting)
        for _ in range(17):
            self.clock.advance(0.5)
            if not self.timeouts:
                self.watch.start(lambda: self.waiting)
        self.assertEqual(self.timeouts, [8.0])

    def test_it_times_out_after_a_jump_of_the_clock(self) -> None:
        self.watch.start(lambda: self.waiting)
        self.clock.advance(60)
        self.assertEqual(self.timeouts, [60.0])

    def test_stopping_leaves_no_timer(self) -> None:
        self.watch.start(lambda: self.waiting)
        self.watch.stop()
        self.watch.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
