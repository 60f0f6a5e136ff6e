"""
JobQueue: which jobs of a pool run, and when.
"""

from functools import partial
from threading import current_thread

from twisted.trial.unittest import SynchronousTestCase

from tests.harness import SteppedPool, ThreadSteps
from twistream.scheduling.jobs import SPARE, JobQueue


class JobQueueTests(SynchronousTestCase):
    """
    The lines of two pools: one of the program, and that of the reactor.
    """

    def setUp(self) -> None:
        self.reactor = ThreadSteps()
        self.pool = SteppedPool(2)
        self.queue = JobQueue.of(self.pool, self.reactor)
        self.ran: list[object] = []

    def submit(self, queue: JobQueue, *names: object) -> None:
        for name in names:
            queue.submit(partial(self.ran.append, name))

    def test_a_pool_has_one_line(self) -> None:
        self.assertIs(JobQueue.of(self.pool, self.reactor), self.queue)
        self.assertIsNot(JobQueue.of(SteppedPool(), self.reactor), self.queue)

    def test_jobs_run_in_order_in_all_threads_of_a_pool(self) -> None:
        self.submit(self.queue, *range(4))
        self.assertEqual(len(self.pool.jobs), 2)
        for count in (1, 2, 3, 4):
            self.pool.step()
            self.assertEqual(self.ran, list(range(count)))
            self.reactor.advance(0)
        self.assertEqual(len(self.pool.jobs), 0)

    def test_they_leave_threads_of_the_reactors_pool_to_others(self) -> None:
        for named in (False, True):
            pool = self.reactor.pool = SteppedPool()
            self.submit(JobQueue.of(pool if named else None, self.reactor), *range(20))
            self.assertEqual(len(pool.jobs), pool.max - SPARE)

    def test_a_pool_with_fewer_threads_still_runs_one_job(self) -> None:
        self.reactor.pool.max = 1
        self.submit(JobQueue.of(None, self.reactor), 1, 2)
        self.assertEqual(len(self.reactor.pool.jobs), 1)

    def test_a_job_that_is_withdrawn_does_not_run(self) -> None:
        jobs = [partial(self.ran.append, n) for n in range(4)]
        for job in jobs:
            self.queue.submit(job)
        for job in jobs[1:3]:
            self.queue.withdraw(job)
        for _ in range(3):
            self.pool.step()
            self.reactor.advance(0)
        # A thread had the second already.
        self.assertEqual(self.ran, [0, 1, 3])

    def test_a_job_that_fails_frees_its_place(self) -> None:
        pool = SteppedPool(1)
        queue = JobQueue.of(pool, self.reactor)

        def fail() -> None:
            raise ValueError

        queue.submit(fail)
        self.submit(queue, "next")
        self.assertRaises(ValueError, pool.jobs.popleft())
        self.reactor.advance(0)
        pool.step()
        self.assertEqual(self.ran, ["next"])

    def test_a_job_aside_waits_for_no_other(self) -> None:
        self.submit(self.queue, *range(4))
        self.queue.submit_short(partial(self.ran.append, "aside"))
        self.assertEqual(len(self.pool.jobs), 3)

    def test_without_threads_a_job_aside_runs_at_once(self) -> None:
        self.pool.stop()
        self.queue.submit_short(lambda: self.ran.append(current_thread()))
        self.assertEqual(self.ran, [current_thread()])

    def test_without_threads_jobs_run_at_once_so_that_they_can_end(self) -> None:
        self.submit(self.queue, *range(3))
        self.pool.step()
        self.pool.stop()
        self.reactor.advance(0)
        self.assertEqual(self.ran, [0, 2])  # The pool has dropped the second.
        self.submit(self.queue, "late")
        self.assertEqual(self.ran, [0, 2, "late"])

    def test_a_loop_that_is_closed_is_not_called(self) -> None:
        def closed(*_: object) -> None:
            msg = "Event loop is closed"
            raise RuntimeError(msg)

        self.patch(self.reactor, "callFromThread", closed)
        self.queue.call_from_thread(self.fail)
        self.assertTrue(True)
