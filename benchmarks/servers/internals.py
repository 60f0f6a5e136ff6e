"""
The only benchmark code that uses private parts of twistream: its broadcast of raw bytes.

A channel would add ids to the messages; the fan-out scenario sends the same bytes as other servers.
"""

from benchmarks.servers.site import reactor
from twistream import Context
from twistream.server.broadcast import Broadcast
from twistream.wire.frames import Frame


class Members:
    """
    Streams that receive the same messages.
    """

    def __init__(self) -> None:
        self._broadcast = Broadcast(reactor)

    def add(self, ctx: Context) -> None:
        """
        Add a stream, until its client disconnects.
        """
        self._broadcast.add(ctx._response)  # noqa: SLF001 - what channels do one layer below

    def send(self, message: bytes) -> None:
        """
        Send a message to all of them.
        """
        self._broadcast.send(Frame(message))
