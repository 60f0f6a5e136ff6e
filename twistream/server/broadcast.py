"""
Broadcast: the same messages to many responses, for the price of one send each.

A message is encoded once and framed once for each framing in use, however many get it.
What is sent within one turn of the reactor goes round at the turn's end: it leaves each
response's socket in one send, without a trip through the poller, and members that stand
at the same place share the joined bytes. A member that is slow costs the others nothing.

This is no channel: it has no history, no ids and no names. Channels are built on it.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from twistream.errors import BufferOverflow, SlowConsumer, StreamAborted
from twistream.scheduling.turn import Turn
from twistream.server.context import Context
from twistream.server.response.writer import ResponseWriter
from twistream.wire.frames import SEND_SIZE, Batch, Frame

_JOIN_SHARE = 1 / 8
"""
Of the time that it took to send several messages to all: for so long after it those that
come next wait for one another. Whoever is served last waits that much longer, and a burst
is sent in one round instead of two. An eighth is what publishers need to answer a round,
as measured, and little beside the round.
"""

OnFull: TypeAlias = Callable[[Context, Sequence[Frame]], object]


class Broadcast:
    """
    A set of responses that get the same messages.
    """

    __slots__ = (
        "_frames",
        "_held",
        "_joined",
        "_joins_for",
        "_members",
        "_on_full",
        "_round_ended",
        "_turn",
    )

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        """
        Args:
            clock: That of the responses.
        """
        self._turn = Turn.of(clock)
        # By their writers: where there are thousands, each object that is touched for each
        # of them costs as much as a call.
        self._members: dict[ResponseWriter, Context] = {}
        self._on_full: dict[ResponseWriter, OnFull] = {}
        self._held: set[ResponseWriter] = set()
        self._frames: list[Frame] = []
        self._round_ended = 0.0
        self._joins_for = 0.0
        # Where among these those begin that joined since the first of them.
        self._joined: dict[ResponseWriter, int] = {}

    def __len__(self) -> int:
        """
        The number of members.
        """
        return len(self._members)

    def add(self, context: Context, on_full: OnFull | None = None) -> None:
        """
        From now on `context` gets what is sent, until it is over or discarded.

        Its head leaves at the end of this turn at the latest. Each message is a chunk of
        its own. It goes ahead of what the handler has written and not flushed; what the
        handler flushes before the round that brings the message goes ahead of that.
        Where no body may be, the response is complete. A message that does not fit a
        declared ``Content-Length`` aborts the response.

        Args:
            on_full: Called with the context and the messages, instead of sending them,
                while the client's connection takes no more, and while the member is held.
                If it raises, that is logged
                and the response aborted. Without it they are buffered up to
                ``max_buffered``; past that the client is cut with `SlowConsumer`.

        Raises:
            StreamClosed: The response is over.
            StreamFinished: It ended in good order.
            ValueError: It is a member already.
        """
        writer = context._writer  # noqa: SLF001 - one layer, two modules
        if writer in self._members:
            msg = f"{context!r} is a member already"
            raise ValueError(msg)
        if not writer.begin_body():
            return
        self._members[writer] = context
        if on_full is not None:
            self._on_full[writer] = on_full
        if self._frames:
            self._joined[writer] = len(self._frames)
        context.on_close(self.discard)

    def discard(self, context: Context) -> None:
        """
        `context` gets nothing more, also of what was sent before. It need not be a member.
        """
        context._ending.forget_on_close(self.discard)  # noqa: SLF001 - as above
        writer = context._writer  # noqa: SLF001 - as above
        self._members.pop(writer, None)
        self._on_full.pop(writer, None)
        self._held.discard(writer)
        self._joined.pop(writer, None)

    def hold(self, context: Context) -> None:
        """
        From now on the member's messages all go to its `on_full`, until it is released.
        """
        self._held.add(context._writer)  # noqa: SLF001 - as above

    def release(self, context: Context) -> None:
        """
        The member's messages are sent to it again.
        """
        self._held.discard(context._writer)  # noqa: SLF001 - as above

    def send(self, frame: Frame) -> None:
        """
        Send one message to all who are members now.

        It goes round at the end of this turn, or a little later in a burst: a member whose
        handler ends before that does not get it.
        """
        if self._members:
            self._frames.append(frame)
            if len(self._frames) == 1:
                self._gather_soon()

    def _gather_soon(self) -> None:
        wait = self._round_ended + self._joins_for - self._turn.clock.seconds()
        if wait > 0:
            wait = min(wait, self._joins_for)  # The clock may have been put back.
            self._turn.clock.callLater(wait, self.gather)
        else:
            self._turn.at_end(self.gather)

    def gather(self) -> None:
        """
        Send what came since the last round, now. Must not be called by an `on_full`.
        """
        if not self._frames:
            return  # Gone round already, before its time.
        self._turn.enter()
        began = self._turn.clock.seconds()
        batch = Batch(self._frames)
        joined, self._frames, self._joined = self._joined, [], {}
        late = {start: Batch(batch.frames[start:]) for start in set(joined.values())}
        members = self._members
        # By a copy, because one that is cut is discarded.
        for writer in list(members):
            if writer not in members:
                continue  # One that was served before has discarded it.
            part = late[joined[writer]] if writer in joined else batch
            if part.frames:
                self._serve(writer, part)
        if len(batch.frames) > 1:
            self._round_ended = self._turn.clock.seconds()
            self._joins_for = (self._round_ended - began) * _JOIN_SHARE

    def _serve(self, writer: ResponseWriter, batch: Batch) -> None:
        try:
            if writer in self._held:
                self._on_full[writer](self._members[writer], batch.frames)
            elif (writer.full or batch.size > SEND_SIZE) and writer in self._on_full:
                self._serve_in_parts(writer, batch)
            else:
                writer.deliver(batch)
        except BufferOverflow as err:
            writer.cut(SlowConsumer({"queued": err.buffered, "limit": err.limit}))
        except BaseException as err:  # noqa: BLE001 - one member's failure is no other's
            self._log.failure("a message of a broadcast failed")
            writer.abort(StreamAborted(type(err).__name__))

    def _serve_in_parts(self, writer: ResponseWriter, batch: Batch) -> None:
        on_full, context, served = self._on_full[writer], self._members[writer], 0
        for part in batch.parts:
            if writer.full:
                on_full(context, batch.frames[served:])
                return
            writer.deliver(part)
            served += len(part.frames)
