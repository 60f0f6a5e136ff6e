"""
Task: a coroutine that runs like any other, and records whether it was notified.
"""

import gc
from contextvars import ContextVar
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from twistream import StreamAborted
from twistream.scheduling.execution import ExecutionContext
from twistream.scheduling.tasks import Task, call, cancel, notify_running_task
from twistream.scheduling.waits import FailedWait

variable: ContextVar[str] = ContextVar("variable")


class Scope(ExecutionContext):
    """
    The end of a response, as a task sees it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.notifying = False
        self.err = StreamAborted("over")


class TaskTests(SynchronousTestCase):
    """
    Coroutines, stepped by hand.
    """

    def setUp(self) -> None:
        self.scope = Scope()

    def task(self, coroutine: Any) -> Task:
        return Task(coroutine, self.scope)

    def test_one_that_goes_on_from_a_part_of_its_request_is_notified_by_its_own_code(self) -> None:
        first: Deferred[None] = Deferred()
        gate: Deferred[None] = Deferred()

        async def part() -> None:
            await first
            gate.callback(None)
            notify_running_task()  # Not the code of a task.

        async def handler(*, notifies: bool) -> None:
            await gate
            if notifies:
                notify_running_task()

        async def step() -> None:
            first.callback(None)

        for notifies in (True, False):
            with self.subTest(notifies):
                first, gate = Deferred(), Deferred()
                self.scope.run(Deferred.fromCoroutine, part())
                task = self.task(handler(notifies=notifies))
                self.task(step())
                self.successResultOf(task)
                self.assertEqual(task.notified, notifies)

    def test_one_that_goes_on_below_another_request_is_notified_by_its_own_code(self) -> None:
        gate: Deferred[None] = Deferred()

        async def waits() -> None:
            await gate
            notify_running_task()

        async def other() -> None:
            gate.callback(None)

        async def starts_another() -> None:
            Task(other(), Scope())

        task = self.task(waits())
        self.task(starts_another())
        self.successResultOf(task)
        self.assertTrue(task.notified)

    def test_results_and_errors_pass_both_ways(self) -> None:
        first: Deferred[str] = Deferred()
        second: Deferred[str] = Deferred()

        async def inner() -> str:
            return await first + await second

        async def outer() -> str:
            try:
                await Deferred.fromCoroutine(inner())
            except KeyError as err:
                return f"caught {err}"
            return "not caught"

        task = self.task(outer())
        first.callback("x")
        self.assertNoResult(task)
        second.errback(KeyError("y"))
        self.assertEqual(self.successResultOf(task), "caught 'y'")
        self.assertFalse(task.notified)

    def test_what_a_coroutine_raises_is_its_result(self) -> None:
        for error in (KeyError("mine"), StopAsyncIteration(), SystemExit(3)):

            async def fails(error: BaseException = error) -> None:
                raise error

            self.assertIs(self.failureResultOf(self.task(fails())).value, error)

    def test_context_variables_are_its_own(self) -> None:
        async def sets() -> str:
            variable.set("inner")
            await gate
            return variable.get()

        gate: Deferred[None] = Deferred()
        variable.set("outer")
        task = self.task(sets())
        self.assertEqual(variable.get(), "outer")
        gate.callback(None)
        self.assertEqual(self.successResultOf(task), "inner")

    def test_it_is_running_while_it_is_on_the_stack(self) -> None:
        seen: list[bool] = []

        async def looks() -> None:
            await gate
            seen.append(task.running)

        gate: Deferred[None] = Deferred()
        task = self.task(looks())
        self.assertFalse(task.running)
        gate.callback(None)
        self.assertEqual((seen, task.running), ([True], False))

    def test_it_does_not_run_any_more_when_its_callbacks_do(self) -> None:
        seen: list[bool] = []

        async def returns() -> str:
            await gate
            return "x"

        async def fails() -> None:
            await gate
            raise KeyError("made to fail")

        for coroutine in (returns, fails):
            gate: Deferred[None] = Deferred()
            task = self.task(coroutine())

            def look(_: object, task: Task = task) -> None:
                seen.append(task.running)

            task.addBoth(look)
            gate.callback(None)
        self.assertEqual(seen, [False, False])

    def test_a_wait_that_fails_with_err_notifies_it(self) -> None:
        for error, told in ((self.scope.err, True), (StreamAborted("another"), False)):
            wait: Deferred[None] = Deferred()

            async def waits(wait: Deferred[None] = wait) -> None:
                try:
                    await wait
                except StreamAborted:
                    await Deferred()

            task = self.task(waits())
            wait.errback(error)
            self.assertEqual(task.notified, told)

    def test_awaiting_a_failed_wait_notifies_it(self) -> None:
        for awaits in (True, False):

            async def waits(awaits: bool = awaits) -> None:
                wait = FailedWait(self.scope.err, notify_running_task)
                if awaits:
                    await wait

            task = self.task(waits())
            self.assertEqual(task.notified, awaits)
            task.addErrback(lambda _: None)

    def test_only_an_error_raised_in_its_own_code_notifies_it(self) -> None:
        async def tells() -> None:
            notify_running_task()

        async def awaits_it() -> None:
            await tells()

        async def starts_it() -> None:
            await Deferred.fromCoroutine(tells())

        async def calls_it() -> None:
            await call(notify_running_task)

        told = [self.task(each()).notified for each in (tells, awaits_it, starts_it, calls_it)]
        self.assertEqual(told, [True, True, False, False])
        notify_running_task()  # Nobody is.

    def test_anything_it_awaits_that_fires_at_the_end_notifies_it(self) -> None:
        for telling in (True, False):
            wait: Deferred[None] = Deferred()

            async def waits(wait: Deferred[None] = wait) -> None:
                await wait
                await Deferred()

            task = self.task(waits())
            self.scope.notifying = telling
            wait.callback(None)
            self.assertEqual(task.notified, telling)

    def test_cancelling_reaches_what_it_awaits(self) -> None:
        cancelled: list[object] = []

        async def waits() -> None:
            await Deferred(cancelled.append)

        task = self.task(waits())
        task.cancel()
        self.failureResultOf(task, CancelledError)
        self.assertEqual(len(cancelled), 1)

    def test_cancelling_a_running_or_ended_task_does_nothing(self) -> None:
        async def cancels() -> str:
            await gate
            task.cancel()
            return "went on"

        gate: Deferred[None] = Deferred()
        task = self.task(cancels())
        gate.callback(None)
        task.cancel()
        self.assertEqual(self.successResultOf(task), "went on")

    def test_a_cancelled_task_ends_only_after_its_cleanup(self) -> None:
        async def cleans_up() -> str:
            try:
                await Deferred()
            except CancelledError:
                await gate
            return "clean"

        gate: Deferred[None] = Deferred()
        task = self.task(cleans_up())
        task.cancel()
        self.assertNoResult(task)
        gate.callback(None)
        self.assertEqual(self.successResultOf(task), "clean")

    def test_many_fired_waits_do_not_deepen_the_stack(self) -> None:
        class Given:
            def __await__(self) -> Any:
                return (yield succeed(1))

        async def waits() -> int:
            return sum([await Given() for _ in range(20_000)])

        self.assertEqual(self.successResultOf(self.task(waits())), 20_000)

    def test_an_awaited_value_that_is_no_deferred_is_sent_back_as_in_twisted(self) -> None:
        class Given:
            def __await__(self) -> Any:
                return (yield "x")

        async def waits() -> object:
            return await Given()

        self.assertEqual(self.successResultOf(self.task(waits())), "x")

    def test_the_coroutine_of_an_abandoned_task_is_closed(self) -> None:
        closed: list[str] = []

        async def waits() -> None:
            try:
                await Deferred()
            finally:
                closed.append("closed")

        task = self.task(waits())
        del task
        gc.collect()
        self.assertEqual(closed, ["closed"])


class CallTests(SynchronousTestCase):
    """
    Code that is not ours.
    """

    def test_any_kind_of_function_becomes_a_deferred(self) -> None:
        async def coroutine() -> str:
            return "x"

        class Awaitable:
            def __await__(self) -> Any:
                return coroutine().__await__()

        def fails() -> None:
            raise KeyError("made to fail")

        for function in (lambda: "x", coroutine, Awaitable):
            self.assertEqual(self.successResultOf(call(function)), "x")
        self.failureResultOf(call(fails), KeyError)

    def test_an_error_of_a_canceller_is_logged(self) -> None:
        def canceller(_: object) -> None:
            raise KeyError("made to fail")

        cancel(Deferred(canceller))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)
