"""
The items that ``stream`` takes from an iterable or async iterable.

Layer: base, below `streaming`.
"""

from collections.abc import AsyncIterator, Callable
from typing import Any, Self

from twisted.internet.defer import Deferred

from twistream.checks import name_of
from twistream.errors import StopStream
from twistream.server.base.body import Item, encoded

NO_ITEM = object()
"""
Stands for the first item of an iterator that has none.
"""


class EncodedItems:
    """
    The async form of `map`.
    """

    def __init__(self, items: AsyncIterator[Any], encode: Callable[[Any], bytes]) -> None:
        self._next = items.__anext__
        self._encode = encode

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        return self._encode(await self._next())


async def first_item(iterator: AsyncIterator[Any], encode: Callable[[Any], bytes]) -> object:
    """
    Return the first item of an async iterator, or `NO_ITEM`.
    """
    try:
        item = await anext(iterator)
    except (StopAsyncIteration, StopStream):
        return NO_ITEM
    encode(item)
    return item


def encoded_item(source: object, item: Item) -> bytes:
    """
    Encode what an iterator yields.
    """
    if isinstance(item, bytes):
        return item
    if isinstance(item, Item):
        return encoded(item)
    hint = "use an async generator, or did you mean @inlineCallbacks?"
    if not isinstance(item, Deferred):
        hint = "for JSON, call ctx.json_line(value) instead of yielding the value"
    msg = f"{name_of(source)} must yield str or bytes, not {type(item).__name__}; {hint}"
    raise TypeError(msg)
