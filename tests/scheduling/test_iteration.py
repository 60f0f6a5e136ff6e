"""
ThreadIteration: an iterator in a thread, stepped by hand.
"""

import gc
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from threading import Event, Thread, current_thread
from typing import Any
from weakref import ref

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from tests.harness import SteppedPool, ThreadSteps, end
from twistream import ClientDisconnected, StopStream
from twistream.scheduling import iteration as iteration_module
from twistream.scheduling.iteration import ThreadIteration
from twistream.scheduling.jobs import JobQueue

variable: ContextVar[str] = ContextVar("variable", default="unset")

SIZE = 1000


class Numbers:
    """
    An iterator of numbers that records what happens to it, and in which thread.
    """

    def __init__(self, count: int = 10**9, size: int = 1) -> None:
        self.four = Event()  # Four are made.
        self.count = count
        self.size = size
        self.made = 0
        self.threads: list[Thread] = []
        self.closed: list[Thread] = []

    def __iter__(self) -> "Numbers":
        return self

    def __next__(self) -> bytes:
        self.threads.append(current_thread())
        if self.made == self.count:
            raise StopIteration
        self.made += 1
        if self.made == 4:
            self.four.set()
        return b"%d" % self.made * self.size

    def close(self) -> None:
        self.closed.append(current_thread())


class Failing(Numbers):
    """
    An iterator without items.
    """

    def __init__(self, error: type[BaseException]) -> None:
        super().__init__()
        self.error = error

    def __next__(self) -> bytes:
        raise self.error


class Leaving:
    """
    Context variables: the reactor does something while a thread leaves them for the first time.
    """

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self.meanwhile: Callable[[], None] | None = meanwhile

    def run(self, function: Callable[[], Any]) -> Any:
        result = function()
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return result


class IterationTest(SynchronousTestCase):
    """
    The base: iterations in a pool of one thread.
    """

    def setUp(self) -> None:
        self.reactor = ThreadSteps()
        self.pool = SteppedPool(1)
        self.queue = JobQueue.of(self.pool, self.reactor)

    def iterate(
        self,
        make: Callable[[], Iterator[Any]],
        ahead: int = 3,
        pin: bool = False,
        unused: object = None,
    ) -> ThreadIteration:
        iteration = ThreadIteration(
            make, lambda source, item: bytes(item), self.queue, ahead=ahead, pin=pin, unused=unused
        )
        iteration.start()
        return iteration

    def take_all(self, iteration: ThreadIteration) -> list[bytes]:
        """
        Take what is there.
        """
        items: list[bytes] = []
        while (item := iteration.take()) is not None:
            items.append(item)
        return items

    def rest(self, iteration: ThreadIteration) -> list[bytes]:
        """
        Take everything up to the end.
        """
        items: list[bytes] = []
        while True:
            try:
                item = iteration.take()
            except StopIteration:
                return items
            if item is None:
                self.pool.step()
                self.reactor.advance(0)
            else:
                items.append(item)


class BoundTests(IterationTest):
    """
    How far a thread is ahead.
    """

    def test_a_thread_makes_so_many_items_and_one_that_is_sent(self) -> None:
        numbers = Numbers()
        iteration = self.iterate(numbers.__iter__, ahead=3)
        self.assertEqual(numbers.made, 0)
        self.pool.step()
        self.assertEqual(numbers.made, 4)
        self.assertEqual(iteration.take(), b"1")
        self.assertEqual(len(self.pool.jobs), 0)

    def test_without_any_ahead_an_item_is_made_when_the_one_before_is_sent(self) -> None:
        numbers = Numbers()
        iteration = self.iterate(numbers.__iter__, ahead=0)
        for number in (1, 2, 3):
            self.pool.step()
            self.reactor.advance(0)
            self.assertEqual(numbers.made, number)
            self.assertEqual(iteration.take(), b"%d" % number)
            self.assertEqual(len(self.pool.jobs), 0)
            self.assertIsNone(iteration.take())
            self.assertEqual(len(self.pool.jobs), 1)

    def test_one_ahead_is_made_while_another_is_sent(self) -> None:
        numbers = Numbers()
        iteration = self.iterate(numbers.__iter__, ahead=1)
        self.pool.step()
        self.reactor.advance(0)
        self.assertEqual(numbers.made, 2)
        self.assertEqual([iteration.take(), iteration.take()], [b"1", b"2"])
        self.pool.step()
        self.assertEqual(numbers.made, 3)

    def test_large_items_stop_it_earlier(self) -> None:
        numbers = Numbers(size=30_000)
        iteration = self.iterate(numbers.__iter__, ahead=1000)
        self.pool.step()
        self.assertEqual(numbers.made, 3)
        self.assertEqual(len(self.take_all(iteration)), 3)

    def test_the_bytes_of_items_that_are_sent_do_not_count(self) -> None:
        numbers = Numbers(size=30_000)
        iteration = self.iterate(numbers.__iter__, ahead=1000)
        for made in (3, 6, 9):
            self.pool.step()
            self.reactor.advance(0)
            self.assertEqual(numbers.made, made)
            self.take_all(iteration)

    def test_a_thread_that_has_enough_is_free_for_others(self) -> None:
        first, second = Numbers(), Numbers()
        one, two = self.iterate(first.__iter__), self.iterate(second.__iter__)
        self.assertEqual(len(self.pool.jobs), 1)
        self.pool.step()
        self.reactor.advance(0)
        self.pool.step()
        self.assertEqual((first.made, second.made), (4, 4))
        self.reactor.advance(0)
        self.assertEqual(len(self.pool.jobs), 0)
        self.take_all(two)
        self.take_all(one)
        self.pool.step()
        self.assertEqual((first.made, second.made), (4, 8))

    def test_a_thread_that_parks_is_never_overtaken_by_the_next(self) -> None:
        # The next thread would enter the context variables before this one has left them.
        numbers = Numbers()
        iteration = self.iterate(numbers.__iter__)

        def take() -> None:
            self.assertEqual(len(self.take_all(iteration)), 4)
            self.assertEqual(len(self.pool.jobs), 0)

        iteration._variables = Leaving(take)  # type: ignore[assignment]  # has what is used
        self.pool.step()
        # The same thread goes on.
        self.assertEqual((numbers.made, len(set(numbers.threads))), (8, 1))

    def test_a_thread_that_is_cancelled_while_it_parks_closes_the_iterator(self) -> None:
        numbers = Numbers()
        iteration = self.iterate(numbers.__iter__, ahead=0)

        def cancel() -> None:
            self.assertEqual(iteration.take(), b"1")
            iteration.cancel()

        iteration._variables = Leaving(cancel)  # type: ignore[assignment]  # has what is used
        self.pool.step()
        self.assertEqual((numbers.made, len(numbers.closed)), (1, 1))

    def test_all_items_come_in_order(self) -> None:
        for ahead in (0, 1, 2, 7, 1000):
            numbers = Numbers(100)
            items = self.rest(self.iterate(numbers.__iter__, ahead))
            self.assertEqual(items, [b"%d" % n for n in range(1, 101)])

    def test_many_items_wake_the_reactor_once(self) -> None:
        iteration = self.iterate(Numbers(SIZE).__iter__, ahead=2 * SIZE)
        wait = iteration.wait()
        self.pool.step()
        self.assertNoResult(wait)
        self.assertEqual(
            self.reactor.from_threads.qsize(), 2
        )  # For an item, and for the end of the job.
        self.reactor.advance(0)
        self.successResultOf(wait)
        self.assertEqual(len(self.rest(iteration)), SIZE)

    def test_the_reactor_is_woken_by_the_first_item_not_by_the_last(self) -> None:
        pause, made = Event(), Event()

        def items() -> Iterator[bytes]:
            yield b"first"
            made.set()
            pause.wait(60)
            yield b"second"

        iteration = self.iterate(items, ahead=100)
        wait = iteration.wait()
        thread = self.pool.begin()
        made.wait(60)
        self.reactor.advance(0)
        self.successResultOf(wait)
        self.assertEqual(iteration.take(), b"first")
        wait = iteration.wait()
        self.assertNoResult(wait)
        pause.set()
        end(thread)
        self.reactor.advance(0)
        self.successResultOf(wait)
        self.assertEqual(self.rest(iteration), [b"second"])

    def test_nothing_is_waited_for_that_is_there(self) -> None:
        iteration = self.iterate(Numbers(1).__iter__)
        self.pool.step()
        self.successResultOf(iteration.wait())
        self.assertEqual(self.rest(iteration), [b"1"])
        self.successResultOf(iteration.wait())


class PinTests(IterationTest):
    """
    One thread for one iteration.
    """

    def test_a_thread_waits_for_room_and_never_exceeds_the_bound(self) -> None:
        taken = 0
        excess: list[int] = []

        def items() -> Iterator[bytes]:
            for number in range(1, SIZE + 1):
                excess.append(number - taken)
                yield b"%d" % number

        iteration = self.iterate(items, ahead=3, pin=True)
        thread = self.pool.begin()
        while True:
            try:
                item = iteration.take()
            except StopIteration:
                break
            if item is None:
                wait = iteration.wait()
                while not wait.called:
                    self.reactor.wait()
            else:
                taken = int(item)
        end(thread)
        self.assertEqual((taken, len(self.pool.jobs)), (SIZE, 0))
        # The number that is made, three that wait, and one that is not yet counted as taken.
        self.assertLessEqual(max(excess), 5)

    def test_all_happens_in_one_thread(self) -> None:
        numbers = Numbers(100)
        iteration = self.iterate(numbers.__iter__, ahead=1000, pin=True)
        self.pool.step()
        self.assertEqual(len(self.rest(iteration)), 100)
        self.assertEqual(len(set(numbers.threads)), 1)
        self.assertEqual(numbers.closed, numbers.threads[:1])

    def begin_and_fill(self, numbers: Numbers) -> tuple[ThreadIteration, Thread]:
        iteration = self.iterate(numbers.__iter__, ahead=3, pin=True)
        thread = self.pool.begin()
        numbers.four.wait(60)
        return iteration, thread

    def test_cancelling_wakes_a_thread_that_waits_and_closes_the_iterator_in_it(self) -> None:
        numbers = Numbers()
        self.patch(iteration_module, "_LOOK", 10_000)
        iteration, thread = self.begin_and_fill(numbers)
        iteration.cancel()
        end(thread)
        self.assertEqual((numbers.made, numbers.closed), (4, [thread]))

    def test_a_pool_that_is_stopped_does_not_wait_for_it(self) -> None:
        numbers = Numbers()
        iteration, thread = self.begin_and_fill(numbers)
        self.pool.stop()
        end(thread)
        self.assertEqual(numbers.closed, [thread])
        self.assertEqual(len(self.rest(iteration)), 4)
        failure = iteration.pop_failure()
        assert failure is not None
        self.assertIn(
            "pool of this stream was stopped", str(failure.check(RuntimeError) and failure.value)
        )


class EndTests(IterationTest):
    """
    The ways in which it ends.
    """

    def test_the_iterator_is_closed_before_the_end_is_reported(self) -> None:
        numbers = Numbers(2)
        iteration = self.iterate(numbers.__iter__)
        self.pool.step()
        self.assertEqual(len(numbers.closed), 1)
        self.assertEqual(self.rest(iteration), [b"1", b"2"])
        self.assertIsNone(iteration.pop_failure())

    def test_an_error_comes_after_the_items_with_its_traceback(self) -> None:
        def items() -> Iterator[bytes]:
            yield b"1"
            raise ValueError

        iteration = self.iterate(items)
        self.pool.step()
        self.assertEqual(self.rest(iteration), [b"1"])
        failure = iteration.pop_failure()
        assert failure is not None
        self.assertTrue(failure.check(ValueError))
        self.assertIn("in items", failure.getTraceback())
        self.assertIsNone(iteration.pop_failure())

    def test_any_error_is_reported_and_none_ends_the_thread(self) -> None:
        for error in (StopStream, SystemExit, KeyboardInterrupt, GeneratorExit, ClientDisconnected):
            numbers = Failing(error)
            iteration = self.iterate(numbers.__iter__)
            self.pool.step()
            self.reactor.advance(0)
            self.assertEqual(self.rest(iteration), [])
            failure = iteration.pop_failure()
            assert failure is not None
            self.assertTrue(failure.check(error))
            self.assertEqual(len(numbers.closed), 1)

    def test_stop_iteration_ends_nothing_but_an_iterator(self) -> None:
        def generator() -> Iterator[bytes]:
            yield b"1"
            yield next(iter(()))

        def make() -> Iterator[bytes]:
            raise StopIteration

        for function in (generator, make):
            iteration = self.iterate(function)
            self.pool.step()
            self.reactor.advance(0)
            self.rest(iteration)
            failure = iteration.pop_failure()
            assert failure is not None
            self.assertTrue(failure.check(RuntimeError))

    def test_an_iterator_is_not_entered_twice(self) -> None:
        inside, leave = Event(), Event()

        def items() -> Iterator[bytes]:
            inside.set()
            leave.wait(60)
            yield b"1"

        self.pool.max = 2
        shared = items()
        first, second = self.iterate(lambda: shared), self.iterate(lambda: shared)
        thread = self.pool.begin()
        inside.wait(60)
        self.pool.step()
        self.assertEqual(self.rest(second), [])
        failure = second.pop_failure()
        assert failure is not None
        self.assertTrue(failure.check(ValueError))
        leave.set()
        end(thread)
        self.assertEqual(self.rest(first), [b"1"])
        # The second one could not close it either.
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_an_iterable_without_close_needs_none(self) -> None:
        self.assertEqual(self.rest(self.iterate(lambda: iter([b"1", b"2"]))), [b"1", b"2"])

    def test_an_iterator_that_fails_to_close_is_logged_and_the_stream_succeeds(self) -> None:
        class Stuck(Numbers):
            def close(self) -> None:
                raise ValueError

        iteration = self.iterate(Stuck(1).__iter__)
        self.pool.step()
        self.assertEqual(self.rest(iteration), [b"1"])
        self.assertIsNone(iteration.pop_failure())
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_it_runs_with_a_copy_of_the_callers_variables(self) -> None:
        seen: list[str] = []

        def items() -> Iterator[bytes]:
            try:
                seen.append(variable.get())
                variable.set("thread")
                yield b"1"
                yield b"2"
            finally:
                seen.append(variable.get())

        token = variable.set("caller")
        iteration = self.iterate(items, ahead=0)
        variable.reset(token)
        self.rest(iteration)
        self.assertEqual((seen, variable.get()), (["caller", "thread"], "unset"))

    def test_the_iterator_is_deleted_in_its_thread(self) -> None:
        deleted: list[Thread] = []

        class Deleted(Numbers):
            def __del__(self) -> None:
                deleted.append(current_thread())

        gc.disable()
        self.addCleanup(gc.enable)
        iteration = self.iterate(lambda: Deleted(2))
        thread = self.pool.begin()
        end(thread)
        self.assertEqual(deleted, [thread])
        self.assertEqual(len(self.rest(iteration)), 2)

    def test_an_error_leaves_no_cycle(self) -> None:
        def items() -> Iterator[bytes]:
            yield b"1"
            raise ValueError

        gc.disable()
        self.addCleanup(gc.enable)
        iteration = self.iterate(items)
        self.pool.step()
        self.rest(iteration)
        failure = iteration.pop_failure()
        self.assertIsNotNone(failure)
        weak = ref(failure)
        del failure, iteration
        self.reactor.advance(0)
        self.assertIsNone(weak())


class CancelTests(IterationTest):
    """
    Cancelling, in every state.
    """

    def test_in_the_line_nothing_is_made(self) -> None:
        numbers = Numbers()
        iterations = [self.iterate(numbers.__iter__) for _ in range(3)]
        for iteration in iterations:
            iteration.cancel()
            iteration.cancel()
        self.assertEqual(len(self.pool.jobs), 1)
        self.pool.step()
        self.reactor.advance(0)
        self.assertEqual((len(self.pool.jobs), numbers.threads, numbers.closed), (0, [], []))

    def test_what_was_given_is_closed_in_a_thread_although_all_are_in_use(self) -> None:
        numbers = Numbers()
        self.iterate(Numbers().__iter__)
        iteration = self.iterate(numbers.__iter__, unused=numbers)
        iteration.cancel()
        self.assertEqual((len(self.pool.jobs), numbers.closed), (2, []))
        self.pool.step()
        thread = self.pool.begin()
        end(thread)
        self.assertEqual((numbers.made, numbers.closed), (0, [thread]))

    def test_between_two_threads_the_iterator_is_closed_in_a_thread(self) -> None:
        numbers = Numbers()
        iteration = self.iterate(numbers.__iter__)
        self.pool.step()
        self.reactor.advance(0)
        iteration.cancel()
        thread = self.pool.begin()
        end(thread)
        self.assertEqual((numbers.made, numbers.closed), (4, [thread]))

    def test_when_it_has_room_again_it_is_closed_and_makes_nothing_more(self) -> None:
        numbers = Numbers()
        iteration = self.iterate(numbers.__iter__)
        self.pool.step()
        self.reactor.advance(0)
        self.take_all(iteration)
        self.assertEqual(len(self.pool.jobs), 1)
        iteration.cancel()
        while self.pool.jobs:
            self.pool.step()
        self.assertEqual((numbers.made, len(numbers.closed)), (4, 1))

    def test_without_a_pool_it_is_closed_at_once(self) -> None:
        numbers = Numbers()
        iteration = self.iterate(numbers.__iter__)
        self.pool.step()
        self.pool.stop()
        iteration.cancel()
        self.assertEqual(numbers.closed, [current_thread()])

    def test_a_pool_that_is_stopped_ends_what_waits_for_a_thread_or_for_room(self) -> None:
        parked, waiting = Numbers(), Numbers()
        first = self.iterate(parked.__iter__)
        second = self.iterate(waiting.__iter__, unused=waiting)
        self.pool.step()
        self.pool.stop()
        self.reactor.advance(0)
        self.assertEqual(len(self.rest(first)), 4)
        self.assertEqual(self.rest(second), [])
        for iteration, numbers, made in ((first, parked, 4), (second, waiting, 0)):
            failure = iteration.pop_failure()
            assert failure is not None
            self.assertIn("was stopped", str(failure.value))
            self.assertEqual((numbers.made, numbers.closed), (made, [current_thread()]))

    def inside(self, numbers: Iterator[bytes]) -> ThreadIteration:
        """
        Cancel an iteration while its thread is inside the iterator.
        """
        inside, leave = Event(), Event()

        class Slow:
            def __iter__(self) -> "Slow":
                return self

            def __next__(self) -> bytes:
                inside.set()
                leave.wait(60)
                return next(numbers)

            def close(self) -> None:
                numbers.close()  # type: ignore[attr-defined]  # all in these tests have it

        iteration = self.iterate(Slow().__iter__)
        thread = self.pool.begin()
        inside.wait(60)
        iteration.cancel()
        leave.set()
        end(thread)
        self.reactor.advance(0)
        self.assertRaises(StopIteration, iteration.take)
        self.assertIsNone(iteration.pop_failure())
        return iteration

    def test_inside_the_iterator_its_item_is_dropped_and_it_is_closed(self) -> None:
        numbers = Numbers()
        self.inside(numbers)
        self.assertEqual((numbers.made, len(numbers.closed)), (1, 1))

    def test_its_last_error_is_logged_unless_it_is_an_end(self) -> None:
        for error in (CancelledError, ClientDisconnected, StopStream):
            self.inside(Failing(error))
        self.inside(Failing(ValueError))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_a_generator_gets_generator_exit_at_its_yield(self) -> None:
        ends: list[str] = []

        def items() -> Iterator[bytes]:
            try:
                while True:
                    yield b"1"
            except GeneratorExit:
                ends.append("exit")
                raise
            finally:
                ends.append("finally")

        iteration = self.iterate(items)
        self.pool.step()
        iteration.cancel()
        self.pool.step()
        self.assertEqual(ends, ["exit", "finally"])

    def test_an_error_that_nobody_has_taken_is_logged(self) -> None:
        iteration = self.iterate(Failing(ValueError).__iter__)
        self.pool.step()
        self.assertEqual(self.flushLoggedErrors(), [])
        iteration.cancel()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        iteration.cancel()

    def test_after_the_end_it_does_nothing(self) -> None:
        numbers = Numbers(1)
        iteration = self.iterate(numbers.__iter__)
        self.pool.step()
        iteration.cancel()
        self.assertEqual(self.rest(iteration), [])
        self.assertEqual((len(numbers.closed), len(self.pool.jobs)), (1, 0))

    def test_a_wait_that_is_cancelled_is_forgotten(self) -> None:
        iteration = self.iterate(Numbers(1).__iter__)
        wait = iteration.wait()
        wait.cancel()
        self.failureResultOf(wait, CancelledError)
        self.pool.step()
        self.reactor.advance(0)
        self.assertEqual(self.rest(iteration), [b"1"])
