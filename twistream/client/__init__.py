"""
The client: responses as async iterators, and an event source that reconnects.

Import it by its name, ``from twistream.client import iter_events``: ``import twistream`` does not load
it. treq is imported by `EventSource` when it connects.

Layer: beside the server, above the wire formats.
"""

from twistream.client.errors import IdleTimeout, UnexpectedResponse
from twistream.client.items import Items, iter_bytes, iter_events, iter_json, iter_lines
from twistream.client.source import EventSource, State

__all__ = (
    "EventSource",
    "IdleTimeout",
    "Items",
    "State",
    "UnexpectedResponse",
    "iter_bytes",
    "iter_events",
    "iter_json",
    "iter_lines",
)
