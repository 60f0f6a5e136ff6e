"""
BaseContext: adds loops, sleeping and the end of the response to `FormattedBody`.

Layer: base, above `formats`. `Context` adds events and subscriptions, which need this class
themselves, so they are not here.
"""

from collections.abc import (
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
    Iterator,
)
from functools import partial
from types import GeneratorType
from typing import Any, Self

from twisted.internet.defer import Deferred, fail, succeed
from twisted.python.failure import Failure

from twistream.checks import check_callback, check_seconds, is_iterable
from twistream.errors import (
    ResponseComplete,
    StopStream,
    StreamAborted,
    StreamClosed,
    StreamFinished,
)
from twistream.scheduling.tasks import Task, call, is_end
from twistream.scheduling.threads import check_thread
from twistream.server.base.body import Item
from twistream.server.base.formats import FormattedBody
from twistream.server.base.items import NO_ITEM, EncodedItems, encoded_item, first_item
from twistream.server.response.attachment import Loop
from twistream.server.response.loop import (
    SHORTEST_INTERVAL,
    AsyncItemLoop,
    Encode,
    ItemLoop,
    StreamLoop,
)
from twistream.server.response.phase import Phase
from twistream.server.response.response import Response


class BaseContext(FormattedBody):
    """
    A context without events and subscriptions.
    """

    __slots__ = ()

    def stream_writer(
        self,
        writer: Callable[[Self], Awaitable[Any] | int | None],
        interval: float | None = None,
        *,
        detached: bool = False,
    ) -> Deferred[None]:
        """
        Repeatedly call `writer` with this context, and flush what it wrote.

        Args:
            writer: Writes one message. It may be ``async``, or return anything else that can be
                awaited, and raises `StopStream` to end the loop.
            interval: Seconds from the start of one call to the start of the next. Late ticks
                are skipped. Without it, the loop is as fast as the client reads, and yields
                to other streams. The first call happens at once.
            detached: The handler does not wait for the loop, and ends it when it returns. Without
                this, a warning is logged then: an ``await`` was probably forgotten.

        Returns:
            Succeeds when the writer raises `StopStream`. What it wrote before that is
            flushed. Fails with any other error of the writer (what it wrote stays in the
            buffer), with TypeError if it returns anything that is neither None nor awaitable,
            and with the reason when the response is over. Where no body is allowed, as in the
            answer to HEAD, `writer` is called once, so that it can set headers. It is cancelled
            where it has to wait. Then this succeeds, and the response is complete. Cancel it
            to stop the loop.

        Raises:
            TypeError: The writer is not callable, or the interval is not a number.
            ValueError: The interval is negative, NaN, infinite or over thirty years.
        """
        check_thread("stream_writer()")
        if not callable(writer):
            msg = f"writer must be callable, not {type(writer).__name__}"
            raise TypeError(msg)
        seconds = None if interval is None else check_seconds("interval", interval)
        if seconds is not None and seconds < SHORTEST_INTERVAL:
            seconds = None
        step = partial(writer, self)

        def make(response: Response) -> StreamLoop:
            return StreamLoop(
                response, step, call="stream_writer", interval=seconds, detached=detached
            )

        return self._run_once(make) if self._head_only() else self._run(make)

    def stream(
        self, items: Iterable[Item] | AsyncIterable[Item], *, detached: bool = False
    ) -> Deferred[None]:
        """
        Write and flush each item of an iterable or async iterable.

        However the loop ends, a generator is closed, and a pending ``__anext__`` is cancelled.
        Where no body is allowed, as in the answer to HEAD, a generator runs up to its first item,
        so that it can set headers, or to its first ``await`` that has to wait. Without an item, the
        head can still change.

        Args:
            detached: The handler does not wait for the end of the stream, and ends it when it
                returns. Without this, a warning is logged then: an ``await`` was probably
                forgotten.

        Returns:
            Succeeds after the last item. Fails with an error of the iterable, with TypeError
            for an item that is neither str nor bytes-like, and with the reason when the
            response is over. Where no body is allowed, it succeeds at once, and the response
            is complete. Cancel it to stop.

        Raises:
            TypeError: `items` is not iterable, or is itself a str or bytes-like.
        """
        check_thread("stream()")
        # The check for a generator is faster.
        if not isinstance(items, GeneratorType) and isinstance(items, AsyncIterable):
            async_items = aiter(items)
            encode = partial(encoded_item, async_items)
            return self._send_async(async_items, encode, call="stream", detached=detached)
        if isinstance(items, Item) or not is_iterable(items):
            msg = f"stream() takes an iterable of items, not {type(items).__name__}"
            raise TypeError(msg)
        iterator = iter(items)
        encode = partial(encoded_item, iterator)
        return self._send_items(iterator, encode, call="stream", detached=detached)

    def sleep(self, seconds: float) -> Deferred[None]:
        """
        Wait for `seconds` on `clock`.

        Returns:
            Fires after that time. Fails with the reason when the response is over, unless
            its client disconnected and the resource has ``on_disconnect="continue"``.

        Raises:
            TypeError: It is not a number.
            ValueError: It is negative, NaN, infinite or over thirty years.
        """
        check_thread("sleep()")
        delay = check_seconds("seconds", seconds)
        response = self._response
        observers = response.observers
        if response.life.ended and not (observers.keep_running and self.is_cancelled):
            return self._writer.failed_wait()
        sleeps = observers.sleeps
        delayed = self.clock.callLater(delay, lambda: sleeps.fire(wait))
        wait = sleeps.add(release=lambda _: delayed.cancel())
        return wait

    @property
    def err(self) -> StreamClosed | None:
        """
        Why the response ended early; None before the end, and after a normal end.
        """
        return self._response.life.err

    @property
    def is_cancelled(self) -> bool:
        """
        Whether the response ended early.
        """
        return self._response.life.err is not None

    def done(self) -> Deferred[StreamClosed | None]:
        """
        Wait for the end of the response.

        Returns:
            A new Deferred for each call. It fires with `err` when the response is over, at
            once if it is over already. It never fails: a handler that is cancelled while it
            awaits this gets `err` as the result.
        """
        check_thread("done()")
        return self._response.observers.done()

    def on_connection_close(self, callback: Callable[[Self], object]) -> None:
        """
        Call `callback` with this context, once, if the client disconnects or is cut for being slow.

        Callbacks run in the order of registration. If the client has already disconnected,
        `callback` runs at once. It may return a Deferred or a coroutine. Its errors are logged.

        Raises:
            TypeError: It is not callable, or is a generator function.
        """
        check_thread("on_connection_close()")
        self._response.observers.on_disconnect(self._checked(callback))

    def on_close(self, callback: Callable[[Self], object]) -> None:
        """
        Call `callback` with this context, once, when the response is over in any way.

        Callbacks run in the order of registration, after those of `on_connection_close`. If
        the response is already over, `callback` runs at once. It may return a Deferred or a
        coroutine. Its errors are logged.

        Raises:
            TypeError: It is not callable, or is a generator function.
        """
        check_thread("on_close()")
        self._response.observers.on_close(self._checked(callback))

    def abort(self, reason: object = "") -> None:
        """
        End the response so that the client sees that it is incomplete.

        What was flushed is sent first. What was not is dropped. `err` becomes a
        `StreamAborted`. After the end, and after the handler has returned, this does nothing.

        Args:
            reason: Becomes ``err.reason``, and a part of the text of `err`.
        """
        check_thread("abort()")
        self._response.abort(StreamAborted(reason))

    # Inside.

    def _send_values(
        self,
        values: Iterable[Any] | AsyncIterable[Any],
        *,
        call: str,
        encode: Encode,
        detached: bool,
    ) -> Deferred[None]:
        """
        Send each of `values`, encoded. Unlike the items of `stream`, bytes are encoded, too.
        """
        if isinstance(values, AsyncIterable):
            source = aiter(values)
            encoded = EncodedItems(source, encode)
            return self._send_async(encoded, bytes, call=call, detached=detached, source=source)
        if isinstance(values, Item) or not is_iterable(values):
            msg = f"{call}() takes an iterable of values, not {type(values).__name__}"
            raise TypeError(msg)
        iterator = iter(values)
        items = map(encode, iterator)
        return self._send_items(items, bytes, call=call, detached=detached, source=iterator)

    def _send_items(
        self,
        iterator: Iterator[Any],
        encode: Encode,
        *,
        call: str,
        detached: bool,
        source: object = None,
    ) -> Deferred[None]:
        """
        Args:
            source: What is closed at the end. None for the iterator.
        """
        close = partial(self._close, iterator if source is None else source, "close")
        head_only = self._head_only()
        if head_only and (head := self._head_of(iterator, encode)) is not None:
            close()
            return head.addErrback(_succeed_if_complete)
        ends = self._run(
            lambda response: ItemLoop(
                response, iterator, encode, call=call, detached=detached, close=close
            ),
            close,
        )
        return ends.addErrback(_succeed_if_complete) if head_only else ends

    def _send_async(
        self,
        iterator: AsyncIterator[Any],
        encode: Encode,
        *,
        call: str,
        detached: bool,
        source: object = None,
    ) -> Deferred[None]:
        close: Callable[[], object] = partial(
            self._close, iterator if source is None else source, "aclose"
        )
        head_only = self._head_only()
        if head_only:
            first = Task(first_item(iterator, encode), self._response.life)
            if not first.called:
                # HEAD is answered at once: the iterator is cancelled where it waits.
                first.addErrback(self._complain_unless_cancelled)
                first.cancel()
                close = partial(first.addBoth, lambda _, close=close: close())
            elif isinstance(first.result, Failure):
                close()
                return first.addErrback(_succeed_if_complete)
            elif first.result is NO_ITEM:
                close()
                return succeed(None)
        ends = self._run(
            lambda response: AsyncItemLoop(
                response, iterator, encode, call=call, detached=detached, close=close
            ),
            close,
        )
        return ends.addErrback(_succeed_if_complete) if head_only else ends

    def _head_of(self, iterator: Iterator[Any], encode: Encode) -> Deferred[None] | None:
        """
        Run an iterator to its first item. Returns the result of `stream` if it has none.
        """
        try:
            item: Any = self._response.life.run(next, iterator, NO_ITEM)
            if item is not NO_ITEM:
                encode(item)  # For GET, an item of a wrong type is an error.
                return None
        except StopStream:
            pass
        except BaseException:  # noqa: BLE001 - a Deferred catches everything, so does this
            return fail(Failure())
        return succeed(None)  # For GET, no item would have sent the head.

    def _run_once(self, make: Callable[[Response], Loop]) -> Deferred[None]:
        """
        Run a loop up to its first flush, or to where it has to wait, so that it can set headers.
        """
        deferred = self._start(make)
        if not deferred.called:
            self._response.admits_body()  # No: this completes the response.
        return deferred.addErrback(_succeed_if_complete)

    def _head_only(self) -> bool:
        """
        Whether the head can still change, and no body is allowed.
        """
        return self._response.life.phase is Phase.HEAD and self._response.head.bodyless()

    def _run(
        self,
        make: Callable[[Response], Loop],
        close: Callable[[], object] | None = None,
    ) -> Deferred[None]:
        """
        Make and start a loop, unless the response is over or allows no body.
        """
        response = self._response
        ended = response.life.ended
        if not ended and response.admits_body():
            return self._start(make)
        if close is not None:
            close()
        return self._writer.failed_wait() if ended else succeed(None)

    def _start(self, make: Callable[[Response], Loop]) -> Deferred[None]:
        loop = make(self._response)
        deferred = loop.deferred
        loop.start()
        return deferred

    def _close(self, iterator: object, method: str) -> None:
        # Generators have it, other iterators may not.
        close = getattr(iterator, method, None)
        if close is not None:
            self._call(close, "an iterator failed to close")

    def _checked(self, callback: Callable[[Self], object]) -> Callable[[], None]:
        check_callback("callback", callback)
        return lambda: self._call(callback, "an end-of-response callback failed", self)

    def _call(self, function: Callable[..., object], complaint: str, *args: object) -> None:
        """
        Run a cleanup callable; log its failures instead of raising them.
        """
        scope = self._response.life
        call(function, *args, scope=scope).addErrback(self._complain, complaint)

    def _complain_unless_cancelled(self, failure: Failure) -> None:
        if not is_end(failure):
            self.log.failure("an iterator failed after it was cancelled", failure)

    def _complain(self, failure: Failure, complaint: str) -> None:
        # After the end of the response, the error for that end is no failure.
        if not (self._response.life.ended and is_end(failure, StreamFinished)):
            self.log.failure(complaint, failure)


def _succeed_if_complete(failure: Failure) -> None:
    failure.trap(ResponseComplete)
