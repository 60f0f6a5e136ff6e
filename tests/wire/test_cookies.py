"""
The cookies of a request.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistream import HTTPError
from twistream.wire.cookies import Cookies
from twistream.wire.fields import set_cookie

NAMES = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8)
VALUES = st.text("abcXYZ019!#$%&'()*+-./:<=>?@[]^_`{|}~", max_size=12)


def encoded(name: str, value: str) -> bytes:
    """
    A cookie as the program sets it, and as a browser sends it back.
    """
    return set_cookie(
        name,
        value,
        max_age=None,
        expires=None,
        domain=None,
        path="/",
        secure=True,
        http_only=True,
        same_site=None,
    ).partition(b";")[0]


class CookieTests(SynchronousTestCase):
    @given(st.dictionaries(NAMES, VALUES, max_size=5), st.booleans())
    def test_what_a_program_sets_comes_back(self, jar: dict[str, str], split: bool) -> None:
        parts = [encoded(name, value) for name, value in jar.items()]
        assert Cookies(parts if split else [b"; ".join(parts)]) == jar

    @given(st.lists(st.binary(max_size=30), max_size=3))
    def test_any_header_has_names_and_is_text_or_a_400(self, headers: list[bytes]) -> None:
        cookies = Cookies(headers)
        for name in cookies:
            assert name
            assert name in cookies
            try:
                assert isinstance(cookies[name], str)
            except HTTPError as err:
                self.assertEqual(err.status, 400)

    def test_the_forms_of_a_cookie(self) -> None:
        for header, expected in (
            (b"", {}),
            (b"a=1", {"a": "1"}),
            (b"a=1; b=2;c=3;", {"a": "1", "b": "2", "c": "3"}),
            (b" a = 1 \t; b=2", {"a": "1", "b": "2"}),
            (b"a=1; a=2", {"a": "1"}),
            (b'a="1 2"', {"a": "1 2"}),
            (b'a="1', {"a": '"1'}),
            (b'a="', {"a": '"'}),
            (b'a=""', {"a": ""}),
            (b"a=", {"a": ""}),
            (b"a; =1; b=2", {"b": "2"}),
            (b"a=b=c==", {"a": "b=c=="}),
            (b"a=x%20y\\041", {"a": "x%20y\\041"}),
            (b"a=\xc5\xbc", {"a": "ż"}),
            (b"A=1; a=2", {"A": "1", "a": "2"}),
        ):
            self.assertEqual(dict(Cookies([header])), expected, header)

    def test_several_headers_are_read_in_order(self) -> None:
        self.assertEqual(dict(Cookies([b"a=1; b=2", b"b=3; c=4"])), {"a": "1", "b": "2", "c": "4"})

    def test_one_that_is_not_utf_8_spoils_no_other(self) -> None:
        cookies = Cookies([b"bad=\xff; good=1"])
        self.assertEqual((cookies["good"], len(cookies), "bad" in cookies), ("1", 2, True))
        for read in (lambda: cookies["bad"], lambda: cookies.get("bad"), lambda: dict(cookies)):
            error = self.assertRaises(HTTPError, read)
            self.assertEqual((error.status, error.message), (400, "The cookie bad must be UTF-8."))
        self.assertRaises(KeyError, lambda: cookies["none"])
        self.assertIsNone(cookies.get("none"))

    def test_its_representation_keeps_the_secret(self) -> None:
        self.assertEqual(repr(Cookies([b"session=secret; a=1"])), "<Cookies session, a>")
