"""
Waits: every Deferred fires once, with the right result.
"""

from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from twistream import StreamAborted
from twistream.scheduling.execution import ExecutionContext
from twistream.scheduling.waits import FailedWait, Waits


class WaitsTests(SynchronousTestCase):
    """
    A set of waits, and what makes them fire.
    """

    def setUp(self) -> None:
        self.waits = Waits(ExecutionContext())
        self.released: list[str] = []

    def add(self, name: str = "") -> Deferred[None]:
        return self.waits.add(lambda _: self.released.append(name))

    def test_a_wait_fires_once_without_release(self) -> None:
        wait = self.add()
        self.waits.fire(wait)
        self.waits.fire(wait)
        self.assertIsNone(self.successResultOf(wait))
        self.assertEqual((len(self.waits._open or ()), self.released), (0, []))

    def test_cancelling_releases_and_fails_with_cancelled_error(self) -> None:
        wait = self.add("a")
        wait.cancel()
        self.failureResultOf(wait, CancelledError)
        self.assertEqual((len(self.waits._open or ()), self.released), (0, ["a"]))

    def test_after_will_fail_with_cancelling_fails_with_the_reason(self) -> None:
        wait, reason = self.add("a"), StreamAborted()
        self.waits.will_fail_with(reason)
        self.assertNoResult(wait)
        wait.cancel()
        self.assertIs(self.failureResultOf(wait).value, reason)
        self.assertEqual(self.released, ["a"])

    def test_fail_all_also_fails_waits_that_are_added_meanwhile(self) -> None:
        first, reason = self.add("a"), StreamAborted()
        later: list[Deferred[None]] = []
        first.addErrback(lambda _: later.append(self.add("b")))
        self.waits.fail_all(reason)
        self.assertIs(self.failureResultOf(later[0]).value, reason)
        self.assertEqual(self.released, ["a", "b"])

    def test_a_failed_wait_may_be_handled_or_dropped(self) -> None:
        handled: list[Any] = []
        FailedWait(StreamAborted("x"), list).addErrback(handled.append)
        FailedWait(StreamAborted("y"), list)
        self.assertEqual(str(handled[0].value), "stream aborted: x")
