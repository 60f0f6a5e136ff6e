"""
Boundary: keeps other messages out of an event or a line that a handler writes in pieces.

A handler may write an event by hand, in several flushes. Pings, ids and published messages must not
land in the middle of it, so they are postponed until it ends.

Layer: response, at the bottom.
"""

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred

from twistream.scheduling.waits import Gate, Waits
from twistream.server.connection.outbound import Outbound
from twistream.wire.frames import Frame

_TAIL = 4
"""
Bytes that show how a text ends: a blank line may be two line ends of CR and LF each.
"""


class Boundary:
    """
    Whether other messages may follow what a handler has sent.

    Attributes:
        inside: The last byte was sent within an event or a line.
    """

    __slots__ = ("_ends", "_frames", "_gate", "_out", "_tail", "inside")

    def __init__(self, ends: Callable[[bytes], bool], out: Outbound) -> None:
        """
        Args:
            ends: Whether text with such last bytes ends an event or a line: `Format.ends`.
            out: The outbound of the response.
        """
        self._ends = ends
        self._out = out
        self._gate: Gate | None = None  # Until somebody waits.
        self._tail = b"\n\n"
        self.inside = False
        self._frames: tuple[Frame, ...] = ()

    def note(self, data: bytes) -> None:
        """
        The handler has sent `data`. If an event ends with it, send what was postponed.
        """
        self._tail = (self._tail + data[-_TAIL:])[-_TAIL:]
        self.inside = not self._ends(self._tail)
        if not self.inside:
            frames, self._frames = self._frames, ()
            for frame in frames:
                self._out.put(frame.data)
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
