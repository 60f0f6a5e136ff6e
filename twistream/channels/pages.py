"""
PageCache: the newest pages of replays, encoded once for all clients that receive the same.

After a restart, thousands of clients ask for the same messages.

Layer: channels, below `feed`.
"""

from collections import OrderedDict
from collections.abc import Sequence
from typing import ClassVar, TypeAlias
from weakref import WeakValueDictionary

from twistream.scheduling.turn import Turn
from twistream.wire.frames import Batch, Frame
from twistream.wire.messages import Format, Message

_LIMIT = 2**20
"""
Bytes of messages. With their framing they take about three times as much memory.
"""

_Key: TypeAlias = tuple[Format, str, str]
"""
A format, and the ids of the first and the last message. Ids are unique, so this is one page.
"""


class PageCache:
    """
    The pages of replays on one clock.
    """

    __slots__ = ("__weakref__", "_pages", "_size")

    # As in `twistream.scheduling.pacing.Pacer`, by the identity of the turn, which a feed holds.
    _caches: ClassVar["WeakValueDictionary[int, PageCache]"] = WeakValueDictionary()

    def __init__(self) -> None:
        self._pages: OrderedDict[_Key, Batch] = OrderedDict()
        self._size = 0

    @classmethod
    def of(cls, turn: Turn) -> "PageCache":
        """
        Return the one cache of this turn's clock. It lives as long as somebody holds it.
        """
        cache = cls._caches.get(id(turn))
        if cache is None:
            cache = cls._caches[id(turn)] = cls()
        return cache

    def batch(self, messages: Sequence[Message], format: Format) -> Batch:
        """
        Return one or more consecutive messages of one channel, with their ids.
        """
        key = (format, messages[0].id, messages[-1].id)
        batch = self._pages.get(key)
        if batch is not None:
            self._pages.move_to_end(key)
            return batch
        batch = Batch([Frame(message.encoded(format, message.id)) for message in messages])
        self._pages[key] = batch
        self._size += batch.size
        while self._size > _LIMIT and len(self._pages) > 1:
            _, oldest = self._pages.popitem(last=False)
            self._size -= oldest.size
        return batch
