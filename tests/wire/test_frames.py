"""
Chunks, against the grammar of RFC 9112 7.1; frames and batches, which are framed once.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistream.wire.frames import LAST_CHUNK, SEND_SIZE, Batch, Frame, chunk, last_chunk

SIZES = st.integers(1, SEND_SIZE + 5) | st.sampled_from([SEND_SIZE // 2, SEND_SIZE])
"""
Sizes of messages, of which some fill a part to the last byte.
"""


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

    def test_fields_follow_the_last_chunk(self) -> None:
        self.assertEqual(
            last_chunk([(b"A", b"1"), (b"b", b"2; x")]), b"0\r\nA: 1\r\nb: 2; x\r\n\r\n"
        )
        self.assertEqual(last_chunk([]), LAST_CHUNK)


class FrameTests(SynchronousTestCase):
    """
    Messages, framed once.
    """

    def test_it_is_framed_once(self) -> None:
        frame = Frame(b"hello")
        self.assertEqual(frame.as_chunk, b"5\r\nhello\r\n")
        self.assertIs(frame.as_chunk, frame.as_chunk)

    def test_an_empty_message_would_end_the_body(self) -> None:
        self.assertRaises(ValueError, Frame, b"")

    def test_a_message_is_bytes(self) -> None:
        self.assertRaises(TypeError, Frame, "text")

    def test_a_batch_is_joined_once_for_each_framing(self) -> None:
        batch = Batch([Frame(b"a"), Frame(b"bc")])
        self.assertEqual((batch.size, batch.as_bytes), (3, b"abc"))
        self.assertEqual(batch.as_chunks, b"1\r\na\r\n2\r\nbc\r\n")
        self.assertIs(batch.as_chunks, batch.as_chunks)
        self.assertIs(batch.as_bytes, batch.as_bytes)

    @given(st.lists(SIZES, min_size=1, max_size=8))
    def test_its_parts_are_as_large_as_can_be_sent_at_once(self, sizes: list[int]) -> None:
        frames = [Frame(b"x" * size) for size in sizes]
        parts = Batch(frames).parts
        assert [frame for part in parts for frame in part.frames] == frames
        assert all(part.frames for part in parts)
        for part, following in zip(parts, [*parts[1:], None], strict=True):
            assert part.size <= SEND_SIZE or len(part.frames) == 1
            if following is not None:
                assert part.size + len(following.frames[0].data) > SEND_SIZE

    def test_it_is_parted_once(self) -> None:
        batch = Batch([Frame(b"x" * SEND_SIZE), Frame(b"y")])
        self.assertIs(batch.parts, batch.parts)
        self.assertEqual([part.as_bytes[:1] for part in batch.parts], [b"x", b"y"])
