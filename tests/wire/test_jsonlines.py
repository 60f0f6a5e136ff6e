"""
Lines of text, JSON Lines and JSON text sequences: any split gives the same items.
"""

import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.strategies import LINE_STREAMS, pieces
from twistream import DecodeError, LimitExceeded
from twistream.wire.jsonlines import JSONLinesDecoder, JSONSequenceDecoder, LineDecoder

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def written(values: list[Any], *, indent: int | None, before: bytes, after: bytes) -> bytes:
    return b"".join(
        before + json.dumps(value, indent=indent, ensure_ascii=False).encode() + after
        for value in values
    )


LINES = st.lists(VALUES).map(lambda v: (v, written(v, indent=None, before=b"", after=b"\n")))
SEQUENCES = st.builds(
    lambda values, indent: (
        values,
        written(values, indent=indent, before=b"\x1e", after=b"\n"),
    ),
    st.lists(VALUES),
    st.none() | st.just(1),
)
PARTS = [b"\x1e", b"\n", b"\r", b" ", b"1", b"23", b'"', b"\xff", b"\xc5", b"\xbc", b"tr", b"ue"]
PARTS += [b"[", b"]", b"{", b"}", b",", b":", b"\x1e1\n", b"\x1e[\n]\n", b"\x1etrue", b"null\n"]
NEARLY = st.lists(st.sampled_from(PARTS), max_size=20).map(b"".join)


class Read:
    """
    What a decoder makes of a stream.
    """

    def __init__(self, decoder: Any, fed: list[bytes]) -> None:
        self.items: list[Any] = []
        self.error: str | None = None
        try:
            for piece in fed:
                self.items += decoder.feed(piece)
            end = decoder.finish()
            if end is None:
                self.error = "incomplete"
            else:
                self.items += end
        except DecodeError as err:
            self.error = str(err)


def single(stream: bytes) -> list[bytes]:
    return [stream[i : i + 1] for i in range(len(stream))]


class SplitTests(SynchronousTestCase):
    """
    Every decoder, with every split.
    """

    def check(self, make: Callable[[], Any], fed: list[bytes]) -> Read:
        stream = b"".join(fed)
        whole = Read(make(), [stream])
        for split in (fed, single(stream)):
            read = Read(make(), split)
            self.assertEqual((read.items, read.error), (whole.items, whole.error))
        return whole

    @given(pieces(LINE_STREAMS | st.binary(max_size=60)), st.integers(0, 8) | st.just(99))
    def test_lines(self, fed: list[bytes], limit: int) -> None:
        read = self.check(lambda: LineDecoder(max_line=limit), fed)
        stream = b"".join(fed)
        if read.error is None:
            self.assertEqual(read.items, [line.decode() for line in stream.splitlines()])
        else:
            lines = stream.splitlines()
            bad = lines[len(read.items)]
            self.assertTrue(len(bad) > limit or bad.decode(errors="replace").count("\ufffd"))

    @given(LINES, st.data())
    def test_json_lines(self, lines: tuple[list[Any], bytes], data: st.DataObject) -> None:
        values, stream = lines
        read = self.check(JSONLinesDecoder, data.draw(pieces(st.just(stream))))
        self.assertEqual((read.items, read.error), (values, None))

    @given(pieces(NEARLY), st.integers(0, 8) | st.just(99))
    def test_what_is_nearly_json_lines(self, fed: list[bytes], limit: int) -> None:
        self.check(lambda: JSONLinesDecoder(max_line=limit), fed)

    @given(SEQUENCES, st.data())
    def test_json_sequences(self, sequence: tuple[list[Any], bytes], data: st.DataObject) -> None:
        values, stream = sequence
        read = self.check(JSONSequenceDecoder, data.draw(pieces(st.just(stream))))
        self.assertEqual((read.items, read.error), (values, None))

    @given(pieces(NEARLY), st.integers(0, 8) | st.just(99))
    def test_what_is_nearly_a_sequence(self, fed: list[bytes], limit: int) -> None:
        # An LF after a value completes it, so a piece that ends there may return one more value
        # before an error.
        stream = b"".join(fed)
        whole = Read(JSONSequenceDecoder(max_item=limit), [stream])
        for split in (fed, single(stream)):
            read = Read(JSONSequenceDecoder(max_item=limit), split)
            if whole.error is None:
                self.assertEqual((read.items, read.error), (whole.items, None))
            elif read.error is not None:
                self.assertEqual(read.items[: len(whole.items)], whole.items)


class LineTests(SynchronousTestCase):
    """
    One decoder of lines.
    """

    def test_all_line_ends(self) -> None:
        self.assertEqual(
            Read(LineDecoder(), [b"a\nb\r\nc\rd\n\ne"]).items, ["a", "b", "c", "d", "", "e"]
        )

    def test_nothing_else_ends_a_line(self) -> None:
        text = "a\v\f\x1c\x1d\x1e\x85\u2028\u2029b"
        self.assertEqual(Read(LineDecoder(), [text.encode()]).items, [text])

    def test_invalid_utf_8_at_the_end(self) -> None:
        self.assertEqual(
            Read(LineDecoder(), [b"a\n\xe2\x82"]).error,
            "invalid UTF-8 (unexpected end of data), at byte 2 of the stream",
        )

    def test_an_error_is_raised_again(self) -> None:
        decoder = LineDecoder()
        self.assertRaises(DecodeError, decoder.feed, b"\xff\n")
        self.assertRaises(DecodeError, decoder.feed, b"a\n")
        self.assertRaises(DecodeError, decoder.finish)

    def test_a_line_that_is_too_long(self) -> None:
        decoder = LineDecoder(max_line=3)
        self.assertEqual(decoder.feed(b"abc\nabcd"), ["abc"])
        self.assertRaises(LimitExceeded, decoder.feed, b"")


class JSONTests(SynchronousTestCase):
    """
    Both decoders of JSON.
    """

    def test_blank_lines_are_skipped(self) -> None:
        self.assertEqual(Read(JSONLinesDecoder(), [b"\n \n1\n\r\n\n2"]).items, [1, 2])

    def test_a_cr_is_white_space(self) -> None:
        self.assertEqual(
            Read(JSONLinesDecoder(), [b'[1,\r2]\r\n{"a":\r3}']).items, [[1, 2], {"a": 3}]
        )

    def test_errors_say_where(self) -> None:
        deep = b"[" * 9999 + b"]" * 9999
        for line, error in [
            (b"x", "invalid JSON (invalid character), at byte 2 of the stream"),
            (b'{"a":}', "invalid JSON (invalid character), at byte 7 of the stream"),
            (b"1 2", "invalid JSON (trailing characters), at byte 5 of the stream"),
            (b"[1,", "invalid JSON (Input data was truncated), at byte 2 of the stream"),
            (b'"\xff"', "invalid UTF-8 (invalid start byte), at byte 3 of the stream"),
            (
                b'{"\xed\xa0\x80":1}',
                "invalid UTF-8 (invalid continuation byte), at byte 4 of the stream",
            ),
            (b'"\\ud800"', "invalid JSON (Input data was truncated), at byte 2 of the stream"),
            (b"1e999", "invalid JSON (Number out of range), at byte 2 of the stream"),
            (deep, "invalid JSON (nested too deeply), at byte 2 of the stream"),
        ]:
            for end in (b"\n", b""):
                read = Read(JSONLinesDecoder(), [b"0\n" + line + end])
                self.assertEqual((read.items, read.error), ([0], error), line[:9])

    def test_an_item_that_is_too_long(self) -> None:
        decoder = JSONLinesDecoder(max_line=3)
        self.assertEqual(decoder.feed(b"[1]\n[23]\n4\n"), [[1]])
        with self.assertRaises(LimitExceeded) as caught:
            decoder.feed(b"")
        self.assertEqual((caught.exception.offset, caught.exception.limit), (7, 3))
        self.assertRaises(LimitExceeded, decoder.finish)

    def test_a_value_of_a_sequence_is_complete_at_its_line_end(self) -> None:
        decoder = JSONSequenceDecoder()
        self.assertEqual(decoder.feed(b"\x1e1\n"), [1])
        self.assertEqual(decoder.feed(b"\x1e{\n"), [])
        self.assertEqual(decoder.feed(b"}\n"), [{}])
        self.assertEqual(decoder.feed(b"\n \x1e"), [])
        self.assertEqual(decoder.feed(b"[3]"), [])
        self.assertEqual(decoder.feed(b"\x1e"), [[3]])
        self.assertEqual(decoder.finish(), [])

    def test_a_sequence_may_end_without_a_line_end(self) -> None:
        for value in (b"[1]", b'"a"', b'{"a":1}'):
            self.assertEqual(Read(JSONSequenceDecoder(), [b"\x1e" + value]).error, None)
        for value in (b"1", b"-1", b"true", b"null"):
            self.assertEqual(Read(JSONSequenceDecoder(), [b"\x1e" + value]).error, "incomplete")

    def test_malformed_sequences(self) -> None:
        rows: list[tuple[bytes, list[Any], str]] = [
            (b"1\n", [], "expected RS (0x1E) before a value, at byte 0 of the stream"),
            (b" 1\n\x1e2\n", [], "expected RS (0x1E) before a value, at byte 0 of the stream"),
            (b"\x1e1\x1e2\n", [], "the value before an RS is incomplete, at byte 2 of the stream"),
            (
                b"\x1e[1\x1e2\n",
                [],
                "invalid JSON (Input data was truncated), at byte 1 of the stream",
            ),
        ]
        for stream, items, error in rows:
            read = Read(JSONSequenceDecoder(), [stream])
            self.assertEqual((read.items, read.error), (items, error), stream)
        read = Read(JSONSequenceDecoder(), [b"\x1e1\n", b"2\n", b"\x1e3\n"])
        self.assertEqual(
            (read.items, read.error),
            ([1], "expected RS (0x1E) before a value, at byte 3 of the stream"),
        )

    def test_the_work_on_a_long_value_is_linear(self) -> None:
        # A decoder that tried at each line end would parse the whole value each time.
        decoder = JSONSequenceDecoder()
        tried: list[int] = []
        take = JSONSequenceDecoder._take

        def counting(self: Any, part: bytes, start: int, values: list[Any]) -> None:
            tried.append(len(part))
            take(self, part, start, values)

        self.patch(JSONSequenceDecoder, "_take", counting)
        decoder.feed(b"\x1e[\n")
        for _ in range(10_000):
            decoder.feed(b"1,\n")
        self.assertEqual(decoder.feed(b"1]\n\x1e"), [[1] * 10_001])
        self.assertLess(sum(tried), 4 * 30_000)
