"""
The machine and the interpreter: a description for the report, and reasons to distrust figures.
"""

import gc
import os
import platform
import resource
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import psutil

from benchmarks.servers import ROOT

_BUSY: Final = 0.3  # the load average above which other programs ran in the last minute
_CORES: Final = sorted(os.sched_getaffinity(0))
CLIENT_CORE: Final = _CORES[0]
SERVER_CORE: Final = _CORES[-1]


class NotMeasuredError(Exception):
    """
    A figure could not be measured. ``str()`` gives the reason in one line.
    """


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """
    Run on one core. Processes that are started here stay on it.
    """
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def undisturbed() -> Iterator[None]:
    """
    Keep the client on its core, and stop its garbage collector.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        with pinned(CLIENT_CORE):
            yield
    finally:
        gc.unfreeze()
        gc.enable()


def allow_files(count: int) -> None:
    """
    Raise the limit of open files, for this process and the servers.

    Raises:
        NotMeasuredError: The hard limit is lower than `count`.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < count:
        msg = (
            f"{count} open files are needed, and the hard limit is {hard}: "
            f"raise it (ulimit -Hn {count}, as root) or use fewer subscribers with --sizes"
        )
        raise NotMeasuredError(msg)


def is_optimised() -> bool:
    """
    Whether Python was compiled with profile-guided optimisation.
    """
    if sysconfig.get_config_var("Py_DEBUG"):
        return False
    # Distributions optimise Python too, but do not always keep the option in the configuration.
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    return "--enable-optimizations" in options or sys.base_prefix == "/usr"


def describe() -> dict[str, str]:
    """
    The machine and the programs on it, by what they are.
    """
    build = "optimised build" if is_optimised() else "not an optimised build"
    return {
        "Processor": f"{_processor()}, {os.cpu_count()} cores",
        "Placement": f"server on core {SERVER_CORE}, client on core {CLIENT_CORE}",
        "Memory": f"{psutil.virtual_memory().total / 2**30:.0f} GB",
        "Kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}, {build}",
        "Load generator": _output("h2load", "--version"),
        "Load average before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "Revision": _output("git", "describe", "--always", "--dirty", "--exclude=*"),
        "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def cautions() -> list[str]:
    """
    Why figures from this machine may be wrong.
    """
    found = []
    if not is_optimised():
        found.append(
            "Python was compiled without optimisations, as pyenv does by default. Remove "
            ".venv-bench and run make bench PYTHON=/usr/bin/python3, or another optimised Python."
        )
    if CLIENT_CORE == SERVER_CORE:
        found.append("The client and the server shared one core.")
    if (load := os.getloadavg()[0]) > _BUSY:
        found.append(f"The machine was not idle before the run: load average {load:.2f}.")
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _output(*command: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - our own arguments
            command, cwd=ROOT, capture_output=True, text=True, check=False
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
