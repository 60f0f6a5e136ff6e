"""
Two checkouts of twistream as two servers, to judge a change by.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from attrs import evolve

from benchmarks.machine import NotMeasuredError
from benchmarks.servers import ROOT, SERVERS, Server

HERE: Final = "twistream"
THERE: Final = "against"


def checkouts(other: Path, folder: Path) -> list[Server]:
    """
    Copy twistream from another checkout and from this one, so that both may change during the run.

    The paths of the copies have one length, so that paths make no difference.

    Args:
        other: The other checkout.
        folder: An empty folder for the copies.

    Raises:
        NotMeasuredError: There is no such package, or it cannot be imported.
    """
    servers: list[Server] = []
    for name, source in ((THERE, other.resolve()), (HERE, ROOT)):
        copy = folder / f"checkout-{len(servers)}"
        try:
            shutil.copytree(source / "twistream", copy / "twistream")
        except OSError as err:
            msg = f"{source / 'twistream'} cannot be copied"
            raise NotMeasuredError(msg) from err
        title = f"{name} ({source})"
        servers.append(evolve(SERVERS[HERE], name=name, title=title, checkout=copy))
        done = subprocess.run(
            [sys.executable, "-c", "import twistream; print(twistream.__file__)"],
            env=servers[-1].environment,
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )
        if not done.stdout.startswith(f"{copy}/"):
            msg = f"{source / 'twistream'} cannot be imported: {done.stderr or done.stdout}"
            raise NotMeasuredError(msg)
    return servers
