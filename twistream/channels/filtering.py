"""
MessageFilter: the filter of one subscription, and the position that it moves.

Layer: channels, below `subscription`.
"""

from collections.abc import Sequence
from typing import Any

from twistream.channels.feed import Topic
from twistream.server.outlet import Filter
from twistream.wire.messages import Message

_UPDATE_SHARE = 4
"""
A client receives its position when a quarter of the shortest history was skipped: long before
the history drops those messages, which would be a gap for a client that reconnects.
"""


class MessageFilter:
    """
    Decides which messages a client receives, and keeps its position past those it does not.

    Attributes:
        position: The id from which the client resumes after the skipped messages, if it does
            not know it; otherwise None.
        update_due: Many messages were skipped, so the client should receive its position now.
    """

    __slots__ = ("_function", "_skipped", "_update_after", "position", "update_due")

    def __init__(self, function: Filter, topics: Sequence[Topic[Any]]) -> None:
        self._function = function
        shortest = min(topic.bounds.history for topic in topics)
        self._update_after = max(1, shortest // _UPDATE_SHARE)
        self._skipped = 0
        self.position: str | None = None
        self.update_due = False

    def passes(self, message: Message, position: str) -> bool:
        """
        Return whether the client receives `message`. Raises whatever the function raises.

        Args:
            position: The id from which the client resumes after the message.
        """
        if self._function(message):
            if self.position is not None:
                self.position_known()
            return True
        self.position = position
        self._skipped += 1
        self.update_due = self._skipped >= self._update_after
        return False

    def position_known(self) -> None:
        """
        Mark the position as known to the client.
        """
        self._skipped = 0
        self.position = None
        self.update_due = False
