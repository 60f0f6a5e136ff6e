"""
The framing of HTTP/1.1 message bodies.

Pure functions; which framing a response gets is the server layer's decision.
"""

LAST_CHUNK = b"0\r\n\r\n"
"""
The chunk of size zero and the empty trailer section that end a body (RFC 9112 7.1).
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
