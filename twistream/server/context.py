"""
Context: what a handler sees of one response.

It adds events and subscriptions to its base classes. `Exchange` runs the handler.

Layer: server, above the other objects that share a response.
"""

from collections.abc import Collection, Sequence

from twisted.internet.defer import Deferred

from twistream.server.blocking import BlockingContext
from twistream.server.events import EventStream
from twistream.server.outlet import (
    Filter,
    OnSlow,
    Open,
    Outlet,
    Source,
    SubscribeOptions,
    checked_hold,
    last_event_id,
)
from twistream.server.piping import PipingContext
from twistream.server.trailers import TrailerContext
from twistream.wire.messages import JSON_LINES


class Context(PipingContext, BlockingContext, TrailerContext):
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
    def last_event_id(self) -> str | None:
        """
        The id of the last event, or message of a channel, that the client has received.

        From the header ``Last-Event-ID`` (WHATWG HTML 9.2.4), or else from the query,
        ``?last_event_id=``: a browser cannot set a header on its first request. The parameters
        of polyfills, such as ``lastEventId``, are accepted, too. None if the client sends none. Bytes that are not UTF-8 are replaced.
        """
        return last_event_id(self.request)

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
        if response.is_event_stream or response.subscribed:
            msg = "sse() can be called once for each response, and not after subscribe()"
            raise RuntimeError(msg)
        events = EventStream(
            self, response, ping=ping, retry=retry, allow_origin=allow_origin, open=open
        )
        response.is_event_stream = True
        return events

    def subscribe(  # noqa: PLR0913 - options, by keyword
        self,
        *channels: Source,
        after: str | Sequence[str] | None = None,
        filter: Filter | None = None,
        on_slow: OnSlow | None = None,
        max_queued: int = 2**20,
        detached: bool = False,
        open: Open = "at_once",
    ) -> Deferred[None]:
        """
        Send the messages of `channels` as lines of JSON: those that the client missed, then
        new ones.

        A message is ``{"id": ..., "data": ...}``, with ``"event"`` if it has a name. A gap is
        ``{"gap": {"requested", "resumed_from", "reason"}}``, see
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
            detached: The handler does not wait for the end of the subscription, and ends it when
                it returns. Without this, a warning is logged then: an ``await`` was probably
                forgotten.
            open: When the head is sent. ``"first_event"`` holds it back until the first
                message, so that an error before it is answered with an error page.

        Returns:
            Succeeds when all channels have been closed and their messages are delivered. If
            there were no messages, and the handler then returns without sending anything,
            the response is a 204. Fails with the reason if the response is over, and with
            the error of `filter`. Where no body is allowed, it succeeds at once, and the
            response is complete. Cancel it to unsubscribe.

        Raises:
            EncodeError: `after` cannot be encoded as UTF-8.
            HTTPError: The run has failed before its first message, and the head is held back by
                ``open="first_event"``. If it fails later, the Deferred fails with the error.
            RuntimeError: The response is a stream of events, or was subscribed before.
            TypeError: An argument has the wrong type, there is no channel, or `filter` is a
                coroutine function or a generator function.
            ValueError: `on_slow`, `max_queued` or `open` is not allowed; ``"catchup"`` is used
                without a history; or a channel is given twice.
        """
        if self._response.is_event_stream:
            msg = "after sse(), call subscribe() on the object that it returned"
            raise RuntimeError(msg)
        outlet = Outlet(self, self._response, JSON_LINES, hold=checked_hold(open))
        options = SubscribeOptions(
            after=after,
            filter=filter,
            on_slow=on_slow,
            max_queued=max_queued,
            detached=detached,
        )
        return outlet.subscribe(channels, options)
