"""
Body: what is known about the body of one response, and the ways to write it.

It keeps two figures: how much was written, and how much of that was surely flushed.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from tests.model.world import World
from twistream import (
    BufferOverflow,
    ContentLengthMismatch,
    Context,
    HeadersSent,
    StreamClosed,
    StreamFinished,
)

AUTOFLUSH = 16 * 1024
"""
Bytes. A larger buffer is sent without a flush.
"""

NO_BODY = (204, 205, 304)


class Tracked:
    """
    A Deferred of the product.

    Attributes:
        fired: How often it has fired.
    """

    def __init__(self, name: str, deferred: Deferred[Any]) -> None:
        self.name, self.deferred = name, deferred
        self.fired = 0

    def __repr__(self) -> str:
        return f"the Deferred of {self.name} has fired {self.fired} times"

    def count(self, result: Any) -> Any:
        self.fired += 1
        return result


class Body:
    """
    One response.

    Attributes:
        calm: Its pieces are small, and its loops short.
        cast_from: The number of the first broadcast that it may receive; None if it is no member.
        closes: How often ``on_close`` has called back.
        ctx: Its context.
        declared: Its ``Content-Length``, if the handler has set one.
        method: The method of its request.
        mode: ``plain``, ``sse``, ``lines`` of JSON, or ``cast`` for a member of the broadcast.
        number: Its number among all of the case.
        policy: What its subscription does while the client is slow.
        subscribed_from: The number of the first message that it may receive.
        sure: How much of `text` was surely flushed.
        sure_before: How much that was when messages of channels and broadcasts were sent.
        text: What was written.
        tracked: Deferreds of the product.
    """

    ctx: Context  # From when the handler starts.

    def __init__(self, world: World, rng: Random, mode: str, method: str, *, calm: bool) -> None:
        self.world, self.rng, self.mode, self.method = world, rng, mode, method
        self.calm = calm
        self.number = len(world.runs)
        self.status = 200
        self.declared: int | None = None
        self.text = b""
        self.sure = 0
        self.sure_before: dict[bytes, int] = {}
        self.tracked: list[Tracked] = []
        self.closes = 0
        self.subscribed_from = 0
        self.cast_from: int | None = None
        self.policy: Any = None
        self.may_be_refused = False  # A piece was refused, or may have been.
        self.unflushed = 0
        self._count = 0

    @property
    def over(self) -> bool:
        return self.ctx._response.life.ended

    @property
    def bodyless(self) -> bool:
        return self.method == "HEAD" or self.status in NO_BODY

    def sure_at_least(self, size: int) -> None:
        if not self.over:
            self.sure = max(self.sure, size)

    def retract(self, piece: bytes) -> None:
        assert self.text.endswith(piece), "a refused piece is not the last"
        self.text = self.text[: -len(piece)]
        self.sure = min(self.sure, len(self.text))

    def log(self, what: str) -> None:
        self.world.trace.append(f"{self.number}: {what}")

    # The parts of a body.

    def piece(self) -> bytes:
        r = self.rng
        size = r.choice([0, 3, 3, 3, 10, 100, 100, 2000, 9000, 17_000, 20_000, 70_000])
        if self.calm:
            size = min(size, 2000)
        if r.random() < 0.01:
            size = 200_000
        self._count += 1
        body = b"[h.%d:%b]" % (self._count, b"x" * size)
        if self.mode == "sse":
            return b"data: %b\n\n" % body
        if self.mode == "lines":
            return b'"%b"\n' % body
        return body + b"\n"

    def accept(self, piece: bytes) -> None:
        self.text += piece
        self.unflushed += len(piece)
        if self.unflushed > AUTOFLUSH:
            self.sure_at_least(len(self.text))
            self.unflushed = 0

    def flushed(self) -> None:
        self.sure_at_least(len(self.text))
        self.unflushed = 0

    def write(self, ctx: Context, piece: bytes | None = None) -> None:
        piece = self.piece() if piece is None else piece
        over = self.over
        try:
            size = ctx.write(piece if self.rng.random() < 0.5 else piece.decode())
        except (StreamClosed, StreamFinished):
            assert over or self.bodyless, "a write failed before the end"
            raise
        except ContentLengthMismatch:
            self.may_be_refused = True
            assert self.declared is not None
            assert len(self.text) + len(piece) > self.declared, "refused what fits"
            raise
        except BufferOverflow:
            self.may_be_refused = True
            raise
        assert size == len(piece)
        assert not over, "a write succeeded after the end"
        self.accept(piece)

    def flush(self, ctx: Context) -> Deferred[None]:
        over = self.over
        deferred = ctx.flush()
        if not over:
            self.flushed()
        return deferred

    def json_line(self, ctx: Context) -> Deferred[None]:
        return self._send(ctx.json_line, b'"%b"\n')

    def event(self, events: Any) -> Deferred[None]:
        return self._send(events.send, b"data: %b\n\n")

    def _send(self, send: Callable[[str], Deferred[None]], form: bytes) -> Deferred[None]:
        self._count += 1
        size = self.rng.choice([0, 3, 100, 100, 5000, 20_000])
        body = b"[h.%d:%b]" % (self._count, b"x" * size)
        over = self.over
        try:
            deferred = send(body.decode())
        except (StreamClosed, StreamFinished, HeadersSent):
            assert over or self.bodyless, "a send failed before the end"
            raise
        except ContentLengthMismatch:
            self.may_be_refused = True
            raise
        except BufferOverflow:
            self.may_be_refused = True
            raise
        assert not over
        self.accept(form % body)
        self.flushed()
        return deferred

    # Deferreds.

    def track(self, deferred: Deferred[Any], name: str) -> Deferred[Any]:
        """
        Count how often a Deferred fires.
        """
        tracked = Tracked(name, deferred)
        self.tracked.append(tracked)
        return deferred.addBoth(tracked.count)

    async def wait(self, deferred: Deferred[Any], name: str) -> None:
        """
        Await a Deferred, perhaps untouched, so that fast paths stay fast.
        """
        if self.rng.random() < 0.4:
            self.track(deferred, name)
        await deferred


def expected(failure: Failure) -> None:
    failure.trap(StreamClosed, StreamFinished, ContentLengthMismatch, CancelledError)
