"""
Channels: one message to many streams, with history and replay.

A `Hub` has a `Channel` for each name. A message that is published to a channel goes to every
stream that is subscribed to it. Its engine keeps a history, which is replayed to clients that
reconnect or subscribe later. The modules, from the top:

- `hub`, `channel`, `run`: what programs use
- `runs`, `run_core`: the runs of a hub, and the life of one; `production`, `publishing`,
  `run_followers` and `run_owner` are its parts
- `subscription`: one stream that follows channels; `draining` is its base, and `cursor`,
  `deliveries`, `filtering` and `selection` are its parts
- `memory_engine`, `memory`, `memory_run`: the engine that keeps messages in this process
- `feed`: how a message gets from a log to the streams
- `topics`: which patterns match a topic
- `engine`, `ownership`: what an engine is, and what it needs to hold runs
- `presence`: the members of a channel; `pages`: pages of replays, encoded once; `linger`
- `mailbox`, `run_end`, `run_options`, `run_state`, `state`, `statistics`, `timers`
"""

from twistream.channels.channel import Channel
from twistream.channels.hub import Hub
from twistream.channels.memory_engine import MemoryEngine
from twistream.channels.run import Run
from twistream.channels.run_state import RunState
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
    "Run",
    "RunState",
    "Subscription",
    "SubscriptionStatistics",
)
