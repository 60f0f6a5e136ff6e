"""
Runs: handlers made of random steps.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from random import Random
from typing import Any, Literal

from twisted.internet.defer import CancelledError, Deferred, FirstError, gatherResults, succeed
from twisted.python.failure import Failure

from tests.model.body import NO_BODY, Tracked, expected
from tests.model.loops import Looping, LoopRun
from tests.model.world import Made, World
from twistream import (
    Context,
    EventStream,
    HeadersSent,
    HTTPError,
    StopStream,
    StreamClosed,
    StreamError,
    StreamFinished,
)


class Run(Looping):
    """
    One request and its handler, which is called as such.

    Attributes:
        began: When the handler was called, in seconds.
        cleaned: How often the handler's own cleanup has run.
        disconnects: How often ``on_connection_close`` has called back.
        dones: The results of ``done``.
        events: The stream of events, if it is one.
        handlers: How often the handler was called.
        head_sent: The head had been sent when the handler ended.
        on_disconnect: The option of the resource.
        outcome: What the handler has raised.
        reply: What the client has read.
        returned: The handler has ended.
        started: The handler was called.
    """

    def __init__(self, world: World, rng: Random, mode: str, method: str, *, calm: bool) -> None:
        super().__init__(world, rng, mode, method, calm=calm)
        self.kind = rng.choice(["async"] * 8 + ["gen", "agen", "str", "deferred", "writer"])
        self.on_disconnect: Literal["cancel", "continue"] = "cancel"
        if rng.random() < 0.25:
            self.on_disconnect = "continue"
        self.reply: Any = None
        self.began = 0.0
        self.cleaned = 0
        self.disconnects = 0
        self.dones: list[object] = []
        self.events: EventStream | None = None
        self.handlers = 0
        self.head_sent = False
        self.outcome: BaseException | None = None
        self.returned = False
        self.started = False

    # What is known.

    def __repr__(self) -> str:
        return f"run {self.number} ({self.kind}, {self.mode}, {self.method}, {self.ctx!r}, {self.ctx.err!r})"

    def keeps(self, tracked: Tracked) -> bool:
        """
        Whether a Deferred need not fire with the end of the response.
        """
        return "sleep" in tracked.name and self.on_disconnect == "continue"

    @property
    def is_generator(self) -> bool:
        return self.kind in ("gen", "agen")

    @property
    def may_be_aborted(self) -> bool:
        short = self.declared is not None and len(self.text) != self.declared
        failed = self.outcome is not None or self.is_generator or self.kind == "str"
        made = self.did_abort or self.may_be_refused
        return short or failed or made or self.mode != "plain"

    @property
    def is_whole(self) -> bool:
        """
        Whether a response that was aborted looks complete, because nothing is missing.
        """
        return self.bodyless or (self.declared is not None and len(self.text) >= self.declared)

    # The handler.

    def __call__(self, ctx: Context) -> Any:
        self.handlers += 1
        self.ctx = ctx
        self.started = True
        self.began = ctx.clock.seconds()
        self.log(f"start {self.kind} {self.mode} {self.method}")
        ctx.on_close(lambda _: setattr(self, "closes", self.closes + 1))
        ctx.on_connection_close(lambda _: setattr(self, "disconnects", self.disconnects + 1))
        ctx.done().addBoth(self.dones.append)
        r = self.rng
        if r.random() < 0.08:
            self.status = r.choice([201, 204, 304, 205, 404])
            ctx.status_code(self.status)
        if self.mode == "plain" and self.status not in NO_BODY and r.random() < 0.15:
            self.declared = r.choice([0, 1, 100, 3000, 50_000])
            ctx.header("Content-Length", str(self.declared))
        if r.random() < 0.1:
            ctx.cookie("a", "b")
        if r.random() < 0.05 and self.mode == "plain":
            ctx.header("Connection", "close")
        try:
            result = getattr(self, f"_{self.kind}")(ctx)
        except BaseException as err:
            self._ends(err)
            raise
        if isinstance(result, Deferred):
            result.addBoth(self._deferred_ended)
        return result

    def _deferred_ended(self, result: Any) -> Any:
        self._ends(result.value if isinstance(result, Failure) else None)
        return result

    def _ends(self, err: BaseException | None) -> None:
        """
        The handler ends.
        """
        self.outcome = err
        self.returned = True
        try:
            self.ctx.header("X-Probe", "1")
            self.head_sent = False
        except (HeadersSent, StreamClosed, StreamFinished):
            self.head_sent = True
        self.log(f"handler ends {err!r} sent={self.head_sent} text={len(self.text)}")

    def _str(self, ctx: Context) -> str:
        piece = self._last_piece()
        if self.rng.random() < 0.4:
            self.write(ctx)
        if self.declared is not None:
            if len(self.text) + len(piece) > self.declared:
                self.may_be_refused = True
            else:
                self.text += piece
        elif not self.over:
            self.text += piece
        self._ends(None)
        return piece.decode()

    def _last_piece(self) -> bytes:
        if self.declared is None or self.rng.random() < 0.2:
            return self.piece()
        return b"p" * max(0, self.declared - len(self.text))

    def _deferred(self, ctx: Context) -> Deferred[None]:
        return self.start_loop(ctx).deferred  # type: ignore[return-value]  # it is started

    _writer = _deferred

    def _gen(self, ctx: Context) -> Iterator[Any]:
        loop = LoopRun(self)
        self.loops.append(loop)
        items = self.items(ctx, loop, self.rng.choice([0, 1, 5, 40]))

        def gen() -> Iterator[Any]:
            try:
                yield from items
            except BaseException as err:
                self._refused(err, loop)
                self._ends(err)
                raise
            else:
                self._ends(None)

        return gen()

    def _agen(self, ctx: Context) -> AsyncIterator[Any]:
        loop = LoopRun(self)
        self.loops.append(loop)
        items = self.async_items(ctx, loop, self.rng.choice([0, 1, 5, 40]))

        async def gen() -> AsyncIterator[Any]:
            try:
                async for item in items:
                    yield item
            except BaseException as err:
                self._refused(err, loop)
                self._ends(err)
                raise
            else:
                self._ends(None)
            finally:
                await items.aclose()  # type: ignore[attr-defined]  # an async generator

        return gen()

    def _refused(self, err: BaseException, loop: LoopRun) -> None:
        """
        The generator of a handler is closed early: perhaps its last item was refused.
        """
        if isinstance(err, GeneratorExit) and loop.item and self.text.endswith(loop.item):
            self.sure = min(self.sure, len(self.text) - len(loop.item))

    async def _async(self, ctx: Context) -> str | None:
        r = self.rng
        result = None
        try:
            if self.mode == "sse":
                self.events = ctx.sse(
                    ping=self.world.pace * r.choice([0, 0.5, 0.05]), retry=r.choice([None, 1.0])
                )
            if self.mode == "lines":
                ctx.content_type("application/jsonl")
            if self.mode in ("sse", "lines") and r.random() < 0.7:
                self._subscribe(ctx)
            if self.mode == "cast":
                self.cast_from = self.world.sent
                self.world.broadcast.add(ctx._response)
            for _ in range(r.choice([0, 1, 2, 4, 8])):
                await self._op(ctx)
            if self.declared is not None and r.random() < 0.8:
                rest = self.declared - len(self.text)
                if rest > 0:
                    self.write(ctx, b"p" * rest)
            elif self.mode == "plain" and self.declared is None and r.random() < 0.1:
                result = self.piece().decode()
                self.may_be_refused = True
                if not self.over:
                    self.text += result.encode()
        except BaseException as err:
            self._ends(err)
            raise
        else:
            self._ends(None)
            return result
        finally:
            self.cleaned += 1

    def _subscribe(self, ctx: Context) -> None:
        self.subscribed_from = self.world.published
        target = self.events or ctx
        self.policy = self.rng.choice([None, None, None, "latest", "drop", "disconnect"])
        subscribed = target.subscribe(
            self.world.channel,
            max_queued=self.rng.choice([1, 5000, 2**20]),
            on_slow=self.policy,
            detached=True,
        )
        self.track(subscribed, "a subscription")

    async def _op(self, ctx: Context) -> None:
        r = self.rng
        step = r.choices(_STEPS, _WEIGHTS)[0]
        if self.mode != "plain" and r.random() < 0.3:
            step = r.choice([Run._write_in_parts, Run._publish, Run._comment])
        await step(self, ctx)

    async def _write_pieces(self, ctx: Context) -> None:
        for _ in range(self.rng.choice([1, 1, 3])):
            self.write(ctx)

    async def _write_in_parts(self, ctx: Context) -> None:
        r, piece = self.rng, self.piece()
        while piece:
            size = r.choice([1, 5, 100, 10_000, 20_000])
            self.write(ctx, piece[:size])
            piece = piece[size:]
            if r.random() < 0.7:
                await self.wait(self.flush(ctx), "a flush of a part")
            if r.random() < 0.3:
                self.takes += 0.6
                await ctx.sleep(self.world.pace * r.choice([0, 0.1, 0.6]))

    async def _flush_each(self, ctx: Context) -> None:
        r = self.rng
        often = r.choice([0, 0, 0.2])
        for _ in range(r.choice([1, 1, 2, 3, 30, 300])):
            if r.random() < 0.9:
                self.write(ctx)
            if r.random() < often:
                await self._publish(ctx)
            await self.wait(self.flush(ctx), "a flush")

    async def _drop_flushes(self, ctx: Context) -> None:
        for _ in range(self.rng.choice([1, 2, 5])):
            self.write(ctx)
            self.track(self.flush(ctx), "a dropped flush").addErrback(expected)

    async def _gather_flushes(self, ctx: Context) -> None:
        flushes = []
        for _ in range(self.rng.choice([2, 10])):
            self.write(ctx)
            flushes.append(self.track(self.flush(ctx), "a gathered flush"))
        try:
            await gatherResults(flushes, consumeErrors=True)
        except FirstError as err:
            err.subFailure.raiseException()

    async def _catch(self, ctx: Context) -> None:
        try:
            await self.wait(self.flush(ctx), "a flush")
        except StreamError:
            await succeed(None)
            raise

    async def _sleep(self, ctx: Context) -> None:
        seconds = self.world.pace * self.rng.choice([0, 0.0002, 0.01, 0.2, 1])
        self.takes += seconds
        if self.rng.random() < 0.1:
            self.track(ctx.sleep(3600), "a long sleep").addErrback(expected)
        await self.wait(ctx.sleep(seconds), "a sleep")

    async def _await_gate(self, _: Context) -> None:
        await self.world.gate()

    async def _send_each(self, ctx: Context) -> None:
        for _ in range(self.rng.choice([1, 2, 40])):
            if self.events is not None:
                await self.wait(self.event(self.events), "an event")
            elif self.mode != "cast":
                await self.wait(self.json_line(ctx), "a line")

    async def _loop(self, ctx: Context) -> None:
        await self._await_loop(self.start_loop(ctx))

    async def _two_loops(self, ctx: Context) -> None:
        for loop in [self.start_loop(ctx) for _ in range(2)]:
            await self._await_loop(loop)

    async def _detach_loop(self, ctx: Context) -> None:
        self.start_loop(ctx, detached=True)

    async def _cancel_loop(self, _: Context) -> None:
        self.cancel_loop()

    async def _comment(self, _: Context) -> None:
        if self.events is not None:
            deferred = self.events.comment("note 1")
            self.flushed()  # A comment flushes.
            await self.wait(deferred, "a comment")

    async def _fail(self, _: Context) -> None:
        raise self.rng.choice(
            [Made(), Made(), HTTPError(404, "no"), CancelledError(), StopStream()]
        )

    async def _abort(self, ctx: Context) -> None:
        self.abort(ctx)

    async def _publish(self, _: Context) -> None:
        self.rng.choice([self.world.cast, self.world.publish])()

    async def _set_trailer(self, ctx: Context) -> None:
        ctx.trailer("X-Sum", str(len(self.text)))

    async def _call_late(self, ctx: Context) -> None:
        ctx.on_close(self._late)
        ctx.done().addCallback(lambda _: Deferred.fromCoroutine(self._late(ctx)))

    async def _late(self, ctx: Context) -> None:
        """
        A callback that uses the response after its end.
        """
        refused = 0
        for use in (
            lambda: ctx.write("late"),
            lambda: ctx.stream_writer(lambda _: None),
            ctx.flush,
        ):
            try:
                result = use()
                if isinstance(result, Deferred):
                    await result
            except (StreamClosed, StreamFinished):
                refused += 1
        assert refused == 3, "something succeeded after the end"

    async def _await_loop(self, loop: LoopRun) -> None:
        assert loop.deferred is not None
        try:
            await loop.deferred
        except CancelledError:
            if not loop.cancelled:
                raise
        except (Made, StopStream):
            if self.rng.random() < 0.6:
                raise

    def meddle(self) -> None:
        """
        Code outside the handler writes.
        """
        try:
            if self.events is not None and not self.over and self.rng.random() < 0.7:
                deferred = self.events.comment("note 0")
                self.flushed()
                self.track(deferred, "a comment from outside").addErrback(expected)
                return
            self.write(self.ctx)
            if self.rng.random() < 0.7:
                self.track(self.flush(self.ctx), "a flush from outside").addErrback(expected)
        except (StreamError, HTTPError):
            pass


_TABLE: dict[Callable[[Run, Context], Coroutine[Any, Any, None]], int] = {
    Run._write_pieces: 10,
    Run._write_in_parts: 4,
    Run._flush_each: 20,
    Run._drop_flushes: 8,
    Run._gather_flushes: 2,
    Run._catch: 2,
    Run._sleep: 10,
    Run._await_gate: 4,
    Run._send_each: 6,
    Run._loop: 16,
    Run._two_loops: 6,
    Run._detach_loop: 4,
    Run._cancel_loop: 2,
    Run._comment: 2,
    Run._fail: 2,
    Run._abort: 1,
    Run._publish: 1,
    Run._set_trailer: 2,
    Run._call_late: 1,
}
_STEPS, _WEIGHTS = list(_TABLE), list(_TABLE.values())
