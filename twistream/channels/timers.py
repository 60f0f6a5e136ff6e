"""
Timers: the timers of one run, by name.

Layer: channels, at the bottom.
"""

from collections.abc import Callable

from twistream.scheduling.turn import Turn
from twistream.scheduling.wheel import Timer


class Timers:
    """
    At most one timer of each name. Each may fire an eighth of its delay late.
    """

    __slots__ = ("_timers", "_turn")

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._timers: dict[str, Timer] = {}

    def start(self, name: str, seconds: float, call: Callable[[], object]) -> None:
        """
        Run `call` after `seconds`, which must be more than 0. It replaces a timer of this name.
        """

        def run() -> None:
            del self._timers[name]
            call()

        self.cancel(name)
        self._timers[name] = self._turn.timers.later(seconds, run)

    def cancel(self, *names: str) -> None:
        """
        Stop the timers of these names that run.
        """
        for name in names:
            if (timer := self._timers.pop(name, None)) is not None:
                timer.cancel()
