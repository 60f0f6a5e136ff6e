"""
The body of a response as an async iterator: of bytes, lines, JSON values or events.

Layer: client, above `body`.
"""

import warnings
from collections import deque
from types import TracebackType
from typing import Any, Generic, Literal, TypeVar, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IResponse

from twistream.checks import check_clock, check_count
from twistream.client.body import Body, Options, opened
from twistream.errors import StreamTruncated
from twistream.scheduling.threads import start_in_reactor
from twistream.wire.decompression import Decompressor
from twistream.wire.jsonlines import (
    MAX_ITEM,
    ItemDecoder,
    JSONLinesDecoder,
    JSONSequenceDecoder,
    LineDecoder,
)
from twistream.wire.sse import EventDecoder, ServerSentEvent

T = TypeVar("T")

MAX_BUFFERED = 2**16
"""
The default number of received bytes after which a connection is paused: one read of a socket.
"""


class Items(Generic[T]):
    """
    The items of one response: an async iterator. `iter_bytes` and the like make it.

    The connection is read only as fast as the items are taken. It is aborted if the iteration ends
    before the body does: by `aclose`, by the end of ``async with``, by the cancellation of a task
    that waits for an item, and by garbage collection, with a `ResourceWarning`.
    """

    __slots__ = (
        "__weakref__",
        "_body",
        "_clock",
        "_decoder",
        "_decompressor",
        "_is_over",
        "_items",
    )

    def __init__(
        self, body: Body, clock: IReactorTime, codings: Decompressor, decoder: ItemDecoder[T]
    ) -> None:
        self._is_over = False
        self._body = body
        self._clock = clock
        self._decoder = decoder
        self._decompressor = codings
        self._items: deque[T] = deque()

    @property
    def received(self) -> int:
        """
        The number of bytes of the body that were received, before any decoding.
        """
        return self._body.received

    def __aiter__(self) -> "Items[T]":
        return self

    async def __anext__(self) -> T:
        """
        Wait for the next item.

        Raises:
            CancelledError: The Deferred of the waiting task was cancelled.
            DecodeError: The body is malformed. The items before the error were returned.
            IdleTimeout: No byte arrived for ``idle_timeout`` seconds.
            LimitExceeded: A line or an item is too large.
            RuntimeError: Another task already waits.
            StopAsyncIteration: The body is complete, or the iterator was closed.
            StreamTruncated: The body broke off. The items before that were returned.
        """
        items = self._items
        while not items:
            if self._is_over:
                raise StopAsyncIteration
            waiting = self._advance()
            if waiting is not None:
                try:
                    await waiting
                except BaseException:
                    self._body.forget()  # Its task is executing, and cannot be resumed.
                    self.aclose()
                    raise
        return items.popleft()

    def aclose(self) -> Deferred[None]:
        """
        Abort the connection, unless the body is complete. A task that waits leaves its loop.

        Returns:
            A Deferred that has fired.
        """
        self._is_over = True
        self._items.clear()
        self._body.abort()
        return succeed(None)

    async def __aenter__(self) -> "Items[T]":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        body = self._body
        if self._is_over or body.end is not None:
            return
        # A garbage collection runs in any thread.
        start_in_reactor(self._clock, body.abort)
        msg = f"the connection of an abandoned iterator is closed, after {body.received} bytes; "
        msg += "use it with `async with`, or close it with aclose()"
        warnings.warn(msg, ResourceWarning, stacklevel=2, source=self)

    def _advance(self) -> Deferred[None] | None:
        """
        Decode the next piece, or return what to wait for.
        """
        waiting = None
        try:
            data = self._next_piece()
            if data:
                self._items.extend(self._decoder.feed(data))
                waiting = self._body.give_way(len(data))
            elif self._body.end is None:
                self._decoder.feed(b"")  # It may have kept an error for this call.
                waiting = self._body.wait()
            else:
                self._finish()
        except RuntimeError:
            raise  # Another task waits, and goes on.
        except BaseException:
            self._is_over = True
            self._body.abort()
            raise
        return waiting

    def _next_piece(self) -> bytes:
        body, decompressor = self._body, self._decompressor
        if not decompressor:
            return body.take()
        data = decompressor.read()
        while not data:
            received = body.take()
            if not received:
                break
            decompressor.feed(received)
            data = decompressor.read()
        return data

    def _finish(self) -> None:
        self._is_over = True
        end = self._body.end
        if isinstance(end, Exception):
            raise end
        items = self._decoder.finish() if self._decompressor.is_complete else None
        if items is None:
            raise StreamTruncated(self._body.received)
        self._items.extend(items)


class _Bytes:
    """
    Passes bytes on.
    """

    def feed(self, data: bytes) -> list[bytes]:
        """
        See `ItemDecoder.feed`.
        """
        return [data] if data else []

    def finish(self) -> list[bytes]:
        """
        See `ItemDecoder.finish`.
        """
        return []


class EventItems(EventDecoder):
    """
    Decodes events, and drops an incomplete one at the end, as the standard says.
    """

    __slots__ = ()

    def finish(self) -> list[ServerSentEvent]:  # type: ignore[override]  # it is used as an ItemDecoder
        super().finish()
        return []


def iter_bytes(
    response: IResponse,
    *,
    idle_timeout: float | None = None,
    max_buffered: int = MAX_BUFFERED,
    allow_close_delimited: bool = False,
    clock: IReactorTime | None = None,
) -> Items[bytes]:
    """
    Iterate over the body of a response, in pieces as they arrive.

    Content codings are decoded. Each piece of such a body has at most 64 KiB.

    Args:
        response: A response of treq that was requested with ``unbuffered=True``, or any `IResponse`.
            Its body must not have been read.
        idle_timeout: Close the connection if no byte arrives for this number of seconds. The time
            in which the connection is paused does not count. None, the default, for no limit.
        max_buffered: Pause the connection when this number of received bytes has not been taken. It
            is the number before decoding, and up to one read of the socket may follow. The default
            is 64 KiB.
        allow_close_delimited: Accept a body that ends with its connection as complete: it has neither
            chunks nor a ``Content-Length``, and nothing says whether it broke off.
        clock: The reactor, or another clock. By default, the reactor.

    Raises:
        DecodeError: A content coding is unknown.
        ImportError: A content coding needs ``pip install 'twistream[compression]'``.
        RuntimeError: The body has been read already.
        TypeError: An argument has the wrong type.
        ValueError: An argument has a wrong value, or treq keeps the body in memory.
    """
    options = Options(idle_timeout, max_buffered, allow_close_delimited)
    return items_of(response, _Bytes(), options, clock)


def iter_lines(  # noqa: PLR0913 - independent options, all by keyword
    response: IResponse,
    *,
    max_line: int = MAX_ITEM,
    idle_timeout: float | None = None,
    max_buffered: int = MAX_BUFFERED,
    allow_close_delimited: bool = False,
    clock: IReactorTime | None = None,
) -> Items[str]:
    """
    Iterate over the lines of a response in UTF-8, without their ends: LF, CR or CRLF.

    Args:
        response: See `iter_bytes`, and there for the other arguments and the errors.
        max_line: The maximum length of a line in bytes. The default is 1 MiB. A longer one is a
            `LimitExceeded`.
    """
    options = Options(idle_timeout, max_buffered, allow_close_delimited)
    decoder = LineDecoder(max_line=max_line)
    return items_of(response, decoder, options, clock)


def iter_json(  # noqa: PLR0913 - independent options, all by keyword
    response: IResponse,
    *,
    format: Literal["lines", "sequence"] | None = None,
    max_item: int = MAX_ITEM,
    idle_timeout: float | None = None,
    max_buffered: int = MAX_BUFFERED,
    allow_close_delimited: bool = False,
    clock: IReactorTime | None = None,
) -> Items[Any]:  # A union would have to be narrowed for each access.
    """
    Iterate over the JSON values of a response. Blank lines are skipped.

    Args:
        response: See `iter_bytes`, and there for the other arguments and the errors.
        format: ``"lines"`` for JSON Lines, and ``"sequence"`` for a JSON text sequence (RFC 7464).
            None, the default, to choose by the media type: ``application/json-seq``, or a type that
            ends with ``+json-seq``, is a sequence, and anything else is lines.
        max_item: The maximum length of a line or of a value in bytes. The default is 1 MiB. A longer
            one is a `LimitExceeded`.

    Raises:
        ValueError: `format` is something else.
    """
    if format not in (None, "lines", "sequence"):
        msg = f"format must be 'lines', 'sequence' or None, not {format!r}"
        raise ValueError(msg)
    check_count("max_item", max_item, 0)
    options = Options(idle_timeout, max_buffered, allow_close_delimited)
    is_sequence = format == "sequence" or (
        format is None and media_type(response).endswith(("/json-seq", "+json-seq"))
    )
    decoder: ItemDecoder[Any] = (
        JSONSequenceDecoder(max_item=max_item)
        if is_sequence
        else JSONLinesDecoder(max_line=max_item)
    )
    return items_of(response, decoder, options, clock)


def iter_events(  # noqa: PLR0913 - independent options, all by keyword
    response: IResponse,
    *,
    last_event_id: str = "",
    max_line: int = MAX_ITEM,
    max_event: int = MAX_ITEM,
    idle_timeout: float | None = None,
    max_buffered: int = MAX_BUFFERED,
    allow_close_delimited: bool = False,
    clock: IReactorTime | None = None,
) -> Items[ServerSentEvent]:
    """
    Iterate over the Server-Sent Events of a response. `EventSource` reconnects, this does not.

    Invalid UTF-8 is replaced, and an incomplete event at the end is dropped, as WHATWG HTML 9.2.6
    specifies.

    Args:
        response: See `iter_bytes`, and there for the other arguments and the errors. Comments, which
            servers send as pings, count as bytes for `idle_timeout`.
        last_event_id: The id of events up to the first one with an id of its own.
        max_line: The maximum length of a line in bytes. The default is 1 MiB.
        max_event: The maximum size of an event in bytes. The default is 1 MiB. A larger one is a
            `LimitExceeded`.
    """
    options = Options(idle_timeout, max_buffered, allow_close_delimited)
    decoder = EventItems(max_line=max_line, max_event=max_event, last_event_id=last_event_id)
    return items_of(
        response,
        cast("ItemDecoder[ServerSentEvent]", decoder),
        options,
        clock,
    )


def media_type(response: Any) -> str:
    """
    Return the media type of a response without parameters, in lower case. Empty if it has none.
    """
    headers = getattr(response, "headers", None)
    fields = headers.getRawHeaders("Content-Type", []) if headers is not None else []
    return fields[-1].partition(";")[0].strip().lower() if fields else ""


def items_of(
    response: IResponse, decoder: ItemDecoder[T], options: Options, clock: IReactorTime | None
) -> Items[T]:
    """
    Read a response with a decoder of items.

    Raises:
        Exception: See `iter_bytes`.
    """
    check_clock("clock", clock)
    if clock is None:
        from twisted.internet import reactor  # noqa: PLC0415 - importing twistream installs none

        clock = cast("IReactorTime", reactor)
    readable, codings = opened(response)
    body = Body(clock, options)
    body.read_from(readable)
    try:
        decompressor = Decompressor(codings)
    except BaseException:
        body.abort()  # Otherwise the connection would stay open, and nobody would read it.
        raise
    return Items(body, clock, decompressor, decoder)
