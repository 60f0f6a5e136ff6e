"""
Outlet: one response, as the source of messages sees it that it is subscribed to.

Sources are above this layer: channels are such sources. What they have to be is said here.
"""

from collections.abc import Callable, Sequence
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeAlias
from urllib.parse import parse_qs

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.web.http import NO_CONTENT
from twisted.web.server import Request

from twistream.checks import check_count
from twistream.errors import StreamClosed
from twistream.scheduling.turn import Turn
from twistream.scheduling.waits import fail_quietly
from twistream.wire.frames import Batch
from twistream.wire.messages import Format, compound_id
from twistream.wire.render import encode_text

if TYPE_CHECKING:
    from twistream.server.context import Context

OnSlow: TypeAlias = Literal["catchup", "disconnect", "latest", "drop"]

_POLICIES = ("catchup", "disconnect", "latest", "drop")


Filter: TypeAlias = Callable[[Any], object]
"""
Called with a message of the source, and says whether it is delivered.
"""


def _one_id(after: str | Sequence[str] | None) -> str | None:
    """
    One id for all channels, of which each may have been named.
    """
    if after is None:
        return None
    ids = after if isinstance(after, list | tuple) else (after,)
    for each in ids:
        if not isinstance(each, str):
            msg = f"after is the id of a message, a str, not {type(each).__name__}"
            raise TypeError(msg)
        encode_text(each)
    return compound_id(ids)


def _check_filter(_: object, __: object, value: Filter | None) -> None:
    if value is not None and not callable(value):
        msg = f"filter is a function of a message, not {type(value).__name__}"
        raise TypeError(msg)
    if iscoroutinefunction(value):
        msg = "filter is a plain function, whose result is known at once"
        raise TypeError(msg)


def _check_policy(_: object, __: object, value: OnSlow | None) -> None:
    if value is not None and value not in _POLICIES:
        msg = f"on_slow is one of {', '.join(_POLICIES)}, not {value!r}"
        raise ValueError(msg)


def _check_size(_: object, __: object, value: int) -> None:
    check_count("max_queued", value, 1)


@frozen(kw_only=True)
class SubscribeOptions:
    """
    How a stream follows what it is subscribed to. See ``EventStream.subscribe``.

    Attributes:
        after: The id after which it starts; None for what comes from now on.
        filter: Whether a message is delivered.
        on_slow: What is done when the client is too slow; None is for the source to choose.
        max_queued: Bytes that may wait for the client.
    """

    after: str | None = field(converter=_one_id)
    filter: Filter | None = field(validator=_check_filter)
    on_slow: OnSlow | None = field(validator=_check_policy)
    max_queued: int = field(validator=_check_size)


class Subscription(Protocol):
    """
    A source that is followed.
    """

    def start(self) -> None:
        """
        Send what was missed, and what comes. Called once.
        """

    def detach(self) -> None:
        """
        Send nothing more.
        """

    def take_position(self) -> str | None:
        """
        The id to go on from, if it is another one than the client was told; it is told now.
        """


class Source(Protocol):
    """
    What a stream can subscribe to.
    """

    def attach(
        self, outlet: "Outlet", sources: "Sequence[Source]", options: SubscribeOptions
    ) -> Subscription:
        """
        Follow all `sources`, of which this is the first. Nothing is sent before the start.

        Raises:
            TypeError: `sources` are not all of a kind.
            ValueError: What is asked for cannot be.
        """


class Outlet:
    """
    One response that is subscribed to sources.

    Attributes:
        context: The context.
        deferred: Fires when the subscription ends.
        format: How its messages are written.
        turn: The turn of its clock.
    """

    __slots__ = ("_before", "_ended", "_subscription", "_writer", "context", "deferred", "format")

    def __init__(
        self, context: "Context", form: Format, before: Callable[[], object] | None = None
    ) -> None:
        """
        Args:
            before: Called before the first batch is delivered.
        """
        self.context = context
        self.format = form
        self.deferred: Deferred[None] = Deferred(self._cancelled)
        self._writer = context._writer  # noqa: SLF001 - one layer, two modules
        self._subscription: Subscription | None = None
        self._before = before
        self._ended = False

    @property
    def turn(self) -> Turn:
        """
        The turn of its clock.
        """
        return self._writer.turn

    @property
    def full(self) -> bool:
        """
        Whether the client's connection takes no more for now.
        """
        return self._writer.full

    @property
    def backlog(self) -> int:
        """
        Bytes that wait for the client in the connection, as far as can be seen.
        """
        return self._writer.backlog

    def wait(self) -> Deferred[None] | None:
        """
        What to wait for before the next batch is delivered; None is nothing.

        Fails when the response is over.
        """
        return self._writer.wait_to_deliver()

    def deliver(self, batch: Batch) -> None:
        """
        Send each message of a batch, now.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes wait, for who did not `wait`.
            ContentLengthMismatch: They do not fit the declared ``Content-Length``.
        """
        if self._before is not None:
            before, self._before = self._before, None
            before()
        self._writer.deliver(batch)

    def cut(self, err: StreamClosed) -> None:
        """
        End the response at once: what the client has not taken is lost.
        """
        self._writer.cut(err)

    def finish(self) -> None:
        """
        The sources have ended, and all is delivered.
        """
        if not self._ended:
            if not self._writer.head_sent:
                # Should the handler have nothing to send, either.
                self._writer.open_head.empty_status = NO_CONTENT
            self._end().callback(None)

    def stop(self, reason: BaseException) -> None:
        """
        The response is over, or the subscription cannot go on, for this reason.
        """
        if not self._ended:
            fail_quietly(self._end(), reason)

    def take_position(self) -> str | None:
        """
        See `Subscription.take_position`.
        """
        return None if self._subscription is None else self._subscription.take_position()

    def subscribe(self, sources: Sequence[Source], options: SubscribeOptions) -> Deferred[None]:
        """
        Have the response get what `sources` send. See ``EventStream.subscribe``.
        """
        _check_sources(sources)
        context, writer = self.context, self._writer
        if context._subscribed:  # noqa: SLF001 - as above
            # The ids of a stream stand for the same channels from its start to its end.
            msg = "a stream is subscribed once in its life; name all channels in one call"
            raise RuntimeError(msg)
        if writer.ended:
            return writer.failed_wait()
        if writer.bodyless():
            self._set_type()
            writer.complete_without_body()
            return succeed(None)
        options = evolve(options, after=options.after or context.last_event_id)
        self._subscription = sources[0].attach(self, sources, options)
        context._subscribed = True  # noqa: SLF001 - as above
        self._set_type()
        writer.open_soon()
        context._ending.running += (self,)  # noqa: SLF001 - as above
        try:
            self._subscription.start()
        except BaseException:
            self._end()
            raise
        return self.deferred

    def _set_type(self) -> None:
        if not self._writer.head_sent:
            self._writer.open_head.default(b"Content-Type", self.format.media_type)

    def _cancelled(self, _: Deferred[None]) -> None:
        if self._ended:
            return
        if self._writer.err is not None:
            self.stop(self._writer.err)
        else:
            self._end()  # Deferred.cancel fails it with CancelledError.

    def _end(self) -> Deferred[None]:
        self._ended = True
        self.context._ending.forget(self)  # noqa: SLF001 - as above
        subscription, self._subscription = self._subscription, None
        self._before = None  # So that no cycle is left to collect.
        if subscription is not None:
            subscription.detach()
        return self.deferred


def last_event_id(request: Request) -> str | None:
    """
    See ``Context.last_event_id``.
    """
    header: bytes | None = request.getHeader(b"Last-Event-ID")
    if header:
        return header.decode("utf-8", "replace")
    query: str = request.uri.decode("latin-1").partition("?")[2]
    given = parse_qs(query, errors="replace").get("last_event_id") if query else None
    return given[0] if given else None


def _check_sources(sources: Sequence[object]) -> None:
    if not sources:
        msg = "subscribe() takes at least one channel"
        raise TypeError(msg)
    for source in sources:
        if not hasattr(source, "attach"):
            msg = f"subscribe() takes channels, not {type(source).__name__}"
            raise TypeError(msg)
