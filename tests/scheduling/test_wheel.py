"""
TimerWheel: timers are never early, at most a little late, and share delayed calls.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from twistream.scheduling.wheel import Timer, TimerWheel


class TimerWheelTests(SynchronousTestCase):
    """
    On a clock that is stepped by hand.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.wheel = TimerWheel(self.clock)
        self.made: list[object] = []

    @given(
        start=st.floats(0, 1e9),
        delay=st.floats(1e-3, 1e5),
    )
    def test_a_call_is_never_early_and_an_eighth_late_at_most(
        self, start: float, delay: float
    ) -> None:
        clock = Clock()
        clock.rightNow = start
        TimerWheel(clock).later(delay, list)
        (call,) = clock.getDelayedCalls()
        # A clock of this size has steps of its own.
        grain = 1e-6
        assert delay - grain <= call.getTime() - start <= delay * 1.125 + grain

    def test_timers_due_at_about_the_same_time_share_a_delayed_call(self) -> None:
        for number in range(1000):
            self.clock.rightNow = number / 1000
            self.wheel.later(15, lambda: self.made.append(1))
        self.assertLessEqual(len(self.clock.getDelayedCalls()), 2)
        self.clock.advance(20)
        self.assertEqual(len(self.made), 1000)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_cancelled_timer_does_not_run(self) -> None:
        kept = self.wheel.later(1, lambda: self.made.append("kept"))
        self.wheel.later(1, lambda: self.made.append("cancelled")).cancel()
        self.clock.advance(2)
        self.assertEqual(self.made, ["kept"])
        kept.cancel()  # Too late, and no harm.

    def test_cancelling_the_last_timer_cancels_the_delayed_call(self) -> None:
        timers = [self.wheel.later(1, list) for _ in range(3)]
        for timer in timers:
            timer.cancel()
            timer.cancel()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.wheel.later(1, lambda: self.made.append(1))
        self.clock.advance(2)
        self.assertEqual(self.made, [1])

    def test_a_timer_may_cancel_its_neighbours_and_start_others(self) -> None:
        def first() -> None:
            neighbour.cancel()
            self.made.append(self.wheel.later(1, lambda: self.made.append("next")))

        self.wheel.later(1, first)
        neighbour: Timer = self.wheel.later(1, lambda: self.made.append("cancelled"))
        self.clock.advance(1.2)
        self.clock.advance(1.2)
        self.assertEqual(self.made[1:], ["next"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_failing_timer_does_not_stop_the_others(self) -> None:
        def fails() -> None:
            raise ZeroDivisionError

        self.wheel.later(1, fails)
        self.wheel.later(1, lambda: self.made.append(1))
        self.clock.advance(2)
        self.assertEqual(self.made, [1])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
