"""
Which fields may follow a body, and which clients ask for them.
"""

from twisted.trial.unittest import SynchronousTestCase

from twistream.wire.trailers import REFUSED, accepts_trailers, trailer_name, unlisted

FORBIDDEN = [
    "Content-Length",
    "Trailer",
    "Transfer-Encoding",
    "Connection",
    "HTTP2-Settings",
    "Keep-Alive",
    "Proxy-Connection",
    "TE",
    "Upgrade",
    "Forwarded",
    "Host",
    "Max-Forwards",
    "Via",
    "Expect",
    "If-Match",
    "If-Modified-Since",
    "If-None-Match",
    "If-Range",
    "If-Unmodified-Since",
    "Pragma",
    "Range",
    "Authorization",
    "Cookie",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Set-Cookie",
    "WWW-Authenticate",
    "Age",
    "Allow",
    "Cache-Control",
    "Date",
    "Expires",
    "Location",
    "Retry-After",
    "Vary",
    "Access-Control-Allow-Credentials",
    "Access-Control-Allow-Headers",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
    "Content-Security-Policy",
    "Strict-Transport-Security",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Location",
    "Content-Range",
    "Content-Type",
    "Last-Modified",
]

ALLOWED = [
    "Accept-Ranges",
    "Authentication-Info",
    "Content-Digest",
    "ETag",
    "Link",
    "Proxy-Authentication-Info",
    "Repr-Digest",
    "Server-Timing",
    "Signature",
    "Warning",
    "grpc-status",
    "x",
]


class NameTests(SynchronousTestCase):
    def test_fields_that_matter_before_the_body_are_refused(self) -> None:
        for name in FORBIDDEN:
            for spelled in (name, name.lower(), name.upper(), name.swapcase().encode()):
                with self.assertRaisesRegex(ValueError, "cannot be a trailer: send it as a header"):
                    trailer_name(spelled)
        self.assertEqual(set(REFUSED), {name.lower().encode() for name in FORBIDDEN})

    def test_the_error_names_the_field_and_the_reason(self) -> None:
        with self.assertRaisesRegex(ValueError, "^set-cookie authenticates, so it cannot be"):
            trailer_name("set-cookie")

    def test_other_fields_keep_their_spelling(self) -> None:
        for name in ALLOWED:
            self.assertEqual(trailer_name(name), name.encode())

    def test_pseudo_headers_and_other_words_are_no_names(self) -> None:
        for name in (":status", ":path", "", "a b", "a:", "a\r\nb", "\xe4", b"\x00"):
            self.assertRaises(ValueError, trailer_name, name)
        self.assertRaises(TypeError, trailer_name, None)


class AskingTests(SynchronousTestCase):
    def test_a_client_asks_by_a_word_in_any_of_its_fields(self) -> None:
        for values in (
            [b"trailers"],
            [b"Trailers"],
            [b"gzip;q=0.5, \ttrailers ,deflate"],
            [b"gzip", b"", b"trailers"],
        ):
            self.assertTrue(accepts_trailers(values), values)
        for values in ([], [b""], [b"gzip"], [b"trailer"], [b"x-trailers"], [b"trailers;q=1"]):
            self.assertFalse(accepts_trailers(values), values)


class ListTests(SynchronousTestCase):
    def test_names_that_are_listed_in_any_case_are_left_out(self) -> None:
        self.assertEqual(unlisted([b"A", b"b", b"C"], [b"x, a", b"B"]), [b"C"])

    def test_each_name_is_there_once(self) -> None:
        self.assertEqual([name.lower() for name in unlisted([b"A", b"b", b"a"], [])], [b"a", b"b"])
