"""
The media types and content codings that clients prefer.
"""

from collections.abc import Sequence
from typing import NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistream.wire.accept import Choice, choose_coding, preferred_type
from twistream.wire.compression import CODINGS

TYPES = ("text/html", "text/plain", "application/json")


class Member(NamedTuple):
    """
    A member of ``Accept-Encoding``. Without a weight it is 1.
    """

    name: str
    thousandths: int | None
    before: str
    after: str

    def text(self, *, upper: bool) -> str:
        weight = ""
        if self.thousandths is not None:
            number = f"{self.thousandths / 1000:.3f}"
            # 0.500, 0.5 and 0. are all the same weight or zero.
            number = number.rstrip("0") if self.thousandths % 2 else number
            weight = f"{self.before};{self.after}{'Q' if upper else 'q'}={number}"
        name = self.name.upper() if upper else self.name
        return f"{self.before}{name}{weight}{self.after}"


SPACES = st.text(" \t", max_size=2)
MEMBERS = st.builds(
    Member,
    st.sampled_from([*CODINGS, "x-gzip", "identity", "*", "compress", "a"]),
    st.none() | st.sampled_from([0, 1, 500, 999, 1000]) | st.integers(0, 1000),
    SPACES,
    SPACES,
)
MALFORMED = st.sampled_from(
    [
        *("", " ", "gzip;q=2", "gzip;q=1.5", "gzip;q=-1", "gzip;q=0.0001", "gzip;q=", "gzip;q"),
        *("gzip;q=a", "gzip;q=.5", "gzip q=0", "gzip;level=1", "gz ip", "gzip;q =1", "gzip;q=1;a"),
        *("identity;q=00", "*;q=0.a", "br;q=0.5.", "\xe9", "gzip;q=1e-1", '"gzip"', "gzip;;q=0"),
    ]
)
"""
Members that have no effect.
"""


def expected(members: Sequence[Member], offered: Sequence[str]) -> Choice | None:
    """
    The choice, said another way: by sorting all that is acceptable.
    """
    listed: dict[str, int] = {}
    for member in members:
        name = "gzip" if member.name == "x-gzip" else member.name
        weight = 1000 if member.thousandths is None else member.thousandths
        listed[name] = max(weight, listed.get(name, 0))
    ranks: list[tuple[int, int, str | None]] = []
    for place, coding in enumerate(offered):
        weight = listed[coding] if coding in listed else listed.get("*", 0)
        if weight:
            ranks.append((-weight, place, coding))
    if "identity" in listed or "*" in listed:
        plain = listed["identity"] if "identity" in listed else listed["*"]
        refused = plain == 0
    else:
        plain, refused = 0, False  # Acceptable, after all others.
    if not refused:
        ranks.append((-plain, len(offered), None))
    return Choice(min(ranks)[2], not refused) if ranks else None


class MediaTypeTests(SynchronousTestCase):
    def test_the_heaviest_of_the_types_that_are_named(self) -> None:
        for accept, expected in (
            ("", None),
            ("*/*", None),
            ("text/*, image/png", None),
            ("text/html", "text/html"),
            ("TEXT/HTML;level=1", "text/html"),
            ("application/json", "application/json"),
            ("application/json, text/plain, */*", "application/json"),
            ("text/plain, application/json", "text/plain"),
            ("application/json;q=0.8, text/html", "text/html"),
            ("application/json;q=0.8, text/html;q=0.80", "application/json"),
            ("text/html;q=0.799 , application/json; Q=0.8", "application/json"),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
            ("text/html;q=0", None),
            ("text/html;q=0.000, text/plain;q=0.001", "text/plain"),
            ("text/html;q=x", "text/html"),
            ("text/plain;q=0.5, text/html;q=9", "text/html"),
            (",;=,text/plain;;", "text/plain"),
            ("application/jsonp, text/htmlx", None),
        ):
            self.assertEqual(preferred_type(accept.encode(), TYPES), expected, accept)


class CodingTests(SynchronousTestCase):
    """
    `Accept-Encoding`, RFC 9110 12.5.3.
    """

    RULES = (
        # Without the field, anything would do. The body is sent as it is.
        (None, None),
        # An empty field: no coding is wanted.
        ("", None),
        (" ", None),
        (",", None),
        ("gzip", "gzip"),
        ("GZip", "gzip"),
        ("x-gzip", "gzip"),
        ("X-GZIP;Q=0.5", "gzip"),
        ("deflate", "deflate"),
        # As browsers send it: of equal ones, the server's first.
        ("gzip, deflate, br, zstd", "gzip"),
        ("br, zstd", "zstd"),
        ("br, deflate", "br"),
        # The weights decide.
        ("gzip;q=0.1, br;q=0.2", "br"),
        ("gzip;q=0.5, deflate;q=0.501", "deflate"),
        ("gzip;q=0, br", "br"),
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("gzip;q=0.001", "gzip"),
        ("gzip ; q=1.000", "gzip"),
        ("\tgzip\t;\tq=1.\t", "gzip"),
        # Not listed is not acceptable, except by `*`.
        ("compress", None),
        ("compress, *;q=0.1", "gzip"),
        ("*", "gzip"),
        ("*;q=0.5, gzip;q=0", "zstd"),
        ("br;q=0.1, *;q=0.5", "gzip"),
        # The body as it is: acceptable unless refused, and the last choice unless listed.
        ("identity", None),
        ("identity, gzip", "gzip"),
        ("identity;q=0.5, gzip;q=0.4", None),
        ("identity;q=0.5, gzip;q=0.5", "gzip"),
        ("gzip;q=0.001, identity;q=0", "gzip"),
        ("gzip;q=0.5, *;q=0", "gzip"),
        # Malformed members are ignored, and the others count.
        ("gzip;q=2, br", "br"),
        ("gzip;q=-1, br;q=0.1", "br"),
        ("gzip;level=1", None),
        ("gzip;q=1;q=0", None),
        ("br;;q=0, gzip", "gzip"),
        ("gzip;q=0, gzip", "gzip"),
    )

    REFUSED = (
        "identity;q=0",
        "*;q=0",
        "*;q=0.0, compress",
        "identity;q=0, compress",
        "gzip;q=0, identity;q=0, br;q=0.000, zstd;q=0, deflate;q=0, *",
        "identity;q=0, gzip;q=0, *;q=0",
    )

    def test_the_rules_of_the_rfc(self) -> None:
        for value, coding in self.RULES:
            choice = choose_coding(None if value is None else value.encode(), CODINGS)
            assert choice is not None, value
            self.assertEqual(choice.coding, coding, value)

    def test_a_client_that_refuses_all_there_is(self) -> None:
        for value in self.REFUSED:
            self.assertIsNone(choose_coding(value.encode(), CODINGS), value)
        self.assertIsNone(choose_coding(b"gzip, identity;q=0", ("br",)))
        self.assertIsNone(choose_coding(b"identity;q=0", ()))

    @given(st.lists(MEMBERS | MALFORMED, max_size=8), st.permutations(CODINGS), st.booleans())
    @example(["gzip;q=2"], list(CODINGS), False)
    def test_any_field(self, members: list[Member | str], offered: list[str], upper: bool) -> None:
        offered = offered[: len(members) % 5]
        text = ",".join(
            each if isinstance(each, str) else each.text(upper=upper) for each in members
        )
        listed = [each for each in members if isinstance(each, Member)]
        self.assertEqual(
            choose_coding(text.encode("latin-1"), tuple(offered)), expected(listed, offered), text
        )

    @given(st.binary(max_size=60))
    def test_no_field_is_an_error(self, value: bytes) -> None:
        choice = choose_coding(value, CODINGS)
        self.assertTrue(choice is None or choice.coding in (None, *CODINGS))

    def test_a_long_field_is_read_in_time_that_grows_with_its_length(self) -> None:
        # With a pattern that looks back, this would never end.
        for part in (b"a;q=0.5 ", b" \t" * 8, b"gzip;q=", b"a "):
            choose_coding(part * (16_384 // len(part)), CODINGS)
