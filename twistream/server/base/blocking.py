"""
BlockingContext: adds streams from blocking code, which runs in a thread pool.

Layer: base, above `streaming`.
"""

from collections.abc import AsyncIterable, Callable, Iterable, Iterator, Mapping
from functools import partial
from inspect import isawaitable, iscoroutine
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.python.threadpool import ThreadPool

from twistream.checks import check_count, is_asynchronous, is_iterable, kind, name_of
from twistream.scheduling.iteration import ThreadIteration
from twistream.scheduling.jobs import JobQueue
from twistream.scheduling.threads import check_thread
from twistream.server.base.body import Item
from twistream.server.base.items import encoded_item
from twistream.server.base.streaming import BaseContext
from twistream.server.response.blocking import BlockingLoop
from twistream.server.response.response import Response

BlockingItems: TypeAlias = Iterable[Item] | Callable[[], Iterable[Item]]
"""
A blocking iterable, or a function that makes one.
"""

AHEAD = 256
"""
Items. With 1024, a row costs as much CPU time, and with 32, half as much again: threads then wake each
other more often.
"""


class BlockingContext(BaseContext):
    """
    A context that can also send what blocking code makes.
    """

    __slots__ = ()

    def stream_blocking(
        self,
        items: BlockingItems,
        *,
        ahead: int = AHEAD,
        pin: bool = True,
        pool: ThreadPool | None = None,
        detached: bool = False,
    ) -> Deferred[None]:
        """
        Iterate in a thread, and write and flush each item.

        The iterator is made, advanced and closed in the thread pool, never by two threads at the
        same time. It runs with a copy of the context variables, and must not use this context,
        except to read it. An item is sent as soon as it is made. A slow client stops the
        iteration. However the stream ends, the iterator's ``close()`` is called, if it has one.

        Nothing can interrupt a ``next`` that blocks: until it returns, its thread is in use, and
        the process does not end.

        Where no body is allowed, as in the answer to HEAD, nothing is iterated.

        Args:
            items: A blocking iterable of str or bytes-like, or a function without arguments that
                returns one, such as a generator function. The function is called in the thread.
                ``sqlite3``, for example, accepts a connection only in the thread that made it.
            ahead: The number of items that may wait in this process while the one before them is
                sent. The iteration also stops after 64 KiB. 0 makes an item only when the client
                has accepted the one before it.
            pin: One thread runs the whole iteration, so objects that belong to their thread work,
                and locks can be held across a ``yield``. The thread is in use for as long as the
                client reads. With False, a slow client occupies no thread, but any thread of the
                pool may make the next item.
            pool: A pool that has been started. The reactor's by default; streams leave two of its
                threads to other users. If no thread is free, a stream waits for one.
            detached: The handler does not wait for the end of the stream, and ends it when it
                returns. Without this, a warning is logged then: an ``await`` was probably
                forgotten.

        Returns:
            Succeeds after the last item, and when the iterator is closed. Fails with an error of
            the iterator or of the function, with TypeError for an item that is neither str nor
            bytes-like, with RuntimeError if the pool is stopped, and with the reason when the
            response is over. Where no body is allowed, it succeeds at once, and the response
            is complete. Cancel it to stop.

        Raises:
            RuntimeError: The pool is not running.
            TypeError: `items` is neither iterable nor callable, or is asynchronous, or a str or
                bytes-like; or another argument has the wrong type.
            ValueError: `ahead` is negative.
        """
        check_thread("stream_blocking()")
        make = _maker(items)
        check_count("ahead", ahead, 0)
        iteration = ThreadIteration(
            make,
            encoded_item,
            queue_of(pool, self.clock),
            ahead=ahead,
            pin=pin,
            unused=items if isinstance(items, Iterator) else None,
        )
        return self._run(partial(start_loop, iteration, detached=detached), iteration.cancel)


def start_loop(
    iteration: ThreadIteration, response: Response, *, detached: bool = False
) -> BlockingLoop:
    """
    Start an iteration, and return the loop that sends its items.
    """
    iteration.start()
    return BlockingLoop(response, iteration, detached=detached)


def queue_of(pool: ThreadPool | None, clock: object) -> JobQueue:
    """
    The queue of a pool that runs.

    Raises:
        RuntimeError: It is not running.
        TypeError: It is not a thread pool.
    """
    if pool is not None:
        check_pool("pool", pool)
        if not pool.started:
            msg = "pool is not running; call its start() first"
            raise RuntimeError(msg)
    return JobQueue.of(pool, clock)


def check_pool(name: str, value: object) -> None:
    """
    Check that the argument `name` is a thread pool.

    Raises:
        TypeError: It is not.
    """
    if not isinstance(value, ThreadPool):
        msg = f"{name} must be a twisted.python.threadpool.ThreadPool, not {kind(value)}"
        raise TypeError(msg)


def iterator_of(items: object, name: str, allowed: str) -> Iterator[Any]:
    """
    The iterator of what a function has returned. Called in a thread.

    Args:
        name: The name of the function.
        allowed: What it may return, for the message of the error.

    Raises:
        TypeError: It is not an iterable of items.
    """
    wrong = isinstance(items, Item | Mapping | AsyncIterable) or isawaitable(items)
    if wrong or not is_iterable(items):
        if iscoroutine(items):
            items.close()  # Otherwise, Python warns that nobody has awaited it.
        msg = f"{name} must return {allowed}, not {type(items).__name__}"
        raise TypeError(msg)
    return iter(items)  # type: ignore[no-any-return, call-overload]  # checked


def _maker(items: object) -> Callable[[], Iterator[Any]]:
    if isinstance(items, Item | AsyncIterable) or is_asynchronous(items):
        msg = f"stream_blocking() takes a blocking iterable of items, not {kind(items)}"
        if not isinstance(items, Item):
            msg += "; use ctx.stream() for an async iterator"
        raise TypeError(msg)
    if is_iterable(items):
        return partial(iter, items)
    if not callable(items):
        msg = f"stream_blocking() takes a blocking iterable of items, not {kind(items)}"
        raise TypeError(msg)
    return lambda: iterator_of(items(), name_of(items), "an iterable of str or bytes")
