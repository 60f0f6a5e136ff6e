"""
The servers that are compared: how each is started, and what it can answer.

All do the same work and send the same bytes; each is written in the way that is fastest
for it. What they share is in `benchmarks.message` and in ``tests/benchmarks``.

A subscriber that reads nothing neither holds up the others nor takes memory without bound
(64 MB is the limit in the test): it may be cut or miss messages. A server that does not keep
to that does less work than the others; it says so by `Server.isolates`, is there for comparison
only, and no target is about it but that of the floor.

Those that answer ``/channel/subscribe`` and ``/channel/publish`` give an id to each event, and
send it in a chunk of its own. Those that answer ``/channel/replay`` as well keep the last
`benchmarks.message.HISTORY` of them, and send to a client with a ``Last-Event-ID``, at either
of the two addresses and in chunks of any size, what it has missed: then it gets what is live,
with nothing lost or doubled in between.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from platform import python_version
from types import MappingProxyType
from typing import Final

from attrs import field, frozen

HOST: Final = "127.0.0.1"
"""
Where all servers listen.
"""

BACKLOG: Final = 4096
"""
Connections that may wait to be accepted: thousands are opened in a row.
"""

MOST_STREAMS: Final = 16384
"""
Streams that a server has to hold at the same time, where it asks for a number.
"""

WAITING: Final = 64
"""
Messages that may wait for a subscriber before it is cut, where messages are counted.
"""

PAGE: Final = 128
"""
Events that are replayed in one piece: a client that has missed a thousand gets few pieces, and
one that reads nothing has no more than one of them waiting.
"""

BEHIND: Final = 2**20
"""
Bytes that may wait for a subscriber before it is cut, where bytes are counted.
"""

ROOT: Final = Path(__file__).parents[2]
"""
The folder that `benchmarks` is in.
"""

BUILD: Final = ROOT / "build" / "benchmarks"
"""
Where compiled servers are kept.
"""

EVERY_PEER: Final = frozenset({"/twelve", "/many", "/subscribe", "/publish", "/ticks"})
ON_TWISTED: Final = EVERY_PEER | {"/turns"}
FAN_OUT: Final = frozenset({"/subscribe", "/publish"})
CHANNEL: Final = frozenset({"/channel/subscribe", "/channel/publish"})
REPLAY: Final = CHANNEL | {"/channel/replay"}
PUBLISHED: Final = frozenset({"/channel/text", "/channel/json"})
RESPONSES: Final = frozenset({"/twelve", "/many"})


def _versions(distributions: tuple[str, ...]) -> dict[str, str]:
    return {name: version(name) for name in distributions}


@frozen(kw_only=True)
class Server:
    """
    A server in Python, in a module of this package.

    Attributes:
        name: For the command line and as a key of results.
        title: For tables.
        module: What is run, without the name of this package.
        distributions: What has to be installed, and whose versions matter.
        paths: What it answers; anything else is 404.
        isolates: Whether a subscriber that reads nothing costs the others nothing.
    """

    name: str
    title: str
    module: str
    distributions: tuple[str, ...] = ()
    paths: frozenset[str] = EVERY_PEER
    isolates: bool = True

    @property
    def environment(self) -> Mapping[str, str]:
        """
        What the process needs in its environment, on top of what is there.
        """
        # The servers are not installed: this folder comes before what is asked for anyway.
        before = os.environ.get("PYTHONPATH")
        return {"PYTHONPATH": f"{ROOT}{os.pathsep}{before}" if before else str(ROOT)}

    def argv(self, port: int) -> list[str]:
        """
        The command that serves on `port` of `HOST`, until SIGTERM.
        """
        return [sys.executable, "-m", f"{__name__}.{self.module}", str(port)]

    def versions(self) -> dict[str, str]:
        """
        The versions that matter, by name. Only where nothing is `missing`.
        """
        return {"Python": python_version()} | _versions(self.distributions)

    def missing(self) -> str | None:
        """
        Why it cannot run here, or None.
        """
        for name in self.distributions:
            try:
                version(name)
            except PackageNotFoundError:
                return f"{name} is not installed: pip install -e '.[bench]'"
        return None

    def prepare(self) -> None:
        """
        Do what has to be done once before the server is started.
        """


@frozen(kw_only=True)
class GoServer(Server):
    """
    The server in Go, which has to be compiled.

    Attributes:
        binary: Where the compiled program is.
    """

    binary: Path = field(default=BUILD / "go-server")

    @property
    def environment(self) -> Mapping[str, str]:
        """
        One core for the goroutines, as every other server has.
        """
        return MappingProxyType({"GOMAXPROCS": "1"})

    def argv(self, port: int) -> list[str]:
        """
        The command that serves on `port`. Only after `prepare`.
        """
        return [str(self.binary), str(port)]

    def versions(self) -> dict[str, str]:
        """
        What the compiler says of itself.
        """
        words = self._go("version").split()  # go version go1.19.8 linux/amd64
        return {"Go": words[2].removeprefix("go")}

    def missing(self) -> str | None:
        """
        Why it cannot be compiled here, or None.
        """
        if shutil.which("go") is None:
            return "there is no Go compiler on PATH (Debian, Ubuntu: apt-get install golang-go)"
        return None

    def prepare(self) -> None:
        """
        Compile it.

        Raises:
            RuntimeError: It does not compile; with what the compiler says.
        """
        BUILD.mkdir(parents=True, exist_ok=True)
        self._go("build", "-o", str(self.binary), "main.go")

    def _go(self, *arguments: str) -> str:
        done = subprocess.run(  # noqa: S603 - arguments of our own
            ["go", *arguments],  # noqa: S607 - wherever it is installed
            cwd=Path(__file__).with_name("go"),
            # Kept with what it is for, and there without a home folder too.
            env=os.environ | {"GOCACHE": str(BUILD / "go-cache")},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            msg = f"go {arguments[0]} failed: {done.stderr.strip()}"
            raise RuntimeError(msg)
        return done.stdout


_TABLE = (
    Server(
        name="twistream",
        title="twistream",
        module="twistream_",
        distributions=("twistream", "Twisted"),
        paths=ON_TWISTED | REPLAY | PUBLISHED,
    ),
    Server(
        name="twistream_broadcast",
        title="twistream, its broadcast alone (ids, but no history)",
        module="twistream_broadcast",
        distributions=("twistream", "Twisted"),
        paths=CHANNEL,
    ),
    Server(
        name="twisted",
        title="twisted.web",
        module="twisted_",
        distributions=("Twisted",),
        paths=ON_TWISTED,
    ),
    Server(
        name="aiohttp",
        title="aiohttp (uvloop)",
        module="aiohttp_",
        distributions=("aiohttp", "uvloop"),
        paths=EVERY_PEER | REPLAY,
    ),
    Server(
        name="aiohttp_loop",
        title="aiohttp, one loop for all (uvloop; a stuck client holds up the others)",
        module="aiohttp_loop",
        distributions=("aiohttp", "uvloop"),
        paths=FAN_OUT,
        isolates=False,
    ),
    Server(
        name="starlette",
        title="Starlette on uvicorn (uvloop, httptools)",
        module="starlette_",
        distributions=("starlette", "uvicorn", "uvloop", "httptools"),
    ),
    Server(
        name="starlette_granian",
        title="Starlette on granian (uvloop)",
        module="starlette_granian",
        distributions=("starlette", "granian", "uvloop"),
        paths=RESPONSES,
    ),
    Server(
        name="sse_starlette",
        title="sse-starlette on uvicorn (uvloop, httptools)",
        module="sse_starlette_",
        distributions=("sse-starlette", "starlette", "uvicorn", "uvloop", "httptools"),
        paths=EVERY_PEER | REPLAY,
    ),
    Server(
        name="tornado",
        title="Tornado",
        module="tornado_",
        distributions=("tornado",),
    ),
    Server(
        name="granian",
        title="granian, ASGI (uvloop)",
        module="granian_",
        distributions=("granian", "uvloop"),
    ),
    Server(
        name="granian_loop",
        title="granian, one loop for all (ASGI, uvloop; a stuck client holds up the others)",
        module="granian_loop",
        distributions=("granian", "uvloop"),
        paths=FAN_OUT,
        isolates=False,
    ),
    GoServer(
        name="go",
        title="Go net/http",
        module="go",
    ),
    Server(
        name="bare_send",
        title="a bare loop of socket.send (which a stuck client ends)",
        module="bare_send",
        paths=FAN_OUT,
        isolates=False,
    ),
)

SERVERS: Final[Mapping[str, Server]] = MappingProxyType({server.name: server for server in _TABLE})
"""
All servers by name, in the order of the tables.
"""
