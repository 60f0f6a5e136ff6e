"""
Mailbox: a bounded queue of items that may drop items, and remembers where.

Pure: it knows nothing of channels, clients or clocks.
"""

from typing import Generic, TypeVar

T = TypeVar("T")


class Hole(Generic[T]):
    """
    Stands for consecutive items that were dropped.

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
    Items in order, each with its size. The caller decides what to drop when it is full.

    Attributes:
        limit: The total size that it may have.
        size: The total size of its items.
    """

    __slots__ = ("_entries", "limit", "size")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.size = 0
        # A list, because most are empty, and an empty deque takes ten times the memory.
        self._entries: list[tuple[T | Hole[T], int]] = []

    def __len__(self) -> int:
        """
        The number of items and holes.
        """
        return len(self._entries)

    @property
    def item_count(self) -> int:
        """
        The number of items, without holes.
        """
        return sum(not isinstance(entry, Hole) for entry, _ in self._entries)

    def put(self, item: T, size: int) -> bool:
        """
        Add an item, and return True; or return False if it does not fit.

        Nothing fits behind a hole, so that there is at most one.
        """
        ends_with_hole = self._entries and isinstance(self._entries[-1][0], Hole)
        if ends_with_hole or self.size + size > self.limit:
            return False
        self._entries.append((item, size))
        self.size += size
        return True

    def drop(self, item: T) -> None:
        """
        Drop an item that does not fit: a hole behind the other items stands for it.
        """
        last = self._entries[-1][0] if self._entries else None
        if isinstance(last, Hole):
            last.last = item
        else:
            self._entries.append((Hole(item, item), 0))

    def replace(self, item: T, size: int) -> list[T]:
        """
        Drop all other items to make room for this one: a hole before it stands for them.

        Returns:
            The items that were dropped. An item that is larger than the limit is among them.
        """
        gone: list[T | Hole[T]] = [entry for entry, _ in self._entries]
        if size > self.limit:
            gone.append(item)
        first, last = gone[0], gone[-1]
        hole = Hole(
            first.first if isinstance(first, Hole) else first,
            last.last if isinstance(last, Hole) else last,
        )
        self._entries = [(hole, 0)]
        self.size = 0
        if size <= self.limit:
            self._entries.append((item, size))
            self.size = size
        return [entry for entry in gone if not isinstance(entry, Hole)]

    def take(self, most: int) -> list[T | Hole[T]]:
        """
        Remove and return the oldest items: at least one, and at most a total size of `most`.
        """
        count, total = 0, 0
        for _, size in self._entries:
            if count and total + size > most:
                break
            count += 1
            total += size
        taken = [entry for entry, _ in self._entries[:count]]
        del self._entries[:count]
        self.size -= total
        return taken
