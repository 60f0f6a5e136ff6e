"""
Channel: programs publish messages to it, and streams subscribe to it.

Layer: channels, below `hub`.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import get_ident
from typing import Any, TypeAlias, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python import threadable

from twistream.channels.engine import Bounds
from twistream.channels.feed import ChannelCore, OnDrained
from twistream.channels.linger import Linger
from twistream.channels.presence import GRACE, Presence
from twistream.channels.statistics import ChannelStatistics
from twistream.channels.subscription import Subscription
from twistream.checks import check_callback, kind
from twistream.errors import ChannelClosed
from twistream.scheduling.execution import ExecutionContext
from twistream.scheduling.tasks import call
from twistream.scheduling.threads import (
    READ,
    call_in_reactor,
    check_thread,
    refuse_thread,
    start_in_reactor,
)
from twistream.server.outlet import OnSlow, Outlet, Source, SubscribeOptions
from twistream.wire.messages import check_event, encoded
from twistream.wire.topics import check_topic

PRESENCE_SUFFIX = "#presence"

OnPresence: TypeAlias = Callable[["Channel", int], object]
"""
Called with a channel and the number of its subscribers.
"""


class Channel:
    """
    Sends each message to all streams that are subscribed, in order. ``Hub.channel`` creates it.
    """

    def __init__(
        self,
        core: ChannelCore[Subscription],
        on_close: Callable[["Channel"], OnDrained],
        companion: Callable[[str], "Channel"],
        presence_grace: float,
    ) -> None:
        """
        Args:
            core: What it shares with its subscriptions.
            on_close: Called when it is closed.
            companion: Returns the channel of a name, for `presence_channel`.
            presence_grace: Seconds for which a member may be away.
        """
        self._core = core
        self._on_close = on_close
        self._companion = companion
        self._changes: Channel | None = None
        self._linger: Linger | None = None
        self.presence_grace = presence_grace

    def __repr__(self) -> str:
        return f"<Channel {self.name!r}>"

    @property
    def name(self) -> str:
        """
        The name.
        """
        return self._core.name

    @property
    def bounds(self) -> Bounds:
        """
        The limits of the history.
        """
        return self._core.bounds

    @property
    def linger(self) -> float | None:
        """
        The seconds after which the channel closes if nobody uses it; None for never.
        """
        return None if self._linger is None else self._linger.seconds

    def close_after(self, linger: float, clock: IReactorTime) -> None:
        """
        Close when nobody has used the channel for `linger` seconds. ``Hub.channel`` calls it.
        """
        self._linger = Linger(linger, self._core, clock, self.close)
        self._core.on_unused = self._linger.start
        start_in_reactor(clock, self._linger.start)

    @property
    def settings(self) -> str:
        """
        Its limits, for people.
        """
        lingers = "" if self.linger is None else f", linger={self.linger:g}"
        grace = "" if self.presence_grace == GRACE else f", presence_grace={self.presence_grace:g}"
        return f"{self.bounds}{lingers}{grace}"

    @property
    def closed(self) -> bool:
        """
        The channel is closed.
        """
        return self._core.closed

    def publish(
        self, data: object, event: str | None = None, *, topic: str | None = None
    ) -> Deferred[str]:
        """
        Send a message to all subscribers, and keep it in the history.

        The message is published even if the result is not awaited. Subscribers receive it at
        the end of this turn of the reactor, together with the other messages of the turn.

        Args:
            data: A str is sent as text; in an event, each line end in it arrives as LF. Any
                other value is sent as compact JSON, except bytes: decode them first.
            event: The name of the event. A browser handles an event without a name as
                ``message``.
            topic: A path such as ``builds/12/steps/3``, for subscriptions with ``topics``. Its
                segments are not empty, and contain neither ``*`` nor ``#``. Events do not
                contain it, lines of JSON do.

        Returns:
            Fires with the id of the message when the message is kept.

        Raises:
            ChannelClosed: The channel is closed.
            EncodeError: JSON or UTF-8 cannot represent the data, or UTF-8 the event or topic.
            RuntimeError: The calling thread is not the reactor's; see `publish_from_thread`.
            TypeError: The data is bytes-like. The event or topic is not a str.
            ValueError: The event contains CR, LF or NUL, or is ``gap``. The topic is not such a
                path, contains a control character, or has more than 255 characters or 32
                segments.
        """
        if get_ident() != threadable.ioThread is not None:
            refuse_thread("publish()", "call publish_from_thread() or reactor.callFromThread")
        core = self._core
        if core.closed:
            raise ChannelClosed(core.name)
        if event is not None:
            event = check_event(event)
        if topic is not None:
            topic = check_topic(topic)
        # The most common data is its own payload, which saves a call.
        payload = data if type(data) is str and data.isascii() else encoded(data)
        return core.log.append(event, payload, topic)

    def publish_from_thread(
        self, data: object, event: str | None = None, *, topic: str | None = None
    ) -> str:
        """
        Publish a message from another thread, and wait until it is kept.

        Args:
            data: See `publish`.
            event: See `publish`.
            topic: See `publish`.

        Returns:
            The id of the message.

        Raises:
            ChannelClosed: The channel is closed.
            EncodeError: See `publish`.
            RuntimeError: The calling thread is the reactor's; call `publish` there. Or no
                reactor runs, or it stops meanwhile.
            TypeError: See `publish`.
            ValueError: See `publish`.
        """
        publish = partial(self.publish, topic=topic)
        return cast("str", call_in_reactor("publish_from_thread()", publish, data, event))

    @property
    def last(self) -> str:
        """
        The id of the newest message. Before the first message, an id that precedes all.
        """
        return self._core.log.last

    @property
    def oldest(self) -> str:
        """
        The id that precedes the history: subscribe after it to receive all of the history.

        Raises:
            RuntimeError: The calling thread is not the reactor's.
        """
        check_thread("oldest", READ)  # It removes expired messages.
        return self._core.log.oldest

    @property
    def published(self) -> int:
        """
        The number of messages that have been published.
        """
        return self._core.log.published

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        """
        The subscriptions, each with its ``context`` and ``statistics()``.
        """
        return tuple(self._core.followers)

    @property
    def subscriber_count(self) -> int:
        """
        The number of subscribers.
        """
        return len(self._core.followers)

    def on_presence(self, callback: OnPresence) -> None:
        """
        Call `callback` with this channel and the number of its subscribers when it changes, and when
        `presence` changes.

        It is called at most once in a turn of the reactor, at its end. It may return a Deferred
        or a coroutine. Exceptions are logged. It runs with the context variables that are set
        now, and what it sets there is visible to nobody else.

        Raises:
            TypeError: `callback` is not callable, or is a generator function.
        """
        check_thread("on_presence()")
        check_callback("callback", callback)
        self._core.on_presence(partial(ExecutionContext().run, call, callback, self))

    def presence(self) -> Sequence[Any]:
        """
        Who is subscribed: the objects that streams passed to ``subscribe(presence=...)``.

        Equal objects are there once. Somebody is listed from the moment when `presence_channel`
        has the message ``joined``, until it has the message ``left``.

        Raises:
            RuntimeError: The calling thread is not the reactor's.
        """
        check_thread("presence()", READ)
        presence = self._core.presence
        return () if presence is None else presence.members

    @property
    def presence_channel(self) -> "Channel":
        """
        The channel with the changes of `presence`: messages named ``joined`` and ``left``, each with
        the object of the member as its data.

        It is made when it is first needed, with a history of 100 messages, and is in the hub under
        the name of this channel followed by ``#presence``. It is closed with this channel.

        Raises:
            ChannelClosed: The channel is closed.
        """
        if self.closed:
            raise ChannelClosed(self.name)
        if self._changes is None or self._changes.closed:
            self._changes = self._companion(f"{self.name}{PRESENCE_SUFFIX}")
        return self._changes

    def statistics(self) -> ChannelStatistics:
        """
        The current figures. The cost grows with the number of subscribers.

        Raises:
            RuntimeError: The calling thread is not the reactor's.
        """
        check_thread("statistics()", READ)
        core = self._core
        return ChannelStatistics(
            subscribers=len(core.followers),
            published=core.log.published,
            history=core.log.history,
            history_bytes=core.log.history_bytes,
            queued=queued(core.followers),
            dropped=core.dropped,
            gaps=core.gaps,
            cut=core.cut,
        )

    def close(self) -> None:
        """
        Close the channel. Subscriptions end after their clients have received all messages.

        A browser then reconnects. If there is nothing to replay, the response is a 204, and
        the browser stops. The hub forgets the channel, and creates a new one when asked for
        the same name.

        Raises:
            RuntimeError: The calling thread is not the reactor's.
        """
        check_thread("close()")
        if not self._core.closed:
            if self._linger is not None:
                self._core.on_unused = None
                self._linger.stop()
            presence, self._core.presence = self._core.presence, None
            if presence is not None:
                presence.close()
            changes, self._changes = self._changes, None
            if changes is not None:
                changes.close()
            # The hub forgets it before the engine is called, which may fail.
            self._core.close(self._on_close(self))

    def attach(
        self, outlet: Outlet, sources: Sequence[Source], options: SubscribeOptions
    ) -> Subscription:
        """
        Subscribe a stream. It implements `twistream.server.outlet.Source` for the server layer.
        """
        cores: list[ChannelCore[Subscription]] = []
        for source in sources:
            match source:
                case Channel(_core=core):
                    cores.append(core)
                case _:
                    msg = f"subscribe() takes channels only, not {kind(source)}"
                    raise TypeError(msg)
        if len(set(cores)) < len(cores):
            msg = "subscribe() got a channel twice; pass each channel once"
            raise ValueError(msg)
        policy = _policy(cores, options.on_slow)
        options.check_policy(policy)
        if options.presence is not None:
            for source in sources:
                cast("Channel", source).open_presence()
        return Subscription(outlet, tuple(cores), options, policy)

    def _publish_change(self, metadata: object, event: str) -> None:
        # Whoever has closed the companion gets a new one.
        self.presence_channel.publish(metadata, event)

    def open_presence(self) -> None:
        """
        Prepare for members. `attach` calls it for the first of them.
        """
        # The companion has no members: it would need a companion of its own.
        if self._core.presence is None and not (self.closed or self.name.endswith(PRESENCE_SUFFIX)):
            self._core.presence = Presence(
                self.presence_grace, self._publish_change, self._core.members_changed
            )


def queued(subscriptions: Iterable[Subscription]) -> int:
    """
    The bytes that are queued for these subscriptions.
    """
    return sum(each.statistics().queued for each in subscriptions)


def _policy(cores: Sequence[ChannelCore[Subscription]], on_slow: OnSlow | None) -> OnSlow:
    without = [core.name for core in cores if not core.bounds.history]
    if on_slow == "catchup" and without:
        msg = (
            f'on_slow="catchup" needs a history; create the channel {without[0]!r} with history, '
            "or choose another policy"
        )
        raise ValueError(msg)
    return on_slow or ("disconnect" if without else "catchup")
