"""
Hub and Channel: programs publish messages to a channel, and streams subscribe to it.

Layer: channels, at the top.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from threading import Lock, get_ident
from typing import TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python import threadable

from twistream.channels.engine import (
    Bounds,
    Engine,
    check_channel_name,
    check_name,
    checked_bounds,
)
from twistream.channels.feed import OnDrained, Topic
from twistream.channels.memory import MemoryEngine
from twistream.channels.statistics import ChannelStatistics, HubStatistics
from twistream.channels.subscription import Subscription
from twistream.checks import check_callback, check_clock, has_methods, kind
from twistream.errors import ChannelClosed
from twistream.scheduling.execution import ExecutionContext
from twistream.scheduling.tasks import call
from twistream.scheduling.threads import READ, call_in_reactor, check_thread, refuse_thread
from twistream.server.outlet import OnSlow, Outlet, Source, SubscribeOptions
from twistream.wire.messages import check_event, encoded

_COUNTERS = ("published", "dropped", "gaps", "cut")

OnPresence: TypeAlias = Callable[["Channel", int], object]
"""
Called with a channel and the number of its subscribers.
"""


class Hub:
    """
    The channels of a program, by name.

    Most programs have one hub, and create it where they create their resources.
    """

    def __init__(self, engine: Engine | None = None, *, clock: IReactorTime | None = None) -> None:
        """
        Args:
            engine: Keeps the messages. The default is a `MemoryEngine`, which keeps them in
                this process.
            clock: Measures the age of messages. By default the global reactor, which is
                imported when a clock is first needed.
        """
        check_clock("clock", clock)
        if engine is not None and not has_methods(engine, "open"):
            msg = f"engine must be an engine or None, not {kind(engine)}"
            raise TypeError(msg)
        self._engine: Engine = MemoryEngine() if engine is None else engine
        self._clock = clock
        self._channels: dict[str, Channel] = {}
        self._creating = Lock()  # Threads look for channels to publish to.
        # The counters of closed channels. A channel counts until its last subscriber has left.
        self._closed = dict.fromkeys(_COUNTERS, 0)
        self._draining: list[Channel] = []

    def channel(
        self,
        name: str,
        *,
        history: int | None = None,
        history_ttl: float | None = None,
        history_bytes: int | None = None,
    ) -> "Channel":
        """
        Return the channel of this name, and create it if necessary.

        The first caller sets the history limits; others omit them, or pass the same ones. A
        channel exists until it is closed, so close channels if their number is not bounded.

        Args:
            history: The number of messages that are kept for clients that reconnect, or
                subscribe later. The default is 0: the channel is live only, and a client that
                reconnects is notified of a gap if a message was published meanwhile.
            history_ttl: The time in seconds that a message is kept. By default it is kept
                until one of the other limits is reached.
            history_bytes: The size in bytes of all messages that are kept. By default it is
                not limited. The size is that of the published data; in memory each message
                takes half a kilobyte more, and its size again for each format that it is
                sent in.

        Raises:
            EncodeError: UTF-8 cannot encode the name.
            TypeError: An argument has the wrong type.
            ValueError: The name is empty. A limit is negative, NaN or infinite.
                `history_ttl` is less than a millisecond. Another limit is given without
                `history`. The channel exists and has other limits.
        """
        check_channel_name(name)
        bounds = checked_bounds(history, history_ttl, history_bytes)
        with self._creating:
            channel = self._channels.get(name)
            if channel is None:
                topic: Topic[Subscription] = Topic(
                    name, bounds or Bounds(), self._engine, self._get_clock
                )
                channel = self._channels[name] = Channel(topic, self._forget)
        if bounds not in (None, channel.bounds):
            msg = (
                f"the channel {name!r} exists with {channel.bounds}; "
                "pass the same limits, or only the name"
            )
            raise ValueError(msg)
        return channel

    def get(self, name: str) -> "Channel | None":
        """
        The channel of this name, or None. Unlike `channel`, this never makes one.

        Raises:
            TypeError: The name is not a str.
        """
        return self._channels.get(check_name(name))

    def __contains__(self, name: object) -> bool:
        """
        Whether there is a channel of this name.
        """
        return name in self._channels

    @property
    def channels(self) -> "Sequence[Channel]":
        """
        All open channels.
        """
        return tuple(self._channels.values())

    def close(self) -> None:
        """
        Close all channels.
        """
        for channel in self.channels:
            channel.close()

    def statistics(self) -> HubStatistics:
        """
        The sums over all channels. The cost grows with the number of subscriptions.

        Raises:
            RuntimeError: The calling thread is not the reactor's.
        """
        check_thread("statistics()", READ)
        each = [channel.statistics() for channel in self.channels]
        counted = each + [channel.statistics() for channel in self._draining]
        counters = {
            name: self._closed[name] + sum(getattr(one, name) for one in counted)
            for name in _COUNTERS
        }
        subscriptions = {one for channel in self.channels for one in channel.subscriptions}
        return HubStatistics(
            channels=len(each),
            subscriptions=len(subscriptions),
            history=sum(one.history for one in each),
            history_bytes=sum(one.history_bytes for one in each),
            queued=_queued(subscriptions),
            **counters,
        )

    def _get_clock(self) -> IReactorTime:
        if self._clock is None:
            from twisted.internet import reactor  # noqa: PLC0415 - not before a clock is needed

            self._clock = IReactorTime(reactor)
        return self._clock

    def _forget(self, channel: "Channel") -> OnDrained:
        del self._channels[channel.name]
        self._draining.append(channel)
        return partial(self._count, channel)

    def _count(self, channel: "Channel") -> None:
        self._draining.remove(channel)
        final = channel.statistics()
        for name in _COUNTERS:
            self._closed[name] += getattr(final, name)


class Channel:
    """
    Sends each message to all streams that are subscribed, in order. ``Hub.channel`` creates it.
    """

    def __init__(
        self, topic: Topic[Subscription], on_close: Callable[["Channel"], OnDrained]
    ) -> None:
        self._topic = topic
        self._on_close = on_close

    def __repr__(self) -> str:
        return f"<Channel {self.name!r}>"

    @property
    def name(self) -> str:
        """
        The name.
        """
        return self._topic.name

    @property
    def bounds(self) -> Bounds:
        """
        The limits of the history.
        """
        return self._topic.bounds

    @property
    def closed(self) -> bool:
        """
        The channel is closed.
        """
        return self._topic.closed

    def publish(self, data: object, event: str | None = None) -> Deferred[str]:
        """
        Send a message to all subscribers, and keep it in the history.

        The message is published even if the result is not awaited. Subscribers receive it at
        the end of this turn of the reactor, together with the other messages of the turn.

        Args:
            data: A str is sent as text; in an event, each line end in it arrives as LF. Any
                other value is sent as compact JSON, except bytes: decode them first.
            event: The name of the event. A browser handles an event without a name as
                ``message``.

        Returns:
            Fires with the id of the message when the message is kept.

        Raises:
            ChannelClosed: The channel is closed.
            EncodeError: JSON or UTF-8 cannot represent the data, or UTF-8 the event.
            RuntimeError: The calling thread is not the reactor's; see `publish_from_thread`.
            TypeError: The data is bytes-like. The event is not a str.
            ValueError: The event contains CR, LF or NUL, or is ``gap``.
        """
        if get_ident() != threadable.ioThread is not None:
            refuse_thread("publish()", "call publish_from_thread() or reactor.callFromThread")
        if self._topic.closed:
            raise ChannelClosed(self.name)
        if event is not None:
            event = check_event(event)
        return self._topic.log.append(event, encoded(data))

    def publish_from_thread(self, data: object, event: str | None = None) -> str:
        """
        Publish a message from another thread, and wait until it is kept.

        Args:
            data: See `publish`.
            event: See `publish`.

        Returns:
            The id of the message.

        Raises:
            ChannelClosed: The channel is closed.
            EncodeError: JSON or UTF-8 cannot represent the data, or UTF-8 the event.
            RuntimeError: The calling thread is the reactor's; call `publish` there. Or no
                reactor runs, or it stops meanwhile.
            TypeError: The data is bytes-like. The event is not a str.
            ValueError: The event contains CR, LF or NUL, or is ``gap``.
        """
        return call_in_reactor("publish_from_thread()", self.publish, data, event)

    @property
    def last(self) -> str:
        """
        The id of the newest message. Before the first message, an id that precedes all.
        """
        return self._topic.log.last

    @property
    def oldest(self) -> str:
        """
        The id that precedes the history: subscribe after it to receive all of the history.

        Raises:
            RuntimeError: The calling thread is not the reactor's.
        """
        check_thread("oldest", READ)  # It removes expired messages.
        return self._topic.log.oldest

    @property
    def published(self) -> int:
        """
        The number of messages that have been published.
        """
        return self._topic.log.published

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        """
        The subscriptions, each with its ``context`` and ``statistics()``.
        """
        return tuple(self._topic.followers)

    @property
    def subscriber_count(self) -> int:
        """
        The number of subscribers.
        """
        return len(self._topic.followers)

    def on_presence(self, callback: OnPresence) -> None:
        """
        Call `callback` with this channel and the number of its subscribers when it changes.

        It is called at most once in a turn of the reactor, at its end. It may return a Deferred
        or a coroutine. Exceptions are logged. It runs with the context variables that are set
        now, and what it sets there is visible to nobody else.

        Raises:
            TypeError: `callback` is not callable, or is a generator function.
        """
        check_thread("on_presence()")
        check_callback("callback", callback)
        self._topic.on_presence(partial(ExecutionContext().run, call, callback, self))

    def statistics(self) -> ChannelStatistics:
        """
        The current figures. The cost grows with the number of subscribers.

        Raises:
            RuntimeError: The calling thread is not the reactor's.
        """
        check_thread("statistics()", READ)
        topic = self._topic
        return ChannelStatistics(
            subscribers=len(topic.followers),
            published=topic.log.published,
            history=topic.log.history,
            history_bytes=topic.log.history_bytes,
            queued=_queued(topic.followers),
            dropped=topic.dropped,
            gaps=topic.gaps,
            cut=topic.cut,
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
        if not self._topic.closed:
            # The hub forgets it before the engine is called, which may fail.
            self._topic.close(self._on_close(self))

    def attach(
        self, outlet: Outlet, sources: Sequence[Source], options: SubscribeOptions
    ) -> Subscription:
        """
        Subscribe a stream. It implements `twistream.server.outlet.Source` for the server layer.
        """
        topics: list[Topic[Subscription]] = []
        for source in sources:
            match source:
                case Channel(_topic=topic):
                    topics.append(topic)
                case _:
                    msg = f"subscribe() takes channels only, not {kind(source)}"
                    raise TypeError(msg)
        if len(set(topics)) < len(topics):
            msg = "subscribe() got a channel twice; pass each channel once"
            raise ValueError(msg)
        return Subscription(outlet, tuple(topics), options, _policy(topics, options.on_slow))


def _queued(subscriptions: Iterable[Subscription]) -> int:
    return sum(each.statistics().queued for each in subscriptions)


def _policy(topics: Sequence[Topic[Subscription]], on_slow: OnSlow | None) -> OnSlow:
    without = [topic.name for topic in topics if not topic.bounds.history]
    if on_slow == "catchup" and without:
        msg = (
            f'on_slow="catchup" needs a history; create the channel {without[0]!r} with history, '
            "or choose another policy"
        )
        raise ValueError(msg)
    return on_slow or ("disconnect" if without else "catchup")
