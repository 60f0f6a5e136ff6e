"""
EventStream: a `Context` that speaks Server-Sent Events (WHATWG HTML 9.2).

The bytes of an event are made in ``wire``; here are the head, the sending, and the
keep-alive.
"""

import re
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, cast

from twisted.internet.defer import Deferred
from twisted.web.http import NO_CONTENT
from twisted.web.server import Request

from twistream.checks import check_seconds, check_timer
from twistream.scheduling.wheel import Timer
from twistream.server.outlet import Filter, OnSlow, Outlet, Source, SubscribeOptions
from twistream.wire.frames import Batch, Frame
from twistream.wire.messages import EVENTS, encoded
from twistream.wire.sse import ServerSentEvent

if TYPE_CHECKING:
    from twistream.server.context import Context

_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#\s,]+")

_HEADERS = {
    b"Content-Type": EVENTS.media_type,
    # A proxy must neither keep it nor hold it back to compress it.
    b"Cache-Control": b"no-cache, no-transform",
    b"X-Accel-Buffering": b"no",
}

_DUST = 1e-3
"""
Seconds that a ping may come early, so that it need not be waited for twice.
"""

_PING = ServerSentEvent(comment="ping")
_PING_BATCH = Batch([Frame(_PING.encode())])


class EventStream:
    """
    One response as a stream of events. Made by ``Context.sse``.

    What its methods return and raise once the response is over is as for a `Context`.

    Attributes:
        context: The context.
        last_event_id: That of the context.
    """

    __slots__ = (
        "_opening",
        "_outlet",
        "_ping",
        "_timer",
        "_writer",
        "context",
        "last_event_id",
    )

    def __init__(
        self,
        context: "Context",
        *,
        ping: float | None,
        retry: float | None,
        allow_origin: str | Collection[str] | None,
    ) -> None:
        self._ping = _checked_ping(ping)
        # Goes ahead of what is sent in this turn, and with the head at its end at the latest.
        self._opening = b"" if retry is None else ServerSentEvent(retry_ms=_ms(retry)).encode()
        origins = _checked_origins(allow_origin)
        self.context = context
        self.last_event_id = context.last_event_id
        self._writer = context._writer  # noqa: SLF001 - one layer, two modules
        self._timer: Timer | None = None
        self._outlet: Outlet | None = None
        head = self._writer.open_head
        for name, value in _HEADERS.items():
            head.default(name, value)
        if origins:
            _allow(context.request, origins)
        if not self._opening:
            self._writer.open_soon()
        self._writer.turn.at_end(self._begin)

    def send(
        self,
        data: object,
        event: str | None = None,
        id: str | None = None,
        retry: float | None = None,
    ) -> Deferred[None]:
        """
        Send one event.

        Args:
            data: A str is sent as it is, but each kind of line end in it arrives as LF;
                anything else as compact JSON.
            event: Its name; a browser takes ``message`` where there is none.
            id: What the client sends as ``Last-Event-ID`` when it comes again.
            retry: Seconds that the client is to wait before it comes again.

        Returns:
            As ``Context.flush``.

        Raises:
            EncodeError: JSON, or UTF-8, cannot hold the data.
            TypeError: Event or id is no str, or retry no number.
            ValueError: Event or id has CR, LF or NUL; or retry is negative, NaN, infinite
                or over thirty years. Otherwise as ``Context.write``.
        """
        payload = encoded(data)
        message = ServerSentEvent(
            payload if isinstance(payload, str) else payload.decode(),
            event=event,
            id=id,
            retry_ms=None if retry is None else _ms(retry),
        )
        return self._send(message)

    def comment(self, text: str) -> Deferred[None]:
        """
        Send a comment, which clients pass over.

        Returns:
            As ``Context.flush``.

        Raises:
            EncodeError: UTF-8 cannot hold the text.
            TypeError: It is no str. Otherwise as ``Context.write``.
        """
        if not isinstance(text, str):
            msg = f"a comment is a str, not {type(text).__name__}"
            raise TypeError(msg)
        return self._send(ServerSentEvent(comment=text))

    def stop_reconnecting(self) -> None:
        """
        Answer 204, at which a browser does not come again (WHATWG HTML 9.2.3).

        For a stream that has ended for good. A browser comes again after any other end, so
        this is said when it does: in the turn of the reactor in which ``sse()`` was called,
        because the head leaves at its end. Return from the handler after it.

        Raises:
            HeadersSent: The head has left.
            StreamClosed: The response ended before its head was sent.
        """
        self._writer.open_head.status_code(NO_CONTENT)

    def subscribe(
        self,
        *channels: Source,
        after: str | Sequence[str] | None = None,
        filter: Filter | None = None,
        on_slow: OnSlow | None = None,
        max_queued: int = 2**20,
    ) -> Deferred[None]:
        """
        Send the messages of `channels` as events: first what was missed, then what comes.

        The event's id is the one that ``publish`` returned, or with several channels one
        for all of them, from which a client goes on in each. Messages are in the order of
        their channel, and none is skipped in silence: where some are missing, ``event: gap``
        tells so, with ``{"requested", "resumed_from", "reason"}``, see
        `twistream.wire.messages.Gap`.

        Args:
            after: The id after which to start, or one for each of several channels. It goes
                before `last_event_id`: for everything that is kept to those who come for
                the first time, say ``after=events.last_event_id or channel.oldest``.
                Without both it starts with what is published from now on. A channel that
                an id does not name is new to the client, and starts so too.
            filter: Called with each message, and says whether it is delivered. What it
                raises ends the subscription. The id that a client goes on from moves on
                past what was filtered away, but on lines of JSON.
            on_slow: When more waits for the client than `max_queued`: ``"catchup"`` sends
                the rest from the history when the client reads again (the default where
                all channels have one); ``"disconnect"`` cuts it with `SlowConsumer` (the
                default elsewhere); ``"latest"`` drops all but the newest message; ``"drop"``
                drops what comes.
            max_queued: Bytes that may wait for the client beside what its connection
                holds; a mebibyte is some seconds of a network that works.

        Returns:
            Succeeds when all channels have been closed and what they hold is delivered. If
            that was nothing, and the handler then ends without having sent anything, the
            response is a 204, as by `stop_reconnecting`. Fails if the response is over, and
            with what `filter` raises. Where no body may be, it succeeds, and the response is
            complete. Cancel it to unsubscribe.

        Raises:
            EncodeError: UTF-8 cannot hold `after`.
            RuntimeError: The stream has been subscribed before.
            TypeError: An argument is of the wrong type, there is no channel, or `filter` is
                a coroutine function.
            ValueError: `on_slow` or `max_queued` cannot be; ``"catchup"`` without a history;
                or a channel is there twice.
        """
        outlet = Outlet(self.context, EVENTS, before=self._open)
        deferred = outlet.subscribe(
            channels,
            SubscribeOptions(after=after, filter=filter, on_slow=on_slow, max_queued=max_queued),
        )
        self._outlet = outlet
        return deferred

    # Inside.

    def _send(self, event: ServerSentEvent) -> Deferred[None]:
        self._writer.write(self._opening + event.encode())
        self._opening = b""
        return self._writer.flush()

    def _open(self) -> None:
        opening, self._opening = self._opening, b""
        if opening:
            self._writer.deliver(Batch([Frame(opening)]))

    def _begin(self) -> None:
        self._open()
        if self._ping and not self._writer.ended:
            self.context.on_close(self._stop)
            self._look_in(self._ping)

    def _look_in(self, seconds: float) -> None:
        self._timer = self._writer.turn.timers.later(seconds, self._look)

    def _look(self) -> None:
        writer = self._writer
        left = self._ping + writer.last_sent - writer.turn.clock.seconds()
        if left > _DUST:
            self._look_in(left)
            return
        self._look_in(self._ping)
        # What waits for a client that takes nothing is what it is watched by.
        if not (writer.full or writer.ended):
            position = None if self._outlet is None else self._outlet.take_position()
            writer.deliver(_PING_BATCH if position is None else _ping_at(position))

    def _stop(self, _: "Context") -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _ping_at(position: str) -> Batch:
    return Batch([Frame(ServerSentEvent(comment=_PING.comment, id=position).encode())])


def _checked_ping(ping: float | None) -> float:
    never = ping is None or check_seconds("ping", ping) == 0
    return 0 if never else check_timer("ping", cast("float", ping))


def _ms(seconds: float) -> int:
    return round(check_seconds("retry", seconds) * 1000)


def _checked_origins(allow_origin: str | Collection[str] | None) -> Collection[str]:
    origins = (allow_origin,) if isinstance(allow_origin, str) else allow_origin or ()
    for origin in origins:
        if not isinstance(origin, str):
            msg = f"an origin is a str, not {type(origin).__name__}"
            raise TypeError(msg)
        if not _ORIGIN.fullmatch(origin):
            msg = f'an origin is "*", or of the form https://example.org, not {origin!r}'
            raise ValueError(msg)
    return origins


def _allow(request: Request, origins: Collection[str]) -> None:
    """
    Let pages of `origins` read the response (Fetch standard, 3.3).
    """
    headers = request.responseHeaders
    if "*" in origins:
        headers.setRawHeaders(b"Access-Control-Allow-Origin", [b"*"])
        return
    # The answer differs from one to the other, which caches must know.
    headers.addRawHeader(b"Vary", b"Origin")
    origin: bytes = request.getHeader(b"Origin") or b""
    if origin.decode("latin-1") in origins:
        headers.setRawHeaders(b"Access-Control-Allow-Origin", [origin])
