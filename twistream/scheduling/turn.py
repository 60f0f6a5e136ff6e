"""
Turns of the reactor, and the time slice that all streams of a clock share.

A Deferred that has already fired never gives way to the reactor, so a loop that awaits
such Deferreds would keep every other client waiting. Whoever works in a loop asks its
`Turn` for leave to go on, and if there is none, goes on in a later turn. What is better
done once for a turn than once for a message asks to be called at the turn's end.

This module knows nothing of HTTP.
"""

from collections import deque
from collections.abc import Callable
from typing import ClassVar
from weakref import WeakValueDictionary

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from twistream.scheduling.wheel import TimerWheel

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
    The current turn of one clock: its number, its slice, and what waits for its end.

    A turn that does work ends in a ``callLater(0)`` that all streams share. Asked for
    while the reactor handles I/O, that comes before the next poll; asked for in a delayed
    call, after one more.

    Attributes:
        clock: The clock.
        began: The time when the current turn began.
        ends: The time when the slice of the current turn ends.
        timers: The timers of its streams, which may be a little late.
    """

    __slots__ = (
        "__weakref__",
        "_due",
        "_number",
        "_ready",
        "_running",
        "_scheduled",
        "began",
        "clock",
        "ends",
        "timers",
    )

    _log = Logger()
    # Weak in the Turn and keyed by the clock's identity: a Turn holds its clock, so while
    # an entry lives no other clock can have that identity.
    _turns: ClassVar[WeakValueDictionary[int, "Turn"]] = WeakValueDictionary()

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.timers = TimerWheel(clock)
        self._number = 0
        self.began = 0.0
        self.ends = 0.0
        self._due: list[Callable[[], object]] = []
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

    def at_end(self, call: Callable[[], object]) -> None:
        """
        Call `call` at the end of the current turn, in the order of asking.
        """
        self.enter()
        self._due.append(call)

    def soon(self, call: Callable[[], object]) -> None:
        """
        Call `call` in a later turn, in the order of asking, as soon as a slice has room.
        """
        self.enter()
        self._ready.append(call)

    @property
    def is_ending(self) -> bool:
        """
        Whether what is due at a turn's end, or in a slice, is being called.
        """
        return self._running

    def _begin(self) -> None:
        self._number += 1
        self.began = self.clock.seconds()
        self.ends = self.began + SLICE

    def _schedule(self, delay: float) -> None:
        self._scheduled = True
        self.clock.callLater(delay, self._run)

    def _run(self) -> None:
        self._scheduled = False
        self._running = True
        try:
            self._end()
            self._begin()
            # What these calls ask for in their turn belongs to the next one.
            for _ in range(len(self._ready)):
                self._call(self._ready.popleft())
                if self.clock.seconds() >= self.ends:
                    break
            self._end()
        finally:
            self._running = False
            if self._ready or self._due:
                self._schedule(_AFTER_THIS_INSTANT)

    def _end(self) -> None:
        # As above: what these ask for in their turn has to wait for another end.
        due, self._due = self._due, []
        for call in due:
            self._call(call)

    def _call(self, call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException:  # noqa: BLE001 - of a stream, and must not stop the others
            self._log.failure("a call of a turn failed")
