"""
Hub: the channels and runs of a program, by name.

Layer: channels, at the top.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from threading import Lock
from types import MappingProxyType

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from twistream.channels.channel import Channel, queued
from twistream.channels.engine import (
    Bounds,
    Engine,
    check_channel_name,
    check_name,
    checked_bounds,
)
from twistream.channels.feed import ChannelCore, OnDrained
from twistream.channels.memory_engine import MemoryEngine
from twistream.channels.presence import GRACE
from twistream.channels.run import Run
from twistream.channels.run_options import OnFull, RunOptions
from twistream.channels.runs import Producer, Runs
from twistream.channels.statistics import HubStatistics
from twistream.channels.subscription import Subscription
from twistream.checks import check_clock, check_seconds, check_timer, has_methods, kind
from twistream.scheduling.threads import READ, call_in_reactor, check_thread
from twistream.wire.messages import check_message
from twistream.wire.topics import check_topic

_COUNTERS = ("published", "dropped", "gaps", "cut")

_CHANGES = 100
"""
The history of the channels that publish who joins and leaves: enough for a short disconnect.
"""


class Hub:
    """
    The channels and runs of a program, by name.

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
        self._runs = Runs(self._engine, self._get_clock)
        self._creating = Lock()  # Threads look for channels to publish to.
        # The counters of closed channels. A channel counts until its last subscriber has left.
        self._closed = dict.fromkeys(_COUNTERS, 0)
        self._draining: list[Channel] = []
        self._identified: dict[str, Subscription] = {}

    def channel(  # noqa: PLR0913 - each limit is a keyword
        self,
        name: str,
        *,
        history: int | None = None,
        history_ttl: float | None = None,
        history_bytes: int | None = None,
        linger: float | None = None,
        presence_grace: float | None = None,
    ) -> Channel:
        """
        Return the channel of this name, and create it if necessary.

        The first caller sets the history limits, `linger` and `presence_grace`; others omit them, or
        pass the same ones. A channel exists until it is closed, so pass `linger` if the number of
        names is not bounded, as in ``user-5``.

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
            linger: Seconds after which the channel closes if nobody is subscribed and nothing is
                published. It may close up to a quarter of that time late. A closed channel
                accepts no messages, so ask the hub for it whenever you need it, or call
                `publish`. By default it stays open.
            presence_grace: Seconds for which a member may be away before ``left`` is published, up
                to an eighth longer; see ``Channel.presence``. The default is 10: a browser
                reconnects within a few seconds. 0 for none.

        Raises:
            EncodeError: UTF-8 cannot encode the name.
            TypeError: An argument has the wrong type.
            ValueError: The name is empty. A limit is negative, NaN or infinite. `history_ttl` or
                `linger` is less than a millisecond. Another limit is given without `history`. The
                channel exists, and an argument differs.
        """
        check_channel_name(name)
        bounds = checked_bounds(history, history_ttl, history_bytes)
        if linger is not None:
            check_timer("linger", linger)
        if presence_grace:
            check_timer("presence_grace", presence_grace)
        elif presence_grace is not None:
            check_seconds("presence_grace", presence_grace)
        with self._creating:
            channel = self._channels.get(name)
            if channel is None:
                core: ChannelCore[Subscription] = ChannelCore(
                    name, bounds or Bounds(), self._engine, self._get_clock, self._identified
                )
                channel = self._channels[name] = Channel(
                    core,
                    self._forget,
                    partial(self.channel, history=_CHANGES),
                    GRACE if presence_grace is None else presence_grace,
                )
                if linger is not None:
                    channel.close_after(linger, self._get_clock())
        given = (bounds, linger, presence_grace)
        exists = (channel.bounds, channel.linger, channel.presence_grace)
        if any(new not in (None, old) for new, old in zip(given, exists, strict=True)):
            msg = (
                f"the channel {name!r} exists with {channel.settings}; "
                "pass the same arguments, or only the name"
            )
            raise ValueError(msg)
        return channel

    def publish(
        self, name: str, data: object, event: str | None = None, *, topic: str | None = None
    ) -> Deferred[str] | None:
        """
        Publish to the channel of this name, if there is one. Unlike `channel`, this never makes one.

        Args:
            name: The name of the channel.
            data: See ``Channel.publish``.
            event: See ``Channel.publish``.
            topic: See ``Channel.publish``.

        Returns:
            The Deferred of ``Channel.publish``; None if there is no channel of this name, so nobody
            is subscribed and nothing is kept.

        Raises:
            EncodeError: See ``Channel.publish``.
            RuntimeError: The calling thread is not the reactor's; see `publish_from_thread`.
            TypeError: The name is not a str, or see ``Channel.publish``.
            ValueError: See ``Channel.publish``.
        """
        check_thread("publish()", "call publish_from_thread() or reactor.callFromThread")
        channel = self.get(name)
        if channel is not None:
            return channel.publish(data, event, topic=topic)
        # A mistake does not depend on who is subscribed.
        check_message(data, event)
        if topic is not None:
            check_topic(topic)
        return None

    def publish_from_thread(
        self, name: str, data: object, event: str | None = None, *, topic: str | None = None
    ) -> str | None:
        """
        Do what `publish` does from another thread, and wait until the message is kept.

        Args:
            name: The name of the channel.
            data: See ``Channel.publish``.
            event: See ``Channel.publish``.
            topic: See ``Channel.publish``.

        Returns:
            The id of the message; None if there is no channel of this name.

        Raises:
            EncodeError: See ``Channel.publish``.
            RuntimeError: The calling thread is the reactor's; call `publish` there. Or no
                reactor runs, or it stops meanwhile.
            TypeError: The name is not a str, or see ``Channel.publish``.
            ValueError: See ``Channel.publish``.
        """
        publish = partial(self.publish, topic=topic)
        return call_in_reactor("publish_from_thread()", publish, name, data, event)

    def get(self, name: str) -> Channel | None:
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
    def channels(self) -> Sequence[Channel]:
        """
        All open channels.
        """
        return tuple(self._channels.values())

    @property
    def subscriptions(self) -> Mapping[str, Subscription]:
        """
        The open subscriptions that have an id, by this id.

        A subscription has one if it was started with ``announce=True``, or if its ``id`` was
        read. The mapping is read-only, and shows later changes.
        """
        return MappingProxyType(self._identified)

    def run(  # noqa: PLR0913 - options, by keyword
        self,
        name: str,
        producer: Producer,
        *,
        ttl: float = 300.0,
        history: int = 50_000,
        history_bytes: int | None = 16 * 2**20,
        history_ttl: float | None = None,
        idle_timeout: float | None = None,
        on_full: OnFull = "wait",
        grace: float = 5.0,
        show_errors: bool = False,
        restart: bool = False,
    ) -> Run:
        """
        Start `producer`, or join the run of this name: work that outlives the client that started it.

        If there is a run of this name, it is returned, and the other arguments do not matter: two
        clients that start the same work share it. So is a run that has ended, for `ttl` seconds.

        The producer starts at once, with a copy of the context variables that are set now. It
        publishes with ``await run.publish(data, event=None)``. The run ends when it ends.

        Args:
            name: The name. Runs and channels may have the same names.
            producer: Called with the run. An ``async`` function, or a function that returns a
                Deferred: what it returns becomes ``run.result``, and is sent to clients if JSON
                can represent it in 64 KiB. The items of a generator or async generator are
                published.
            ttl: The time in seconds that a run is kept after its end, for clients that reconnect,
                and up to an eighth longer. The default is longer than a browser needs.
            history: The number of messages that are kept. The default is more than the tokens of
                a long answer of a language model.
            history_bytes: The size of these messages in bytes; None for no limit.
            history_ttl: The time in seconds that a message is kept while the producer runs. By
                default, age does not matter.
            idle_timeout: The run is stopped, with the reason ``idle``, when for so many seconds no
                client has been subscribed to it, and up to an eighth later. By default, it goes on
                without clients.
            on_full: What ``publish`` does when the history is full: ``"wait"`` waits until all
                subscribers have been sent the message that would be dropped, so that a client
                that is connected misses nothing, and drops it if nobody needs it; ``"error"``
                raises `RunOverflow`, so that every client can read the run from its first
                message; ``"trim"`` drops the oldest message, like a channel.
            grace: The time in seconds that the producer has to end after it was cancelled.
            show_errors: Send the text of the producer's exception to clients. By default they
                learn only that the run failed. It is logged in any case.
            restart: Do not join a run that has ended: start a new one.

        Raises:
            EncodeError: UTF-8 cannot encode the name.
            RuntimeError: The calling thread is not the reactor's.
            TypeError: An argument has the wrong type, or the engine cannot hold runs.
            ValueError: The name is empty. `on_full` is not allowed. `history` or `history_bytes`
                is less than 1. A time is negative, NaN, infinite or over thirty years;
                `history_ttl` or `idle_timeout` is less than a millisecond.
        """
        check_thread("run()")
        options = RunOptions(
            ttl=ttl,
            history=history,
            history_bytes=history_bytes,
            history_ttl=history_ttl,
            idle_timeout=idle_timeout,
            on_full=on_full,
            grace=grace,
            show_errors=show_errors,
        )
        return self._runs.run(name, producer, options, restart=restart)

    @property
    def runs(self) -> Mapping[str, Run]:
        """
        The runs of this process by name: those that run, and those that ended less than their
        `ttl` ago. It cannot be changed, and shows later changes.
        """
        return self._runs.by_name

    def get_run(self, name: str) -> Run | None:
        """
        The run of this name, or None. Unlike `run`, this never starts one.

        Raises:
            TypeError: The name is not a str.
        """
        return self._runs.by_name.get(check_name(name))

    def close(self) -> None:
        """
        Close all channels, and stop all runs.
        """
        self._runs.close()
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
            queued=queued(subscriptions),
            **counters,
        )

    def _get_clock(self) -> IReactorTime:
        if self._clock is None:
            from twisted.internet import reactor  # noqa: PLC0415 - not before a clock is needed

            self._clock = IReactorTime(reactor)
        return self._clock

    def _forget(self, channel: Channel) -> OnDrained:
        del self._channels[channel.name]
        self._draining.append(channel)
        return partial(self._count, channel)

    def _count(self, channel: Channel) -> None:
        self._draining.remove(channel)
        final = channel.statistics()
        for name in _COUNTERS:
            self._closed[name] += getattr(final, name)
