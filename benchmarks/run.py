"""
A run: rounds of all loads and all servers, each in a fresh process.

Within a round the servers get the same load one after the other, so that figures with a ratio are
from the same minute. Each round starts with another server.
"""

import sys
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import machine
from benchmarks.figures import kind, text
from benchmarks.machine import NotMeasuredError
from benchmarks.processes import serving
from benchmarks.results import Results
from benchmarks.scenarios import Load, Settings, Values, loads
from benchmarks.servers import Server


def tell(line: str) -> None:
    """
    Report progress.
    """
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class Run:
    """
    One run.

    Attributes:
        results: The results so far.
    """

    def __init__(
        self, servers: Sequence[Server], only: Collection[str], settings: Settings, path: Path
    ) -> None:
        """
        Args:
            servers: The servers that take part.
            only: The names of the scenarios.
            settings: How much to measure.
            path: The file that results are saved to after each figure.
        """
        self.results = Results()
        self._servers = servers
        self._loads = loads(settings, only)
        self._settings = settings
        self._path = path

    def measure(self) -> None:
        """
        Measure everything.

        Raises:
            NotMeasuredError: Nothing can be measured.
        """
        settings = self._settings
        machine.allow_files(max(*settings.sizes, settings.connections) + 200)
        self.results.machine = machine.describe()
        self.results.cautions = machine.cautions()
        self.results.settings = asdict(settings)
        for caution in self.results.cautions:
            tell(f"warning: {caution}")
        ready = [server for server in self._servers if self._prepare(server)]
        started = time.monotonic()
        for number in range(1, settings.rounds + 1):
            for load in self._loads:
                part = [server for server in ready if load.figures_of(server)]
                first = (number - 1) % max(1, len(part))
                for server in (*part[first:], *part[:first]):
                    self._measure(server, load, number)
            minutes = (time.monotonic() - started) / 60
            tell(f"round {number} of {settings.rounds} is done after {minutes:.1f} minutes")
        self.results.finished = True
        self.results.save(self._path)

    def _prepare(self, server: Server) -> bool:
        if not any(load.figures_of(server) for load in self._loads):
            return False
        try:
            versions = server.prepare()
        except (OSError, RuntimeError) as err:
            tell(f"warning: {server.name} is left out: {err}")
            self.results.left_out[server.name] = str(err)
            return False
        self.results.servers[server.name] = {"title": server.title, "versions": versions}
        return True

    def _measure(self, server: Server, load: Load, number: int) -> None:
        missing = list(load.figures_of(server))

        def put(figure: str, values: Values | str) -> None:
            missing.remove(figure)
            self.results.put(number, figure, server.name, values)
            self.results.save(self._path)
            if isinstance(values, str):
                words = f"error: {values}"
            else:
                measure = kind(figure).main
                words = f"{text(measure, values[measure])} {kind(figure).measures[measure]}"
            tell(f"{number}/{self._settings.rounds} {figure:<24} {server.name:<18} {words}")

        try:
            with machine.undisturbed(), serving(server) as process:
                load.measure(process, self._settings, put)
        except (NotMeasuredError, OSError) as err:
            for figure in list(missing):
                put(figure, str(err))
