"""
Channels: one message to many streams, with history and replay.

A `Hub` has `Channel` s by their names. What is published to a channel goes to every stream
that is subscribed to it; what its engine keeps is replayed to those that come later, or
come again. The parts, from the top: `channel`, `subscription` (one stream that follows
channels), `feed` (what streams that follow the same have in common), `topic` (what is behind
a channel), `memory` (the engine that keeps messages in this process), `engine` (what an engine
is), `mailbox` (what waits for a slow client), `message`, `statistics`.
"""

from twistream.channels.channel import Channel, Hub
from twistream.channels.memory import MemoryEngine
from twistream.channels.statistics import (
    ChannelStatistics,
    HubStatistics,
    SubscriptionStatistics,
)
from twistream.channels.subscription import Subscription
from twistream.wire.messages import Message

__all__ = (
    "Channel",
    "ChannelStatistics",
    "Hub",
    "HubStatistics",
    "MemoryEngine",
    "Message",
    "Subscription",
    "SubscriptionStatistics",
)
