"""
The servers that are compared: how to start each one, and what it serves.

All servers do the same work and send the same bytes, and each is written in the fastest way that
its documentation shows. A server has one or more roles:

``responses``
    ``GET /twelve`` and ``GET /many?n=N`` send 12 or N messages, each flushed as its own chunk.
``fanout``
    ``GET /subscribe`` sends one message, then every message that is posted to ``/publish``.
``channel``
    The same below ``/channel``, for events with ids. The server keeps the last 1,000 events, and a
    client that sends a ``Last-Event-ID`` first receives the events it missed.
``own``
    Paths that only twistream has, for its own API.

A subscriber that does not read must not delay the others, and must not make the server's memory
grow without limit. A server may disconnect it. The smoke tests check this for every server with
``robust=True``.
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
QUEUE: Final = 64  # messages queued for a subscriber, in servers that count messages
QUEUE_BYTES: Final = 2**20  # the same in servers that count bytes
ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "benchmarks"
PEER: Final = frozenset({"responses", "fanout"})


@frozen(kw_only=True)
class Server:
    """
    A server written in Python, in a module of this package.

    Attributes:
        name: The name on the command line and in the results.
        title: The name in tables and plots.
        module: The module of this package to run.
        option: An argument for that module.
        packages: Packages that must be installed. Their versions are recorded.
        roles: What it serves.
        robust: Whether a subscriber that does not read is harmless.
        checkout: The folder to import `twistream` from, if not the installed one.
    """

    name: str
    title: str
    module: str
    option: str | None = None
    packages: tuple[str, ...] = ()
    roles: frozenset[str] = PEER
    robust: bool = True
    checkout: Path | None = None

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
        The command that serves on `port` of `HOST`.
        """
        options = [self.option] if self.option else []
        return [sys.executable, "-m", f"{__name__}.{self.module}", str(port), *options]

    def prepare(self) -> dict[str, str]:
        """
        Check that the server can run, and compile it if necessary.

        Returns:
            The versions of its packages, by name.

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
        The command that serves on `port` of `HOST`. Call `prepare` first.
        """
        return [str(BUILD / "go-server"), str(port)]

    def prepare(self) -> dict[str, str]:
        """
        Compile the server. See `Server.prepare`.
        """
        if shutil.which("go") is None:
            msg = "the Go compiler is not on PATH: scripts/bench-deps installs it"
            raise RuntimeError(msg)
        BUILD.mkdir(parents=True, exist_ok=True)
        self._go("build", "-o", str(BUILD / "go-server"), "main.go")
        # It prints: go version go1.19.8 linux/amd64
        return {"Go": self._go("version").split()[2].removeprefix("go")}

    def _go(self, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 - our own arguments
            ["go", *arguments],  # noqa: S607 - wherever it is installed
            cwd=Path(__file__).with_name("go"),
            # Go needs a cache, and there may be no home folder.
            env=os.environ | {"GOCACHE": str(BUILD / "go-cache")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            msg = f"go {arguments[0]} failed: {done.stderr.strip()}"
            raise RuntimeError(msg)
        return done.stdout


def _asgi(name: str, title: str, *packages: str, roles: frozenset[str] = PEER) -> Server:
    packages = ("uvloop", *packages)
    return Server(
        name=name, title=title, module="asgi", option=name, packages=packages, roles=roles
    )


_TABLE = (
    Server(
        name="twistream",
        title="twistream",
        module="twistream_",
        packages=("twistream", "Twisted"),
        roles=PEER | {"channel", "own"},
    ),
    Server(name="twisted", title="twisted.web", module="twisted_", packages=("Twisted",)),
    Server(
        name="aiohttp",
        title="aiohttp (uvloop)",
        module="aiohttp_",
        packages=("aiohttp", "uvloop"),
        roles=PEER | {"channel"},
    ),
    _asgi(
        "starlette",
        "Starlette on uvicorn (uvloop, httptools)",
        *("starlette", "uvicorn", "httptools"),
    ),
    _asgi(
        "starlette_granian",
        "Starlette on granian (uvloop)",
        *("starlette", "granian"),
        roles=frozenset({"responses"}),
    ),
    _asgi(
        "sse_starlette",
        "sse-starlette on uvicorn (uvloop, httptools)",
        *("sse-starlette", "starlette", "uvicorn", "httptools"),
        roles=PEER | {"channel"},
    ),
    _asgi("granian", "granian, ASGI (uvloop)", "granian"),
    GoServer(name="go", title="Go net/http", module="go"),
    Server(
        name="bare_send",
        title="a bare loop of socket.send (ends at a full socket)",
        module="bare_send",
        roles=frozenset({"fanout"}),
        robust=False,
    ),
)

SERVERS: Final = {server.name: server for server in _TABLE}
"""
All servers by name, in the order of the tables.
"""
