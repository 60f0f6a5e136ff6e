"""
Cases: one connection, some requests, and a client with its ways, all made from one seed.

A case is stepped by hand: nothing waits for a reactor, and the same seed is the same case.
"""

from functools import partial
from random import Random
from typing import Any, NamedTuple

from h2.errors import ErrorCodes
from hyperframe.frame import GoAwayFrame
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.web import http
from twisted.web._http2 import H2Connection as ServerConnection
from twisted.web.resource import Resource
from twisted.web.server import Site

from tests.harness import Ending, Steps
from tests.model.links import Link
from tests.model.promises import Faults, Promises
from tests.model.script import Run
from tests.model.world import World
from twistream import StreamAborted, StreamResource
from twistream.server.connection.multiplexer import Multiplexer

SEND_TIMEOUT = 10.0

SMALLEST_WINDOW = 20_000
"""
Bytes. With a smaller window a body takes more turns than a case has.
"""


class Protocol(NamedTuple):
    """
    The protocol of a connection, and what carries it.
    """

    version: str
    tls: bool = False
    memory: bool = False

    def __str__(self) -> str:
        return f"{'memory' if self.memory else 'tls' if self.tls else 'tcp'} {self.version}"


PROTOCOLS = (
    Protocol("1.0", memory=True),
    Protocol("1.1", memory=True),
    Protocol("1.0"),
    Protocol("1.1"),
    Protocol("h2"),
    Protocol("1.0", tls=True),
    Protocol("1.1", tls=True),
    Protocol("h2", tls=True),
)


class Busy(Steps):
    """
    A clock that moves whenever it is read, as if reading it took time.
    """

    def __init__(self, each_look: float) -> None:
        super().__init__()
        self._each_look = each_look

    def seconds(self) -> float:
        self.rightNow += self._each_look
        return self.rightNow


def site_of(world: World, reactor: Any, **options: Any) -> Site:
    """
    A site that serves each run of `world` at its number.
    """
    root = Resource()

    def child(path: bytes, _: object) -> StreamResource:
        run = world.runs[int(path)]
        return StreamResource(run, on_disconnect=run.on_disconnect, **options)

    root.getChild = child  # type: ignore[method-assign]  # of this one
    return Site(root, reactor=reactor, timeout=None)


class Case:
    """
    One case.
    """

    def __init__(self, protocol: Protocol, seed: int) -> None:
        self.name = f"{protocol}, seed {seed}"
        self.protocol = protocol
        self.rng = r = Random(self.name)  # noqa: S311 - made to be repeated
        each_look = r.choice([0, 0, 0, 1e-6, 1e-5, 1e-4])
        self.clock = Busy(each_look)
        # The clock of the responses need not be the reactor.
        self.other = Clock() if r.random() < 0.08 else self.clock
        self.world = World(self.other, r)
        self.is_http2 = protocol.version == "h2"
        self.promises = Promises(self.world, is_http2=self.is_http2)
        self.promises.skips_time = each_look > 0
        self.promises.client = r.choice(ways(protocol))
        self.calm = r.random() < 0.3
        self.focus = r.choice([None] * 9 + ["sse", "sse", "lines", "cast"])
        self.window = r.choice([None, None, 1, 100, 20_000, 65_535, 2**20])
        self.gates_open = False
        site = site_of(
            self.world,
            self.clock,
            clock=None if self.other is self.clock else self.other,
            send_timeout=SEND_TIMEOUT,
            trailers=r.choice(["asked", "always"]),
            max_buffered=r.choice([2**24, 2**24, 2**24, 200_000, 20_000]),
        )
        self.link = Link(site, self.clock, *protocol, window=self.window)

    def run(self) -> None:
        """
        Run it, and check everything that was promised.
        """
        faults = Faults()
        globalLogPublisher.addObserver(faults)
        # Twisted gives these the global reactor, whatever that of the site is.
        twisted: Any = http
        kind = twisted.H2Connection
        twisted.H2Connection = partial(ServerConnection, self.clock)
        try:
            self._begin()
            self._end()
            self._check()
            assert not faults.found, "logged: " + "\n".join(faults.found)
        except BaseException as err:
            trace = "\n".join(self.world.trace[-60:])
            err.add_note(f"{self.name}, {self.promises.client} client:\n{trace}")
            for fault in faults.found:
                err.add_note(fault)
            raise
        finally:
            self.world.handle_errors()
            twisted.H2Connection = kind
            globalLogPublisher.removeObserver(faults)
            self.link.close()

    def bodies(self) -> list[bytes]:
        """
        What the handlers have written.
        """
        return [run.text for run in self.world.runs]

    # The steps.

    def _begin(self) -> None:
        r, client = self.rng, self.promises.client
        if client == "slow":
            self.link.limit = r.choice([20_000, 50_000])
        self._settle(3)
        count = 1 if self.protocol.version == "1.0" else r.choice([1, 1, 1, 2, 3, 5])
        for _ in range(8 if client.startswith("flood") else count):
            self._request()
            if r.random() < 0.5:
                self._step(r.choice([0, 0.01]))
        moment = r.randrange(1, 12)
        for number in range(r.choice([5, 14])):
            if number == moment:
                self.world.trace.append(f"-- {client} client")
                self._misbehave(client)
            self._act()
            self._step(r.choice([0, 0, 0, 0.0003, 0.01, 0.1, 0.5]))

    def _request(self) -> None:
        r, link, padding = self.rng, self.link, ""
        if link.closed or link.left or self.promises.goes_away or link.http.gone:
            return
        mode = self.focus or r.choice(["plain"] * 6 + ["sse", "sse", "lines", "cast"])
        method = "HEAD" if r.random() < 0.06 else "GET"
        run = Run(self.world, r, mode, method, calm=self.calm)
        if self.focus and r.random() < 0.8:
            run.kind = "async"
        if self.promises.client.startswith("flood"):
            padding = "x" * 5000
        self.world.runs.append(run)
        run.reply = link.request(method, f"/{len(self.world.runs) - 1}", padding)

    def _act(self) -> None:
        """
        Code outside the handlers does something.
        """
        r, world = self.rng, self.world
        x = r.choice([r.random(), 0.35, 0.45, 0.6]) if self.focus else r.random()
        started = [run for run in world.runs if run.started]
        if x < 0.3:
            world.open_gate()
        elif x < 0.4:
            world.publish()
        elif x < 0.5:
            world.cast()
        elif started and x < 0.65:
            run = r.choice(started)
            if x < 0.55:
                run.cancel_loop()
            elif x < 0.58:
                run.cancel_wait()
            elif x < 0.59:
                run.abort(run.ctx)
            else:
                run.meddle()
        elif x < 0.70 and self.protocol.version != "1.0":
            self._request()

    def _misbehave(self, client: str) -> None:
        r, link, promises = self.rng, self.link, self.promises
        match client:
            case "stall":
                link.limit = 0
                promises.stalled = r.random() < 0.7
            case "fin" | "rst" | "flood leaves":
                promises.left = True
                link.leave(reset=client == "rst")
            case "notify":
                promises.left = True
                link.notify()
            case "half" if not (link.tls or link.closed):
                promises.left = True
                link.wire.half_close()
            case "pause":
                link.wire.fill(r.choice([0, 1, 3]))
            case "reset":
                self._reset()
            case "shrink":
                link.set_windows(r.choice([0, 1, 1000]))
            case "window" | "closed":
                link.http.reading = False
                promises.stalled = client == "closed"
            case "goaway":
                promises.goes_away = True
                link.send(GoAwayFrame(0, last_stream_id=0).serialize())

    def _reset(self) -> None:
        runs = [run for run in self.world.runs if run.reply.ending is Ending.OPEN]
        if runs:
            run = self.rng.choice(runs)
            self.promises.resets.add(run)
            number = self.link.http.number_of(run.reply)
            self.link.control(lambda h2: h2.reset_stream(number, ErrorCodes.CANCEL))
            run.reply.ending = Ending.ABORTED

    def _step(self, seconds: float) -> None:
        """
        Let some time pass, and both sides read and write.
        """
        if self.rng.random() < 0.3:
            self.link.read(self.rng.choice([1000, 20_000, 100_000]))
        flushed = {run: run.sure for run in self.world.runs if run.started and not run.over}
        self._advance(seconds)
        self.link.step()
        self._advance(1e-6)
        self.link.step()
        if self._reads_at_once():
            for _ in range(100 if self.is_http2 else 4):
                if all(len(run.reply.body) >= size for run, size in flushed.items()):
                    break
                self._advance(1e-6)
                self.link.step()
            for run, size in flushed.items():
                self._check_flushed(run, size)
        for run in self.world.runs:
            for each in run.tracked if run.closes else ():
                assert each.fired == 1 or run.keeps(each), f"{run}: after the end, {each}"

    def _reads_at_once(self) -> bool:
        link, promises = self.link, self.promises
        stops = promises.client in ("pause", "window", "closed", "shrink")
        small = self.is_http2 and self.window is not None and self.window < SMALLEST_WINDOW
        return link.limit is None and not (stops or small or promises.left or promises.goes_away)

    def _check_flushed(self, run: Run, size: int) -> None:
        """
        What was flushed before the last turn has arrived.
        """
        err, read = run.ctx.err, len(run.reply.body)
        if run.mode == "plain" and not run.bodyless and run not in self.promises.resets:
            late = read < size and (err is None or isinstance(err, StreamAborted))
            assert not late, f"{run}: {read} of {size} flushed bytes are on the wire"

    def _advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        if self.other is not self.clock:
            self.other.advance(seconds)

    def _settle(self, rounds: int, seconds: float = 0.0) -> None:
        for _ in range(rounds):
            while self.gates_open and self.world.gates:
                self.world.open_gate()
                self._step(0)
            self._step(seconds)

    # The end.

    def _end(self) -> None:
        """
        Let everything end that can. Then the client leaves.
        """
        self._recover()
        self.gates_open = True
        self._settle(9, 0.3)
        self._settle(6, 1.1)
        if self.promises.stalled:
            self._settle(12, 1.5)
        if self.rng.random() < 0.5:
            self.world.channel.close()
        self._settle(10, 0.2)
        self._check_progress()
        self.promises.look()
        self.link.leave(reset=self.rng.random() < 0.5)
        for seconds in [1e-3] * 6 + [0.3] * 6:
            self._advance(seconds)
            self.link.step()
            while self.world.gates:
                self.world.open_gate()
        self.world.hub.close()
        for seconds in [SEND_TIMEOUT] * 4:
            self._advance(seconds)
        if any(run.on_disconnect == "continue" for run in self.world.runs):
            self._advance(3600)
            self._advance(0)

    def _recover(self) -> None:
        """
        A client that was slow for a while reads again.
        """
        link, client = self.link, self.promises.client
        if client == "pause":
            if not (link.wire.disconnecting or link.wire.disconnected):
                link.wire.drain()
        elif client in ("window", "shrink"):
            link.http.reading = True
            link.http.acknowledge()
            link.set_windows(2**20)
        elif client == "slow":
            self._settle(30, 0.1)
        if not self.promises.stalled:
            link.limit = None

    def _check_progress(self) -> None:
        """
        Handlers that end by themselves have ended, and so have their responses.
        """
        small = self.is_http2 and self.window is not None and self.window < SMALLEST_WINDOW
        if small or self.promises.skips_time:
            return
        for run in self.world.runs:
            if run.started and run.mode == "plain" and self.promises.read_all(run):
                if run.began + 2 * run.takes + 5 < self.world.clock.seconds():
                    ends = run.returned or run.is_generator or len(run.text) > 100_000
                    assert ends, f"{run}: the handler hangs"
                if run.returned and run.ctx.err is None:
                    assert run.reply.ending is not Ending.OPEN, f"{run}: it does not end"

    def _check(self) -> None:
        self.promises.check()
        calls = [*self.clock.getDelayedCalls(), *self.other.getDelayedCalls()]
        assert not calls, f"timers are left: {calls}"
        assert not Multiplexer._of, "a multiplexer is left"
        assert not self.clock.readers | self.clock.writers, "a transport is left"
        if not (self.is_http2 or self.link.tls):
            assert self.link.wire.transport.producer is None, "a producer is left"


def ways(protocol: Protocol) -> list[str]:
    """
    The ways that a client may have on this protocol.
    """
    found = ["good"] * 4 + ["stall", "fin", "rst"] + ["pause" if protocol.memory else "slow"] * 2
    if protocol.version == "1.1":
        found += ["flood", "flood leaves"]
    if protocol.tls:
        found.append("notify")
    if protocol.version == "h2":
        return [*found, "reset", "window", "shrink", "goaway", "closed"]
    return [*found, "half"]
