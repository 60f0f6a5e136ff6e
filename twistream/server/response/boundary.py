"""
Boundary: keeps the bytes of others out of an event, or a line, that a handler writes in pieces.

A handler may write an event by hand, flush after flush. Pings, ids and published messages, which
come from elsewhere, must not land in the middle of it: they wait until it ends.

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
    Whether the bytes that a handler has sent end where others may follow.

    Attributes:
        inside: They end in the middle of an event or a line.
    """

    __slots__ = ("_ends", "_frames", "_gate", "_out", "_tail", "inside")

    def __init__(self, ends: Callable[[bytes], bool], out: Outbound, waits: Waits) -> None:
        """
        Args:
            ends: Whether text with such last bytes ends an event or a line: `Format.ends`.
            out: The way to the connection.
            waits: The Deferreds of the response.
        """
        self._ends = ends
        self._out = out
        self._gate = Gate(waits)
        self._tail = b"\n\n"
        self.inside = False
        self._frames: list[Frame] = []

    def note(self, data: bytes) -> None:
        """
        The handler has sent `data`. If an event ends with it, let the bytes of others follow.
        """
        self._tail = (self._tail + data[-_TAIL:])[-_TAIL:]
        self.inside = not self._ends(self._tail)
        if not self.inside:
            frames, self._frames = self._frames, []
            for frame in frames:
                self._out.put(frame.data)
            self._gate.open()

    def postpone(self, frames: Sequence[Frame]) -> None:
        """
        Send messages when the event has ended.
        """
        self._frames += frames

    @property
    def postponed(self) -> int:
        """
        The bytes of the messages that are postponed.
        """
        return sum(len(frame.data) for frame in self._frames)

    def wait(self) -> Deferred[None]:
        """
        Wait for the end of the event.
        """
        return self._gate.wait()
