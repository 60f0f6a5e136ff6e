"""
The servers that are compared, and what each one serves.

All servers do the same work and send the same bytes, and each is written in the fastest way that
its documentation shows. By scenario:

``twelve``, ``many``
    ``GET /twelve`` and ``GET /many?n=N`` send 12 or N messages, each flushed as its own chunk.
``fanout``, ``memory``
    ``GET /subscribe`` sends one message, then every message that is posted to ``/publish``.
``channel``, ``replay``
    The same below ``/channel``, for events with ids. The server keeps the last 1,000 events, and a
    client that sends a ``Last-Event-ID`` first receives the events it missed.
``forms``, ``publish``
    Paths that only twistream has, for its own API.

A subscriber that does not read must not delay the others, and must not make the server's memory
grow without limit. A server may disconnect it. The smoke tests check this, except for the bare loop.
"""

import os
import shutil
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from attrs import frozen

HOST: Final = "127.0.0.1"
BACKLOG: Final = 4096  # the client opens thousands of connections in a row
ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "benchmarks"
PEER: Final = frozenset({"twelve", "many", "fanout", "memory"})


@frozen(kw_only=True)
class Server:
    """
    A server in a Python module of this package.

    Attributes:
        name: The name on the command line and in the results.
        title: The name in tables and plots.
        module: The module to run.
        packages: Packages that must be installed. Their versions are recorded.
        scenarios: The scenarios that it takes part in.
        checkout: The folder to import `twistream` from, if not this checkout.
    """

    name: str
    title: str
    module: str
    packages: tuple[str, ...] = ()
    scenarios: frozenset[str] = PEER
    checkout: Path = ROOT

    @property
    def environment(self) -> dict[str, str]:
        """
        Environment variables for the process.
        """
        folders = [self.checkout, ROOT, os.environ.get("PYTHONPATH")]
        path = os.pathsep.join(str(folder) for folder in folders if folder)
        # The order of sets is then the same in every round. Go gets one core, like the others.
        return {"PYTHONPATH": path, "PYTHONHASHSEED": "0", "GOMAXPROCS": "1"}

    def argv(self, port: int) -> list[str]:
        """
        The command that serves on `port` of `HOST`. Call `prepare` first.
        """
        return [sys.executable, "-m", f"{__name__}.{self.module}", str(port), self.name]

    def prepare(self) -> dict[str, str]:
        """
        Check that the server can run, compile it if necessary, and return versions by package.

        Raises:
            RuntimeError: It cannot run here.
        """
        try:
            return {name: version(name) for name in self.packages}
        except PackageNotFoundError as err:
            msg = f"{err.name} is not installed: pip install -e '.[bench]'"
            raise RuntimeError(msg) from err


@frozen(kw_only=True)
class GoServer(Server):
    """
    The server written in Go.
    """

    def argv(self, port: int) -> list[str]:
        """
        See `Server.argv`.
        """
        return [str(BUILD / "go-server"), str(port)]

    def prepare(self) -> dict[str, str]:
        """
        See `Server.prepare`.
        """
        if shutil.which("go") is None:
            msg = "the Go compiler is not on PATH: scripts/bench-deps installs it"
            raise RuntimeError(msg)
        BUILD.mkdir(parents=True, exist_ok=True)
        # Go needs a cache, and there may be no home folder.
        source = Path(__file__).with_name("go")
        environment = os.environ | {"GOCACHE": str(BUILD / "go-cache")}
        build = ["go", "build", "-o", str(BUILD / "go-server"), "main.go"]
        if subprocess.run(build, cwd=source, env=environment, check=False).returncode:  # noqa: S603 - our own arguments
            msg = "go build failed"
            raise RuntimeError(msg)
        # It prints: go version go1.19.8 linux/amd64
        found = subprocess.check_output(["go", "version"], text=True)  # noqa: S607 - as above
        return {"Go": found.split()[2].removeprefix("go")}


_TABLE = (
    Server(
        name="twistream",
        title="twistream",
        module="twistream_",
        packages=("twistream", "Twisted"),
        scenarios=PEER | {"channel", "replay", "forms", "publish"},
    ),
    Server(name="twisted", title="twisted.web", module="twisted_", packages=("Twisted",)),
    Server(
        name="aiohttp",
        title="aiohttp (uvloop)",
        module="aiohttp_",
        packages=("aiohttp", "uvloop"),
        scenarios=PEER | {"channel", "replay"},
    ),
    Server(
        name="starlette",
        title="Starlette on uvicorn (uvloop, httptools)",
        module="asgi",
        packages=("uvloop", "starlette", "uvicorn", "httptools"),
    ),
    Server(
        name="granian",
        title="granian, ASGI (uvloop)",
        module="asgi",
        packages=("uvloop", "granian"),
    ),
    GoServer(name="go", title="Go net/http", module="go"),
    Server(
        name="bare_send",
        title="a bare loop of socket.send (ends at a full socket)",
        module="bare_send",
        scenarios=frozenset({"fanout"}),
    ),
)

SERVERS: Final = {server.name: server for server in _TABLE}
"""
All servers by name, in the order of the tables.
"""
