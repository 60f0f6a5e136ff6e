"""
DeliveryQueue: the messages that are queued for one slow client.

WarningQueue: the same, with a warning for the client when it is half full.

Layer: channels, below `subscription`.
"""

from typing import Any, cast

from twistream.channels.feed import Feed
from twistream.channels.mailbox import Hole, Mailbox
from twistream.server.outlet import Outlet
from twistream.wire.frames import SEND_SIZE, Frame
from twistream.wire.messages import Delivery
from twistream.wire.notices import Reason, Slow


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


class WarningQueue(DeliveryQueue):
    """
    A queue that warns the client before it is full. Nothing in it may be dropped.
    """

    __slots__ = ("_outlet", "_warned")

    def __init__(self, limit: int, feed: Feed[Any], outlet: Outlet) -> None:
        super().__init__(limit, feed)
        self._outlet = outlet
        self._warned = False

    @property
    def item_count(self) -> int:
        """
        The number of messages, without the warning.
        """
        return sum(isinstance(entry, Delivery) for entry, _ in self._entries)

    def put(self, item: Delivery, size: int) -> bool:
        """
        Add a message. After it, add the warning if more than half of the limit is used.
        """
        if not self._entries:
            self._warned = False
        if not super().put(item, size):
            return False
        # The messages of a client that keeps up are here for a moment, too, if it has a filter.
        if not self._warned and self.size * 2 > self.limit and self._outlet.full:
            self._warned = True
            frame = Frame(self.feed.format.slow(Slow(queued=self.size, limit=self.limit)))
            # If it does not fit, the next message disconnects the client anyway.
            super().put(cast("Delivery", frame), len(frame.data))
        return True
