"""
Figures of hubs, channels and subscriptions, as they are when asked for.
"""

from attrs import frozen


@frozen(kw_only=True)
class SubscriptionStatistics:
    """
    How one stream keeps up.

    Attributes:
        queued: Bytes that wait for its client in this process.
        dropped: Messages that it did not get because its client was too slow.
        lag: Messages of its channels that have not been sent to it.
        last_drain: The time, on its clock, when last nothing waited for its client.
    """

    queued: int
    dropped: int
    lag: int
    last_drain: float


@frozen(kw_only=True)
class ChannelStatistics:
    """
    What a channel has had and has.

    Attributes:
        subscribers: Streams that are subscribed.
        published: Messages that its engine knows to have been published.
        held: Messages in the history.
        held_bytes: Bytes of them.
        queued: Bytes that wait for its subscribers. What waits for a stream that follows
            several channels is counted in each.
        dropped: Messages that subscribers did not get because they were too slow.
        gaps: Gaps that subscribers were told of.
        cut: Subscribers that were cut because they were too slow.
    """

    subscribers: int
    published: int
    held: int
    held_bytes: int
    queued: int
    dropped: int
    gaps: int
    cut: int


@frozen(kw_only=True)
class HubStatistics:
    """
    The sums of a hub's channels. The counters have those in them that were closed.

    Attributes:
        channels: How many there are.
        subscriptions: Streams that are subscribed. One that follows several channels
            counts once.
        published: Messages that its engine knows to have been published.
        held: Messages in the histories.
        held_bytes: Bytes of them.
        queued: Bytes that wait for subscribers. What waits for one counts once.
        dropped: Messages that subscribers did not get because they were too slow.
        gaps: Gaps that subscribers were told of, once for each channel.
        cut: Subscribers that were cut because they were too slow, once for each channel.
    """

    channels: int
    subscriptions: int
    published: int
    held: int
    held_bytes: int
    queued: int
    dropped: int
    gaps: int
    cut: int
