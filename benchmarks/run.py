"""
A run: rounds of all loads and all servers, each in a fresh process.

Within a round the servers are put under the same load one after the other, so that the
figures whose ratio is taken are of the same minute. Each round begins with another server.
"""

import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from benchmarks import machine
from benchmarks.errors import NotMeasuredError
from benchmarks.measures import kind
from benchmarks.processes import Cores, ServerProcess, allow_files, undisturbed
from benchmarks.results import Results
from benchmarks.scenarios import Load, Settings, Values, loads
from benchmarks.servers import Server

CLIENT_LIMIT = 0.9
"""
The share of its core from which the client, and not the server, may be what is measured.
"""


def tell(line: str) -> None:
    """
    Say how far it is.
    """
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


class Run:
    """
    One run.

    Attributes:
        results: What there is so far.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        only: Collection[str],
        settings: Settings,
        path: Path,
    ) -> None:
        """
        Args:
            servers: Who takes part.
            only: The names of the scenarios.
            settings: How much is measured.
            path: Where the results are saved after each figure.
        """
        self.results = Results()
        self._servers = list(servers)
        self._loads = loads(settings, only)
        self._settings = settings
        self._path = path
        self._cores = Cores.here()

    def measure(self) -> None:
        """
        Do it.

        Raises:
            NotMeasuredError: It cannot even begin.
        """
        allow_files(self._settings.files)
        self.results.machine = machine.describe()
        self.results.cautions = machine.cautions()
        self.results.settings = self._settings.as_json()
        for caution in self.results.cautions:
            tell(f"warning: {caution}")
        ready = [server for server in self._servers if self._prepare(server)]
        started = time.monotonic()
        for number in range(1, self._settings.rounds + 1):
            for load in self._loads:
                part = [server for server in ready if load.figures_of(server)]
                for server in _rotated(part, number - 1):
                    self._put_under(server, load, number)
            minutes = (time.monotonic() - started) / 60
            tell(f"round {number} of {self._settings.rounds} is done, {minutes:.1f} minutes so far")
        self.results.finished = True
        self.results.save(self._path)

    def _prepare(self, server: Server) -> bool:
        if not any(load.figures_of(server) for load in self._loads):
            return False
        reason = server.missing()
        if reason is None:
            try:
                server.prepare()
                versions = server.versions()
            except (OSError, RuntimeError) as err:
                reason = str(err)
        if reason is not None:
            tell(f"warning: {server.name} is left out: {reason}")
            self.results.left_out[server.name] = reason
            return False
        self.results.servers[server.name] = {"title": server.title, "versions": versions}
        return True

    def _put_under(self, server: Server, load: Load, number: int) -> None:
        missing = list(load.figures_of(server))

        def put(figure: str, values: Values) -> None:
            missing.remove(figure)
            self.results.put(number, figure, server.name, values)
            self._save()
            tell(f"{self._place(number, figure, server)}  {_in_words(figure, values)}")
            if is_bound_by_client(values):
                tell(f"warning: {figure} {server.name}: the client had no time to spare")

        try:
            with undisturbed(self._cores), ServerProcess(server, self._cores) as process:
                load.measure(process, put)
        except (NotMeasuredError, OSError) as err:
            for figure in missing:
                self.results.put_error(number, figure, server.name, str(err))
                tell(f"{self._place(number, figure, server)}  error: {err}")
            self._save()

    def _save(self) -> None:
        self.results.save(self._path)

    def _place(self, number: int, figure: str, server: Server) -> str:
        return f"{number}/{self._settings.rounds} {figure:<20} {server.name:<18}"


def is_bound_by_client(values: Values) -> bool:
    """
    Whether the client's core was full where the server's was not.
    """
    return (
        values.get("client_cpu", 0) > CLIENT_LIMIT and values.get("server_cpu", 1) <= CLIENT_LIMIT
    )


def _rotated(servers: Sequence[Server], by: int) -> list[Server]:
    start = by % len(servers) if servers else 0
    return [*servers[start:], *servers[:start]]


def _in_words(figure: str, values: Values) -> str:
    main = kind(figure).main
    words = f"{main.text(values[main.name])} {main.title}"
    if "server_cpu" not in values:
        return words
    return f"{words}  (server {values['server_cpu']:.0%}, client {values['client_cpu']:.0%})"
