"""
Frame and Batch: messages that many responses get, framed once for all of them.
"""

from collections.abc import Iterator, Sequence

LAST_CHUNK = b"0\r\n\r\n"
"""
The chunk of size zero and the empty trailer section that end a body (RFC 9112 7.1).
"""

SEND_SIZE = 64 * 1024
"""
Bytes that are sent in one piece: what Twisted's transports take before they are full.
"""


def chunk(data: bytes) -> bytes:
    """
    Frame `data` as one chunk (RFC 9112 7.1).

    Raises:
        ValueError: `data` is empty. A chunk of size zero would end the body.
    """
    if not data:
        msg = "a chunk of size zero would end the body"
        raise ValueError(msg)
    return b"%x\r\n%b\r\n" % (len(data), data)


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
            TypeError: `data` is no bytes.
            ValueError: It is empty. As a chunk it would end the body.
        """
        if not isinstance(data, bytes):
            msg = f"a message is bytes, not {type(data).__name__}"
            raise TypeError(msg)
        if not data:
            msg = "a message has at least one byte"
            raise ValueError(msg)
        self.data = data
        self._chunk: bytes | None = None

    @property
    def as_chunk(self) -> bytes:
        """
        It, as a chunk of HTTP/1.1.
        """
        if self._chunk is None:
            self._chunk = chunk(self.data)
        return self._chunk


class Batch:
    """
    The messages of one round, joined once for each framing in use.

    Attributes:
        frames: The messages.
        size: Bytes of all of them, without any framing.
    """

    __slots__ = ("_bytes", "_chunks", "_parts", "frames", "size")

    def __init__(self, frames: Sequence[Frame]) -> None:
        self.frames = frames
        self.size = sum(len(frame.data) for frame in frames)
        self._bytes: bytes | None = None
        self._chunks: bytes | None = None
        self._parts: list[Batch] | None = None

    @property
    def parts(self) -> "Sequence[Batch]":
        """
        The same messages in batches of `SEND_SIZE`, or of one message where that is longer.
        """
        if self._parts is None:
            self._parts = list(map(Batch, _parted(self.frames)))
        return self._parts

    @property
    def as_chunks(self) -> bytes:
        """
        All of them, each as a chunk of HTTP/1.1.
        """
        if self._chunks is None:
            self._chunks = b"".join([frame.as_chunk for frame in self.frames])
        return self._chunks

    @property
    def as_bytes(self) -> bytes:
        """
        All of them without any framing, for a body that ends with its connection.
        """
        if self._bytes is None:
            self._bytes = b"".join([frame.data for frame in self.frames])
        return self._bytes


def _parted(frames: Sequence[Frame]) -> Iterator[Sequence[Frame]]:
    start = size = 0
    for index, frame in enumerate(frames):
        size += len(frame.data)
        if size > SEND_SIZE and index > start:
            yield frames[start:index]
            start, size = index, len(frame.data)
    yield frames[start:]
