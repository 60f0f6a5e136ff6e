"""
The one message that all servers send, and what it is on the wire; and the same with ids, as
the events of a channel.
"""

from dataclasses import dataclass
from typing import Final

MESSAGE: Final = b"data: " + b"x" * 92 + b"\n\n"
"""
An event of 100 bytes.
"""


def as_chunk(data: bytes) -> bytes:
    """
    Bytes as a chunk of their own (RFC 9112 7.1).
    """
    return b"%x\r\n%b\r\n" % (len(data), data)


CHUNK: Final = as_chunk(MESSAGE)
"""
The message as a chunk of its own: 106 bytes.
"""

LAST_CHUNK: Final = b"0\r\n\r\n"
"""
The end of a chunked body.
"""

MEDIA_TYPE: Final = "text/event-stream"
"""
What every stream is declared as.
"""

TEXT: Final = b"x" * 100
"""
What is published to a channel.
"""

VALUE: Final = {"number": 12, "words": "x" * 46, "read": False, "tags": ["a", "b"]}
"""
A value of 100 bytes as compact JSON.
"""

HISTORY: Final = 1_000
"""
Events that a channel keeps.
"""


@dataclass(frozen=True)
class Events:
    """
    The events of a channel, which have the same text and consecutive numbers.

    Attributes:
        epoch: What their ids begin with: a name that the server has chosen for this life of
            its channel.
    """

    epoch: str

    def id_of(self, number: int) -> str:
        """
        The id of an event.
        """
        return f"{self.epoch}-{number}"

    def event(self, number: int) -> bytes:
        """
        An event.
        """
        return b"id: %b\ndata: %b\n\n" % (self.id_of(number).encode(), TEXT)

    def missed(self, newest: int, count: int) -> bytes:
        """
        The last so many events, as a client gets them that has missed them.
        """
        return b"".join(map(self.event, range(newest - count + 1, newest + 1)))

    def chunks(self, numbers: range) -> bytes:
        """
        Events, each as a chunk of its own.
        """
        return b"".join(as_chunk(self.event(number)) for number in numbers)
