"""
Outlet: one response, as seen by the channels that it is subscribed to.

Channels are in a higher layer. The Protocols `Source` and `Subscription` define what they offer.

Layer: server, above `base`.
"""

from collections.abc import Callable, Iterable, MutableSet, Sequence
from typing import Any, Literal, Protocol, TypeAlias

from attrs import Attribute, evolve, field, frozen
from twisted.internet.defer import Deferred, succeed
from twisted.web.http import NO_CONTENT

from twistream.checks import check_callback, check_count, has_methods, is_coroutine_function, kind
from twistream.errors import StreamClosed
from twistream.scheduling.threads import check_thread
from twistream.scheduling.turn import Turn
from twistream.server.base.incoming import last_event_id
from twistream.server.base.streaming import BaseContext
from twistream.server.response.attachment import Attachment
from twistream.server.response.phase import Phase
from twistream.server.response.response import Response
from twistream.wire.frames import Batch
from twistream.wire.messages import Format, Message, compound_id
from twistream.wire.render import encode_text
from twistream.wire.topics import check_patterns

OnSlow: TypeAlias = Literal["catchup", "disconnect", "latest", "drop"]

_POLICIES = ("catchup", "disconnect", "latest", "drop")


Open: TypeAlias = Literal["at_once", "first_event"]
"""
When the head of a stream is sent: at the end of the turn, or with the first message or ping.
"""

Filter: TypeAlias = Callable[[Message], object]
"""
Called with a message. Returns whether to deliver it.
"""

MaySee: TypeAlias = Callable[[str | None], object]
"""
Called with a topic, or with None for messages without one. Returns whether the client may see it.
"""


def _one_id(after: str | Sequence[str] | None) -> str | None:
    """
    Combine the ids in `after` into one id for all channels.
    """
    if after is None:
        return None
    ids = after if isinstance(after, list | tuple) else (after,)
    for each in ids:
        if not isinstance(each, str):
            msg = f"after must be a str, or a list or tuple of str, not {type(each).__name__}"
            raise TypeError(msg)
        encode_text(each, "after")
    return compound_id(ids)


def checked_hold(open: Open) -> bool:
    """
    Check the argument `open`, and return whether the head is held back.

    Raises:
        ValueError: It is not one of the values of `Open`.
    """
    if not (isinstance(open, str) and open in ("at_once", "first_event")):
        msg = f'open must be "at_once" or "first_event", not {open!r}'
        raise ValueError(msg)
    return open == "first_event"


def _check_decision(_: object, attribute: "Attribute[Any]", value: Any) -> None:
    if value is None:
        return
    check_callback(attribute.name, value)
    # A coroutine is always true, so every message would pass.
    if is_coroutine_function(value):
        msg = f"{attribute.name} must be a plain function, not a coroutine function"
        raise TypeError(msg)


def _check_policy(_: object, __: object, value: OnSlow | None) -> None:
    if value is not None and not (isinstance(value, str) and value in _POLICIES):
        msg = f"on_slow must be one of {', '.join(_POLICIES)}, not {value!r}"
        raise ValueError(msg)


def _patterns(topics: Iterable[str] | None) -> frozenset[str] | None:
    return None if topics is None else check_patterns(topics)


def _check_size(_: object, __: object, value: int) -> None:
    check_count("max_queued", value, 1)


@frozen(kw_only=True)
class SubscribeOptions:
    """
    The options of a subscription. See ``EventStream.subscribe``.

    Attributes:
        after: The id after which it starts; None to start with the next message.
        filter: Decides whether a message is delivered.
        on_slow: What happens when the client is too slow; None for the source's default.
        max_queued: Bytes that may wait for the client.
        warn_slow: Warn the client before it is disconnected because it is too slow.
        topics: The patterns of the topics to receive; None for every message.
        may_see: Decides whether the client may see a topic.
        presence: The metadata with which the stream is a member of its channels, as JSON.
        announce: Send the id of the subscription to the client first.
        detached: The handler does not wait for the end of the subscription.
    """

    after: str | None = field(converter=_one_id)
    filter: Filter | None = field(validator=_check_decision)
    on_slow: OnSlow | None = field(validator=_check_policy)
    max_queued: int = field(validator=_check_size)
    warn_slow: bool = False
    topics: frozenset[str] | None = field(default=None, converter=_patterns)
    may_see: MaySee | None = field(default=None, validator=_check_decision)
    presence: bytes | None = None
    announce: bool = False
    detached: bool = False

    def check_policy(self, policy: OnSlow) -> None:
        """
        Check the options against the policy that applies to the sources.

        Raises:
            ValueError: They do not fit.
        """
        if self.warn_slow and policy != "disconnect":
            msg = f'warn_slow needs on_slow="disconnect"; here, on_slow is "{policy}"'
            raise ValueError(msg)


class Subscription(Protocol):
    """
    One stream that is subscribed to sources.
    """

    @property
    def id(self) -> str:
        """
        A random id by which ``Hub.subscriptions`` finds the subscription.
        """

    @property
    def topics(self) -> MutableSet[str] | None:
        """
        The patterns of the topics that it receives; None if it receives every message.
        """

    def recheck(self) -> None:
        """
        Forget the answers of ``may_see``, so that it is called again for each topic.
        """

    def start(self) -> None:
        """
        Send the messages that were missed, then new ones. Called once.
        """

    def detach(self) -> None:
        """
        Send nothing more.
        """

    def position_update(self) -> str | None:
        """
        The id from which to resume, if the client does not know it yet. The caller sends it.
        """


class Source(Protocol):
    """
    What a stream can subscribe to: a channel or a run.
    """

    def attach(
        self, outlet: "Outlet", sources: "Sequence[Source]", options: SubscribeOptions
    ) -> Subscription:
        """
        Subscribe `outlet` to all `sources`. This source is the first of them.

        Nothing is sent before `start` of the subscription that this returns.

        Raises:
            TypeError: `sources` are of different kinds.
            ValueError: The options do not fit the sources.
        """


class Outlet(Attachment):
    """
    One response that is subscribed to sources.

    Attributes:
        context: The context that subscribed it.
        format: The format of its messages.
        pings: Pings are sent, and can carry an id. Or the head is held back, so that a client
            has no id before its first message.
        turn: The turn of its clock.
    """

    __slots__ = (
        "_before",
        "_hold",
        "_subscription",
        "_writer",
        "context",
        "format",
        "pings",
        "turn",
    )

    def __init__(  # noqa: PLR0913 - options, by keyword
        self,
        context: BaseContext,
        response: Response,
        format: Format,
        *,
        before: Callable[[], object] | None = None,
        pings: bool = False,
        hold: bool = False,
    ) -> None:
        """
        Args:
            before: Called before the first batch is delivered.
            pings: Pings are sent, and can carry an id.
            hold: The head is sent with the first batch, and not before.
        """
        super().__init__(response, "subscribe", detached=False)
        self.context = context
        self.format = format
        self.pings = pings or hold
        self._hold = hold
        self.turn: Turn = response.turn
        self._writer = response.writer
        self._subscription: Subscription | None = None
        self._before = before

    @property
    def full(self) -> bool:
        """
        Whether the client's connection accepts no more for now.
        """
        return self._writer.full

    @property
    def backlog(self) -> int:
        """
        The number of bytes that wait for the client in this process, as far as that can be seen.
        """
        return self._writer.backlog

    @property
    def holds_head(self) -> bool:
        """
        Whether the head waits for the first batch, so that an error can still change it.
        """
        return self._hold and not self.response.life.head_sent

    def wait(self) -> Deferred[None] | None:
        """
        Return a Deferred that fires when the next batch may be delivered; None if it may be now.

        It fails when the response is over.
        """
        return self._writer.wait_to_deliver()

    def deliver(self, batch: Batch) -> None:
        """
        Send each message of a batch now.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued: call `wait` first.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
        """
        if self._before is not None:
            before, self._before = self._before, None
            before()
        self._writer.deliver(batch)

    def cut(self, err: StreamClosed) -> None:
        """
        End the response at once: what the client has not accepted is lost.
        """
        self.response.cut(err)

    def finish(self) -> None:
        """
        The sources have ended, and everything is delivered.
        """
        if not self.ended:
            if not self.response.life.head_sent:
                # In case the handler sends nothing either.
                self.response.open_head.empty_status = NO_CONTENT
            self._fire(None)

    def position_update(self) -> str | None:
        """
        See `Subscription.position_update`.
        """
        return None if self._subscription is None else self._subscription.position_update()

    def subscribe(self, sources: Sequence[Source], options: SubscribeOptions) -> Deferred[None]:
        """
        Send the messages of `sources` to the response. See ``EventStream.subscribe``.
        """
        check_thread("subscribe()")
        _check_sources(sources)
        response = self.response
        if response.subscribed:
            # The id of a message covers all channels of the stream, so these cannot change.
            msg = "subscribe() can be called once for each response; pass all channels in one call"
            raise RuntimeError(msg)
        if response.life.ended:
            return self._writer.failed_wait()
        head_is_open = response.life.phase is Phase.HEAD
        if head_is_open and response.head.bodyless():
            response.head.default(b"Content-Type", self.format.media_type)
            response.admits_body()  # No: this completes the response.
            return succeed(None)
        after = options.after or last_event_id(response.request)
        # `attach` may refuse the options, so the head is changed afterwards.
        subscription = sources[0].attach(self, sources, evolve(options, after=after))
        self._subscription = response.subscription = subscription
        if head_is_open:
            response.head.default(b"Content-Type", self.format.media_type)
        self._writer.keep_whole(self.format)
        self.detached = options.detached
        response.subscribed = True
        if not self._hold:
            response.open_soon()
        self._attach()
        deferred = self.deferred
        try:
            subscription.start()
        except BaseException:
            self._end()
            raise
        return deferred

    def _release(self) -> None:
        subscription, self._subscription = self._subscription, None
        self.response.subscription = None
        self._before = None  # No reference cycle remains.
        if subscription is not None:
            subscription.detach()


def _check_sources(sources: Sequence[object]) -> None:
    if not sources:
        msg = "subscribe() takes at least one channel"
        raise TypeError(msg)
    for source in sources:
        if not has_methods(source, "attach"):
            msg = f"subscribe() takes channels, not {kind(source)}"
            raise TypeError(msg)
