"""
The parameters of a query.
"""

from urllib.parse import parse_qsl, quote_from_bytes, urlencode

from hypothesis import given, reject
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistream import HTTPError
from twistream.wire.query import MAX_PARAMETERS, values

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NAMES = st.sampled_from(["a", "b", "a b", "ż", "", "a+b", "%61"])


class QueryTests(SynchronousTestCase):
    @given(st.lists(st.tuples(NAMES, TEXTS), max_size=6), NAMES)
    def test_what_urlencode_writes_comes_back(
        self, parameters: list[tuple[str, str]], name: str
    ) -> None:
        query = urlencode(parameters).encode()
        assert values(query, name) == [value for key, value in parameters if key == name]

    @given(st.lists(st.sampled_from("a=&+%62;ż c"), max_size=20).map("".join))
    def test_any_query_is_read_as_the_standard_library_reads_it(self, query: str) -> None:
        try:
            pairs = parse_qsl(query, keep_blank_values=True, errors="strict")
        except UnicodeDecodeError:
            reject()
        for name in ("a", "b", "", "c", "a=", " "):
            assert values(query.encode(), name) == [value for key, value in pairs if key == name]

    def test_the_forms_of_a_parameter(self) -> None:
        for query, expected in (
            (b"", []),
            (b"a", [""]),
            (b"a=", [""]),
            (b"a=1&b=2&a=3", ["1", "3"]),
            (b"%61=x+y%20z", ["x y z"]),
            (b"a=b=c", ["b=c"]),
            (b"a=100%&a=%zz", ["100%", "%zz"]),
            (b"a=1;b=2", ["1;b=2"]),
            (b"A=1", []),
            (b"a=%00", ["\0"]),
            (b"a=\xc5\xbc", ["ż"]),
        ):
            self.assertEqual(values(query, "a"), expected, query)

    @given(st.binary(min_size=1, max_size=8))
    def test_a_value_that_is_not_utf_8_is_a_400(self, value: bytes) -> None:
        query = b"a=" + quote_from_bytes(value).encode()
        try:
            expected = value.decode()
        except UnicodeDecodeError:
            error = self.assertRaises(HTTPError, values, query, "a")
            assert error.status == 400
            assert "parameter a must" in error.message
            assert values(query + b"&b=1", "b") == ["1"]
        else:
            assert values(query, "a") == [expected]

    def test_the_number_of_parameters_is_limited(self) -> None:
        most = b"&".join([b"a=1"] * MAX_PARAMETERS)
        self.assertEqual(len(values(most, "a")), MAX_PARAMETERS)
        error = self.assertRaises(HTTPError, values, most + b"&", "a")
        self.assertEqual(error.status, 400)
        self.assertIn(str(MAX_PARAMETERS), error.message)

    def test_no_query_contains_a_lone_surrogate(self) -> None:
        self.assertEqual(values(b"%ED%A0%81=1&a=2", "\ud800"), [])
