"""
Header names and values, against RFC 9110 5.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistream.wire.fields import content_length, field_name, field_value, with_charset


class FieldTests(SynchronousTestCase):
    """
    What passes can be sent, what cannot be sent does not pass.
    """

    @given(st.one_of(st.text(), st.binary()))
    def test_no_value_that_passes_ends_its_line(self, value: str | bytes) -> None:
        try:
            encoded = field_value(value)
        except ValueError:
            raw = value.encode() if isinstance(value, str) else value
            assert any(forbidden in raw for forbidden in b"\r\n\0")
        else:
            assert not any(forbidden in encoded for forbidden in b"\r\n\0")
            assert encoded == encoded.strip(b" \t")

    @given(st.one_of(st.text(), st.binary()))
    def test_no_name_that_passes_ends_its_name(self, name: str | bytes) -> None:
        try:
            encoded = field_name(name)
        except ValueError:
            return
        assert encoded
        assert not set(encoded) & set(b' \t\r\n\0:;,()<>@"/[]?={}\\')
        assert max(encoded) < 0x80

    def test_tokens(self) -> None:
        self.assertEqual(field_name("X-My_Header.1"), b"X-My_Header.1")
        self.assertEqual(field_value(" a\tb "), b"a\tb")

    def test_other_types_are_refused(self) -> None:
        for wrong in (1, None, bytearray(b"x"), ["x"]):
            self.assertRaises(TypeError, field_name, wrong)
            self.assertRaises(TypeError, field_value, wrong)

    def test_lengths(self) -> None:
        self.assertEqual(content_length(b"0012"), 12)
        for wrong in (b"", b"-1", b"+1", b"1 ", b"0x1", b"1,1", "\u0661".encode()):
            self.assertRaises(ValueError, content_length, wrong)

    def test_charsets(self) -> None:
        self.assertEqual(with_charset("text/plain"), "text/plain; charset=utf-8")
        self.assertEqual(with_charset("text/plain; Charset=x"), "text/plain; Charset=x")
        self.assertEqual(with_charset("application/jsonl"), "application/jsonl")
