"""
Waits: every Deferred fires once, with the right result.
"""

import gc
from typing import Any

from twisted.internet.defer import (
    AlreadyCalledError,
    CancelledError,
    Deferred,
    gatherResults,
    succeed,
)
from twisted.trial.unittest import SynchronousTestCase

from twistream import StreamAborted
from twistream.scheduling.execution import ExecutionContext
from twistream.scheduling.waits import FailedWait, Fired, Waits


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


class FiredTests(SynchronousTestCase):
    """
    A `Fired` behaves like the result of ``succeed(None)``.
    """

    def test_callbacks_run_at_once(self) -> None:
        for deferred in (Fired(), succeed(None)):
            deferred.addCallback(lambda result: [result])
            self.assertEqual(self.successResultOf(deferred), [None])

    def test_its_result_may_wait_for_another_deferred(self) -> None:
        fired, other = Fired(), Deferred[int]()
        fired.addCallback(lambda _: other)
        self.assertNoResult(fired)
        other.callback(3)
        self.assertEqual(self.successResultOf(fired), 3)

    def test_it_may_be_paused(self) -> None:
        fired = Fired()
        fired.pause()
        fired.addCallback(lambda _: 1)
        self.assertNoResult(fired)
        fired.unpause()
        self.assertEqual(self.successResultOf(fired), 1)

    def test_it_fires_only_once(self) -> None:
        fired = Fired()
        fired.cancel()
        self.assertRaises(AlreadyCalledError, fired.callback, None)
        self.assertRaises(AlreadyCalledError, fired.errback, ValueError())
        self.assertIsNone(self.successResultOf(fired))

    def test_an_error_of_a_callback_is_logged_if_nobody_handles_it(self) -> None:
        fired = Fired()
        fired.addCallback(lambda _: 1 / 0)
        del fired
        gc.collect()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_it_can_be_gathered(self) -> None:
        self.assertEqual(self.successResultOf(gatherResults([Fired(), Fired()])), [None, None])

    def test_awaiting_it_gives_the_result_that_it_has(self) -> None:
        async def collect(*fired: Deferred[Any]) -> list[Any]:
            return [await each for each in fired]

        changed, raises = Fired(), Fired()
        changed.addCallback(lambda _: 2)
        raises.addCallback(lambda _: 1 / 0)
        results = Deferred.fromCoroutine(collect(Fired(), changed))
        self.assertEqual(self.successResultOf(results), [None, 2])
        self.failureResultOf(Deferred.fromCoroutine(collect(raises)), ZeroDivisionError)

    def test_awaiting_it_twice(self) -> None:
        async def twice(fired: Deferred[Any]) -> list[Any]:
            return [await fired, await fired]

        results = Deferred.fromCoroutine(twice(Fired()))
        self.assertEqual(self.successResultOf(results), [None, None])

    def test_an_unknown_attribute_is_an_error(self) -> None:
        fired = Fired()
        self.assertRaises(AttributeError, getattr, fired, "unknown")
        self.assertRaises(AttributeError, getattr, fired, "unknown")
        self.assertIn("Fired", repr(fired))
