"""
EventSource: the events of a server, across connections (WHATWG HTML 9.2).

Layer: client, above `items` and `request`.
"""

from collections.abc import Collection, Mapping
from enum import Enum
from random import Random
from types import TracebackType
from typing import Any, Final, Self, cast

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.web.iweb import IAgent, IResponse

from twistream.client.backoff import Backoff
from twistream.client.body import Options, discard
from twistream.client.errors import UnexpectedResponse
from twistream.client.excerpt import excerpt_of
from twistream.client.items import MAX_BUFFERED, EventItems, Items, items_of, media_type
from twistream.client.options import check_options, data_options
from twistream.client.request import (
    NETWORK_ERRORS,
    HeaderSource,
    Request,
    TreqClient,
    cancellable,
    explained,
    slept,
    treq_client,
)
from twistream.errors import StreamTruncated
from twistream.wire.jsonlines import MAX_ITEM, ItemDecoder
from twistream.wire.sse import ServerSentEvent

_log = Logger()

EVENT_STREAM: Final = "text/event-stream"
_NO_CONTENT: Final = 204


class State(Enum):
    """
    The states of an `EventSource`, as in WHATWG HTML 9.2.2.
    """

    CONNECTING = 0
    OPEN = 1
    CLOSED = 2


class EventSource:
    """
    Iterates over the events of a server, and reconnects when a connection ends.

    ::

        async with EventSource("https://example.com/news") as source:
            async for event in source:
                print(event.event, event.data)

    It connects when the first event is awaited. It sends the last id it received when it reconnects, so
    nothing is lost if the server has a history. If a server of twistream no longer has what this client
    missed, it sends an event named ``gap``.

    The iteration ends when the server answers 204, and after `close`. It fails with

    - `UnexpectedResponse` for another status than 200, and for another type than an event stream;
    - `LimitExceeded` for a line or an event that is too large;
    - `CancelledError` if the Deferred of the waiting task is cancelled.

    After any other failure, such as a lost connection or an ``idle_timeout``, it reconnects.

    After a redirect, it reconnects to the new address, as browsers do. If that fails, it starts at the
    original address again.

    The consumer sets the pace: while it does not await the next event, little is read.

    Attributes:
        last_event_id: The id of the last event that was returned, or the initial one.
    """

    def __init__(  # noqa: PLR0913 - independent options, all by keyword
        self,
        url: str,
        *,
        method: str = "GET",
        headers: HeaderSource = None,
        data: bytes | str | Mapping[str, str] | None = None,
        json: Any = None,
        client: TreqClient | None = None,
        agent: IAgent | None = None,
        last_event_id: str | None = None,
        retry: float = 3.0,
        max_delay: float = 60.0,
        retry_statuses: Collection[int] = (),
        head_timeout: float | None = 60.0,
        idle_timeout: float | None = None,
        max_line: int = MAX_ITEM,
        max_event: int = MAX_ITEM,
        max_buffered: int = MAX_BUFFERED,
        reactor: IReactorTime | None = None,
        random: Random | None = None,
    ) -> None:
        """
        Args:
            url: An ``http`` or ``https`` URL.
            method: The method of each request.
            headers: Fields for each request. A function is called before each request, so it can
                return a fresh token; it may be ``async``. Its errors end the iteration, unless
                they are errors of the network, such as an `OSError`.
            data: The body of each request: bytes, text that is sent as UTF-8, or the fields of a form.
            json: A value that is sent as JSON instead of `data`.
            client: A `treq.client.HTTPClient`, for instance one with cookies. By default, one that
                keeps no idle connections.
            agent: An `IAgent` for that client, for instance one with another connect timeout.
            last_event_id: The id with which to continue. None for none.
            retry: Seconds before it reconnects, until the server sets another time. The default is
                3 seconds. The wait is up to 50% longer, so that clients do not all reconnect at the
                same time.
            max_delay: After each failure it waits longer, up to this number of seconds. The default
                is one minute. An event resets it.
            retry_statuses: Statuses after which it reconnects, such as ``(502, 503, 504)``, which
                a proxy sends while its server restarts. The standard has none.
            head_timeout: Seconds to wait for the connection and the head of a response. The default
                is one minute. None for no limit.
            idle_timeout: Reconnect if no byte arrives for this number of seconds; pings count. None,
                the default, for no limit: a connection that was lost silently is then never noticed.
            max_line: See `iter_events`.
            max_event: See `iter_events`.
            max_buffered: See `iter_events`.
            reactor: The reactor, or another clock. By default, the reactor.
            random: The source of the random part of the waits.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An argument has a wrong value.
        """
        check_options(locals())
        options = {"json": json} if json is not None else data_options(data)
        self.last_event_id = last_event_id or ""
        self._request = Request(method=method.upper(), url=url, headers=headers, options=options)
        self._current = self._request
        self._retry_statuses = frozenset(retry_statuses)
        self._head_timeout = head_timeout
        # The end of a stream means the same however it comes.
        self._options = Options(idle_timeout, max_buffered, allow_close_delimited=True)
        self._limits: dict[str, Any] = {"max_line": max_line, "max_event": max_event}
        self._decoder = EventItems(**self._limits)
        self._backoff = Backoff(retry, max_delay, random or Random())  # noqa: S311 - no secret
        self._client = client
        self._agent = agent
        self._reactor = reactor
        self._state = State.CONNECTING
        self._received = 0
        self._delay: float | None = None
        self._events: Items[ServerSentEvent] | None = None
        self._pending: Deferred[Any] | None = None
        self._is_awaited = False

    @property
    def state(self) -> State:
        """
        Whether it is connecting or reconnecting, open, or closed for good.
        """
        return self._state

    @property
    def received(self) -> int:
        """
        The number of bytes that were received on all connections, before any decoding.
        """
        return self._received + (0 if self._events is None else self._events.received)

    @property
    def retry(self) -> float:
        """
        The reconnection time in seconds: the initial one, or what the server has set.
        """
        return self._backoff.retry

    def __repr__(self) -> str:
        return f"<EventSource {self._request.place} {self._state.name}>"

    def __aiter__(self) -> "EventSource":
        return self

    async def __anext__(self) -> ServerSentEvent:
        """
        Wait for the next event. Its id is the last one of the stream, as in a browser.

        Raises:
            Exception: See the class. The source is closed then.
            RuntimeError: Another task already waits.
            StopAsyncIteration: The server answered 204, or the source was closed.
        """
        if self._is_awaited:
            msg = "another task already waits for the next event of this source"
            raise RuntimeError(msg)
        self._is_awaited = True
        try:
            while self._state is not State.CLOSED:
                if self._events is None:
                    self._events = await self._connected()
                elif (event := await self._next(self._events)) is not None:
                    return event
        except BaseException as err:
            # If it was closed while this waited, whatever that has caused is no error.
            was_closed = self._state is State.CLOSED
            self.close()
            if not was_closed or not isinstance(err, Exception):
                raise
        finally:
            self._is_awaited = False
        raise StopAsyncIteration

    def close(self) -> None:
        """
        Close the connection, and end the iteration. A task that waits leaves its loop.
        """
        if self._state is State.CLOSED:
            return
        self._state = State.CLOSED
        events, self._events = self._events, None
        pending, self._pending = self._pending, None
        if events is not None:
            self._received += events.received
            events.aclose()
        if pending is not None:
            pending.cancel()

    def aclose(self) -> Deferred[None]:
        """
        Call `close`. With it, `contextlib.aclosing` works.

        Returns:
            A Deferred that has fired.
        """
        self.close()
        return succeed(None)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    async def _next(self, events: Items[ServerSentEvent]) -> ServerSentEvent | None:
        """
        The next event of this connection, or None after its end.
        """
        reason: object = "the stream has ended"
        try:
            event = await events.__anext__()
        except StopAsyncIteration:
            pass
        except StreamTruncated as err:
            reason = err
        else:
            self._backoff.succeeded()
            self.last_event_id = event.id or ""
            self._take_retry(event.retry_ms)
            return event
        if self._state is not State.CLOSED:
            self.last_event_id = self._decoder.last_event_id
            self._take_retry(self._decoder.retry_ms)
            self._received += events.received
            self._events = None
            self._reconnect(reason)
        return None

    def _take_retry(self, retry_ms: int | None) -> None:
        if retry_ms is not None:
            self._backoff.retry = min(retry_ms / 1000, _MAX_RETRY)

    def _reconnect(self, reason: object) -> None:
        self._state = State.CONNECTING
        self._delay = self._backoff.next_delay()
        _log.info(
            "{url}: {reason}; reconnecting in {seconds:.3g} seconds",
            url=self._request.place,
            reason=reason,
            seconds=self._delay,
        )

    async def _connected(self) -> Items[ServerSentEvent] | None:
        """
        Connect, after a delay if it is not the first time. None if there is nothing to read.
        """
        clock = self._clock()
        if self._delay is not None:
            delay, self._delay = self._delay, None
            await self._await(slept(clock, delay))
        response = await self._response(clock)
        if response is None:
            return None
        if response.code == _NO_CONTENT:
            self.close()
            return None
        if response.code in self._retry_statuses:
            discard(response, clock)
            self._reconnect(f"status {response.code}")
            return None
        if response.code != 200 or media_type(response) != EVENT_STREAM:
            raise await self._unexpected(response, clock)
        self._decoder = EventItems(last_event_id=self.last_event_id, **self._limits)
        events = items_of(
            response, cast("ItemDecoder[ServerSentEvent]", self._decoder), self._options, clock
        )
        self._state = State.OPEN
        return events

    async def _response(self, clock: IReactorTime) -> IResponse | None:
        fields = {"Accept": EVENT_STREAM, "Cache-Control": "no-store"}
        if self.last_event_id:
            fields["Last-Event-ID"] = self.last_event_id
        sending = Deferred.fromCoroutine(self._current.send(self._treq(), clock, fields))
        if self._head_timeout is not None:
            sending.addTimeout(self._head_timeout, clock)
        try:
            response: IResponse
            response, self._current = await self._await(sending)
        except NETWORK_ERRORS as err:
            self._current = self._request  # Where a redirect led may be gone.
            self._reconnect(explained(err))
            return None
        return response

    async def _unexpected(self, response: IResponse, clock: IReactorTime) -> UnexpectedResponse:
        excerpt = await self._await(Deferred.fromCoroutine(excerpt_of(response, clock)))
        kinds = response.headers.getRawHeaders("Content-Type", [""])
        return UnexpectedResponse(response.code, kinds[-1], excerpt)

    async def _await(self, deferred: Deferred[Any]) -> Any:
        """
        Await a Deferred that `close` cancels.
        """
        self._pending = pending = cancellable(deferred)
        try:
            return await pending
        finally:
            if self._pending is pending:
                self._pending = None

    def _clock(self) -> IReactorTime:
        if self._reactor is None:
            from twisted.internet import reactor  # noqa: PLC0415 - importing twistream installs none

            self._reactor = cast("IReactorTime", reactor)
        return self._reactor

    def _treq(self) -> TreqClient:
        if self._client is None:
            self._client = treq_client(self._clock(), self._agent)
        return self._client


_MAX_RETRY: Final = 1e9
"""
Seconds: thirty years. A clock loses precision with larger values.
"""
