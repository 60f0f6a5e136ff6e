"""
The machine and the interpreter: a description for the report, and reasons to distrust figures.
"""

import os
import platform
import re
import subprocess
import sys
import sysconfig
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


def _optimisation() -> str | None:
    """
    How this Python was optimised when it was compiled, or None if it was not.
    """
    if sysconfig.get_config_var("Py_DEBUG"):
        return None
    options = sysconfig.get_config_var("CONFIG_ARGS") or ""
    if "--enable-optimizations" in options:
        return " ".join(re.findall(r"--enable-optimizations|--with-lto(?:=\w+)?", options))
    if sys.base_prefix == "/usr":
        # Distributions optimise Python too, but do not always keep the option.
        return "by its distribution, which does not record the options"
    return None


def describe() -> dict[str, str]:
    """
    The machine and the programs on it, by what they are.
    """
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    build = _optimisation()
    return {
        "Processor": f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores",
        "Placement": f"server on core {SERVER_CORE}, client on core {CLIENT_CORE}",
        "Memory": f"{psutil.virtual_memory().total / 2**30:.0f} GB",
        "Kernel": f"{platform.system()} {platform.release()}",
        "Python of the servers": (
            f"{platform.python_implementation()} {platform.python_version()}, "
            f"{platform.python_compiler()}, {f'optimised: {build}' if build else 'not optimised'}"
        ),
        "Load generator": _output("h2load --version"),
        "Load average before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "Revision": _output(f"git -C {ROOT} describe --always --dirty --exclude=*"),
        "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def cautions() -> list[str]:
    """
    Why figures from this machine may be wrong.
    """
    found = []
    if _optimisation() is None:
        found.append(
            "Python was compiled without optimisations, as pyenv does by default. Remove "
            ".venv-bench and run make bench PYTHON=/usr/bin/python3, or another optimised Python."
        )
    if CLIENT_CORE == SERVER_CORE:
        found.append("The client and the server shared one core.")
    if (load := os.getloadavg()[0]) > _BUSY:
        found.append(f"The machine was not idle before the run: load average {load:.2f}.")
    return found


def _output(command: str) -> str:
    return subprocess.getoutput(command).strip()  # noqa: S605 - our own commands
