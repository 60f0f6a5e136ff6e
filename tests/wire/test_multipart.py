"""
Bodies of several parts, read by the parser of the email package.
"""

from email.message import Message
from email.parser import BytesParser
from email.policy import HTTP
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.strategies import TEXTS
from twistream import EncodeError
from twistream.wire.multipart import Part, multipart
from twistream.wire.sequences import SequenceEncoder

BOUNDARY = "0123456789abcdef"
FORMAT = multipart("x-mixed-replace", BOUNDARY)

DATA = (
    TEXTS
    | st.binary(max_size=30)
    | st.lists(st.sampled_from([b"\r\n", b"--", b"0123"])).map(b"".join)
)


def messages(parts: list[Part]) -> list[bytes]:
    encoder = SequenceEncoder(FORMAT)
    sent: list[bytes] = []
    for part in parts:
        sent.append(encoder.encode(part, len(b"".join(sent))))
    return [*sent, encoder.end(len(b"".join(sent)))]


def read(body: bytes) -> list[Message]:
    """
    The parts of a complete body.
    """
    head = f"MIME-Version: 1.0\r\nContent-Type: {FORMAT.media_type}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP.clone(raise_on_defect=True)).parsebytes(head + body)
    assert message.is_multipart()
    parts: Any = message.get_payload()
    return list(parts)


def data_of(part: Message) -> object:
    return part.get_payload(decode=True)


class MultipartTests(SynchronousTestCase):
    @given(st.lists(DATA, min_size=1, max_size=4))
    def test_the_parts_come_back(self, data: list[str | bytes]) -> None:
        body = b"".join(messages([Part(each) for each in data]))
        expected = [each.encode() if isinstance(each, str) else each for each in data]
        # Not by the parser of email: it changes line ends.
        delimiter = f"\r\n--{BOUNDARY}".encode()
        before, *parts, after = (b"\r\n" + body).split(delimiter)
        assert (before, after) == (b"", b"--\r\n")
        heads = [part.partition(b"\r\n\r\n")[0].split(b"\r\n") for part in parts]
        assert [part.partition(b"\r\n\r\n")[2] for part in parts] == expected
        for head, each in zip(heads, expected, strict=True):
            assert head[0] == b""
            assert b"Content-Length: %d" % len(each) in head

    def test_a_mail_parser_reads_them(self) -> None:
        parts = read(
            b"".join(
                messages(
                    [
                        Part("ż"),
                        Part(b"\0\xff"),
                        Part(b"{}", "application/json", {"X-Number": "1", "X-A": b"b"}),
                        Part("", "text/html"),
                    ]
                )
            )
        )
        self.assertEqual(
            [(part.get_content_type(), part["Content-Length"], data_of(part)) for part in parts],
            [
                ("text/plain", "2", "ż".encode()),
                ("application/octet-stream", "2", b"\0\xff"),
                ("application/json", "2", b"{}"),
                ("text/html", "0", b""),
            ],
        )
        self.assertEqual(parts[0].get_content_charset(), "utf-8")
        self.assertEqual((parts[2]["X-Number"], parts[2]["x-a"]), ("1", "b"))

    def test_the_boundary_follows_each_part_at_once(self) -> None:
        head = b"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 1\r\n\r\n"
        self.assertEqual(
            messages([Part("a"), Part("b")]),
            [
                b"--0123456789abcdef" + head + b"a\r\n--0123456789abcdef",
                head + b"b\r\n--0123456789abcdef",
                b"--\r\n",
            ],
        )
        self.assertEqual(messages([]), [b"--0123456789abcdef--\r\n"])

    def test_with_one_type_the_headers_of_the_next_part_are_sent_ahead(self) -> None:
        format = multipart("x-mixed-replace", BOUNDARY, "text/html")
        encoder = SequenceEncoder(format)
        head = b"--0123456789abcdef\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
        first, second = encoder.encode(Part("ż"), 0), encoder.encode(Part(b"\0"), 1)
        self.assertEqual((first, second), (head + b"\xc5\xbc\r\n" + head, b"\0\r\n" + head))
        parts = read(first + second + encoder.end(1))
        self.assertEqual([data_of(part) for part in parts], [b"\xc5\xbc", b"\0", b""])
        for part in (Part("a", "text/html"), Part("a", None, {"a": "b"})):
            with self.assertRaisesRegex(ValueError, "must not be given"):
                encoder.encode(part, 1)

    def test_its_media_type_names_the_boundary(self) -> None:
        self.assertEqual(multipart("mixed", "abc").media_type, "multipart/mixed; boundary=abc")

    def test_wrong_arguments_are_named(self) -> None:
        encode = FORMAT.encode
        for kind, says, parts in (
            (TypeError, "^data must", [Part(wrong) for wrong in (None, 5, ["a"], object())]),  # type: ignore[arg-type]  # wrong on purpose
            (EncodeError, "^data", [Part("\ud800")]),
            (TypeError, "^content_type must", [Part("a", 5), Part("a", b"a/b")]),  # type: ignore[arg-type]  # wrong on purpose
            (ValueError, "media type", [Part("a", ""), Part("a", "text")]),
            (ValueError, "header value", [Part("a", "a/b;\r\nc"), Part("a", "a/b;\0")]),
            (TypeError, "^headers must", [Part("a", None, 5), Part("a", None, [("a", "b")])]),  # type: ignore[arg-type]  # wrong on purpose
            (ValueError, "^headers must", [Part("a", None, {"content-TYPE": "a/b"})]),
            (ValueError, "^headers must", [Part("a", None, {"Content-Length": "1"})]),
            (
                ValueError,
                "header name",
                [Part("a", None, {"a b": "c"}), Part("a", None, {"": "c"})],
            ),
            (ValueError, "header value", [Part("a", None, {"a": "b\r\nc: d"})]),
            (TypeError, "header value", [Part("a", None, {"a": 5})]),  # type: ignore[dict-item]  # wrong on purpose
        ):
            for part in parts:
                with self.assertRaisesRegex(kind, says):
                    encode(part)
        for wrong in ("", "a b", "a/b", "a\r\n", "\ud800"):
            with self.assertRaisesRegex(ValueError, "^a subtype must"):
                multipart(wrong, "abc")
        with self.assertRaisesRegex(TypeError, "^subtype must"):
            multipart(5, "abc")  # type: ignore[arg-type]  # wrong on purpose
