"""
Turns of the reactor, and the time slice that all streams of a clock share.

A Deferred that has already fired never gives way to the reactor, so a loop that awaits
such Deferreds would keep every other client waiting. Whoever works in a loop asks its
`Turn` for leave to go on, and if there is none, goes on in a later turn.

This module knows nothing of HTTP.
"""

from collections import deque
from collections.abc import Callable
from typing import ClassVar
from weakref import WeakValueDictionary

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

SLICE = 0.01
"""
Seconds of work in one turn, for all streams together; what Twisted's Cooperator takes.
"""

_AFTER_THIS_INSTANT = 1e-9
"""
Seconds. Nothing beside a real reactor's clock, but more than zero for a
`twisted.internet.task.Clock`, whose ``advance`` would never return from an endless
stream that asked for another turn at the same instant.
"""


class Turn:
    """
    The current turn of one clock: its number, its slice, and what waits for the next.

    Attributes:
        clock: The clock.
    """

    __slots__ = ("__weakref__", "_ends", "_number", "_ready", "_running", "_scheduled", "clock")

    _log = Logger()
    # Weak in the Turn and keyed by the clock's identity: a Turn holds its clock, so while
    # an entry lives no other clock can have that identity.
    _turns: ClassVar[WeakValueDictionary[int, "Turn"]] = WeakValueDictionary()

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self._number = 0
        self._ends = 0.0
        self._ready: deque[Callable[[], object]] = deque()
        self._running = False
        self._scheduled = False

    @classmethod
    def of(cls, clock: IReactorTime) -> "Turn":
        """
        The one Turn of this clock.
        """
        turn = cls._turns.get(id(clock))
        if turn is None:
            turn = cls._turns[id(clock)] = cls(clock)
        return turn

    def enter(self) -> int:
        """
        The number of the current turn, which changes with every turn that does work.
        """
        if not self._scheduled and not self._running:
            self._begin()
            self._schedule(0)
        return self._number

    def has_time(self) -> bool:
        """
        Whether the current turn's slice lasts.
        """
        self.enter()
        return self.clock.seconds() < self._ends

    def soon(self, call: Callable[[], object]) -> None:
        """
        Call `call` in a later turn, in the order of asking, as soon as a slice has room.
        """
        self.enter()
        self._ready.append(call)

    def _begin(self) -> None:
        self._number += 1
        self._ends = self.clock.seconds() + SLICE

    def _schedule(self, delay: float) -> None:
        self._scheduled = True
        self.clock.callLater(delay, self._run)

    def _run(self) -> None:
        self._scheduled = False
        self._running = True
        self._begin()
        # What these calls ask for in their turn belongs to the next one.
        for _ in range(len(self._ready)):
            try:
                self._ready.popleft()()
            except Exception:  # noqa: BLE001 - one stream's bug must not stop the others
                self._log.failure("a call at the start of a turn failed")
            if self.clock.seconds() >= self._ends:
                break
        self._running = False
        if self._ready:
            self._schedule(_AFTER_THIS_INSTANT)
