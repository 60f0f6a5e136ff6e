"""
Pacer: how much bulk work all streams together may do in one turn, one after the other.

After a restart, thousands of clients reconnect at once, and each asks for a long replay. Without a
common limit, each would take its own share of every turn, so that one turn takes seconds, and live
messages wait for it.

Layer: scheduling, above `turn`.
"""

from collections import OrderedDict
from typing import ClassVar
from weakref import WeakValueDictionary

from twisted.internet.defer import Deferred

from twistream.scheduling.turn import Turn

BUDGET = 256 * 1024
"""
Bytes in one turn. A millisecond or two of work: a live message hardly notices, and the throughput
hardly suffers from the turns in between.
"""


class Pacer:
    """
    The budget of each turn of one clock. Those who wait get their part in the order in which they came.
    """

    __slots__ = ("__weakref__", "_left", "_number", "_scheduled", "_turn", "_waiting", "budget")

    # Weak values, keyed by the turn's identity: a pacer holds its turn, so while an entry lives, no
    # other turn can have that identity.
    _pacers: ClassVar["WeakValueDictionary[int, Pacer]"] = WeakValueDictionary()

    def __init__(self, turn: Turn, budget: int = BUDGET) -> None:
        """
        Args:
            budget: Bytes in one turn.
        """
        self._turn = turn
        self.budget = budget
        self._left = 0
        self._number = 0
        self._waiting: OrderedDict[Deferred[None], None] = OrderedDict()
        self._scheduled = False

    @classmethod
    def of(cls, turn: Turn) -> "Pacer":
        """
        Return the one pacer of this turn's clock. It lives as long as somebody holds it.
        """
        pacer = cls._pacers.get(id(turn))
        if pacer is None:
            pacer = cls._pacers[id(turn)] = cls(turn)
        return pacer

    def __len__(self) -> int:
        """
        The number of those who wait.
        """
        return len(self._waiting)

    def wait(self) -> Deferred[None] | None:
        """
        Return a Deferred that fires when the caller may go on; None if it may now.

        After that, do one piece of work, call `spend`, and call this again before the next piece.
        The Deferred can be cancelled.
        """
        if not self._waiting and self._has_budget():
            return None
        wait: Deferred[None] = Deferred(self._waiting.pop)
        self._waiting[wait] = None
        self._schedule()
        return wait

    def spend(self, size: int) -> None:
        """
        Count the bytes of one piece of work. The last one of a turn may exceed the budget.
        """
        self._left -= size

    def _has_budget(self) -> bool:
        number = self._turn.enter()
        if number != self._number:
            self._number = number
            self._left = self.budget
        return self._left > 0

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._turn.soon(self._admit)

    def _admit(self) -> None:
        self._scheduled = False
        try:
            # Those who come again while this runs are behind those who wait already.
            while self._waiting and self._has_budget():
                wait, _ = self._waiting.popitem(last=False)
                wait.callback(None)
        finally:
            if self._waiting:
                self._schedule()
