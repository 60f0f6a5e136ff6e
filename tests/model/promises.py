"""
Promises: what holds for every response, whatever its handler and its client have done.

A case says what its client did and read, and `Promises` compares that with what its runs know.
"""

import re
from itertools import takewhile

from twisted.internet.defer import CancelledError
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent
from zope.interface import implementer

from tests.harness import Ending
from tests.model.script import Run
from tests.model.world import FOREIGN, FOREIGN_START, Made, World
from twistream import (
    BufferOverflow,
    ClientDisconnected,
    ContentLengthMismatch,
    HTTPError,
    ResponseComplete,
    SendTimeout,
    SlowConsumer,
    StopStream,
    StreamAborted,
    StreamClosed,
    StreamFinished,
)

MADE = (
    BufferOverflow,
    CancelledError,
    ContentLengthMismatch,
    HTTPError,
    Made,
    SlowConsumer,
    StopStream,
    StreamClosed,
    StreamFinished,
)
"""
Errors that a run makes on purpose.
"""


@implementer(ILogObserver)
class Faults:
    """
    Everything in the log that no run has made on purpose.

    Attributes:
        found: One text for each.
    """

    def __init__(self) -> None:
        self.found: list[str] = []

    def __call__(self, event: LogEvent) -> None:
        failure, text = event.get("log_failure"), str(event.get("log_format"))
        if failure is not None:
            # The end of a response is no error if nobody handles it.
            is_end = failure.check(StreamClosed, StreamFinished)
            if not failure.check(*MADE) or ("debugInfo" in event and is_end):
                self.found.append(f"{text}: {failure.getTraceback()}")
        elif event["log_level"] >= LogLevel.error and not text.startswith("Unhandled error"):
            self.found.append(formatEvent(event))


class Promises:
    """
    One case: some runs on one connection, and what is known about their client.

    Attributes:
        client: The way of the client, ``good`` or ``slow``.
        cut_off: The runs that were not over when the client left at the end.
        goes_away: It has sent GOAWAY.
        is_http2: The protocol is HTTP/2.
        left: It has closed the connection, or its half, before the end of the case.
        resets: The runs of the streams that it has reset.
        seen: What it has read of each run: the ending, the body and the status.
        skips_time: The clock moves by itself, so a client may look stalled.
        stalled: It has stopped reading for longer than the timeout.
        world: The runs.
    """

    def __init__(self, world: World, *, is_http2: bool) -> None:
        self.world = world
        self.is_http2 = is_http2
        self.client = "good"
        self.cut_off: set[Run] = set()
        self.goes_away = False
        self.left = False
        self.resets: set[Run] = set()
        self.seen: dict[Run, tuple[Ending, bytes, int | None]] = {}
        self.skips_time = False
        self.stalled = False

    def read_all(self, run: Run) -> bool:
        """
        The client has read everything that it was sent.
        """
        stopped = self.left or self.stalled or self.goes_away or run in self.resets
        return not stopped and self.client not in ("closed", "stall")

    def look(self) -> None:
        """
        Keep what the client has read so far.
        """
        for run in self.world.runs:
            ending = run.reply.ending
            self.seen[run] = (ending, run.reply.body, run.reply.status)
            if not run.started or not run.over or ending is Ending.OPEN:
                self.cut_off.add(run)

    def check(self) -> None:
        """
        Everything that was promised about all runs is true.
        """
        for run in self.world.runs:
            if run.started:
                self._check_end(run)
                self._check_error(run)
                self._check_reply(run)
        assert len(self.world.broadcast) == 0

    def _check_end(self, run: Run) -> None:
        """
        Everything was notified once, and nothing is left.
        """
        err, context = run.ctx.err, run.ctx
        assert run.handlers == 1, f"{run}: {run.handlers} calls"
        assert run.over, f"{run}: it is not over"
        assert run.closes == 1, f"{run}: on_close was called {run.closes} times"
        left = isinstance(err, ClientDisconnected | SendTimeout | SlowConsumer)
        assert run.disconnects == left, f"{run}: {run.disconnects} calls of on_connection_close"
        assert run.dones == [err], f"{run}: done() fired with {run.dones}"
        for each in run.tracked:
            assert each.fired == 1 or run.keeps(each), f"{run}: {each}"
        for loop in run.loops:
            closed = loop.closed if loop.generator and loop.started else 1
            assert closed == 1, f"{run}: a generator was closed {closed} times"
        if run.kind == "async":
            assert run.cleaned == 1, f"{run}: the handler has not ended"
        assert context._response.backlog == context._writer.buffered == 0, f"{run}: bytes are left"
        assert not context._writer.waits, f"{run}: {context._writer.waits} are left"

    def _check_error(self, run: Run) -> None:
        """
        The error has a cause.
        """
        err = run.ctx.err
        match err:
            case None:
                possible = True
            case ResponseComplete():
                possible = run.bodyless
            case StreamAborted():
                possible = run.may_be_aborted
            case SendTimeout():
                possible = self.stalled or self.skips_time or self.left or run in self.cut_off
            case SlowConsumer():
                possible = run.mode != "plain"
            case _:
                possible = self._may_be_disconnected(run)
        assert possible, f"{run}: why?"

    def _may_be_disconnected(self, run: Run) -> bool:
        # Another response may have ended the connection.
        others = [each.ctx.err for each in self.world.runs if each.started and each is not run]
        ended = any(isinstance(err, StreamClosed) for err in others)
        return not self.read_all(run) or run in self.cut_off or ended

    def _check_reply(self, run: Run) -> None:
        """
        The client has read what it should.
        """
        (ending, body, status), err = self.seen[run], run.ctx.err
        failed = run.outcome is not None or run.is_generator
        page = not run.head_sent and status in (404, 500) and (failed or status != run.status)
        if run.returned and not run.head_sent and failed and err is not None:
            return  # A part of an error page.
        if not page:
            self._check_body(run, body, ending)
        if not self.read_all(run) or run in self.cut_off:
            return
        if err is None:
            # A connection that is cut drops what it holds of earlier responses.
            assert ending is Ending.COMPLETE or self._is_cut(), f"{run}: {ending}"
        elif isinstance(err, StreamAborted) and not run.is_whole:
            assert ending is not Ending.COMPLETE, f"{run}: it was aborted, and looks complete"
            size = common(body if run.mode == "plain" else FOREIGN.sub(b"", body), run.text)
            assert size >= run.sure, f"{run}: {size} of {run.sure} flushed bytes arrived"

    def _is_cut(self) -> bool:
        errors = [run.ctx.err for run in self.world.runs if run.started]
        return not self.is_http2 and any(isinstance(e, SlowConsumer | SendTimeout) for e in errors)

    def _check_body(self, run: Run, body: bytes, ending: Ending) -> None:
        """
        The body is what was written, or the start of that.
        """
        text = b"" if run.bodyless else run.text
        own = body if run.mode == "plain" else self._own(run, body)
        size = common(own, text)
        tail = own[size:]
        if tail and run.mode != "plain" and ending is not Ending.COMPLETE:
            # The start of something that is not the handler's.
            started = FOREIGN_START.match(tail) is not None and b"\n\n" not in tail
            assert started, f"{run}: {tail[:100]!r}"
            tail = b""
        assert not tail, f"{run}: {tail[:60]!r} instead of {text[size:][:60]!r}, at {size}"
        if run.ctx.err is None and ending is Ending.COMPLETE and self.read_all(run):
            assert size == len(text), f"{run}: complete with {size} of {len(text)} bytes"

    def _own(self, run: Run, body: bytes) -> bytes:
        """
        What the handler has written of a body. Everything else is between two of its messages, and
        follows what was flushed before it.
        """
        parts: list[bytes] = []
        end = size = 0
        numbers: dict[bytes, list[int]] = {b"c": [], b"b": []}
        for found in FOREIGN.finditer(body):
            if found.start() > end:
                parts.append(body[end : found.start()])
                size += len(parts[-1])
            where = f"{run}: {body[max(0, found.start() - 30) : found.end()][:200]!r}"
            if parts and run.mode != "cast":
                assert parts[-1].endswith(b"\n\n" if run.mode == "sse" else b"\n"), where
            if name := re.search(rb"<([cb])\.(\d+):", found.group()):
                numbers[name[1]].append(int(name[2]))
                if run.policy is None:
                    assert size >= run.sure_before.get(name[1] + name[2], 0), f"{where} came early"
            end = found.end()
        for kind, found_numbers in numbers.items():
            self._check_numbers(run, kind, found_numbers, complete=b"gap" not in body)
        return b"".join((*parts, body[end:]))

    def _check_numbers(self, run: Run, kind: bytes, found: list[int], *, complete: bool) -> None:
        """
        Messages of channels and broadcasts are in order, and none is missing.
        """
        if not found:
            return
        first = run.cast_from if kind == b"b" else run.subscribed_from
        assert first is not None
        assert found == sorted(set(found)), f"{run}: {kind!r} {found}"
        assert found[0] >= first, f"{run}: {kind!r} {found}"
        if kind == b"b":
            assert found == list(range(found[0], found[-1] + 1)), f"{run}: {found}"
        elif run.policy is None and complete:
            assert found == list(range(first, found[-1] + 1)), f"{run}: {found} from {first}"


def common(one: bytes, other: bytes) -> int:
    """
    How many bytes two texts have in common at the start.
    """
    if other.startswith(one):
        return len(one)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False)))
