"""
A run: rounds of all scenarios and all servers, each in a fresh process.

Within a round the servers do the same one after the other, so that figures with a ratio are from
the same minute. Each round starts with another server.
"""

import gc
import resource
import sys
from collections.abc import Collection, Sequence
from subprocess import SubprocessError
from typing import Final

from attrs import asdict

from benchmarks import machine
from benchmarks.machine import NotMeasuredError
from benchmarks.processes import serving
from benchmarks.report import text
from benchmarks.results import Results
from benchmarks.scenarios import SCENARIOS, Figures, Settings
from benchmarks.servers import Server

_WHOLE_CORE: Final = 95  # per cent


def tell(line: str) -> None:
    """
    Report progress.
    """
    sys.stderr.write(f"{line}\n")


def measure(servers: Sequence[Server], only: Collection[str], settings: Settings) -> Results:
    """
    Measure everything that can be measured. Ctrl-C ends this early.

    Args:
        servers: The servers that take part.
        only: The names of the scenarios.
        settings: How much to measure.
    """
    results = Results(machine=machine.describe(), cautions=machine.cautions())
    results.settings = asdict(settings)
    gc.disable()  # it would interrupt the client
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # of the servers too
    try:
        ready = [server for server in servers if _prepare(results, server, only)]
        for number in range(settings.rounds):
            for name in (name for name in SCENARIOS if name in only):
                part_of = [server for server in ready if name in server.scenarios]
                first = number % max(1, len(part_of))
                for part in SCENARIOS[name].parts(settings):
                    for server in (*part_of[first:], *part_of[:first]):
                        figures = _figures(server, name, part, settings)
                        _add(results, number + 1, server, f"{name} {part}".strip(), figures)
    except KeyboardInterrupt:
        results.errors.append("The run was interrupted: figures are missing.")
    results.cautions += disturbances(results)
    return results


def disturbances(results: Results) -> list[str]:
    """
    Why the figures themselves look wrong: a client that never sleeps did not have its core.
    """
    shares = [
        cell["values"]["client CPU, %"]
        for cell in results.figures
        if cell["figure"].startswith("forms-long")
    ]
    if not (disturbed := sum(share < _WHOLE_CORE for share in shares)):
        return []
    caution = (
        f"Other programs took the core of a client that keeps up, in {disturbed} of {len(shares)} "
        "measurements. It then gets several messages at once, which makes peers look cheaper."
    )
    return [caution]


def _prepare(results: Results, server: Server, only: Collection[str]) -> bool:
    if server.scenarios.isdisjoint(only):
        return False
    try:
        versions = server.prepare()
    except (ImportError, OSError, SubprocessError) as err:
        results.errors.append(f"{server.name} was left out: {err}")
        return False
    results.servers[server.name] = {"title": server.title, "versions": versions}
    return True


def _figures(server: Server, name: str, part: str, settings: Settings) -> Figures:
    gc.collect()
    with serving(server) as process:
        yield from SCENARIOS[name].measure(process, settings, part)


def _add(results: Results, number: int, server: Server, what: str, figures: Figures) -> None:
    try:
        for figure, values in figures:
            results.put(number, figure, server.name, values)
            unit, value = next(iter(values.items()))
            tell(f"round {number}  {figure:<30} {server.name:<12} {text(value)} {unit}")
    except (NotMeasuredError, OSError, SubprocessError) as err:
        results.errors.append(f"{what}, {server.name}, round {number}: {err}")
        tell(f"error: {results.errors[-1]}")
