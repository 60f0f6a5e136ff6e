"""
Lines, with any end and cut anywhere.
"""

import re

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.strategies import LINE_STREAMS, pieces
from twistream import LimitExceeded
from twistream.wire.lines import LineSplitter

Split = tuple[list[tuple[int, bytes]], bytes, LimitExceeded | None]


def split(fed: list[bytes], max_line: int = 1000) -> Split:
    """
    The lines of a stream that comes in pieces, what came after them, and the error.
    """
    splitter = LineSplitter(max_line)
    lines: list[tuple[int, bytes]] = []
    try:
        for piece in fed:
            lines += splitter.feed(piece)
            assert len(splitter._line) <= max_line
        return lines, splitter.finish(), None
    except LimitExceeded as err:
        return lines, b"", err


class LineTests(SynchronousTestCase):
    """
    Lines end with LF, CR or CRLF, wherever the stream is cut.
    """

    @given(pieces(LINE_STREAMS))
    def test_lines_are_the_same_wherever_the_stream_is_cut(self, fed: list[bytes]) -> None:
        stream = b"".join(fed)
        *expected, rest = re.split(rb"\r\n|\r|\n", stream)
        lines, after, error = split(fed)
        self.assertEqual([line for _, line in lines], expected)
        self.assertEqual(after, rest)
        self.assertIsNone(error)
        self.assertEqual(split([bytes([byte]) for byte in stream])[0], lines)

    @given(pieces(LINE_STREAMS))
    def test_each_line_has_the_offset_at_which_it_begins(self, fed: list[bytes]) -> None:
        stream = b"".join(fed)
        ends = [match.end() for match in re.finditer(rb"\r\n|\r|\n", stream)]
        self.assertEqual([start for start, _ in split(fed)[0]], [0, *ends][: len(ends)])

    @given(pieces(LINE_STREAMS), st.integers(0, 6))
    def test_a_line_that_is_too_long_is_the_same_error_wherever_the_stream_is_cut(
        self, fed: list[bytes], max_line: int
    ) -> None:
        stream = b"".join(fed)
        too_long = re.search(rb"[^\r\n]{%d}" % (max_line + 1), stream)
        lines, _, error = split(fed, max_line)
        if too_long is None:
            self.assertIsNone(error)
            return
        assert error is not None
        self.assertEqual(error.offset, too_long.start() + max_line)
        self.assertEqual((error.limit, error.unit), (max_line, "bytes of a line"))
        self.assertEqual(lines, split([stream[: too_long.start()]])[0])

    def test_the_end_of_a_line_is_not_counted(self) -> None:
        self.assertEqual(split([b"abc\r\n"], 3), ([(0, b"abc")], b"", None))

    def test_a_line_is_complete_at_its_cr(self) -> None:
        splitter = LineSplitter(10)
        self.assertEqual(splitter.feed(b"a\r"), [(0, b"a")])
        self.assertEqual(splitter.feed(b""), [])
        self.assertEqual(splitter.feed(b"\n"), [])
        self.assertEqual(splitter.feed(b"\n"), [(3, b"")])

    def test_lines_before_the_error_come_first_and_then_it_stays(self) -> None:
        splitter = LineSplitter(3)
        self.assertEqual(splitter.feed(b"a\nabcd\nb\n"), [(0, b"a")])
        self.assertRaises(LimitExceeded, splitter.feed, b"c\n")
        self.assertRaises(LimitExceeded, splitter.feed, b"")
        self.assertRaises(LimitExceeded, splitter.check)
        self.assertRaises(LimitExceeded, splitter.finish)

    def test_an_error_without_lines_before_it_comes_at_once(self) -> None:
        splitter = LineSplitter(3)
        splitter.feed(b"abc")
        self.assertRaises(LimitExceeded, splitter.feed, b"d\n")
        self.assertEqual(splitter._line, b"")

    def test_anything_bytes_like_is_taken_and_nothing_else(self) -> None:
        splitter = LineSplitter(10)
        self.assertEqual(splitter.feed(bytearray(b"a\n")), [(0, b"a")])
        self.assertEqual(splitter.feed(memoryview(b"b\n")), [(2, b"b")])
        for wrong in ("c\n", 1, None, [99]):
            self.assertRaises(TypeError, splitter.feed, wrong)
        self.assertEqual(splitter.feed(b"d\n"), [(4, b"d")])
