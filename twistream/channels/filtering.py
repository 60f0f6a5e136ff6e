"""
MessageFilter: the filter of one subscription, and the position that it moves.

Layer: channels, below `subscription`.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from inspect import isawaitable, iscoroutine
from typing import Any

from twistream.channels.feed import ChannelCore
from twistream.server.outlet import Filter

_UPDATE_SHARE = 4
"""
A client receives its position when a quarter of the shortest history was skipped: long before
the history drops those messages, which would be a gap for a client that reconnects.
"""


class MessageFilter:
    """
    A program's filter, and the position of the client past the messages that were skipped.

    Attributes:
        function: Decides whether the client receives a message.
        position: The id from which the client resumes after the skipped messages, if it does
            not know it; otherwise None.
        update_due: Many messages were skipped, so the client should receive its position now.
    """

    __slots__ = ("_skipped", "_update_after", "function", "position", "update_due")

    def __init__(self, function: Filter, cores: Sequence[ChannelCore[Any]]) -> None:
        self.function = function
        shortest = min(core.bounds.history for core in cores)
        self._update_after = max(1, shortest // _UPDATE_SHARE)
        self._skipped = 0
        self.position: str | None = None
        self.update_due = False

    def skip(self, position: str) -> None:
        """
        Note that a message was skipped.

        Args:
            position: The id from which the client resumes after the message.
        """
        self.position = position
        self._skipped += 1
        self.update_due = self._skipped >= self._update_after

    def position_known(self) -> None:
        """
        Mark the position as known to the client.
        """
        self._skipped = 0
        self.position = None
        self.update_due = False


def decision(result: object) -> bool:
    """
    Return whether a filter with this result lets the message pass.

    Raises:
        TypeError: The result is an awaitable or an iterator, which would be true for every message.
    """
    if isawaitable(result) or isinstance(result, Iterator | AsyncIterator):
        if iscoroutine(result):
            result.close()  # Otherwise Python warns that nobody has awaited it.
        msg = f"filter must return whether to deliver a message, not {type(result).__name__}"
        raise TypeError(msg)
    return bool(result)
