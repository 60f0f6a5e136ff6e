"""
Broadcast: the same messages to many responses, for the price of one send each.

A message is encoded once and framed once for each framing in use, however many get it.
What is sent within one turn of the reactor leaves each response's socket in one send at
the turn's end, without a trip through the poller: members that stand at the same place
share the joined bytes. A member that is slow costs the others nothing.

This is no channel: it has no history, no ids and no names. Channels are built on it.
"""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from twistream.errors import BufferOverflow, SlowConsumer, StreamAborted
from twistream.server.context import Context
from twistream.server.turn import Turn
from twistream.server.writer import ResponseWriter
from twistream.wire.framing import chunk


class Frame:
    """
    One message, encoded once and framed once for each framing in use.

    Attributes:
        data: Its bytes.
    """

    __slots__ = ("_chunk", "data")

    def __init__(self, data: bytes) -> None:
        """
        Raises:
            ValueError: `data` is empty. As a chunk it would end the body.
        """
        if not data:
            msg = "a message has at least one byte"
            raise ValueError(msg)
        self.data = data
        self._chunk: bytes | None = None

    @property
    def chunk(self) -> bytes:
        """
        It, as a chunk of HTTP/1.1.
        """
        if self._chunk is None:
            self._chunk = chunk(self.data)
        return self._chunk


class Batch:
    """
    The messages of one turn, joined once for each framing in use.

    Attributes:
        frames: The messages.
        size: Bytes of all of them, without any framing.
    """

    __slots__ = ("_chunks", "_data", "frames", "size")

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.size = sum(len(frame.data) for frame in frames)
        self._chunks: bytes | None = None
        self._data: bytes | None = None

    @property
    def chunks(self) -> bytes:
        """
        All of them, each as a chunk of HTTP/1.1.
        """
        if self._chunks is None:
            self._chunks = b"".join([frame.chunk for frame in self.frames])
        return self._chunks

    @property
    def data(self) -> bytes:
        """
        All of them without any framing, for a body that ends with its connection.
        """
        if self._data is None:
            self._data = b"".join([frame.data for frame in self.frames])
        return self._data


_JOIN_SHARE = 1 / 8
"""
Of the time that it took to send several messages to all: for so long after it those that
come next wait for one another. Whoever is served last waits that much longer, and a burst
is sent in one round instead of two.
"""

OnFull: TypeAlias = Callable[[Context, Sequence[Frame]], object]


class Broadcast:
    """
    A set of responses that get the same messages.
    """

    __slots__ = ("_frames", "_joined", "_joins_until", "_members", "_on_full", "_turn")

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
        self._frames: list[Frame] = []
        self._joins_until = 0.0
        # Where in the batch of this turn those begin that joined during it.
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
        its own, and goes ahead of what the handler has written and not flushed. Where no
        body may be, the response is complete.

        Args:
            on_full: Called with the context and the messages, instead of sending them,
                while the client's connection takes no more. Without it they are buffered
                up to ``max_buffered``; past that the client is cut with `SlowConsumer`.

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
        `context` gets nothing more, also of this turn. It need not be a member.
        """
        writer = context._writer  # noqa: SLF001 - as above
        self._members.pop(writer, None)
        self._on_full.pop(writer, None)
        self._joined.pop(writer, None)

    def send(self, frame: Frame) -> None:
        """
        Send one message to all who are members now.
        """
        if self._members:
            self._frames.append(frame)
            if len(self._frames) == 1:
                self._gather_soon()

    def _gather_soon(self) -> None:
        wait = self._joins_until - self._turn.clock.seconds()
        if wait > 0:
            self._turn.clock.callLater(wait, self._gather)
        else:
            self._turn.at_end(self._gather)

    def _gather(self) -> None:
        """
        Send what came in this turn.
        """
        began = self._turn.clock.seconds()
        batch = Batch(self._frames)
        joined, self._frames, self._joined = self._joined, [], {}
        late = {start: Batch(batch.frames[start:]) for start in set(joined.values())}
        # By a copy, because one that is cut is discarded.
        for writer in list(self._members):
            part = late[joined[writer]] if writer in joined else batch
            try:
                if writer.full and writer in self._on_full:
                    self._on_full[writer](self._members[writer], part.frames)
                else:
                    writer.deliver(part)
            except BufferOverflow as err:
                writer.cut(SlowConsumer({"queued": err.buffered, "limit": err.limit}))
            except Exception as err:  # noqa: BLE001 - one member's failure is no other's
                self._log.failure("a message of a broadcast failed")
                writer.abort(StreamAborted(type(err).__name__))
        if len(batch.frames) > 1:
            ended = self._turn.clock.seconds()
            self._joins_until = ended + (ended - began) * _JOIN_SHARE
