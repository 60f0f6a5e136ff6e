"""
Random handlers and clients on real sockets and the real reactor, held to what was promised.

Many connections are served at the same time. Their seeds are fixed, but their timing is not.
"""

import gc
import os
from contextlib import suppress
from random import Random
from typing import Any

import pytest
from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, FirstError, gatherResults
from twisted.logger import globalLogPublisher
from twisted.web.resource import Resource

from tests.e2e.conftest import Log
from tests.e2e.h2client import H2Client, Stream
from tests.e2e.net import Server, eventually, pause, reactor, serving
from tests.harness import Ending
from tests.model.links import Windows
from tests.model.promises import MADE, Faults, Promises
from tests.model.script import Run
from tests.model.world import World
from twistream import StreamResource
from twistream.server.connection.multiplexer import Multiplexer

FIRST = int(os.environ.get("TWISTREAM_SEED", "0"))
CASES = int(os.environ.get("TWISTREAM_CASES", "10"))
AT_ONCE = 25

PACE = 0.02
"""
Seconds that a second of a handler takes.
"""

WAYS = {
    "1.0": ("good", "good", "slow", "stall", "fin", "rst"),
    "1.1": ("good", "good", "slow", "stall", "fin", "rst"),
    "h2": ("good", "good", "slow", "stall", "fin", "rst", "reset", "shrink", "closed"),
}


class Reply:
    """
    What a client has read of a response.
    """

    def __init__(self) -> None:
        self.ending = Ending.OPEN
        self.body = b""
        self.status: int | None = None


class Case:
    """
    One connection.
    """

    def __init__(self, version: str, seed: int, *, tls: bool) -> None:
        self.name = f"{'tls' if tls else 'tcp'} {version}, seed {seed}"
        self.version, self.tls = version, tls
        self.rng = r = Random(self.name)  # noqa: S311 - made to be repeated
        self.world = World(reactor, r, PACE)
        self.promises = Promises(self.world, is_http2=version == "h2")
        self.promises.client = r.choice(WAYS[version])
        # A slow machine must not look like a client that has stalled.
        self.promises.skips_time = True
        self.stalls = self.promises.client in ("stall", "closed")
        self.streams: list[Stream] = []
        self.client: Any = None

    async def run(self) -> None:
        root = Resource()

        def child(path: bytes, _: object) -> StreamResource:
            run = self.world.runs[int(path)]
            timeout = 0.3 if self.stalls else 20.0
            return StreamResource(run, on_disconnect=run.on_disconnect, send_timeout=timeout)

        root.getChild = child  # type: ignore[method-assign]  # of this one
        try:
            async with serving(root, tls=self.tls) as server:
                await self._begin(server)
                await self._end()
                self.promises.check()
                if self._plain.reason is None:
                    self._plain.transport.abortConnection()
                await self._plain.end()
        except BaseException as err:
            trace = "\n".join(self.world.trace[-60:])
            resets = [stream.reset for stream in self.streams]
            err.add_note(f"{self.name}, {self.promises.client} client:\n{trace}")
            err.add_note(f"the connection ended with {self._plain.reason}, resets: {resets}")
            raise
        finally:
            self.world.handle_errors()

    async def _begin(self, server: Server) -> None:
        r = self.rng
        if self.version == "h2":
            window = r.choice([None, 100, 20_000, 2**20])
            self.client = await H2Client.connect(server, window)
        else:
            self.client = await server.connect()
        for _ in range(1 if self.version == "1.0" else r.choice([1, 1, 2, 5])):
            self._request()
        moment = r.randrange(10)
        for number in range(10):
            if number == moment:
                self._misbehave(self.promises.client)
            r.choice([self.world.open_gate, self.world.publish, self.world.cast, self._meddle])()
            await pause(r.choice([0, 0, 0.001, 0.01]))

    def _request(self) -> None:
        r, number = self.rng, len(self.world.runs)
        mode = r.choice(["plain"] * 4 + ["sse", "lines", "cast"])
        method = "HEAD" if r.random() < 0.06 else "GET"
        run = Run(self.world, r, mode, method, calm=r.random() < 0.5)
        run.reply = Reply()
        self.world.runs.append(run)
        if isinstance(self.client, H2Client):
            stream = self.client.request(f"/{number}", method)
            Windows.replace(self.client.connection, self.client.number_of(stream))
            self.streams.append(stream)
        else:
            head = f"{method} /{number} HTTP/{self.version}\r\nHost: a\r\n\r\n"
            self.client.send(head.encode())

    def _meddle(self) -> None:
        started = [run for run in self.world.runs if run.started]
        if started:
            run = self.rng.choice(started)
            self.rng.choice([run.meddle, run.cancel_loop, run.cancel_wait])()

    @property
    def _plain(self) -> Any:
        return self.client.client if isinstance(self.client, H2Client) else self.client

    def _misbehave(self, way: str) -> None:
        transport: Any = self._plain.transport
        match way:
            case "stall":
                self.promises.stalled = True
                transport.pauseProducing()
            case "slow":
                transport.pauseProducing()
                reactor.callLater(0.05, transport.resumeProducing)
            case "fin" | "rst":
                self.promises.left = True
                self._leave(reset=way == "rst")
            case "closed":
                self.promises.stalled = True
                self.client.reading = False
            # h2 takes the first acknowledgement for that of the newest settings.
            case "shrink" if any(stream.head for stream in self.streams):
                self.client.set_windows(self.rng.choice([0, 1, 1000]))
                reactor.callLater(0.05, self._open_windows)
            case "reset":
                for run, stream in zip(self.world.runs, self.streams, strict=True):
                    if not stream.over and self.rng.random() < 0.5:
                        self.promises.resets.add(run)
                        stream.reset = ErrorCodes.CANCEL
                        with suppress(ProtocolError):
                            self.client.reset(stream)

    def _open_windows(self) -> None:
        if self._plain.reason is None:
            self.client.set_windows(2**20)

    def _leave(self, *, reset: bool) -> None:
        transport: Any = self._plain.transport
        if self._plain.reason is not None:
            return
        if reset:
            transport.abortConnection()
        else:
            transport.loseConnection()

    async def _end(self) -> None:
        """
        Let everything end that can, for a while. Then the client leaves.
        """
        for _ in range(30):
            await pause(0.02)
            while self.world.gates:
                self.world.open_gate()
            if all(run.started and run.over for run in self.world.runs):
                break
        await pause(0.02)
        self._read()
        self.promises.look()
        self._leave(reset=self.rng.random() < 0.5)
        started = [run for run in self.world.runs if run.started]
        await eventually(lambda: all(run.closes and self._has_ended(run) for run in started))
        for run in started:
            for each in run.tracked:
                if not each.fired:
                    each.deferred.cancel()
        self.world.hub.close()

    def _has_ended(self, run: Run) -> bool:
        while self.world.gates:
            self.world.open_gate()
        return run.returned and (run.kind != "async" or run.cleaned == 1)

    def _read(self) -> None:
        if isinstance(self.client, H2Client):
            for run, stream in zip(self.world.runs, self.streams, strict=True):
                run.reply.body = stream.body
                run.reply.status = int(stream.head.get(":status", 0)) or None
                if stream.ended:
                    run.reply.ending = Ending.COMPLETE
                elif stream.reset is not None or self._plain.reason is not None:
                    run.reply.ending = Ending.ABORTED
        else:
            read = self.client.responses(*(run.method for run in self.world.runs))
            for run, response in zip(self.world.runs, read, strict=True):
                run.reply = response


@pytest.mark.parametrize("protocol", ["tcp 1.0", "tcp 1.1", "tls 1.0", "tls 1.1", "tls h2"])
@ensureDeferred
async def test_every_promise_is_kept(protocol: str, log: Log) -> None:
    carrier, version = protocol.split()
    faults = Faults()
    globalLogPublisher.addObserver(faults)
    try:
        for first in range(FIRST, FIRST + CASES, AT_ONCE):
            seeds = range(first, min(first + AT_ONCE, FIRST + CASES))
            cases = [Case(version, seed, tls=carrier == "tls") for seed in seeds]
            running = [Deferred.fromCoroutine(case.run()) for case in cases]
            try:
                await gatherResults(running, consumeErrors=True)
            except FirstError as err:
                err.subFailure.raiseException()
    finally:
        gc.collect()  # Errors that nobody handles are logged then.
        globalLogPublisher.removeObserver(faults)
        for kind in MADE:
            log.failures(kind)
    assert not faults.found, faults.found[0]
    await eventually(lambda: not Multiplexer._of)
