"""
The servers that are compared, and what each one serves.

All send the same bytes, and each is written in the fastest way that its documentation shows.

``twelve``, ``many``
    ``GET /twelve`` and ``GET /many?n=N`` send 12 or N messages, each flushed as its own chunk.
``gzip``
    ``GET /gzip?n=N`` sends N of `TRADES` in gzip. A client can decode each one when it arrives.
``fanout``, ``memory``
    ``GET /subscribe`` sends one message, then every message that is posted to ``/publish``. A
    subscriber that does not read must not delay the others, or make the server's memory grow
    without limit; a server may disconnect it. The smoke tests check this, except for the bare loop.
``channel``, ``replay``
    The same below ``/channel``, for events with ids. The server keeps the last 1,000 events, and a
    client that sends a ``Last-Event-ID`` first receives the events it missed.
``forms``
    ``GET /FORM?n=N`` sends N messages, for each of `FORMS`. A peer serves all of them in its one
    fastest way. ``json_line`` is a JSON value as a line; a peer encodes it with the standard
    library's encoder. ``GET /ticks`` sends a message, and another one every quarter of a second.
``publish``
    Paths that only twistream has, for its channels.
``topics``
    ``GET /topics/subscribe?n=K`` receives the messages of topic K. ``GET /topics/publish?n=N``
    publishes N messages, one to each topic in turn, and sends a message. The same below
    ``/filter``, where each subscriber has a function that selects its messages.
"""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

from attrs import frozen

HOST: Final = "127.0.0.1"
BACKLOG: Final = 4096  # the client opens thousands of connections in a row
TICK: Final = 0.25  # seconds between the messages of ``/ticks``
ROOT: Final = Path(__file__).parents[2]
BUILD: Final = ROOT / "build" / "benchmarks"
FORMS: Final = {
    "generator": "generator",
    "async_generator": "async generator",
    "stream": "``stream(iterable)``",
    "pipe": "``pipe(iterable)``",
    "flush": "``await flush()``",
    "stream_writer": "``stream_writer``, function",
    "stream_writer_async": "``stream_writer``, async function",
    "json_line": "``json_line``",
    "sse_send": "``sse().send``",
}
"""
The ways to write a response with twistream, by their paths.
"""
PEER: Final = frozenset({"twelve", "many", "fanout", "memory"})
RESPONSES: Final = frozenset({"twelve", "many", "forms"})


@frozen(kw_only=True)
class Server:
    """
    A server in a Python module of this package.
    """

    name: str  # on the command line and in the results
    title: str  # in tables and plots
    module: str
    packages: tuple[str, ...] = ()  # packages that must be installed
    scenarios: frozenset[str] = PEER
    backpressure: bool = True  # it waits for a client that lags behind, and serves others meanwhile
    checkout: Path = ROOT  # the folder to import `twistream` from

    @property
    def environment(self) -> dict[str, str]:
        """
        Environment variables for the process.
        """
        folders = [self._package.parent, ROOT, os.environ.get("PYTHONPATH")]
        path = os.pathsep.join(str(folder) for folder in folders if folder)
        # The order of sets is then the same in every round. Go gets one core, like the others.
        return {"PYTHONPATH": path, "PYTHONHASHSEED": "0", "GOMAXPROCS": "1"}

    @property
    def _package(self) -> Path:
        # The other checkout has benchmarks too, but both packages run in the same server.
        there = self.checkout if self.checkout == ROOT else BUILD / self.name
        return there / "twistream"

    def argv(self, port: int) -> list[str]:
        """
        The command that serves on `port` of `HOST`. Call `prepare` first.
        """
        return [sys.executable, "-m", f"{__name__}.{self.module}", str(port), self.name]

    def prepare(self) -> dict[str, str]:
        """
        Make sure that the server can run, and return versions by package.

        Raises:
            ImportError: A package is missing.
            OSError: There is no compiler.
            SubprocessError: The compiler fails.
        """
        if self.checkout != ROOT:
            self._package.parent.mkdir(parents=True, exist_ok=True)
            self._package.unlink(missing_ok=True)
            self._package.symlink_to(self.checkout / "twistream")
        return {name: version(name) for name in self.packages}


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
        BUILD.mkdir(parents=True, exist_ok=True)
        subprocess.check_call(  # noqa: S603 - our own arguments
            ["go", "build", "-o", str(BUILD / "go-server"), "main.go"],  # noqa: S607 - wherever it is
            cwd=Path(__file__).with_name("go"),
            # Go needs a cache, and there may be no home folder.
            env=os.environ | {"GOCACHE": str(BUILD / "go-cache")},
        )
        # It prints: go version go1.19.8 linux/amd64
        found = subprocess.check_output(["go", "version"], text=True)  # noqa: S607 - as above
        return {"Go": found.split()[2].removeprefix("go")}


_TABLE = (
    Server(
        name="twistream",
        title="twistream",
        module="twistream_",
        packages=("twistream", "Twisted"),
        scenarios=PEER | {"channel", "replay", "forms", "gzip", "publish", "topics"},
    ),
    Server(name="twisted", title="twisted.web", module="twisted_", packages=("Twisted",)),
    Server(
        name="aiohttp",
        title="aiohttp (uvloop)",
        module="aiohttp_",
        packages=("aiohttp", "uvloop"),
        scenarios=PEER | {"channel", "replay", "forms", "gzip"},
    ),
    Server(
        name="uvicorn",
        title="uvicorn, raw ASGI (uvloop, httptools)",
        module="asgi",
        packages=("uvloop", "uvicorn", "httptools"),
        scenarios=RESPONSES,
    ),
    Server(
        name="starlette",
        title="Starlette on uvicorn (uvloop, httptools)",
        module="asgi",
        packages=("uvloop", "starlette", "uvicorn", "httptools"),
        scenarios=PEER | {"gzip"},
    ),
    Server(
        name="granian",
        title="granian, ASGI (uvloop)",
        module="asgi",
        packages=("uvloop", "granian"),
    ),
    Server(
        name="rsgi",
        title="granian, RSGI (uvloop, no backpressure)",
        module="rsgi",
        packages=("uvloop", "granian"),
        scenarios=RESPONSES,
        backpressure=False,  # it queues without limit
    ),
    GoServer(name="go", title="Go net/http", module="go", scenarios=PEER | {"gzip"}),
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
