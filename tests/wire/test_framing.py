"""
Chunks, against the grammar of RFC 9112 7.1.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistream.wire.framing import LAST_CHUNK, chunk


def decoded(body: bytes) -> tuple[list[bytes], bytes]:
    """
    The chunks of a body, and what follows the last chunk's size line.
    """
    found: list[bytes] = []
    while True:
        size, separator, body = body.partition(b"\r\n")
        assert separator
        length = int(size, 16)
        if not length:
            return found, body
        found.append(body[:length])
        assert body[length : length + 2] == b"\r\n"
        body = body[length + 2 :]


class ChunkTests(SynchronousTestCase):
    """
    One chunk for each piece.
    """

    @given(st.lists(st.binary(min_size=1, max_size=300)))
    def test_any_pieces_come_back(self, pieces: list[bytes]) -> None:
        body = b"".join(map(chunk, pieces)) + LAST_CHUNK
        self.assertEqual(decoded(body), (pieces, b"\r\n"))

    def test_the_size_is_hexadecimal(self) -> None:
        self.assertEqual(chunk(b"x" * 26), b"1a\r\n" + b"x" * 26 + b"\r\n")

    def test_an_empty_chunk_would_end_the_body(self) -> None:
        self.assertRaises(ValueError, chunk, b"")
