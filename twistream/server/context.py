"""
Context: what a handler sees of one response.

It joins the writer, the loops and the ending. It starts nothing: the resource runs the
handler.
"""

from collections.abc import AsyncIterable, Callable, Collection, Iterable, Sequence
from functools import partial
from types import GeneratorType
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.server import Request

from twistream.checks import check_seconds
from twistream.errors import (
    StopStream,
    StreamAborted,
    StreamClosed,
)
from twistream.scheduling.turn import Turn
from twistream.server.events import EventStream
from twistream.server.outlet import Filter, OnSlow, Outlet, Source, SubscribeOptions, last_event_id
from twistream.server.response.loop import SHORTEST_INTERVAL, ItemLoop, Step, StreamLoop
from twistream.server.response.response import Callback, Ending
from twistream.server.response.writer import ResponseWriter
from twistream.wire import fields, render
from twistream.wire.messages import LINES

BytesLike: TypeAlias = bytes | bytearray | memoryview
Item: TypeAlias = str | BytesLike


class Context:
    """
    One response, as its handler sees it. Made by `StreamResource`, one for each request.

    Methods raise at the call what is wrong with the call. What happens later comes
    through the Deferred that a method returns; whoever cancels that makes it fail with
    `CancelledError`. Once the response is over, what changes the head or the body raises,
    and the Deferreds fail: with `err`, which is a `StreamClosed` (`ClientDisconnected`,
    `SendTimeout`, `SlowConsumer`, `StreamAborted` or `ResponseComplete`), where it ended before its time,
    and with `StreamFinished` where it ended in good order.

    Attributes:
        request: The `twisted.web.server.Request`. Its ``write`` and ``finish`` are not
            for the handler, and raise.
        clock: The `IReactorTime` that this response lives by.
    """

    __slots__ = (
        "__weakref__",
        "_ending",
        "_events",
        "_log",
        "_subscribed",
        "_writer",
        "clock",
        "request",
    )

    def __init__(
        self,
        request: Request,
        turn: Turn,
        *,
        send_timeout: float,
        max_buffered: int,
        keep_running: bool,
    ) -> None:
        self.request = request
        self.clock: IReactorTime = turn.clock
        self._log: Logger | None = None
        self._events = False
        self._subscribed = False
        self._ending = Ending(keep_running=keep_running)
        self._writer = ResponseWriter(
            request,
            turn,
            send_timeout=send_timeout,
            max_buffered=max_buffered,
            on_end=self._over,
        )

    def __repr__(self) -> str:
        return f"<Context {self.method} {self.path}>"

    @property
    def method(self) -> str:
        """
        The method of the request, ``GET``.
        """
        return self.request.method.decode("latin-1")

    @property
    def path(self) -> str:
        """
        The path of the request as it was sent, percent-encoded and without the query.
        """
        return self.request.path.decode("latin-1")

    @property
    def last_event_id(self) -> str | None:
        """
        The id of the last event, or message of a channel, that the client has, as it says.

        From ``Last-Event-ID`` (WHATWG HTML 9.2.4), or else from ``?last_event_id=``: a
        browser that comes for the first time can set no header. None if it gives none.
        Bytes that are not UTF-8 are replaced.
        """
        return last_event_id(self.request)

    @property
    def log(self) -> Logger:
        """
        A `twisted.logger.Logger` whose events have this context as ``log_source``.
        """
        if self._log is None:
            self._log = Logger(namespace="twistream", source=self)
        return self._log

    # The head.

    def header(self, name: str | bytes, value: str | bytes) -> None:
        """
        Set a header of the response.

        The framing belongs to the protocol: ``Transfer-Encoding: chunked`` and
        ``Connection: keep-alive`` change nothing, ``Connection: close`` closes the
        connection after the response. A ``Content-Length`` is held to.

        Raises:
            HeadersSent: The head has left.
            StreamClosed: The response ended before its head was sent.
            TypeError: Name or value is neither str nor bytes.
            ValueError: The name is no header name; the value has CR, LF or NUL; the
                header is one that the protocol sends (RFC 9110 7.6.1); or it is a
                ``Content-Length`` that is no number.
        """
        self._writer.open_head.header(name, value)

    def add_header(self, name: str | bytes, value: str | bytes) -> None:
        """
        Add one more value to a header of the response, such as ``Set-Cookie``.

        Raises:
            ValueError: As `header`, and for a second ``Content-Length`` that differs.
                Everything else as `header`.
        """
        self._writer.open_head.header(name, value, add=True)

    def content_type(self, value: str) -> None:
        """
        Set the media type. Text types get ``charset=utf-8`` unless they name a charset.

        Without any, a response is ``text/plain; charset=utf-8``.

        Raises:
            HeadersSent: The head has left.
            StreamClosed: The response ended before its head was sent.
            TypeError: The value is no str.
            ValueError: It is not of the form ``type/subtype``.
        """
        if not isinstance(value, str):
            msg = f"a media type is a str, not {type(value).__name__}"
            raise TypeError(msg)
        self._writer.open_head.content_type(fields.with_charset(value))

    def status_code(self, code: int) -> None:
        """
        Set the status; 200 unless it is set.

        Raises:
            HeadersSent: The head has left.
            StreamClosed: The response ended before its head was sent.
            TypeError: The code is no int.
            ValueError: It is not from 200 to 599.
        """
        self._writer.open_head.status_code(code)

    # The body.

    def write(self, data: Item) -> int:
        """
        Put `data` into the buffer: a str as UTF-8, bytes as they are (copied).

        The buffer goes out with `flush`, or by itself past 16 KiB.

        Returns:
            The number of bytes, so that this is file enough for ``print(file=ctx)``
            and ``csv.writer(ctx)``.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes wait for the client.
            ContentLengthMismatch: More than the declared ``Content-Length``.
            EncodeError: A str with a lone surrogate, which UTF-8 cannot hold.
            StreamClosed: The response is over.
            StreamFinished: It ended in good order.
            TypeError: It is neither str nor bytes-like.
        """
        return self._writer.write(_encoded(data))

    def writef(self, format: str, *args: object) -> int:  # noqa: A002 - the name in logging
        """
        Write `format` with `args` put in by ``%``; without args, as it is.

        Returns:
            As `write`.

        Raises:
            TypeError: Format and args do not fit, or as `write`.
        """
        return self.write(format % args if args else format)

    def flush(self) -> Deferred[None]:
        """
        End a chunk and send it, and the head before it if that has not left yet.

        An empty buffer makes no chunk. On plain TCP the first flush in a turn of the
        reactor is sent within the call; later ones leave together, each a chunk of its
        own, at the turn's end.

        Returns:
            Fires when more may be written: at once, when a full connection drains, or in
            the next turn of the reactor if this handler has had its share of this one.
            Fails if the response is over; with `ResponseComplete` where no body may be;
            and with `ContentLengthMismatch` if more was written than the
            ``Content-Length`` that was set after it.
        """
        return self._writer.flush()

    def text(self, value: str) -> int:
        """
        Write plain text; the type is ``text/plain`` if none is set.

        Returns:
            As `write`.

        Raises:
            EncodeError: It is no str, or cannot be UTF-8. Otherwise as `write`.
        """
        return self._write_rendered(render.text(value))

    def html(self, value: str) -> int:
        """
        Write HTML as it is; the type is ``text/html`` if none is set.

        Returns:
            As `write`.

        Raises:
            EncodeError: It is no str, or cannot be UTF-8. Otherwise as `write`.
        """
        return self._write_rendered(render.html(value))

    def binary(self, value: BytesLike) -> int:
        """
        Write bytes; the type is ``application/octet-stream`` if none is set.

        Returns:
            As `write`.

        Raises:
            TypeError: It is not bytes-like. Otherwise as `write`.
        """
        if isinstance(value, str):
            msg = "binary() takes bytes, not str"
            raise TypeError(msg)
        return self._write_rendered(render.binary(bytes(memoryview(value))))

    def json(self, value: object) -> int:
        """
        Write one JSON value; the type is ``application/json`` if none is set.

        Takes what `twistream.wire.render.json` takes: dataclasses, attrs classes,
        datetimes, UUIDs and more.

        Returns:
            As `write`.

        Raises:
            EncodeError: JSON cannot hold it. Nothing of it is written. Otherwise as
                `write`.
        """
        return self._write_rendered(render.json(value))

    def json_line(self, value: object) -> Deferred[None]:
        """
        Write and flush one line of JSON; the type is ``application/jsonl`` if none is set.

        Returns:
            As `flush`.

        Raises:
            EncodeError: As `json`. Otherwise as `write`.
        """
        self._write_rendered(render.json_line(value))
        return self._writer.flush()

    def stream_writer(self, writer: Step, interval: float | None = None) -> Deferred[None]:
        """
        Call `writer` with this context, again and again, each time followed by a flush.

        Args:
            writer: Writes one message. It may return a Deferred or a coroutine, and
                raises `StopStream` at the end.
            interval: Seconds from the start of one call to the start of the next; ticks
                that are late are skipped. Without it the loop is as fast as the client
                takes it, and gives way to other streams. The first call is at once.

        Returns:
            Succeeds when the writer raises `StopStream`; what it wrote before that is
            flushed. Fails with any other error that the writer raises (what it wrote
            stays in the buffer), with TypeError if it returns anything but None, a
            Deferred or a coroutine, and with `err` when the response is over. Where no
            body may be, it succeeds without a call, and the response is complete. Cancel
            it to stop the loop.

        Raises:
            TypeError: The writer is not callable, or the interval no number.
            ValueError: The interval is negative, NaN, infinite or over thirty years.
        """
        if not callable(writer):
            msg = f"a writer is a function, not {type(writer).__name__}"
            raise TypeError(msg)
        seconds = None if interval is None else check_seconds("interval", interval)
        if seconds is not None and seconds < SHORTEST_INTERVAL:
            seconds = None
        return self._loop(writer, kind=partial(StreamLoop, interval=seconds))

    def stream(self, items: Iterable[Item] | AsyncIterable[Item]) -> Deferred[None]:
        """
        Write and flush each item of an iterable or async iterable.

        Generators are closed on every way out; a pending ``__anext__`` is cancelled.

        Returns:
            Succeeds after the last item. Fails as `stream_writer` does, and with
            TypeError for an item that is neither str nor bytes-like.

        Raises:
            TypeError: It is not iterable, or is itself a str or bytes-like.
        """
        # A generator is quick to tell.
        if not isinstance(items, GeneratorType) and isinstance(items, AsyncIterable):
            async_iterator = aiter(items)

            async def step_async(ctx: Context) -> None:
                try:
                    item = await anext(async_iterator)
                except StopAsyncIteration:
                    raise StopStream from None
                ctx._writer.write(_encoded_item(item))

            return self._loop(
                step_async,
                kind=partial(StreamLoop, interval=None),
                close=lambda: self._close(async_iterator, "aclose"),
            )
        if isinstance(items, Item):
            msg = f"stream() takes an iterable of messages, not {type(items).__name__}"
            raise TypeError(msg)
        iterator = iter(items)
        return self._loop(
            iterator,
            kind=partial(ItemLoop, encode=_encoded_item),
            close=lambda: self._close(iterator, "close"),
        )

    def sse(
        self,
        ping: float | None = 15.0,
        *,
        retry: float | None = None,
        allow_origin: str | Collection[str] | None = None,
    ) -> EventStream:
        """
        Make this response a stream of Server-Sent Events. Call it once.

        The type becomes ``text/event-stream``, and the headers keep proxies from holding
        it back; what is set already stays, and all can be set later. The head leaves at
        the end of this turn of the reactor at the latest.

        Args:
            ping: Seconds after which a comment is sent if nothing else was, up to an eighth
                late; proxies cut what is silent for a minute, many of them for half of
                that. None or 0 is never.
            retry: Seconds that a browser is to wait before it comes again; its own
                default is a few.
            allow_origin: Whose pages may read it: an origin such as
                ``https://example.org``, several, or ``"*"``. Without it, those of the
                server's own origin.

        Raises:
            HeadersSent: The head has left.
            RuntimeError: It is a stream of events already.
            StreamClosed: The response ended before its head was sent.
            TypeError: An argument is of the wrong type.
            ValueError: A time is negative, NaN, infinite or over thirty years; ping is under
                a millisecond and not 0; or an origin is none.
        """
        if self._events or self._subscribed:
            msg = "sse() is called once, before anything else makes a stream of this response"
            raise RuntimeError(msg)
        events = EventStream(self, ping=ping, retry=retry, allow_origin=allow_origin)
        self._events = True
        return events

    def subscribe(
        self,
        *channels: Source,
        after: str | Sequence[str] | None = None,
        filter: Filter | None = None,
        on_slow: OnSlow | None = None,
        max_queued: int = 2**20,
    ) -> Deferred[None]:
        """
        Send the messages of `channels` as lines of JSON: what was missed, then what comes.

        A line is ``{"id": ..., "data": ...}``, with ``"event"`` where the message has one. A
        gap is the line ``{"gap": {"requested", "resumed_from", "reason"}}``. The type is
        ``application/jsonl`` if none is set.

        Everything else is as for ``EventStream.subscribe``, but that nothing keeps a
        silent stream alive.
        """
        if self._events:
            msg = "this is a stream of events; subscribe with what sse() returned"
            raise RuntimeError(msg)
        outlet = Outlet(self, LINES)
        return outlet.subscribe(
            channels,
            SubscribeOptions(after=after, filter=filter, on_slow=on_slow, max_queued=max_queued),
        )

    # Time, and the end.

    def sleep(self, seconds: float) -> Deferred[None]:
        """
        Wait for `seconds` on `clock`.

        Returns:
            Fires after that time. Fails when the response is over, unless its client left
            and the resource lets handlers continue.

        Raises:
            TypeError: It is no number.
            ValueError: It is negative, NaN, infinite or over thirty years.
        """
        delay = check_seconds("seconds", seconds)
        if self._writer.ended and not (self._ending.keep_running and self.is_cancelled):
            return self._writer.failed_wait()
        sleeps = self._ending.sleeps
        call = self.clock.callLater(delay, lambda: sleeps.fire(wait))
        wait = sleeps.add(release=lambda _: call.cancel())
        return wait

    @property
    def err(self) -> StreamClosed | None:
        """
        Why the response ended before its time; None while it goes on, and after a good end.
        """
        return self._writer.err

    @property
    def is_cancelled(self) -> bool:
        """
        Whether the response ended before its time.
        """
        return self._writer.err is not None

    def done(self) -> Deferred[StreamClosed | None]:
        """
        Wait for the end of the response.

        Returns:
            A new Deferred at each call. Fires with `err` when the response is over, at
            once if it is over already. It never fails of itself, and a handler that is
            cancelled while it awaits it gets `err` as its result.
        """
        return self._ending.wait()

    def on_connection_close(self, callback: Callback) -> None:
        """
        Call `callback` with this context, once, if the client leaves before the end.

        Callbacks run in the order of their registration, at once if the client has left
        already. One may return a Deferred or a coroutine. What it raises is logged.

        Raises:
            TypeError: It is not callable.
        """
        self._ending.on_connection_close(self, callback)

    def on_close(self, callback: Callback) -> None:
        """
        Call `callback` with this context, once, when the response is over in any way.

        Otherwise as `on_connection_close`.

        Raises:
            TypeError: It is not callable.
        """
        self._ending.on_close(self, callback)

    def abort(self, reason: object = "") -> None:
        """
        End the response so that the client sees that it is incomplete.

        What was not flushed is dropped, what was is let through. `err` becomes a
        `StreamAborted`. After the end, and after the handler has returned, this does
        nothing.

        Args:
            reason: For whoever is told: ``err.reason``, and in its text.
        """
        self._writer.abort(StreamAborted(reason))

    # Inside.

    def _write_rendered(self, rendered: render.Rendered) -> int:
        media_type, data = rendered
        writer = self._writer
        if not (writer.head_sent or writer.open_head.has_type()):
            self.content_type(media_type)
        return writer.write(data)

    def _loop(
        self,
        steps: Any,
        *,
        kind: Callable[..., StreamLoop],
        close: Callable[[], object] | None = None,
    ) -> Deferred[None]:
        writer = self._writer
        if writer.ended or writer.bodyless():
            if close is not None:
                close()
            if writer.ended:
                return writer.failed_wait()
            writer.complete_without_body()
            return succeed(None)
        loop = kind(
            steps,
            context=self,
            writer=writer,
            on_end=self._ending.forget,
            close=close,
        )
        self._ending.running += (loop,)
        deferred = loop.deferred
        loop.start()
        return deferred

    def _close(self, iterator: object, method: str) -> None:
        # Generators have it; other iterators need not.
        close = getattr(iterator, method, None)
        if close is not None:
            self._ending.call(close, "an iterator failed to close", self)

    def _over(self) -> None:
        self._ending.tell_all(self, self._writer)


def _encoded(data: Item) -> bytes:
    """
    What goes on the wire of what may be written.
    """
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        return render.encode_text(data)
    try:
        return memoryview(data).tobytes()
    except TypeError:
        msg = f"write() takes str or bytes, not {type(data).__name__}"
        raise TypeError(msg) from None


def _encoded_item(item: Item) -> bytes:
    """
    As `_encoded`, of what a generator has yielded.
    """
    if isinstance(item, bytes):
        return item
    if isinstance(item, Deferred):
        msg = (
            "a generator handler yields str or bytes, not a Deferred; "
            "was @inlineCallbacks meant, or an async generator?"
        )
        raise TypeError(msg)
    return _encoded(item)
