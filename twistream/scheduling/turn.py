"""
Turn: the current turn of the reactor, and the time slice that all streams share in it.

Share: the part of that slice that one stream may use.

A Deferred that has already fired never yields to the reactor, so a loop that awaits such
Deferreds would starve every other client. Code that loops asks its `Share` whether it may go
on; if not, it continues in a later turn. Work that costs less when it is done once for many
messages is scheduled for the end of the turn.

Layer: scheduling. It imports only the timer wheel and knows no HTTP.
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
Seconds of work in one turn, for all streams together: the slice of Twisted's Cooperator.
"""

_MIN_SHARE = 0.0005
"""
Seconds that a stream may use in each turn, even if others have used up the slice.
"""

_MAX_STEPS = 256
"""
Steps that one stream may take in a turn. A time limit is not enough, because a test's clock
stands still. That many messages take less than a millisecond.
"""

_AFTER_THIS_INSTANT = 1e-9
"""
Seconds to the next turn if calls remain. With zero, ``advance`` of a
`twisted.internet.task.Clock` would never return from an endless stream. On a real reactor it
makes no difference.
"""


class Turn:
    """
    The current turn of one clock: its number, its time slice, and the calls due at its end.

    A turn in which work is done ends in a ``callLater(0)`` that all streams share. If the
    turn begins while the reactor handles I/O, that call runs before the next poll; if it
    begins in a delayed call, one poll later.

    Attributes:
        clock: The clock.
        began: The time at which the current turn began, in seconds.
        seconds: The clock's own method, which is often called.
        ends: The time at which the slice of the current turn ends, in seconds.
        timers: The timers of the streams, which may fire a little late.
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
        "seconds",
        "timers",
    )

    _log = Logger()
    # Weak values, keyed by the clock's identity: a Turn holds its clock, so while an entry
    # lives, no other clock can have that identity.
    _turns: ClassVar[WeakValueDictionary[int, "Turn"]] = WeakValueDictionary()

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self.seconds = clock.seconds
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
        Return the one Turn of this clock.
        """
        turn = cls._turns.get(id(clock))
        if turn is None:
            turn = cls._turns[id(clock)] = cls(clock)
        return turn

    def enter(self) -> int:
        """
        Return the number of the current turn, and begin a turn if the last one has ended.
        """
        if not self._scheduled and not self._running:
            self._begin()
            self._schedule(0)
        return self._number

    def is_spent(self) -> bool:
        """
        Whether a turn has begun, and its slice is used up.
        """
        return (self._scheduled or self._running) and self.seconds() >= self.ends

    def at_end(self, call: Callable[[], object]) -> None:
        """
        Run `call` at the end of the current turn. Calls run in the order of scheduling.
        """
        self.enter()
        self._due.append(call)

    def soon(self, call: Callable[[], object]) -> None:
        """
        Run `call` in the next turn whose slice has time for it. Calls run in the order of
        scheduling.
        """
        self.enter()
        self._ready.append(call)

    @property
    def is_ending(self) -> bool:
        """
        Whether calls that `at_end` or `soon` scheduled are running.
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
            # Calls that are scheduled from here on belong to the next turn.
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
        # What these calls schedule for the end of a turn runs at the next end.
        due, self._due = self._due, []
        for call in due:
            self._call(call)

    def _call(self, call: Callable[[], object]) -> None:
        try:
            call()
        except BaseException:  # noqa: BLE001 - one stream's failure must not stop the others
            self._log.failure("a scheduled call failed")


class Share:
    """
    The part of each turn that one stream may use.

    Attributes:
        steps: The number of steps that it may still take in this turn.
        until: The time at which its part of this turn ends, in seconds.
    """

    __slots__ = ("_seen", "_turn", "steps", "until")

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._seen = 0
        self.steps = 0
        self.until = 0.0

    def enter(self, now: float) -> bool:
        """
        Join the current turn. Returns whether it is a new one for this stream.

        Args:
            now: The time, in seconds.
        """
        number = self._turn.enter()
        if self._seen == number:
            return False
        self._seen = number
        self.steps = _MAX_STEPS
        # Even in a crowded turn every stream has a little time: to continue in another turn
        # would cost as much.
        self.until = max(self._turn.ends, now + _MIN_SHARE)
        return True

    def may_go_on(self, now: float) -> bool:
        """
        Count a step. Returns whether another may follow in this turn.

        Args:
            now: The time, in seconds.
        """
        self.steps -= 1
        return self.steps > 0 and now < self.until
