"""
MemoryEngine: keeps the messages of channels and runs in this process.

Layer: channels, above `memory_run`.
"""

from collections.abc import Callable
from functools import partial

from twisted.internet.interfaces import IReactorTime

from twistream.channels.engine import Bounds
from twistream.channels.memory import MemoryLog
from twistream.channels.memory_run import MemoryRunLog
from twistream.channels.ownership import RunObserver
from twistream.wire.messages import Message


class MemoryEngine:
    """
    The default engine. Messages are lost when the process exits.

    Hubs that share an engine share its runs, as processes share those of other engines.
    """

    def __init__(self) -> None:
        self._runs: dict[str, MemoryRunLog] = {}

    def open(
        self,
        name: str,
        bounds: Bounds,
        clock: Callable[[], IReactorTime],
        received: Callable[[Message], object],
    ) -> MemoryLog:
        """
        Open the log of a channel. See `twistream.channels.engine.Engine.open`.
        """
        return MemoryLog(name, bounds, clock, received)

    def open_run(
        self,
        name: str,
        bounds: Bounds,
        clock: Callable[[], IReactorTime],
        observer: RunObserver,
        *,
        restart: bool,
    ) -> MemoryRunLog:
        """
        Open the log of a run. See `twistream.channels.ownership.RunEngine.open_run`.
        """
        log = self._runs.get(name)
        if log is None or (restart and log.end is not None):
            log = MemoryRunLog(name, bounds, clock)
            log.on_unused = partial(self._forget_run, name, log)
            self._runs[name] = log
        log.join(observer)
        return log

    def _forget_run(self, name: str, log: MemoryRunLog) -> None:
        if self._runs.get(name) is log:
            del self._runs[name]
