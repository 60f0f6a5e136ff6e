"""
Threads that a test steps by hand.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from queue import Queue
from threading import Thread, get_ident
from typing import Any

from twisted.python import threadable
from twisted.python.threadpool import ThreadPool

from tests.harness.case import Served, StreamTest
from tests.harness.client import Client
from tests.harness.wires import Steps

_PATIENCE = 20.0
"""
Seconds for which a test waits for a thread that does not wait for anything.
"""


class SteppedPool(ThreadPool):
    """
    A pool that a test steps by hand. It runs each job in a thread of its own.

    Attributes:
        jobs: The jobs that no thread has run.
    """

    def __init__(self, maxthreads: int = 10) -> None:
        super().__init__(0, maxthreads)
        self.started = True
        self.jobs: deque[Callable[[], object]] = deque()

    def callInThread(self, func: Any, *args: Any, **kw: Any) -> None:
        if not self.joined:
            self.jobs.append(partial(func, *args, **kw))

    def begin(self) -> Thread:
        """
        Start the oldest job.
        """
        thread = Thread(target=self.jobs.popleft(), daemon=True)
        thread.start()
        return thread

    def step(self) -> None:
        """
        Run the oldest job to its end.
        """
        end(self.begin())

    def stop(self) -> None:
        self.joined = True
        self.started = False


class ThreadSteps(Steps):
    """
    A clock that is also a reactor with threads.

    Attributes:
        pool: The reactor's pool.
        from_threads: The calls from threads that have not run.
    """

    def __init__(self) -> None:
        super().__init__()
        self.pool = SteppedPool()
        self.from_threads: Queue[Callable[[], object]] = Queue()

    def callFromThread(self, function: Any, *args: Any, **kw: Any) -> None:
        self.from_threads.put(partial(function, *args, **kw))

    def getThreadPool(self) -> SteppedPool:
        return self.pool

    def advance(self, amount: float) -> None:
        while not self.from_threads.empty():
            self.from_threads.get()()
        super().advance(amount)

    def wait(self) -> None:
        """
        Wait for a call from a thread, and run it.
        """
        self.from_threads.get(timeout=_PATIENCE)()
        self.advance(0)


class ThreadTest(StreamTest):
    """
    The base of tests of handlers that use threads. The thread of the test is that of the reactor.

    Attributes:
        clock: The clock of all servers.
        pool: The pool of that clock.
    """

    def setUp(self) -> None:
        self.clock = ThreadSteps()
        self.pool = self.clock.pool
        self.patch(threadable, "ioThread", get_ident())

    def start(self, served: Served, *args: Any, **options: Any) -> Client:
        return super().start(served, *args, clock=self.clock, **options)

    def settle(self) -> None:
        """
        Run jobs and the calls of their threads until there are no more.
        """
        self.clock.advance(0)
        while self.pool.jobs:
            self.pool.step()
            self.clock.advance(0)


def end(thread: Thread) -> None:
    """
    Wait for the end of a thread.
    """
    thread.join(_PATIENCE)
    assert not thread.is_alive(), "the thread waits for something"
