"""
Run ``twistd twistream`` in another process, which may be killed.
"""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.e2e.net import LIMIT

TWISTD = str(Path(sys.executable).with_name("twistd"))
LOCAL = "tcp:0:interface=127.0.0.1"


def until(found: Callable[[], object], what: str) -> None:
    """
    Wait until `found` returns something true.
    """
    deadline = time.monotonic() + LIMIT
    while not found():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def addresses(log: str) -> list[str]:
    """
    The addresses that the program logs.
    """
    return re.findall(r"twistream: serving on (\S+)", log)


class Running:
    """
    twistd in the foreground.
    """

    def __init__(self, folder: Path, *arguments: str, reactor: str | None = None) -> None:
        options = [] if reactor is None else [f"--reactor={reactor}"]
        self._output = folder / "output.txt"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [TWISTD, "-n", "--pidfile=", *options, "twistream", *arguments],
                cwd=folder,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def log(self) -> str:
        return self._output.read_text()

    def urls(self, count: int = 1) -> list[str]:
        """
        The addresses, once it serves at so many.
        """
        until(
            lambda: len(addresses(self.log)) >= count or self.process.poll() is not None, "starts"
        )
        assert len(addresses(self.log)) == count, self.log
        return addresses(self.log)

    def kill(self) -> None:
        """
        Kill it, without a clean shutdown.
        """
        self.process.kill()
        self.process.wait(LIMIT)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(LIMIT)
