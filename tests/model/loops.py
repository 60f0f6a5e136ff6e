"""
Loops: the iterables and writers that a handler passes to ``stream`` and ``stream_writer``.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed

from tests.model.body import Body, expected
from tests.model.world import Made
from twistream import BufferOverflow, ContentLengthMismatch, Context, HTTPError, StopStream


class LoopRun:
    """
    One loop of a response.

    Attributes:
        cancelled: Somebody has cancelled it.
        closed: How often its generator was closed.
        deferred: Its Deferred.
        generator: It is over a generator.
        item: The last item.
        started: It has taken a step.
        stepping: A step is under way.
    """

    def __init__(self, run: Body) -> None:
        self.run = run
        self.deferred: Deferred[None] | None = None
        self.started = False
        self.closed = 0
        self._mark = 0
        self.item = b""
        self.cancelled = False
        self.stepping = False
        self.generator = False

    def begin(self) -> None:
        self.started = True
        assert not self.stepping, "two steps of a loop at once"
        self.run.sure_at_least(self._mark)
        self.run.unflushed = 0

    def end(self) -> None:
        """
        A step has ended: the loop flushes now.
        """
        self._mark = len(self.run.text)
        self.run.unflushed = 0

    @property
    def dead(self) -> bool:
        return (
            self.cancelled
            or self.run.over
            or (self.deferred is not None and bool(self.deferred.called))
        )

    def ended(self, result: Any) -> Any:
        run = self.run
        if result is None:
            run.sure_at_least(len(run.text))
            run.unflushed = 0
        elif self.item and result.check(ContentLengthMismatch, BufferOverflow):
            if result.check(ContentLengthMismatch):
                assert run.declared is not None
                assert len(run.text) > run.declared, "refused what fits"
            run.may_be_refused = True
            run.retract(self.item)
        return result


class Looping(Body):
    """
    A response with loops.

    Attributes:
        did_abort: Somebody has called ``abort``.
        kind: The kind of its handler.
        loops: All loops so far.
        takes: About how many seconds its handler takes.
    """

    kind: str

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.loops: list[LoopRun] = []
        self.did_abort = False
        self.takes = 0.0

    def abort(self, ctx: Context) -> None:
        if not self.over:
            self.did_abort = True
        ctx.abort("on purpose")

    def cancel_loop(self) -> None:
        if not self.loops:
            return
        loop = self.rng.choice(self.loops)
        if loop.deferred is not None and not loop.deferred.called:
            self.log("cancel loop")
            loop.cancelled = True
            loop.deferred.cancel()

    def cancel_wait(self) -> None:
        waiting = [each.deferred for each in self.tracked if not each.deferred.called]
        if waiting:
            self.log("cancel wait")
            self.rng.choice(waiting).cancel()

    def start_loop(self, ctx: Context, *, detached: bool = False) -> LoopRun:
        r = self.rng
        loop = LoopRun(self)
        self.loops.append(loop)
        count = r.choice([0, 1, 3, 8, 8, 40, 300, 10_000])
        if self.calm:
            count = min(count, 40)
        kind = r.choice(["gen", "list", "pipe", "agen", "aiter", "writer", "awriter", "mixed"])
        if self.kind == "writer":
            kind = r.choice(["writer", "awriter", "mixed"])
        interval = r.choice([None, None, 0.001, 0.2 * self.world.pace])
        self.log(f"loop {kind} {count} {interval} detached={detached}")
        self.takes += 1000 if count >= 300 else count * (0.4 if interval else 0.1)
        loop.generator = kind in ("gen", "agen")
        if kind == "gen":
            made = ctx.stream(self.items(ctx, loop, count), detached=detached)
        elif kind in ("list", "pipe"):
            pieces = [self.piece() for _ in range(min(count, 20))]
            start = ctx.stream if kind == "list" else ctx.pipe
            made = start(_Accepting(loop, pieces), detached=detached)
        elif kind == "agen":
            made = ctx.stream(self.async_items(ctx, loop, count), detached=detached)
        elif kind == "aiter":
            made = ctx.stream(_AIter(self, ctx, loop, count), detached=detached)
        else:
            step = self._step(loop, count, kind)
            made = ctx.stream_writer(step, interval, detached=detached)
        loop.deferred = made
        if made.called:
            result = made.result
            loop.ended(result)
        else:
            made.addBoth(loop.ended)
        self.track(made, f"loop {kind}")
        return loop

    def mischief(self, ctx: Context, loop: LoopRun) -> None:
        """
        What the code of a loop may do besides writing.
        """
        x = self.rng.random()
        if x < 0.006:
            raise Made
        if x < 0.012:
            raise StopStream
        if x < 0.016:
            self.abort(ctx)
        elif x < 0.020 and loop.deferred is not None:
            loop.cancelled = True
            loop.deferred.cancel()
        elif x < 0.025:
            self.rng.choice([self.world.cast, self.world.publish])()
        elif x < 0.03:
            self.write(ctx)
        elif x < 0.04:
            self.track(self.flush(ctx), "flush in a loop").addErrback(expected)
        elif x < 0.043:
            raise HTTPError(404)
        elif x < 0.046:
            raise CancelledError
        elif x < 0.05 and self.mode == "plain" and len(self.loops) < 10:
            self.start_loop(ctx, detached=True)

    def produce(self, loop: LoopRun) -> Any:
        piece = self.piece()
        loop.item = piece
        if not loop.dead and not self.bodyless:
            self.accept(piece)
        loop.end()
        return piece if self.rng.random() < 0.6 else piece.decode()

    def items(self, ctx: Context, loop: LoopRun, count: int) -> Iterator[Any]:
        try:
            for _ in range(count):
                loop.begin()
                self.mischief(ctx, loop)
                yield self.produce(loop)
            loop.begin()
        finally:
            loop.closed += 1

    async def async_items(self, ctx: Context, loop: LoopRun, count: int) -> AsyncIterator[Any]:
        try:
            for _ in range(count):
                loop.begin()
                loop.stepping = True
                self.mischief(ctx, loop)
                if self.rng.random() < 0.3:
                    await self.something(ctx)
                loop.stepping = False
                yield self.produce(loop)
            loop.begin()
        finally:
            loop.stepping = False
            loop.closed += 1
            if self.rng.random() < 0.1:
                await self.something(ctx)

    async def something(self, ctx: Context) -> None:
        x = self.rng.random()
        if x < 0.3:
            await ctx.sleep(self.rng.choice([0, 0.001, 0.1]))
        elif x < 0.5:
            await self.world.gate()
        elif x < 0.7:
            await succeed(None)
        elif x < 0.9:
            await self.flush(ctx)

    def _step(self, loop: LoopRun, count: int, kind: str) -> Callable[[Context], Any]:
        left = count
        r = self.rng

        def body(ctx: Context) -> None:
            nonlocal left
            left -= 1
            if left < 0:
                raise StopStream
            for _ in range(r.choice([0, 1, 1, 1, 2])):
                self.write(ctx)
            self.mischief(ctx, loop)

        def step(ctx: Context) -> Any:
            loop.begin()
            body(ctx)
            loop.end()
            x = r.random()
            if x < 0.1:
                return 5
            if x < 0.15:
                return succeed(None)
            if x < 0.2:
                return ctx.sleep(0.001)
            return None

        async def async_step(ctx: Context) -> Any:
            loop.begin()
            loop.stepping = True
            try:
                body(ctx)
                if r.random() < 0.3:
                    await self.something(ctx)
                    if r.random() < 0.5:
                        self.write(ctx)
            finally:
                loop.stepping = False
            loop.end()
            return ctx.sleep(0.001) if r.random() < 0.05 else None

        if kind == "writer":
            return step
        if kind == "awriter":
            return async_step
        return lambda ctx: async_step(ctx) if r.random() < 0.6 else step(ctx)


class _Accepting:
    """
    A plain iterator of pieces.
    """

    def __init__(self, loop: LoopRun, pieces: list[bytes]) -> None:
        self._loop, self._pieces = loop, pieces

    def __iter__(self) -> "_Accepting":
        return self

    def __next__(self) -> bytes:
        self._loop.begin()
        if not self._pieces:
            raise StopIteration
        piece = self._loop.item = self._pieces.pop(0)
        if not self._loop.dead and not self._loop.run.bodyless:
            self._loop.run.accept(piece)
        self._loop.end()
        return piece


class _AIter:
    """
    An async iterator that is no generator.
    """

    def __init__(self, run: Looping, ctx: Context, loop: LoopRun, count: int) -> None:
        self._run, self._ctx, self._loop, self._count = run, ctx, loop, count

    def __aiter__(self) -> "_AIter":
        return self

    async def __anext__(self) -> Any:
        self._loop.begin()
        self._count -= 1
        if self._count < 0:
            raise StopAsyncIteration
        self._run.mischief(self._ctx, self._loop)
        if self._run.rng.random() < 0.2:
            await self._run.something(self._ctx)
        return self._run.produce(self._loop)
