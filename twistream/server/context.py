"""
Context: what a handler sees of one response.

It adds events, subscriptions and streams of values to its base classes. `Exchange` runs the handler.

Layer: server, above the other objects that share a response.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from secrets import token_hex
from typing import Any, cast

from twisted.internet.defer import Deferred

from twistream.scheduling.threads import check_thread
from twistream.server.base.blocking import BlockingContext
from twistream.server.base.compressing import CompressingContext
from twistream.server.base.piping import PipingContext
from twistream.server.base.trailers import TrailerContext
from twistream.server.events import EventStream
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
from twistream.server.values import PartStream, ValueStream
from twistream.wire.messages import JSON_LINES
from twistream.wire.metadata import encode_metadata
from twistream.wire.multipart import multipart
from twistream.wire.sequences import JSON_ARRAY, JSON_SEQ, MSGPACK, SequenceFormat, csv_format


class Context(PipingContext, BlockingContext, CompressingContext, TrailerContext):
    """
    One response, as its handler sees it. `StreamResource` makes one for each request.

    A method raises at once if the call is wrong. Later errors arrive through the Deferred that
    it returns. Cancelling such a Deferred makes it fail with `CancelledError`.

    Once the response is over, methods that change the head or the body raise, and Deferreds
    fail. If it ended early, the error is `err`, a `StreamClosed`: `ClientDisconnected`,
    `SendTimeout`, `SlowConsumer`, `StreamAborted` or `ResponseComplete`. If it ended
    normally, the error is `StreamFinished`.

    In a thread that is not the reactor's, methods that start, await, send or end something raise
    a RuntimeError.
    """

    __slots__ = ()

    @property
    def subscription(self) -> Subscription | None:
        """
        The subscription of this response, from the call of `subscribe` to its end.

        It has the ``id`` of the subscription and its ``topics``, which can be changed. None before
        and after that, and where no body is allowed, as for HEAD.
        """
        return cast("Subscription | None", self._response.subscription)

    def sse(
        self,
        ping: float | None = 15.0,
        *,
        retry: float | None = None,
        allow_origin: str | Collection[str] | None = None,
        open: Open = "at_once",
    ) -> EventStream:
        """
        Make this response a stream of Server-Sent Events. Call it once.

        The type becomes ``text/event-stream``, and headers stop proxies from buffering it.
        Headers that are already set are kept. The handler can change headers until the head
        is sent, by default at the latest at the end of this turn of the reactor.

        Args:
            ping: Seconds without an event after which a comment is sent, up to an eighth late.
                Proxies close a connection that is silent for a minute, many of them after
                half a minute. None or 0 means never.
            retry: Seconds that a browser waits before it reconnects; its own default is a
                few seconds.
            allow_origin: The origins whose pages may read the stream: one such as
                ``https://example.org``, several, or ``"*"``. By default, only pages of the
                server's own origin may read it.
            open: When the head is sent. ``"first_event"`` holds it back until the first event
                or ping, so that an error before it is answered with an error page. Until
                then, a browser cannot tell that the stream is open.

        Raises:
            HeadersSent: The head has been sent.
            RuntimeError: `sse` or `subscribe` was called before.
            StreamClosed: The response ended early, before its head was sent.
            TypeError: An argument has the wrong type.
            ValueError: A time is negative, NaN, infinite or over thirty years; ping is under
                a millisecond and not 0; an origin has the wrong form; or `open` is not
                allowed.
        """
        response = self._response
        self._check_unused("sse")
        events = EventStream(
            self, response, ping=ping, retry=retry, allow_origin=allow_origin, open=open
        )
        response.is_event_stream = True
        return events

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
        open: Open = "at_once",
    ) -> Deferred[None]:
        """
        Send the messages of `channels` as lines of JSON: those that the client missed, then
        new ones.

        A message is ``{"id": ..., "data": ...}``, with ``"event"`` if it has a name, and
        ``"topic"`` if it has one. A gap is ``{"gap": {"requested", "resumed_from", "reason"}}``, see
        `twistream.wire.messages.Gap`. The type is ``application/jsonl`` if none is set.
        No pings are sent.

        Args:
            channels: Channels, or one `Run`. A run starts with its first message for a client
                without an id, and ends with an event named ``end``.
            after: The id after which to start, or one for each of several channels. It takes
                precedence over `last_event_id`. Without both, the stream starts with the
                next message that is published. So does a channel that the id does not
                cover, because it is new to the client.
            filter: Called with each `Message`; a false result skips it. An exception ends the
                subscription.
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
            announce: Send the id of the `subscription` first, as ``{"subscription": {"id": ...}}``.
                With this id, another request can change the topics, see ``Hub.subscriptions``.
            detached: The handler does not wait for the end of the subscription, and ends it when
                it returns. Without this, a warning is logged then: an ``await`` was probably
                forgotten.
            open: When the head is sent. ``"first_event"`` holds it back until the first
                message, so that an error before it is answered with an error page.

        Returns:
            Succeeds when all channels have been closed and their messages are delivered. If
            there were no messages, and the handler then returns without sending anything,
            the response is a 204. Fails with the reason if the response is over, and with
            the error of `filter` or `may_see`. Where no body is allowed, it succeeds at once,
            and the response is complete. Cancel it to unsubscribe.

        Raises:
            EncodeError: `after` or a pattern cannot be encoded as UTF-8, or `presence` as JSON.
            HTTPError: The run has failed before its first message, and the head is held back by
                ``open="first_event"``. If it fails later, the Deferred fails with the error.
            RuntimeError: The response is a stream of events, or was subscribed before.
            TypeError: An argument has the wrong type, there is no channel, or `filter` or
                `may_see` is a coroutine function or a generator function.
            ValueError: `on_slow`, `max_queued`, `open` or a pattern is not allowed; there are more
                than 1,000 patterns; `presence` is too large; ``"catchup"`` is used without a
                history; or a channel is given twice.
        """
        if self._response.is_event_stream:
            msg = "after sse(), call subscribe() on the object that it returned"
            raise RuntimeError(msg)
        if self._response.sequence is not None:
            self._check_unused("subscribe")
        outlet = Outlet(self, self._response, JSON_LINES, hold=checked_hold(open))
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
        return outlet.subscribe(channels, options)

    def json_array(self) -> ValueStream:
        """
        Make this response one JSON array, and send its values one by one. Call it once.

        The type is ``application/json`` if none is set. Values are what `json` accepts, except
        bytes. Clients that read the whole body parse it like any JSON. If the response is aborted,
        the array has no end, and is not valid JSON. The head is sent with the first value: until
        then, an error is answered with an error page.

        Raises:
            HeadersSent: The head has been sent.
            RuntimeError: The response is a stream of events or of values already.
            StreamClosed: The response ended early, before its head was sent.
        """
        return self._value_stream("json_array", JSON_ARRAY)

    def json_seq(self) -> ValueStream:
        """
        Make this response a JSON text sequence (RFC 7464). Call it once.

        The type is ``application/json-seq`` if none is set. Values are what `json` accepts, except
        bytes.

        Raises:
            HeadersSent: The head has been sent.
            RuntimeError: The response is a stream of events or of values already.
            StreamClosed: The response ended early, before its head was sent.
        """
        return self._value_stream("json_seq", JSON_SEQ)

    def msgpack_stream(self) -> ValueStream:
        """
        Make this response a sequence of values in MessagePack. Call it once.

        The type is ``application/msgpack`` if none is set. Values are what `msgpack` accepts.

        Raises:
            HeadersSent: The head has been sent.
            RuntimeError: The response is a stream of events or of values already.
            StreamClosed: The response ended early, before its head was sent.
        """
        return self._value_stream("msgpack_stream", MSGPACK)

    def csv(self, header: Iterable[object] | None = None, **dialect: Any) -> ValueStream:
        """
        Make this response CSV, and send its rows one by one. Call it once.

        The type is ``text/csv; charset=utf-8`` if none is set, with ``header=present`` if there is
        a header. A row is a sequence of fields, or a mapping if there is a header; a field that it
        lacks is empty.

        Args:
            header: The names of the columns, sent as the first row.
            dialect: Options of `csv.writer`, such as ``delimiter=";"``.

        Raises:
            EncodeError: A name in the header is bytes-like, or cannot be encoded.
            HeadersSent: The head has been sent.
            RuntimeError: The response is a stream of events or of values already.
            StreamClosed: The response ended early, before its head was sent.
            TypeError: The header is not a sequence, or an option has the wrong type or name.
            ValueError: The header is empty, or an option has a wrong value.
        """
        return self._value_stream("csv", csv_format(header, dialect))

    def multipart(
        self, content_type: str | None = None, *, subtype: str = "x-mixed-replace"
    ) -> PartStream:
        """
        Make this response a sequence of parts. Call it once.

        The type becomes ``multipart/x-mixed-replace``: a browser replaces each part by the next, so
        images become a film in ``<img>``.

        Args:
            content_type: The media type of all parts, such as ``image/jpeg``. Then the headers of
                the next part are sent with each part: without them, Chromium shows a part only when
                it receives the next. The body ends with an empty part. None if `PartStream.send` gives
                each part a type of its own.
            subtype: What follows ``multipart/``. Programs know ``mixed``.

        Raises:
            HeadersSent: The head has been sent.
            RuntimeError: The response is a stream of events or of values already.
            StreamClosed: The response ended early, before its head was sent.
            TypeError: `content_type` or `subtype` is not a str.
            ValueError: `content_type` does not have the form ``type/subtype``, or `subtype` is not
                a token.
        """
        # The boundary is random, so that no part contains it.
        format = multipart(subtype, token_hex(16), content_type)
        check_thread("multipart()")
        self._check_unused("multipart")
        self.content_type(format.media_type)
        return PartStream(self, self._response, format, self._send_values)

    # Inside.

    def _value_stream(self, call: str, format: SequenceFormat) -> ValueStream:
        check_thread(f"{call}()")
        self._check_unused(call)
        return ValueStream(self, self._response, format, self._send_values)

    def _check_unused(self, call: str) -> None:
        response = self._response
        if response.is_event_stream or response.subscribed or response.sequence is not None:
            msg = (
                f"{call}() can be called once for each response, and not after sse(), subscribe() "
                "or another method that makes the response a stream of values"
            )
            raise RuntimeError(msg)
