"""
JobQueue: the jobs that wait for a thread of one pool.

A pool has other users: Twisted looks up host names in the reactor's. So jobs do not use all of its
threads, and they wait here, where they can be withdrawn, instead of in the queue of the pool.

Layer: scheduling, at the bottom.
"""

from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import ClassVar, TypeAlias, cast
from weakref import WeakValueDictionary

from twisted.internet.interfaces import IReactorThreads
from twisted.python.threadpool import ThreadPool

Job: TypeAlias = Callable[[], object]

SPARE = 2
"""
Threads of the reactor's pool that jobs leave to its other users. There are ten by default.
"""


class JobQueue:
    """
    The queue of one pool. Only the reactor's thread uses it, except for `call_from_thread`.
    """

    __slots__ = ("__weakref__", "_jobs", "_pool", "_reactor", "_spare", "_working")

    # As in `twistream.scheduling.turn.Turn`: a queue holds its pool, so no other pool can have that
    # identity while an entry lives.
    _queues: ClassVar[WeakValueDictionary[int, "JobQueue"]] = WeakValueDictionary()

    def __init__(self, pool: ThreadPool, reactor: IReactorThreads, *, spare: int) -> None:
        """
        Args:
            spare: The number of threads that jobs never use, if the pool has more.
        """
        self._pool = pool
        self._reactor = reactor
        self._spare = spare
        self._working = 0
        self._jobs: OrderedDict[Job, None] = OrderedDict()

    @classmethod
    def of(cls, pool: ThreadPool | None, clock: object) -> "JobQueue":
        """
        Return the queue of a pool. Each pool has one.

        Args:
            pool: None for the pool of the reactor.
            clock: The clock of a response. If it is not a reactor with threads, the default reactor is
                used.
        """
        if not hasattr(clock, "callFromThread"):
            from twisted.internet import reactor as clock  # noqa: PLC0415 - an import installs one
        reactor = cast("IReactorThreads", clock)
        shared = reactor.getThreadPool()
        chosen = shared if pool is None else pool
        queue = cls._queues.get(id(chosen))
        if queue is None:
            queue = cls(chosen, reactor, spare=SPARE if chosen is shared else 0)
            cls._queues[id(chosen)] = queue
        return queue

    @property
    def is_stopped(self) -> bool:
        """
        Whether the pool has stopped, or is stopping and waits for its threads.
        """
        return self._pool.joined

    def submit(self, job: Job) -> None:
        """
        Run a job in a thread, after the jobs that wait already.

        If the pool has stopped, the job runs at once in this thread: it must check `is_stopped`.
        """
        self._jobs[job] = None
        self._run_next()

    def withdraw(self, job: Job) -> None:
        """
        Take a job out of the queue, unless a thread has it.
        """
        self._jobs.pop(job, None)

    def submit_short(self, job: Job) -> None:
        """
        Run a short job in a thread, before the jobs that wait. If the pool has stopped, run it here.
        """
        if self._pool.joined:
            job()
        else:
            self._pool.callInThread(job)

    def call_from_thread(self, function: Callable[[], object]) -> None:
        """
        Call a function in the reactor's thread, without waiting. Any thread may call this.
        """
        with suppress(RuntimeError):  # The event loop of asyncio is closed: nobody waits any more.
            self._reactor.callFromThread(function)

    def _run_next(self) -> None:
        pool = self._pool
        while self._jobs and (pool.joined or self._working < max(1, pool.max - self._spare)):
            job, _ = self._jobs.popitem(last=False)
            if pool.joined:
                job()
            else:
                self._working += 1
                pool.callInThread(self._run, job)

    def _run(self, job: Job) -> None:
        try:
            job()
        finally:
            self.call_from_thread(self._left)

    def _left(self) -> None:
        self._working -= 1
        self._run_next()
