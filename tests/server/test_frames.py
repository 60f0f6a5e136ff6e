"""
Frames and batches: framed once, however many get them.
"""

from twisted.trial.unittest import SynchronousTestCase

from twistream.server.frames import Batch, Frame


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
