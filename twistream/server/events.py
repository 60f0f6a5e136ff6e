"""
EventStream: one response as a stream of Server-Sent Events (WHATWG HTML 9.2).

``wire`` encodes the events. This module sets the headers, sends the events, and keeps an idle
stream alive with pings.

Layer: server, above `base`.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from threading import get_ident
from typing import cast

from twisted.internet.defer import Deferred
from twisted.python import threadable
from twisted.web.http import NO_CONTENT

from twistream.checks import check_seconds, check_timer
from twistream.errors import StreamAborted
from twistream.scheduling.threads import check_thread, refuse_thread
from twistream.scheduling.waits import Fired
from twistream.scheduling.wheel import Timer
from twistream.server.base.incoming import last_event_id
from twistream.server.base.streaming import BaseContext
from twistream.server.origins import allow_origins, checked_origins
from twistream.server.outlet import (
    Filter,
    MaySee,
    OnSlow,
    Open,
    Outlet,
    Source,
    SubscribeOptions,
    Subscription,
    checked_hold,
)
from twistream.server.response.response import Response
from twistream.server.response.writer import Urgency
from twistream.wire.frames import Batch, Frame
from twistream.wire.messages import EVENTS, encoded
from twistream.wire.metadata import encode_metadata
from twistream.wire.sse import ServerSentEvent, data_event

_NOW = Urgency.NOW

_HEADERS = {
    b"Content-Type": EVENTS.media_type,
    # Proxies must neither cache it, nor buffer it to compress it.
    b"Cache-Control": b"no-cache, no-transform",
    b"X-Accel-Buffering": b"no",
}

_TOLERANCE = 1e-3
"""
Seconds that a ping may be early, so that one wait is enough.
"""

_PING = Batch([Frame(b": ping\n")])
"""
A line without a blank line after it: some parsers take a block of comments for an empty event.
"""


class EventStream:
    """
    One response as a stream of events, returned by ``Context.sse``.

    Once the response is over, its methods raise and its Deferreds fail like those of the
    `Context`.

    Attributes:
        context: The context of the response.
        last_event_id: The id of the last event that the client has received, or None: see
            ``Context.last_event_id``.
    """

    __slots__ = (
        "_hold",
        "_opening",
        "_outlet",
        "_ping",
        "_response",
        "_timer",
        "_writer",
        "context",
        "last_event_id",
    )

    def __init__(  # noqa: PLR0913 - options, by keyword
        self,
        context: BaseContext,
        response: Response,
        *,
        ping: float | None,
        retry: float | None,
        allow_origin: str | Collection[str] | None,
        open: Open,
    ) -> None:
        check_thread("sse()")
        self._hold = checked_hold(open)
        self._ping = _checked_ping(ping)
        # The retry field, sent with the first event of this turn, or with the head.
        self._opening = b"" if retry is None else b"retry: %d\n" % _ms(retry)
        origins = checked_origins(allow_origin)
        self.context = context
        self.last_event_id = last_event_id(context.request)
        self._response = response
        self._writer = response.writer
        self._timer: Timer | None = None
        self._outlet: Outlet | None = None
        head = response.open_head
        self._writer.keep_whole(EVENTS)
        for name, value in _HEADERS.items():
            head.default(name, value)
        if origins:
            allow_origins(context.request, origins)
        if not (self._opening or self._hold):
            response.open_soon()
        response.turn.at_end(self._begin)

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
            data: A str is sent unchanged, except that every line ending arrives as LF.
                Anything else is sent as compact JSON, except bytes: decode them first.
            event: The name of the event. A browser uses ``message`` if it is None.
            id: What the client sends as ``Last-Event-ID`` when it reconnects.
            retry: Seconds that the client waits before it reconnects.

        Returns:
            Fires when more may be written, like the Deferred of ``Context.flush``. Fails with
            the reason if the response is over, and with `ResponseComplete` where no body is
            allowed.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            EncodeError: JSON or UTF-8 cannot represent the data.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: The data is bytes-like. Event or id is not a str, or retry is not a
                number.
            ValueError: Event or id contains CR, LF or NUL; or retry is negative, NaN, infinite
                or over thirty years.
        """
        if get_ident() != threadable.ioThread is not None:
            refuse_thread("send()")
        payload = data if type(data) is str else encoded(data)
        if event is None and id is None and retry is None:
            message = data_event(payload)
        else:
            message = ServerSentEvent(
                payload if isinstance(payload, str) else payload.decode(),
                event=event,
                id=id,
                retry_ms=None if retry is None else _ms(retry),
            ).encode()
        wait = self._writer.send_step(self._opening + message, _NOW)
        self._opening = b""
        return wait or Fired()

    def comment(self, text: str) -> Deferred[None]:
        """
        Send a comment, which clients ignore. No blank line follows it: it is not an event.

        Returns:
            Fires when more may be written, like the Deferred of ``Context.flush``.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            EncodeError: The text cannot be encoded as UTF-8.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: It is not a str.
        """
        if not isinstance(text, str):
            msg = f"a comment must be a str, not {type(text).__name__}"
            raise TypeError(msg)
        check_thread("comment()")
        if self._response.life.ended:
            self._response.life.raise_error()
        # Not as an event: a comment belongs to no event, and may stand before any.
        lines = ServerSentEvent(comment=text).encode().removesuffix(b"\n")
        self._response.turn.enter()
        self._writer.deliver(Batch([Frame(lines)]))
        return self._writer.flush()

    def stop_reconnecting(self) -> None:
        """
        Answer 204, which makes a browser stop reconnecting (WHATWG HTML 9.2.3).

        A browser reconnects after any other end of a stream. If the stream is over for good,
        call this when it reconnects, in the same turn of the reactor as ``sse()``, because the
        head is sent at the end of that turn. Then return from the handler.

        Raises:
            HeadersSent: The head has been sent.
            StreamClosed: The response ended early, before its head was sent.
        """
        self._response.open_head.status_code(NO_CONTENT)

    def subscribe(  # noqa: PLR0913 - each option is a keyword
        self,
        *channels: Source,
        after: str | Sequence[str] | None = None,
        filter: Filter | None = None,
        on_slow: OnSlow | None = None,
        max_queued: int = 2**20,
        topics: Iterable[str] | None = None,
        may_see: MaySee | None = None,
        presence: Mapping[str, object] | None = None,
        announce: bool = False,
        detached: bool = False,
    ) -> Deferred[None]:
        """
        Send the messages of `channels` as events: those that the client missed, then new ones.

        The id of an event is the one that ``publish`` returned. With several channels, one id
        covers all of them, and a client resumes in each. Messages keep the order of their
        channel. Where messages are missing, an event named ``gap`` is sent, with the data
        ``{"requested", "resumed_from", "reason"}``, see `twistream.wire.messages.Gap`.

        Args:
            channels: Channels, or one `Run`. A run starts with its first message for a client
                without an id, and ends with an event named ``end``.
            after: The id after which to start, or one for each of several channels. It takes
                precedence over `last_event_id`. Without both, the stream starts with the next
                message that is published. So does a channel that the id does not cover,
                because it is new to the client. To send the whole history to a client that
                connects for the first time, pass ``after=events.last_event_id or
                channel.oldest``.
            filter: Called with each `Message`; a false result skips it. An exception ends the
                subscription. A client that reconnects does not receive skipped messages again.
            on_slow: What happens when more than `max_queued` bytes wait for the client:
                ``"catchup"`` sends the rest from the history once the client reads again
                (the default where all channels have one); ``"disconnect"`` cuts the client
                with `SlowConsumer` (the default elsewhere); ``"latest"`` drops all but the
                newest message; ``"drop"`` drops new messages.
            max_queued: Bytes that may wait for the client, in addition to what its connection
                holds. A working network needs some seconds for a mebibyte.
            topics: The topics to receive, as patterns such as ``"builds/*/steps/*"`` or
                ``"workers/#"``: ``*`` matches one segment, and ``#`` at the end matches the rest,
                or nothing. A message without a topic matches no pattern. By default, every
                message is received. The patterns can be changed later, see `subscription`.
            may_see: Called with the topic of each message, or None if it has none, before the
                client receives it; a false result skips the message. An exception ends the
                subscription. The answer for a topic is kept, until the topics of the
                subscription change or its ``recheck`` is called.
            presence: What ``Channel.presence`` shows of this stream, such as ``{"name": "Ann"}``: a
                JSON object of at most 4 KiB. Streams with equal objects are one member. By
                default, the stream is not a member.
            announce: Send the id of the `subscription` first, in an event named ``subscription`` with
                the data ``{"id"}``. With this id, another request can change the topics, see
                ``Hub.subscriptions``.
            detached: The handler does not wait for the end of the subscription, and ends it when
                it returns. Without this, a warning is logged then: an ``await`` was probably
                forgotten.

        Returns:
            Succeeds when all channels have been closed and their messages are delivered. If
            there were no messages, and the handler then returns without sending anything,
            the response is a 204, as with `stop_reconnecting`. Fails with the reason if the
            response is over, and with the error of `filter` or `may_see`. Where no body is
            allowed, it succeeds at once, and the response is complete. Cancel it to unsubscribe.

        Raises:
            EncodeError: `after` or a pattern cannot be encoded as UTF-8, or `presence` as JSON.
            HTTPError: The run has failed before its first message, and the head is held back by
                ``open="first_event"``. If it fails later, the Deferred fails with the error.
            RuntimeError: The stream was subscribed before.
            TypeError: An argument has the wrong type, there is no channel, or `filter` or
                `may_see` is a coroutine function or a generator function.
            ValueError: `on_slow`, `max_queued` or a pattern is not allowed; there are more than
                1,000 patterns; `presence` is too large; ``"catchup"`` is used without a history;
                or a channel is given twice.
        """
        outlet = Outlet(
            self.context,
            self._response,
            EVENTS,
            before=self._open,
            pings=bool(self._ping),
            hold=self._hold,
        )
        options = SubscribeOptions(
            after=after,
            filter=filter,
            on_slow=on_slow,
            max_queued=max_queued,
            topics=topics,
            may_see=may_see,
            presence=encode_metadata("presence", presence),
            announce=announce,
            detached=detached,
        )
        deferred = outlet.subscribe(channels, options)
        self._outlet = outlet
        return deferred

    @property
    def subscription(self) -> Subscription | None:
        """
        The subscription of this stream, from the call of `subscribe` to its end.

        It has the ``id`` of the subscription and its ``topics``, which can be changed. None before
        and after that, and where no body is allowed, as for HEAD.
        """
        return cast("Subscription | None", self._response.subscription)

    # Inside.

    def _open(self) -> None:
        opening, self._opening = self._opening, b""
        if opening:
            self._deliver(Batch([Frame(opening)]))

    def _deliver(self, batch: Batch) -> None:
        try:
            self._writer.deliver(batch)
        except Exception as err:
            self._response.abort(StreamAborted(type(err).__name__))
            raise  # The turn or the timer that called this logs it.

    def _begin(self) -> None:
        if not self._hold:
            self._open()
        if self._ping and not self._response.life.ended:
            self._response.observers.on_close(self._stop)
            self._check_in(self._ping)

    def _check_in(self, seconds: float) -> None:
        self._timer = self._response.turn.timers.later(seconds, self._check)

    def _check(self) -> None:
        writer = self._writer
        left = self._ping + writer.last_sent - self._response.turn.clock.seconds()
        if left > _TOLERANCE:
            self._check_in(left)
            return
        self._check_in(self._ping)
        # Data is queued for a full connection, so the stall watch monitors this client.
        if not (writer.full or self._response.life.ended):
            self._open()
            position = None if self._outlet is None else self._outlet.position_update()
            self._deliver(_PING if position is None else _ping_at(position))

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def _ping_at(position: str) -> Batch:
    # The blank line makes the id count, if no event follows.
    return Batch([Frame(ServerSentEvent(comment="ping", id=position).encode())])


def _checked_ping(ping: float | None) -> float:
    never = ping is None or check_seconds("ping", ping) == 0
    return 0 if never else check_timer("ping", cast("float", ping))


def _ms(seconds: float) -> int:
    return round(check_seconds("retry", seconds) * 1000)
