"""
Channels: one message to many streams, with history and replay.

A `Hub` has a `Channel` for each name. A message that is published to a channel goes to every
stream that is subscribed to it. Its engine keeps a history, which is replayed to clients that
reconnect or subscribe later. The modules, from the top:

- `hub`, `channel`: what programs use
- `subscription`: one stream that follows channels; `draining` is its base, and `cursor`,
  `deliveries`, `filtering` and `selection` are its parts
- `memory`: the engine that keeps messages in this process
- `feed`: how a message gets from a log to the streams
- `topics`: which patterns match a topic
- `engine`: what an engine is
- `mailbox`, `state`, `statistics`
"""

from twistream.channels.channel import Channel
from twistream.channels.hub import Hub
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
