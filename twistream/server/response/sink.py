"""
Sink: where a writer puts the pieces of a body. Stage: a sink that changes or reads them on their way.

The outbound of the response is the last sink. A content coding or a digest is a stage in front of it.
A response without stages does not pay for them: its writer has the outbound itself.

Layer: response, at the bottom.
"""

from collections.abc import Callable
from typing import Protocol, TypeAlias

from twistream.wire.frames import Batch, Fields


class Sink(Protocol):
    """
    What a writer needs of the outbound. See `twistream.server.connection.outbound.Outbound`.
    """

    @property
    def full(self) -> bool:
        """
        The connection accepts no more for now.
        """

    @property
    def pending(self) -> int:
        """
        The number of bytes that wait for a push.
        """

    @property
    def coalesces(self) -> bool:
        """
        Whether messages may wait for the end of a turn.
        """

    def put(self, data: bytes) -> None:
        """
        Add `data` as one piece of the body, for the next push.
        """

    def put_end(self) -> None:
        """
        Add the end of the body, for the next push.
        """

    def put_trailers(self, trailers: Fields) -> None:
        """
        Add the end of the body and fields that follow it. Where none can follow, they are dropped.
        """

    def push(self) -> None:
        """
        Send what is pending in one piece.
        """

    def send_batch(self, batch: Batch) -> None:
        """
        `put` each message of `batch`, and push. Nothing may be pending.
        """

    def backlog(self) -> int:
        """
        The number of bytes that wait in this process.
        """


class Stage:
    """
    A sink that passes everything on. Subclasses change or read the pieces.

    Attributes:
        changes: Whether it or a stage behind it may change the content.
    """

    __slots__ = ("_next",)

    changes = True

    def __init__(self, next_sink: Sink) -> None:
        """
        Args:
            next_sink: The sink that the pieces go to.
        """
        self._next = next_sink

    @property
    def full(self) -> bool:
        """
        See `Sink`.
        """
        return self._next.full

    @property
    def pending(self) -> int:
        """
        See `Sink`.
        """
        return self._next.pending

    @property
    def coalesces(self) -> bool:
        """
        See `Sink`.
        """
        return self._next.coalesces

    def put(self, data: bytes) -> None:
        """
        See `Sink`.
        """
        self._next.put(data)

    def put_end(self) -> None:
        """
        See `Sink`.
        """
        self._next.put_end()

    def put_trailers(self, trailers: Fields) -> None:
        """
        See `Sink`.
        """
        self._next.put_trailers(trailers)

    def push(self) -> None:
        """
        See `Sink`.
        """
        self._next.push()

    def send_batch(self, batch: Batch) -> None:
        """
        See `Sink`.
        """
        for frame in batch.frames:
            self.put(frame.data)
        self.push()

    def backlog(self) -> int:
        """
        See `Sink`.
        """
        return self._next.backlog()

    def insert_last(self, stage: "MakeStage") -> None:
        """
        Insert a stage behind all others.

        Args:
            stage: Makes the stage from the sink that it passes the pieces on to.
        """
        if isinstance(self._next, Stage):
            self._next.insert_last(stage)
        else:
            self._next = stage(self._next)


MakeStage: TypeAlias = Callable[[Sink], Stage]
