"""
DeliveryQueue: the messages that are queued for one slow client.

Layer: channels, below `subscription`.
"""

from typing import Any

from twistream.channels.feed import Feed
from twistream.channels.mailbox import Hole, Mailbox
from twistream.wire.frames import SEND_SIZE, Frame
from twistream.wire.messages import Delivery, Reason


class DeliveryQueue(Mailbox[Delivery]):
    """
    A mailbox of messages. It counts the messages that it drops, and reports them as a gap.

    Attributes:
        dropped: The number of messages that were dropped.
        feed: The feed of the stream, which reports the gaps.
    """

    __slots__ = ("_channels_with_drops", "dropped", "feed")

    def __init__(self, limit: int, feed: Feed[Any]) -> None:
        super().__init__(limit)
        self.feed = feed
        # Indexes of channels. The mailbox has at most one hole, so one set is enough.
        self._channels_with_drops: frozenset[int] = frozenset()
        self.dropped = 0

    def drop_new(self, delivery: Delivery) -> None:
        """
        Drop a message that does not fit.
        """
        self.drop(delivery)
        self._count([delivery])

    def drop_queued(self, delivery: Delivery) -> None:
        """
        Drop all messages in the queue to make room for one that does not fit.
        """
        self._count(self.replace(delivery, len(delivery.data)))

    def take_frames(self) -> list[Frame]:
        """
        Remove the oldest messages, as many as one send takes, and return their frames.
        """
        taken = self.take(SEND_SIZE)
        return [self._gap(item) if isinstance(item, Hole) else item for item in taken]

    def _count(self, dropped: list[Delivery]) -> None:
        self.dropped += len(dropped)
        for index, core in enumerate(self.feed.cores):
            count = sum(core.log.owns(each.message.id) for each in dropped)
            core.dropped += count
            if count:
                self._channels_with_drops |= {index}

    def _gap(self, hole: Hole[Delivery]) -> Frame:
        reasons: dict[int, Reason] = dict.fromkeys(sorted(self._channels_with_drops), "dropped")
        self._channels_with_drops = frozenset()
        return self.feed.gap(hole.first.before, hole.last.id, reasons)
