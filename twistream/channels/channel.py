"""
Hub and Channel: what programs publish to, and streams subscribe to.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import TypeAlias

from attrs import asdict
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from twistream.channels.engine import Bounds, Engine
from twistream.channels.memory import MemoryEngine
from twistream.channels.statistics import ChannelStatistics, HubStatistics
from twistream.channels.subscription import Subscription
from twistream.channels.topic import Topic
from twistream.checks import check_count, check_timer
from twistream.errors import ChannelClosed
from twistream.server.outlet import OnSlow, Outlet, Source, SubscribeOptions
from twistream.wire.messages import check_event, encoded
from twistream.wire.render import encode_text

_COUNTERS = ("published", "dropped", "gaps", "cut")

OnPresence: TypeAlias = Callable[["Channel", int], object]
"""
Called with a channel and how many subscribers it has.
"""


class Hub:
    """
    Channels, by their names.

    A program has one, as a rule, and makes it where it makes its resources.
    """

    def __init__(self, engine: Engine | None = None, *, clock: IReactorTime | None = None) -> None:
        """
        Args:
            engine: Keeps the messages; without one they are kept in this process.
            clock: What the age of messages is measured by; that of the global reactor
                if None, which is imported when it is needed first.
        """
        self._engine: Engine = engine or MemoryEngine()
        self._clock = clock
        self._channels: dict[str, Channel] = {}
        # Of channels that were closed: counters do not go back.
        self._closed = dict.fromkeys(_COUNTERS, 0)

    def channel(
        self,
        name: str,
        *,
        history: int | None = None,
        history_ttl: float | None = None,
        history_bytes: int | None = None,
    ) -> "Channel":
        """
        The channel of this name, which is made when it is asked for first.

        Who asks first says how much of it is kept; others leave that out, or say the same. It
        is there until it is closed, so close what has names without an end.

        Args:
            history: How many messages are kept for those who come later. Where nobody says,
                it is 0: the channel is live only, and a client that comes again is told of
                a gap if anything was published meanwhile.
            history_ttl: For how many seconds a message is kept, None for any time.
            history_bytes: How many bytes of messages are kept, None for any number. They are
                counted as they were published; each message takes half a kilobyte beside, and
                its bytes again in each format that it is sent in.

        Raises:
            EncodeError: UTF-8 cannot hold the name.
            TypeError: An argument is of the wrong type.
            ValueError: The name is empty; a bound is negative, NaN or infinite, or a time of
                under a millisecond; one is given without `history`; or the channel is there
                with other bounds.
        """
        if not isinstance(name, str):
            msg = f"the name of a channel is a str, not {type(name).__name__}"
            raise TypeError(msg)
        if not name:
            msg = "the name of a channel has at least one character"
            raise ValueError(msg)
        encode_text(name)
        bounds = _checked_bounds(history, history_ttl, history_bytes)
        channel = self._channels.get(name)
        if channel is None:
            topic = Topic(name, bounds or Bounds(), self._engine, self._clock_in_use)
            channel = self._channels[name] = Channel(topic, on_close=self._forget)
        elif bounds not in (None, channel.bounds):
            msg = f"the channel {name!r} is there already, with {channel.bounds}"
            raise ValueError(msg)
        return channel

    @property
    def channels(self) -> "Sequence[Channel]":
        """
        All channels that are not closed.
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
        The sums of all channels. Takes as long as there are subscriptions.
        """
        every = [asdict(channel.statistics()) for channel in self.channels]
        sums = {name: sum(each[name] for each in every) for name in ("held", "held_bytes")}
        counted = {
            name: self._closed[name] + sum(each[name] for each in every) for name in _COUNTERS
        }
        subscriptions = {each for channel in self.channels for each in channel.subscriptions}
        return HubStatistics(
            channels=len(every),
            subscriptions=len(subscriptions),
            queued=_queued(subscriptions),
            **sums,
            **counted,
        )

    def _clock_in_use(self) -> IReactorTime:
        if self._clock is None:
            from twisted.internet import reactor  # noqa: PLC0415 - not before it is needed

            self._clock = IReactorTime(reactor)
        return self._clock

    def _forget(self, channel: "Channel") -> None:
        del self._channels[channel.name]
        last = asdict(channel.statistics())
        for name in _COUNTERS:
            self._closed[name] += last[name]


class Channel:
    """
    One message to many streams, in order. Made by ``Hub.channel``.
    """

    def __init__(self, topic: Topic, on_close: Callable[["Channel"], object]) -> None:
        self._topic = topic
        self._on_close = on_close

    def __repr__(self) -> str:
        return f"<Channel {self.name!r}>"

    @property
    def name(self) -> str:
        """
        Its name.
        """
        return self._topic.name

    @property
    def bounds(self) -> Bounds:
        """
        How much of it is kept.
        """
        return self._topic.bounds

    @property
    def closed(self) -> bool:
        """
        Whether it has been closed.
        """
        return self._topic.closed

    def publish(self, data: object, event: str | None = None) -> Deferred[str]:
        """
        Send a message to all who are subscribed, and keep it for those who come later.

        It acts at once, also when nobody awaits it. Subscribers get it at the end of this
        turn of the reactor, together with all that is published in it.

        Args:
            data: A str is sent as it is, but each kind of line end in it arrives as LF in
                an event; anything else as compact JSON.
            event: The name of its event; a browser takes ``message`` where there is none.

        Returns:
            Fires with the id of the message when it is kept.

        Raises:
            ChannelClosed: The channel has been closed.
            EncodeError: JSON, or UTF-8, cannot hold the data or the event.
            TypeError: The event is no str.
            ValueError: The event has CR, LF or NUL, or is ``gap``.
        """
        if self._topic.closed:
            raise ChannelClosed(self.name)
        if event is not None:
            check_event(event)
        return self._topic.log.append(event, encoded(data))

    @property
    def last(self) -> str:
        """
        The id of the newest message, or one that comes before all where there is none.
        """
        return self._topic.log.last

    @property
    def oldest(self) -> str:
        """
        The id after which all that is kept comes: subscribe with it to get everything.
        """
        return self._topic.log.oldest

    @property
    def published(self) -> int:
        """
        How many messages have been published.
        """
        return self._topic.log.published

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        """
        The streams that are subscribed, each with its ``context`` and ``statistics()``.
        """
        return tuple(self._topic.subscriptions)

    @property
    def subscriber_count(self) -> int:
        """
        How many streams are subscribed.
        """
        return len(self._topic.subscriptions)

    def on_presence(self, callback: OnPresence) -> None:
        """
        Call `callback` with this channel and the number of its subscribers, when that changes.

        Once at the end of a turn of the reactor, however many came and went in it. It may
        return a Deferred or a coroutine. What it raises is logged.

        Raises:
            TypeError: It is not callable.
        """
        if not callable(callback):
            msg = f"a callback is a function, not {type(callback).__name__}"
            raise TypeError(msg)
        self._topic.on_presence(partial(callback, self))

    def statistics(self) -> ChannelStatistics:
        """
        What it has had and has. Takes as long as there are subscribers.
        """
        topic = self._topic
        held, held_bytes = topic.log.held
        return ChannelStatistics(
            subscribers=len(topic.subscriptions),
            published=topic.log.published,
            held=held,
            held_bytes=held_bytes,
            queued=_queued(topic.subscriptions),
            dropped=topic.dropped,
            gaps=topic.gaps,
            cut=topic.cut,
        )

    def close(self) -> None:
        """
        End it: subscribers get what was published, and then their subscriptions end.

        To a browser that comes again after that, for nothing, the answer is a 204, at which
        it stays away. The hub forgets the channel, and would make another one of its name.
        """
        if not self._topic.closed:
            self._topic.close()
            self._on_close(self)

    def attach(
        self, outlet: Outlet, sources: Sequence[Source], options: SubscribeOptions
    ) -> Subscription:
        """
        For streams, see `twistream.server.outlet.Source`.
        """
        topics: list[Topic] = []
        for source in sources:
            if not isinstance(source, Channel):
                msg = f"a channel cannot share a stream with a {type(source).__name__}"
                raise TypeError(msg)
            topics.append(source._topic)  # noqa: SLF001 - of this class
        if len(set(topics)) < len(topics):
            msg = "a channel is there twice"
            raise ValueError(msg)
        return Subscription(outlet, tuple(topics), options, _policy(topics, options.on_slow))


def _queued(subscriptions: Iterable[Subscription]) -> int:
    return sum(each.statistics().queued for each in subscriptions)


def _policy(topics: Sequence[Topic], on_slow: OnSlow | None) -> OnSlow:
    without = [topic.name for topic in topics if not topic.bounds.history]
    if on_slow == "catchup" and without:
        msg = f'on_slow="catchup" needs a history, which the channel {without[0]!r} does not have'
        raise ValueError(msg)
    return on_slow or ("disconnect" if without else "catchup")


def _checked_bounds(
    history: int | None, history_ttl: float | None, history_bytes: int | None
) -> Bounds | None:
    if history_ttl is not None:
        check_timer("history_ttl", history_ttl)
    if history_bytes is not None:
        check_count("history_bytes", history_bytes, 0)
    if history is None:
        if history_ttl is not None or history_bytes is not None:
            msg = "history_ttl and history_bytes bound a history; give history, too"
            raise ValueError(msg)
        return None
    check_count("history", history, 0)
    return Bounds(history=history, history_ttl=history_ttl, history_bytes=history_bytes)
