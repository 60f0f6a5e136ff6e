"""
Mailbox: what waits for one slow subscriber, within a bound.

Pure: it knows nothing of channels, clients or clocks.
"""

from typing import Generic, TypeVar

T = TypeVar("T")


class Hole(Generic[T]):
    """
    Takes the place of items that were dropped.

    Attributes:
        first: The first of them.
        last: The last of them.
    """

    __slots__ = ("first", "last")

    def __init__(self, first: T, last: T) -> None:
        self.first = first
        self.last = last


class Mailbox(Generic[T]):
    """
    Items in order, with their sizes. One that is full is told what to drop, or refuses.

    Attributes:
        limit: How much it holds, in the unit of the sizes.
        size: How much it has.
    """

    __slots__ = ("_items", "limit", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        # A list, because most are empty: an empty deque takes ten times as much.
        self._items: list[tuple[T | Hole[T], int]] = []

    def __len__(self) -> int:
        """
        How many items it has, holes included.
        """
        return len(self._items)

    @property
    def waiting(self) -> int:
        """
        How many items it has, without holes.
        """
        return sum(not isinstance(item, Hole) for item, _ in self._items)

    def put(self, item: T, size: int) -> bool:
        """
        Add an item, and return whether there was room for it. If not, nothing has changed.

        After items that were dropped, nothing has room until the hole is taken out.
        """
        ends_in_a_hole = self._items and isinstance(self._items[-1][0], Hole)
        if ends_in_a_hole or self.size + size > self.limit:
            return False
        self._add(item, size)
        return True

    def drop(self, item: T) -> None:
        """
        There was no room for this item: leave a hole behind those that are there.
        """
        last = self._items[-1][0] if self._items else None
        if isinstance(last, Hole):
            last.last = item
        else:
            self._items.append((Hole(item, item), 0))

    def keep_only(self, item: T, size: int) -> list[T]:
        """
        There was no room for this item: drop the others for it, and leave a hole before it.

        Returns:
            What was dropped; the item too, if it is larger than the limit.
        """
        gone: list[T | Hole[T]] = [each for each, _ in self._items]
        if size > self.limit:
            gone.append(item)
        first, last = gone[0], gone[-1]
        hole = Hole(
            first.first if isinstance(first, Hole) else first,
            last.last if isinstance(last, Hole) else last,
        )
        self._items = [(hole, 0)]
        self.size = 0
        if size <= self.limit:
            self._add(item, size)
        return [each for each in gone if not isinstance(each, Hole)]

    def take(self, most: int) -> list[T | Hole[T]]:
        """
        Take out the oldest items: so many that their sizes are at most `most`, at least one.
        """
        count, size = 0, 0
        for _, its in self._items:
            if count and size + its > most:
                break
            count += 1
            size += its
        taken = [item for item, _ in self._items[:count]]
        del self._items[:count]
        self.size -= size
        return taken

    def _add(self, item: T, size: int) -> None:
        self._items.append((item, size))
        self.size += size
