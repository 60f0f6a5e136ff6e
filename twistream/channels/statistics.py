"""
Statistics: figures of hubs, channels and subscriptions. Each object is a snapshot.

Layer: channels, at the bottom.
"""

from attrs import frozen


@frozen(kw_only=True)
class SubscriptionStatistics:
    """
    How well one client keeps up.

    Attributes:
        queued: Bytes that are queued for the client in this process.
        dropped: Messages that were dropped because the client was too slow.
        lag: Messages of its channels that have not been sent to it.
        last_drain: The time on its clock when the queue was last empty.
    """

    queued: int
    dropped: int
    lag: int
    last_drain: float


@frozen(kw_only=True)
class ChannelStatistics:
    """
    The figures of one channel.

    Attributes:
        subscribers: Streams that are subscribed.
        published: Messages that have been published, as far as the engine knows.
        history: Messages in the history.
        history_bytes: Bytes in the history.
        queued: Bytes that are queued for subscribers. A stream that follows several channels
            counts in each of them.
        dropped: Messages that were dropped because a subscriber was too slow.
        gaps: Gaps that were reported to subscribers.
        cut: Subscribers that were disconnected because they were too slow.
    """

    subscribers: int
    published: int
    history: int
    history_bytes: int
    queued: int
    dropped: int
    gaps: int
    cut: int


@frozen(kw_only=True)
class HubStatistics:
    """
    The sums over the channels of a hub. The counters include closed channels.

    Attributes:
        channels: Open channels.
        subscriptions: Streams that are subscribed. A stream that follows several channels
            counts once.
        published: Messages that have been published, as far as the engine knows.
        history: Messages in the histories.
        history_bytes: Bytes in the histories.
        queued: Bytes that are queued for subscribers. Each stream counts once.
        dropped: Messages that were dropped because a subscriber was too slow.
        gaps: Gaps that were reported to subscribers, once for each channel.
        cut: Subscribers that were disconnected because they were too slow, once for each
            channel.
    """

    channels: int
    subscriptions: int
    published: int
    history: int
    history_bytes: int
    queued: int
    dropped: int
    gaps: int
    cut: int
