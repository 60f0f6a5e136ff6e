"""
Runs: the runs of a hub, by name.

Layer: channels, below `hub`.
"""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, TypeAlias, cast

from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.interfaces import IReactorCore, IReactorTime

from twistream.channels.engine import Engine, check_channel_name
from twistream.channels.ownership import RunEngine
from twistream.channels.run import Run
from twistream.channels.run_core import RunCore
from twistream.channels.run_options import RunOptions
from twistream.checks import has_methods, kind
from twistream.scheduling.turn import Turn

Producer: TypeAlias = Callable[[Run], Any]
"""
Called with its run. It may be ``async``, or return a Deferred or anything else that can be awaited:
what that gives is the result. If it is a generator or an async generator, its items are published.
"""


class Runs:
    """
    The runs of one hub.

    Attributes:
        by_name: Those that run, and those that are kept for clients that reconnect. Read-only.
    """

    def __init__(self, engine: Engine, clock: Callable[[], IReactorTime]) -> None:
        """
        Args:
            clock: Returns the clock. It is called when a run is first started.
        """
        self._engine = engine
        self._get_clock = clock
        self._cores: dict[str, RunCore] = {}
        self._runs: dict[str, Run] = {}
        self.by_name: Mapping[str, Run] = MappingProxyType(self._runs)
        self._running: dict[RunCore, None] = {}
        self._trigger: Any = None
        self._is_shut_down = False

    def run(self, name: str, producer: Producer, options: RunOptions, *, restart: bool) -> Run:
        """
        Start a run, or join the one of this name. See ``Hub.run``.
        """
        check_channel_name(name)
        if not callable(producer):
            msg = f"producer must be callable, not {kind(producer)}"
            raise TypeError(msg)
        if not has_methods(self._engine, "open_run"):
            msg = f"the engine of this hub ({kind(self._engine)}) cannot hold runs"
            raise TypeError(msg)
        core = self._cores.get(name)
        if core is not None:
            if not (restart and core.closed):
                return self._runs[name]
            core.expire()
        return self._start(name, producer, options, restart=restart)

    def close(self) -> None:
        """
        Stop all runs.
        """
        for run in list(self._runs.values()):
            run.stop("the hub was closed")

    def _start(self, name: str, producer: Producer, options: RunOptions, *, restart: bool) -> Run:
        core = RunCore(
            name,
            options,
            cast("RunEngine", self._engine),
            self._get_clock(),
            restart=restart,
            on_end=self._ended,
            forget=self._forget,
        )
        run = Run(core)
        # First, because the producer may ask for its own run.
        self._cores[name], self._runs[name] = core, run
        self._running[core] = None
        self._watch_shutdown()
        core.start(partial(producer, run), run.publish)
        return run

    def _ended(self, core: RunCore) -> None:
        self._running.pop(core, None)
        self._watch_shutdown()

    def _forget(self, core: RunCore) -> None:
        if self._cores.get(core.name) is core:
            del self._cores[core.name], self._runs[core.name]

    def _watch_shutdown(self) -> None:
        """
        Be notified when the reactor stops, while there are runs that would be lost.
        """
        clock = self._get_clock()
        if self._is_shut_down or not IReactorCore.providedBy(clock):
            return  # Or it is the clock of a test.
        reactor = cast("IReactorCore", clock)
        if self._running and self._trigger is None:
            self._trigger = reactor.addSystemEventTrigger("before", "shutdown", self._lose)
        elif self._trigger is not None and not self._running:
            trigger, self._trigger = self._trigger, None
            reactor.removeSystemEventTrigger(trigger)

    def _lose(self) -> Deferred[Any]:
        """
        The reactor stops: end all runs as lost, and give their producers time to clean up.
        """
        self._is_shut_down = True
        lost = gatherResults([core.lose() for core in list(self._running)])
        return lost.addCallback(lambda _: self._sent())

    def _sent(self) -> Deferred[None]:
        """
        A Deferred that fires when the ends are on their way: streams end at the end of a turn.
        """
        sent: Deferred[None] = Deferred()
        turn = Turn.of(self._get_clock())
        turn.at_end(lambda: turn.soon(lambda: turn.soon(partial(sent.callback, None))))
        return sent
