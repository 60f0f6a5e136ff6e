"""
ThreadIteration: an iterator that runs in a thread, and hands its items over to the reactor.

The thread is at most a fixed number of items, and of bytes, ahead of the reactor. Then it waits, or
gives its place in the pool to another iteration. No item waits for others, but
both sides work in batches: the thread wakes the reactor only when the reactor has run out of items, and
the reactor wakes the thread only when it has taken all items.

Layer: scheduling, above `tasks` and `jobs`. It knows no HTTP.
"""

from collections import deque
from collections.abc import Callable, Iterator
from contextvars import copy_context
from enum import Enum
from threading import Condition, Lock
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistream.errors import StopStream, StreamFinished
from twistream.scheduling.jobs import JobQueue
from twistream.scheduling.tasks import is_end

_MAX_BYTES = 64 * 1024
"""
Bytes that may wait for the reactor. More are there only if a single item is larger.
"""

_LOOK = 0.1
"""
Seconds after which a thread that waits checks whether its pool is stopped. Room wakes it at once.
"""

_TOO_LATE = "an iterator failed after the end of its stream"
_STOPPED = "the thread pool of this stream was stopped"
_STOP_ITERATION = "making the iterator raised StopIteration; raise StopStream to end the stream"


class _State(Enum):
    """
    Where an iteration is.
    """

    NEW = "it has not started"
    QUEUED = "it waits for a thread"
    RUNNING = "a thread has it"
    PARKED = "it waits for room, and no thread has it"
    OVER = "nothing more happens in a thread"


class _Next(Enum):
    """
    What a thread does next.
    """

    ITERATE = "make another item"
    PARK = "return to the pool, and go on later"
    END = "close the iterator"


_ITERATE, _PARK, _END = _Next


class ThreadIteration:
    """
    One iteration. The reactor's thread calls its methods.

    The iterator is made, advanced and closed in threads of one pool, never in two at the same time,
    with a copy of the context variables of the caller.
    """

    __slots__ = (
        "_ahead",
        "_bytes",
        "_cancelled",
        "_changed",
        "_closable",
        "_encode",
        "_failure",
        "_is_full",
        "_is_wanted",
        "_items",
        "_lock",
        "_make",
        "_pin",
        "_queue",
        "_sending",
        "_state",
        "_step",
        "_taken",
        "_variables",
        "_wait",
    )

    _log = Logger()

    def __init__(  # noqa: PLR0913 - options, by keyword
        self,
        make: Callable[[], Iterator[Any]],
        encode: Callable[[object, Any], bytes],
        queue: JobQueue,
        *,
        ahead: int,
        pin: bool,
        unused: object = None,
    ) -> None:
        """
        Args:
            make: Makes the iterator.
            encode: Makes the bytes of a message from the iterator and an item.
            queue: The queue of the pool.
            ahead: The number of items that may wait while the one before them is sent.
            pin: One thread runs all of it.
            unused: What is closed if the iterator is never made.
        """
        self._make: Callable[[], Iterator[Any]] | None = make
        self._encode = encode
        self._queue = queue
        self._ahead = ahead
        self._pin = pin
        self._closable: Any = unused
        self._variables = copy_context()
        self._step: Any = None  # Makes the next item.
        # The lock guards everything from here on. `_changed` shares it.
        self._lock = Lock()
        self._changed = Condition(self._lock)
        self._state = _State.NEW
        self._items: deque[bytes] = deque()
        self._sending = 0  # The number of items that were taken last and are being sent: 0 or 1.
        self._bytes = 0  # Of all these.
        self._taken = 0  # The bytes of the item that is being sent.
        self._is_full = False  # The thread waits for room, or has parked.
        self._is_wanted = False  # The reactor waits for an item.
        self._cancelled = False
        self._failure: Failure | None = None
        self._wait: Deferred[None] | None = None

    # In the reactor's thread.

    def start(self) -> None:
        """
        Wait for a thread. Call it once.
        """
        self._state = _State.QUEUED
        self._queue.submit(self._work)

    def take(self) -> bytes | None:
        """
        Return the next item, or None if the thread has not made it yet. The item before it now counts
        as sent.

        Raises:
            StopIteration: There are no more items.
        """
        resumes = False
        with self._lock:
            items = self._items
            self._bytes -= self._taken
            self._taken = self._sending = 0
            item = None
            if items:
                item = items.popleft()
                self._taken, self._sending = len(item), 1
            elif self._state is _State.OVER:
                raise StopIteration
            if self._is_full and self._has_room():
                self._is_full = False
                resumes = self._state is _State.PARKED
                if resumes:
                    self._state = _State.QUEUED
                else:
                    self._changed.notify()
        if resumes:
            self._queue.submit(self._work)
        return item

    def wait(self) -> Deferred[None]:
        """
        Return a Deferred that fires when `take` returns an item or raises.
        """
        with self._lock:
            if self._items or self._state is _State.OVER:
                return succeed(None)
            self._is_wanted = True
        self._wait = Deferred(self._forget)
        return self._wait

    def pop_failure(self) -> Failure | None:
        """
        Return the error that ended the iteration, once; None after a normal end, and at later calls.
        """
        failure, self._failure = self._failure, None
        return failure

    def cancel(self) -> None:
        """
        Drop all items, and close the iterator, as soon as no thread is inside it.
        """
        with self._lock:
            if self._cancelled:
                return
            self._cancelled = True
            self._items.clear()
            before = self._state
            if before is _State.RUNNING:
                self._changed.notify()
                return
            self._state = _State.OVER
        if before is _State.OVER:
            failure = self.pop_failure()
            if failure is not None:
                self._complain(_TOO_LATE, failure)
            return
        self._queue.withdraw(self._work)
        if hasattr(self._closable, "close"):
            self._queue.submit_short(lambda: self._variables.run(self._close))

    def _notify(self) -> None:
        wait, self._wait = self._wait, None
        if wait is not None:
            wait.callback(None)

    def _forget(self, _: Deferred[None]) -> None:
        self._wait = None

    # In a thread.

    def _work(self) -> None:
        with self._lock:
            if self._state is not _State.QUEUED:
                return
            self._state = _State.RUNNING
        # Another thread may enter the variables only when this one has left them.
        while self._variables.run(self._iterate) is _PARK and not self._park():
            pass

    def _iterate(self) -> _Next:
        try:
            if self._queue.is_stopped and not self._cancelled:
                raise RuntimeError(_STOPPED)  # noqa: TRY301 - it ends like any other error
            step = self._step if self._make is None else self._begin(self._make)
            encode, source, put = self._encode, self._closable, self._put
            following = _END if self._cancelled else _ITERATE
            while following is _ITERATE:
                following = put(encode(source, step()))
        except StopIteration:
            self._end(None)
        except BaseException:  # noqa: BLE001 - a Deferred catches everything, and so does this
            # Not in a variable of this frame, which is part of its traceback.
            self._end(Failure())
        else:
            if following is _PARK:
                return _PARK
            self._end(None)
        return _END

    def _park(self) -> bool:
        """
        Give up the thread, unless there is room again or the end has come. Return whether it did.
        """
        with self._lock:
            if self._cancelled or self._has_room():
                return False
            self._is_full = True
            self._state = _State.PARKED
            return True

    def _begin(self, make: Callable[[], Iterator[Any]]) -> Callable[[], Any]:
        self._make = None
        try:
            iterator = make()
        except StopIteration as err:
            raise RuntimeError(_STOP_ITERATION) from err
        self._closable = iterator
        step: Callable[[], Any] = iterator.__next__
        self._step = step
        return step

    def _put(self, item: bytes) -> _Next:
        with self._lock:
            if self._cancelled:
                return _END
            self._items.append(item)
            self._bytes += len(item)
            is_wanted, self._is_wanted = self._is_wanted, False
            is_full = len(self._items) + self._sending > self._ahead or self._bytes > _MAX_BYTES
        if is_wanted:
            self._queue.call_from_thread(self._notify)
        return self._wait_for_room() if is_full else _ITERATE

    def _wait_for_room(self) -> _Next:
        if not self._pin:
            return _PARK
        with self._lock:
            # The reactor may have taken some meanwhile.
            self._is_full = not self._has_room()
            while self._is_full and not self._cancelled:
                if self._queue.is_stopped:
                    raise RuntimeError(_STOPPED)
                self._changed.wait(_LOOK)
            return _END if self._cancelled else _ITERATE

    def _has_room(self) -> bool:
        """
        Whether a thread that has waited goes on. The lock is held.

        The reactor has taken all items then. While both worked at the same time, they would
        compete for the interpreter, which costs more than it gains.
        """
        return not self._items and (self._ahead > 0 or not self._sending)

    def _end(self, failure: Failure | None) -> None:
        self._close()
        with self._lock:
            self._state = _State.OVER
            cancelled = self._cancelled
            if not cancelled:
                self._failure = failure
            is_wanted, self._is_wanted = self._is_wanted, False
        if is_wanted:
            self._queue.call_from_thread(self._notify)
        if cancelled and failure is not None:
            self._complain(_TOO_LATE, failure)

    def _close(self) -> None:
        # The last references go here, so that the iterator is deleted in its thread, too.
        iterator, self._closable, self._step, self._make = self._closable, None, None, None
        close = getattr(iterator, "close", None)
        if close is not None:
            try:
                close()
            except BaseException:  # noqa: BLE001 - an iterator may raise anything
                self._complain("an iterator failed to close", Failure())

    def _complain(self, complaint: str, failure: Failure) -> None:
        # After the end of the response, the error for that end is no failure.
        if not (self._cancelled and is_end(failure, StopStream, StreamFinished)):
            self._log.failure(complaint, failure)
