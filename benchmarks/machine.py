"""
What the benchmarks ran on: figures without it mean nothing.
"""

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.processes import Cores
from benchmarks.servers import ROOT

_BUSY = 0.3
"""
The load average from which something else has run in the last minute.
"""


def describe() -> dict[str, str]:
    """
    The machine, the programs and the noise, in words, by what they are.
    """
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    cores = Cores.here()
    apart = (
        "on the same core"
        if cores.server is None
        else f"server on core {cores.server}, client on core {cores.client}"
    )
    return {
        "Processor": f"{_processor()}, {os.cpu_count()} cores",
        "Placement": apart,
        "Memory": f"{memory / 2**30:.0f} GB",
        "Kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "Frequency governor": _governor(),
        "Load average before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
        "Revision": _revision(),
        "Date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def cautions() -> list[str]:
    """
    What about the machine makes figures worse than they could be.
    """
    found = []
    if Cores.here().server is None:
        found.append("The client and the server had to share one core.")
    if os.getloadavg()[0] > _BUSY:
        found.append(
            f"The machine was not idle before the run: load average {os.getloadavg()[0]:.2f}."
        )
    if (governor := _governor()) not in ("performance", _NO_GOVERNOR):
        found.append(f"The frequency governor is {governor}, not performance.")
    return found


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


_NO_GOVERNOR = "none (a virtual machine, or a fixed frequency)"


def _governor() -> str:
    path = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    try:
        return path.read_text().strip()
    except OSError:
        return _NO_GOVERNOR


def _revision() -> str:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--exclude=*"],  # noqa: S607 - any git
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError:
        return "unknown"
    return done.stdout.strip() or "unknown"
