"""
Cursor: the position of a stream in the logs of its channels, while it reads their histories.

Layer: channels, below `subscription`.
"""

from collections.abc import Sequence
from typing import Any

from twistream.channels.feed import ChannelCore
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

    __slots__ = ("_cores", "ids")

    def __init__(self, cores: Sequence[ChannelCore[Any]], ids: list[str]) -> None:
        self._cores = cores
        self.ids = ids

    @classmethod
    def at_end(cls, cores: Sequence[ChannelCore[Any]]) -> "Cursor":
        """
        A cursor after the newest message of each channel.
        """
        return cls(cores, [core.log.last for core in cores])

    @classmethod
    def after(cls, cores: Sequence[ChannelCore[Any]], requested: str) -> "Cursor":
        """
        A cursor after the id that a client requested. The id may be anything.
        """
        parts = requested.split(SEPARATOR, _MAX_PARTS)
        found = [next(filter(core.log.owns, parts), None) for core in cores]
        # If every part has a channel, a channel without a part is new to the client.
        understood = len(parts) == sum(part is not None for part in found)
        return cls(
            cores,
            [
                part or (core.log.last if understood else requested)
                for part, core in zip(found, cores, strict=True)
            ],
        )

    @property
    def id(self) -> str:
        """
        The id with which a client resumes here.
        """
        return SEPARATOR.join(self.ids)

    @property
    def is_known(self) -> bool:
        """
        Whether all ids are those of the logs, and not what a client has sent instead.
        """
        pairs = zip(self._cores, self.ids, strict=True)
        return all(core.log.owns(id_) for core, id_ in pairs)

    @property
    def lag(self) -> int:
        """
        The number of messages after the cursor, in all channels.
        """
        pairs = zip(self._cores, self.ids, strict=True)
        return sum(core.log.behind(id_) for core, id_ in pairs)

    @property
    def unread(self) -> list[int]:
        """
        The indexes of the channels that have messages after the cursor.
        """
        pairs = zip(self._cores, self.ids, strict=True)
        return [index for index, (core, id_) in enumerate(pairs) if id_ != core.log.last]
