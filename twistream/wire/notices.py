"""
Notices: what the stream of a channel tells its client in addition to messages.

Pure, below `messages`, where each format encodes them.
"""

from typing import Literal, TypeAlias

import msgspec

Reason: TypeAlias = Literal["trimmed", "rewound", "unknown", "dropped"]
"""
Why messages are missing.

- ``trimmed``: the history no longer contains them.
- ``rewound``: the id is newer than the newest message.
- ``unknown``: the id belongs to another channel, was issued before a restart, or is malformed.
- ``dropped``: the client was too slow.
"""

GAP = "gap"
"""
The name of the event that reports a gap.
"""

SUBSCRIPTION = "subscription"
"""
The name of the event that tells a client the id of its subscription.
"""

SLOW = "slow"
"""
The name of the event that warns a slow client.
"""


class Gap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Reports that messages are missing from a stream.

    Attributes:
        requested: The id after which messages are missing, as the client sent it.
        resumed_from: The id that precedes the next message of the stream.
        reason: Why messages are missing. With several channels, the reason for the first of them.
        channels: With several channels, the reason for each channel that has a gap, by name.
    """

    requested: str
    resumed_from: str
    reason: Reason
    channels: dict[str, Reason] | None = None


class Slow(msgspec.Struct, frozen=True, kw_only=True):
    """
    Warns a client that it will be disconnected if it does not read faster.

    Attributes:
        queued: The bytes that were queued for it.
        limit: The bytes that may be queued for it.
    """

    queued: int
    limit: int
