"""
Chunks; and Frame and Batch: messages for many responses, framed once for all of them.

Pure. The server layer decides which framing a response uses.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

Fields: TypeAlias = Sequence[tuple[bytes, bytes]]
"""
The names and values of header or trailer fields.
"""

LAST_CHUNK = b"0\r\n\r\n"
"""
The chunk of size zero and the empty trailer section, which end a body (RFC 9112 7.1).
"""

SEND_SIZE = 64 * 1024
"""
The size of one send in bytes: Twisted's transports are full when more is queued.
"""


def chunk(data: bytes) -> bytes:
    """
    Frame `data` as one chunk (RFC 9112 7.1).

    Raises:
        ValueError: `data` is empty. A chunk of size zero would end the body.
    """
    if not data:
        msg = "data must not be empty: a chunk of size zero would end the body"
        raise ValueError(msg)
    return b"%x\r\n%b\r\n" % (len(data), data)


def last_chunk(trailers: Fields) -> bytes:
    """
    Frame the end of a body with a trailer section (RFC 9112 7.1.2).

    Args:
        trailers: Names and values, which the caller has checked.
    """
    lines = b"".join([b"%b: %b\r\n" % field for field in trailers])
    return b"0\r\n%b\r\n" % lines


class Frame:
    """
    One message, framed once for all responses that send it as a chunk.

    Attributes:
        data: The encoded message.
    """

    __slots__ = ("_chunk", "data")

    def __init__(self, data: bytes) -> None:
        """
        Raises:
            TypeError: `data` is not bytes.
            ValueError: `data` is empty. As a chunk it would end the body.
        """
        if not isinstance(data, bytes):
            msg = f"data must be bytes, not {type(data).__name__}; encode it first"
            raise TypeError(msg)
        if not data:
            msg = "data must not be empty: as a chunk it would end the body"
            raise ValueError(msg)
        self.data = data
        self._chunk: bytes | None = None

    @property
    def as_chunk(self) -> bytes:
        """
        The message as a chunk of HTTP/1.1.
        """
        if self._chunk is None:
            self._chunk = chunk(self.data)
        return self._chunk


class Batch:
    """
    Messages that are sent together, joined once for each framing in use.

    Attributes:
        chunks: What `as_chunks` has returned; None before. Reading it needs no call.
        frames: The messages.
        size: Their total size in bytes, without framing.
    """

    __slots__ = ("_bytes", "_parts", "chunks", "frames", "size")

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.size = sum(len(frame.data) for frame in frames)
        self._bytes: bytes | None = None
        self.chunks: bytes | None = None
        self._parts: list[Batch] | None = None

    @property
    def parts(self) -> "Sequence[Batch]":
        """
        The messages in batches of at most `SEND_SIZE`. A longer message has its own batch.
        """
        if self._parts is None:
            self._parts = list(map(Batch, _split(self.frames)))
        return self._parts

    @property
    def as_chunks(self) -> bytes:
        """
        The messages, each as a chunk of HTTP/1.1.
        """
        if self.chunks is None:
            self.chunks = b"".join([frame.as_chunk for frame in self.frames])
        return self.chunks

    @property
    def as_bytes(self) -> bytes:
        """
        The messages without framing, for a body that ends with its connection.
        """
        if self._bytes is None:
            self._bytes = b"".join([frame.data for frame in self.frames])
        return self._bytes


def _split(frames: Sequence[Frame]) -> Iterator[Sequence[Frame]]:
    start = size = 0
    for index, frame in enumerate(frames):
        size += len(frame.data)
        if size > SEND_SIZE and index > start:
            yield frames[start:index]
            start, size = index, len(frame.data)
    yield frames[start:]
