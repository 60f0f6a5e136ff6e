"""
Values as bodies.
"""

import json as standard_json
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from decimal import Decimal
from enum import Enum
from uuid import UUID

import attrs
import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistream import EncodeError, HTTPError
from twistream.wire import render

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@dataclass
class Point:
    x: int
    label: str | None = None


@attrs.define
class Room:
    name: str
    points: list[Point]


class Colour(Enum):
    RED = "red"


class Struct(msgspec.Struct):
    value: float


class NoZone(tzinfo):
    """
    A time zone whose code fails.
    """

    def utcoffset(self, _: datetime | None) -> timedelta:
        msg = "made to fail"
        raise RuntimeError(msg)

    dst = utcoffset

    def tzname(self, _: datetime | None) -> str:
        return "nowhere"


class JSONTests(SynchronousTestCase):
    """
    JSON, of more than JSON has, and never of what it has not.
    """

    @given(VALUES)
    def test_what_json_can_hold_comes_back(self, value: object) -> None:
        media_type, data = render.json(value)
        assert media_type == "application/json"
        assert b"\n" not in data
        assert standard_json.loads(data) == value

    def test_other_types(self) -> None:
        for value, expected in (
            (Room("a", [Point(1)]), {"name": "a", "points": [{"x": 1, "label": None}]}),
            (datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), "2024-01-02T03:04:05Z"),
            (date(2024, 1, 2), "2024-01-02"),
            (timedelta(seconds=90), "PT90S"),
            (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
            (Decimal("1.50"), "1.50"),
            (Colour.RED, "red"),
            ({1: (2, 3)}, {"1": [2, 3]}),
            (b"\0\1", "AAE="),
            (Struct(1.5), {"value": 1.5}),
            (None, None),
            ("null", "null"),
            (["NaN", "inf", None], ["NaN", "inf", None]),
            ({"nan": Decimal(1)}, {"nan": "1"}),
            ([Decimal("1e400"), None], ["1E+400", None]),
            (msgspec.Raw(b"null"), None),
            ([msgspec.Raw(b"null"), 1], [None, 1]),
        ):
            self.assertEqual(standard_json.loads(render.json(value)[1]), expected)

    def test_json_of_the_program_is_on_one_line(self) -> None:
        raw = msgspec.Raw(b'{\r\n  "a": [1e400,\r "b\\n"]\n}\n')
        compact = b'{"a":[1e400,"b\\n"]}'
        self.assertEqual(render.json_line(raw)[1], compact + b"\n")
        self.assertEqual(render.json_line([raw])[1], b"[" + compact + b"]\n")

    def test_what_json_cannot_hold_is_an_encode_error(self) -> None:
        loop: list[object] = []
        loop.append(loop)
        nan = float("nan")
        incomplete = Struct(1.5)
        del incomplete.value
        for value in (
            object(),
            {"a": object()},
            {(1, 2): 3},
            1 + 2j,
            lambda: None,
            "\ud800",
            loop,
            nan,
            [1, {"a": (None, nan)}],
            {"a": -float("inf")},
            {nan: 1},
            {"a": {float("inf"): 1}},
            Decimal("NaN"),
            [Decimal("-Infinity")],
            Point(x=nan),  # type: ignore[arg-type]  # wrong on purpose
            Room("a", [Point(1), Point(float("inf"))]),  # type: ignore[arg-type]  # wrong on purpose
            Struct(nan),
            Decimal("sNaN"),
            [Decimal("-sNaN1"), None],
            incomplete,
            datetime(2024, 1, 2, tzinfo=NoZone()),
            [memoryview(b"abc")[::2]],
            msgspec.Raw(b""),
            msgspec.Raw(b"oops"),
            msgspec.Raw(b"1\n2"),
            msgspec.Raw(b'"\xff"'),
            [msgspec.Raw(b"\n]")],
        ):
            self.assertRaises(EncodeError, render.json, value)
            self.assertRaises(TypeError, render.json_line, value)

    def test_the_error_names_the_type(self) -> None:
        error = self.assertRaises(EncodeError, render.json, {"a": object()})
        self.assertIn("dict", str(error))
        self.assertIn("object", str(error))

    def test_a_line_is_json_and_a_newline(self) -> None:
        self.assertEqual(render.json_line("a\nb"), ("application/jsonl", b'"a\\nb"\n'))

    def test_bytes_are_no_line_but_may_be_in_one(self) -> None:
        for wrong in (b"a", bytearray(b"a"), memoryview(b"a")):
            with self.assertRaisesRegex(TypeError, r"\.decode\(\).*ctx\.write\(\)"):
                render.json_line(wrong)
        self.assertEqual(render.json_line([b"a"])[1], b'["YQ=="]\n')
        self.assertEqual(render.json(b"a")[1], b'"YQ=="')


class TextTests(SynchronousTestCase):
    """
    Text, HTML, and pages for errors.
    """

    def test_text_is_utf_8(self) -> None:
        self.assertEqual(render.text("ż"), ("text/plain", b"\xc5\xbc"))
        self.assertEqual(render.html("<b>"), ("text/html", b"<b>"))

    def test_what_is_no_text_is_an_encode_error(self) -> None:
        for wrong in (b"x", 1, None, "\ud800"):
            self.assertRaises(EncodeError, render.text, wrong)
            self.assertRaises(EncodeError, render.html, wrong)

    def test_error_pages(self) -> None:
        error = HTTPError(404, "no <room>")
        self.assertEqual(
            render.error_page(error, as_html=False), ("text/plain", b"404 Not Found\nno <room>\n")
        )
        media_type, page = render.error_page(error, as_html=True)
        self.assertEqual(media_type, "text/html")
        self.assertIn(b"<p>no &lt;room&gt;</p>", page)
