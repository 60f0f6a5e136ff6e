"""
Sequences of values, read by independent decoders.
"""

import csv
import io
import json
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from functools import partial
from typing import Any

import msgpack
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.strategies import TEXTS
from twistream import EncodeError
from twistream.wire.sequences import (
    JSON_ARRAY,
    JSON_SEQ,
    MSGPACK,
    SequenceEncoder,
    SequenceFormat,
    csv_format,
)

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def messages(format: SequenceFormat, values: Iterable[object]) -> list[bytes]:
    """
    What is sent for each value, and at the end.
    """
    encoder = SequenceEncoder(format)
    sent: list[bytes] = []
    for value in values:
        sent.append(encoder.encode(value, len(b"".join(sent))))
    return [*sent, encoder.end(len(b"".join(sent)))]


def json_texts(data: bytes) -> list[Any]:
    """
    Parse a JSON text sequence by RFC 7464 2.1: each text begins with RS, and LF may end it.
    """
    before, *texts = data.split(b"\x1e")
    assert before == b""
    for text in texts:
        assert text.endswith(b"\n")
        assert b"\n" not in text[:-1]
    return [json.loads(text) for text in texts]


def objects(data: bytes) -> list[Any]:
    return list(msgpack.Unpacker(io.BytesIO(data)))


def rows(data: bytes, **dialect: Any) -> list[list[str]]:
    return list(csv.reader(io.StringIO(data.decode(), newline=""), **dialect))


class FormatTests(SynchronousTestCase):
    """
    Formats without options.
    """

    @given(st.lists(VALUES, max_size=5))
    @example([])
    @example([None])
    def test_the_values_come_back(self, values: list[object]) -> None:
        read: Callable[[bytes], object]
        for format, read in ((JSON_ARRAY, json.loads), (JSON_SEQ, json_texts), (MSGPACK, objects)):
            assert read(b"".join(messages(format, values))) == values

    @given(st.lists(VALUES, min_size=1, max_size=5))
    def test_what_was_sent_so_far_is_whole_values(self, values: list[object]) -> None:
        read: Callable[[bytes], object]
        for format, read in ((JSON_SEQ, json_texts), (MSGPACK, objects)):
            sent = messages(format, values)
            for count in range(len(values)):
                assert read(b"".join(sent[:count])) == values[:count]

    @given(st.lists(VALUES, max_size=5))
    def test_an_array_without_its_end_is_no_json(self, values: list[object]) -> None:
        *sent, _ = messages(JSON_ARRAY, values)
        for count in range(len(sent) + 1):
            try:
                json.loads(b"".join(sent[:count]))
            except ValueError:
                pass
            else:
                self.fail("an incomplete array is JSON")

    def test_their_bytes(self) -> None:
        for format, media_type, sent, empty in (
            (JSON_ARRAY, "application/json", [b"[1", b",\n[2]", b"]"], b"[]"),
            (JSON_SEQ, "application/json-seq", [b"\x1e1\n", b"\x1e[2]\n", b""], b""),
            (MSGPACK, "application/msgpack", [b"\x01", b"\x91\x02", b""], b""),
        ):
            self.assertEqual(format.media_type, media_type)
            self.assertEqual(messages(format, [1, [2]]), sent)
            self.assertEqual(messages(format, []), [empty])

    def test_a_value_that_was_not_sent_does_not_count(self) -> None:
        encoder = SequenceEncoder(JSON_ARRAY)
        self.assertEqual(encoder.encode(1, 7), b"[1")
        self.assertEqual(encoder.encode(2, 7), b"[2")
        self.assertEqual(encoder.end(7), b"[]")
        self.assertEqual(encoder.encode(3, 9), b",\n3")
        self.assertEqual(encoder.end(9), b"]")

    def test_a_bad_value_changes_nothing(self) -> None:
        for format, bad in (
            (JSON_ARRAY, (object(), float("nan"), "\ud800")),
            (JSON_SEQ, (object(), float("nan"), "\ud800")),
            (MSGPACK, (object(), 2**64, "\ud800")),
        ):
            encoder = SequenceEncoder(format)
            for value in bad:
                self.assertRaises(EncodeError, encoder.encode, value, 0)
            self.assertEqual([encoder.encode(1, 0), encoder.end(9)], messages(format, [1]))

    def test_bytes_are_no_value_in_json(self) -> None:
        for format in (JSON_ARRAY, JSON_SEQ):
            for value in (b"a", bytearray(b"a"), memoryview(b"a")):
                with self.assertRaisesRegex(TypeError, "decode"):
                    SequenceEncoder(format).encode(value, 0)
        self.assertEqual(objects(SequenceEncoder(MSGPACK).encode(b"a", 0)), [b"a"])


class CSVTests(SynchronousTestCase):
    @given(
        st.lists(st.lists(TEXTS, min_size=1, max_size=4), max_size=4),
        st.none() | st.lists(TEXTS, min_size=1, max_size=4),
        st.sampled_from(
            [
                {},
                {"delimiter": ";"},
                {"dialect": "excel-tab"},
                {"quoting": csv.QUOTE_ALL},
                {"quotechar": "'", "doublequote": False, "escapechar": "\\"},
            ]
        ),
    )
    def test_the_rows_come_back(
        self, values: list[list[str]], header: Sequence[str] | None, dialect: dict[str, Any]
    ) -> None:
        sent = messages(csv_format(header, dialect), values)
        names = [] if header is None else [header]
        assert rows(b"".join(sent), **dialect) == [*names, *values]
        for count in range(1, len(values) + 1):
            assert rows(b"".join(sent[:count]), **dialect) == [*names, *values[:count]]

    def test_its_media_type_says_whether_there_is_a_header(self) -> None:
        self.assertEqual(csv_format(None, {}).media_type, "text/csv; charset=utf-8")
        self.assertEqual(
            csv_format(["a"], {}).media_type, "text/csv; header=present; charset=utf-8"
        )

    def test_rows_and_their_text(self) -> None:
        moment = Decimal("1.50")
        for row, text in (
            (["a", 1, None, True, 2.5, moment], "a,1,,True,2.5,1.50\r\n"),
            (("a,b", 'c"d', "e\nf"), '"a,b","c""d","e\nf"\r\n'),
            ((each for each in "ab"), "a,b\r\n"),
            ([""], '""\r\n'),
            ([], "\r\n"),
            (["ż"], "ż\r\n"),
        ):
            encode = csv_format(None, {}).encode
            self.assertEqual(encode(row), text.encode(), text)

    def test_a_mapping_is_a_row_in_the_order_of_the_header(self) -> None:
        format = csv_format(iter(["b", "a", "c"]), {})
        self.assertEqual(format.opening, b"b,a,c\r\n")
        self.assertEqual(format.encode({"a": 1, "b": 2}), b"2,1,\r\n")
        self.assertEqual(format.encode([1, 2]), b"1,2\r\n")
        with self.assertRaisesRegex(EncodeError, r"not in the header: \['d'\]"):
            format.encode({"a": 1, "d": 2})

    def test_without_rows_there_is_the_header(self) -> None:
        self.assertEqual(messages(csv_format(["a", "b"], {}), []), [b"a,b\r\n"])
        self.assertEqual(messages(csv_format(None, {}), []), [b""])

    def test_what_is_no_row_is_an_encode_error(self) -> None:
        class Odd:
            def __str__(self) -> str:
                raise RuntimeError("made to fail")

        encode = csv_format(None, {}).encode
        for row in (None, 5, "text", b"text", {"a": 1}, [b"a"], ["\ud800"], [Odd()]):
            self.assertRaises(EncodeError, encode, row)
        self.assertEqual(encode(["fine"]), b"fine\r\n")
        encode = csv_format(None, {"quoting": csv.QUOTE_NONE}).encode
        self.assertRaises(EncodeError, encode, ["a,b"])
        self.assertEqual(encode(["a", "b"]), b"a,b\r\n")

    def test_a_wrong_header_or_dialect_is_refused_at_the_call(self) -> None:
        for kind, says, call in (
            (TypeError, "^header must", partial(csv_format, "text", {})),
            (TypeError, "^header must", partial(csv_format, 5, {})),  # type: ignore[arg-type]  # wrong on purpose
            (TypeError, "^header must", partial(csv_format, {"a": 1}, {})),
            (ValueError, "^header must", partial(csv_format, [], {})),
            (EncodeError, "decode it", partial(csv_format, [b"a"], {})),
            (TypeError, "delimiter", partial(csv_format, None, {"delimiter": "ab"})),
            (TypeError, "colour", partial(csv_format, None, {"colour": "red"})),
            (ValueError, "dialect", partial(csv_format, None, {"dialect": "unheard-of"})),
        ):
            with self.assertRaisesRegex(kind, says):
                call()
