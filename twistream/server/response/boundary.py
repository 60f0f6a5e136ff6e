"""
Boundary: keeps other messages out of an event or a line that a handler writes in pieces.

A handler may write an event by hand, in several flushes. Pings, ids and published messages must not
land in the middle of it, so they are postponed until it ends.

Layer: response, at the bottom.
"""

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from twistream.scheduling.waits import Gate, Waits
from twistream.wire.frames import Frame
from twistream.wire.messages import Format

_TAIL = 1024
"""
Bytes that show whether a message has ended: a blank line, and comments of a usual length after it.
"""

_START = b"\n\n"
"""
The end of a message in every format.
"""


class Boundary:
    """
    Whether other messages may follow what a handler has sent.

    Attributes:
        inside: The last byte was sent within an event or a line.
    """

    __slots__ = ("_format", "_frames", "_gate", "_tail", "inside")

    def __init__(self, format: Format) -> None:
        """
        Args:
            format: The format of the events or lines.
        """
        self._format = format
        self._gate: Gate | None = None  # Until somebody waits.
        self._tail = _START
        self.inside = False
        self._frames: tuple[Frame, ...] = ()

    def note(self, data: bytes, put: Callable[[bytes], None]) -> None:
        """
        The handler has sent `data`. If an event ends with it, `put` what was postponed.
        """
        text = self._tail + data if len(data) < _TAIL else data[-_TAIL:]
        self.inside = not self._format.ends(text)
        self._tail = text[-_TAIL:] if self.inside else _START
        if not self.inside:
            frames, self._frames = self._frames, ()
            for frame in frames:
                put(frame.data)
            if self._gate is not None:
                self._gate.open()

    def postpone(self, frames: Sequence[Frame]) -> None:
        """
        Send messages after the end of the event.
        """
        self._frames += tuple(frames)

    @property
    def postponed(self) -> int:
        """
        The bytes of the messages that are postponed.
        """
        return sum(len(frame.data) for frame in self._frames)

    def wait(self, waits: Waits) -> Deferred[None]:
        """
        Wait for the end of the event.

        Args:
            waits: The Deferreds of the response.
        """
        self._gate = self._gate or Gate(waits)
        return self._gate.wait()
