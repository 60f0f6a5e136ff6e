"""
The errors that only the client raises. `StreamTruncated` and `DecodeError` are in `twistream.errors`.

Layer: client, at the bottom.
"""

from twistream.errors import StreamError, StreamTruncated


class IdleTimeout(StreamTruncated):
    """
    The connection was closed because no byte of the body was received for too long.

    Attributes:
        received: The number of bytes of the body that were received.
        seconds: The ``idle_timeout`` that the server exceeded.
    """

    def __init__(self, received: int, seconds: float) -> None:
        super().__init__(received)
        self.args = (f"no byte for {seconds:g} seconds, after {received} bytes of the body",)
        self.seconds = seconds


class UnexpectedResponse(StreamError):
    """
    The server answered a request for a stream with something else.

    Attributes:
        status: The status code.
        content_type: The ``Content-Type``, or the empty string.
        excerpt: The start of the body.
    """

    def __init__(
        self, status: int, content_type: str, excerpt: bytes, *, expected: str = "an event stream"
    ) -> None:
        text = f": {excerpt.decode('utf-8', 'replace')!r}" if excerpt else ""
        kind = content_type or "no content type"
        super().__init__(f"expected {expected}, received {status} ({kind}){text}")
        self.status = status
        self.content_type = content_type
        self.excerpt = excerpt
