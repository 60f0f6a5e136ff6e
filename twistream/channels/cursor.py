"""
Cursor: the position of a stream in the logs of its channels, while it reads their histories.

Layer: channels, below `subscription`.
"""

from collections.abc import Sequence
from typing import Any

from twistream.channels.feed import Topic
from twistream.wire.messages import SEPARATOR

_MAX_PARTS = 1_000
"""
The ids that are parsed in a request. A header has no room for more.
"""


class Cursor:
    """
    One position for each channel.

    Attributes:
        ids: The id of the last message that was read, for each channel.
    """

    __slots__ = ("_topics", "ids")

    def __init__(self, topics: Sequence[Topic[Any]], ids: list[str]) -> None:
        self._topics = topics
        self.ids = ids

    @classmethod
    def at_end(cls, topics: Sequence[Topic[Any]]) -> "Cursor":
        """
        A cursor after the newest message of each channel.
        """
        return cls(topics, [topic.log.last for topic in topics])

    @classmethod
    def after(cls, topics: Sequence[Topic[Any]], requested: str) -> "Cursor":
        """
        A cursor after the id that a client requested. The id may be anything.
        """
        parts = requested.split(SEPARATOR, _MAX_PARTS)
        found = [next(filter(topic.log.owns, parts), None) for topic in topics]
        # If every part has a channel, a channel without a part is new to the client.
        understood = len(parts) == sum(part is not None for part in found)
        return cls(
            topics,
            [
                part or (topic.log.last if understood else requested)
                for part, topic in zip(found, topics, strict=True)
            ],
        )

    @property
    def id(self) -> str:
        """
        The id with which a client resumes here.
        """
        return SEPARATOR.join(self.ids)

    @property
    def lag(self) -> int:
        """
        The number of messages after the cursor, in all channels.
        """
        pairs = zip(self._topics, self.ids, strict=True)
        return sum(topic.log.behind(id_) for topic, id_ in pairs)

    @property
    def unread(self) -> list[int]:
        """
        The indexes of the channels that have messages after the cursor.
        """
        pairs = zip(self._topics, self.ids, strict=True)
        return [index for index, (topic, id_) in enumerate(pairs) if id_ != topic.log.last]
