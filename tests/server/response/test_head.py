"""
Status and headers, until they are sent.
"""

from twisted.internet.defer import Deferred

from tests.harness import StreamTest
from twistream import (
    Context,
    HeadersSent,
)


class HeadTests(StreamTest):
    """
    Status and headers, until they are sent.
    """

    def test_headers_are_set_and_added(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.header("X-One", "1")
            ctx.header("X-One", "2")
            ctx.add_header("Set-Cookie", "a=1")
            ctx.add_header(b"Set-Cookie", b"b=2")
            ctx.status_code(201)

        response = self.answer(handler)
        self.assertEqual((response.status, response.reason), (201, "Created"))
        self.assertEqual(response.header("X-One"), "2")
        self.assertEqual(response.values("Set-Cookie"), ["a=1", "b=2"])
        self.assertIn(("X-One", "2"), response.headers)  # spelled as it was given

    def test_invalid_names_and_values_raise(self) -> None:
        def handler(ctx: Context) -> None:
            for value in ("a\r\nX-Evil: 1", "a\nb", "a\rb", "a\0b", b"a\r\nb"):
                with self.assertRaises(ValueError):
                    ctx.header("X-Good", value)
                with self.assertRaises(ValueError):
                    ctx.add_header("X-Good", value)
            for name in ("X Bad", "X:Bad", "", "X\r\nBad", "X-Bäd", "X\0"):
                with self.assertRaises(ValueError):
                    ctx.header(name, "1")
            with self.assertRaises(TypeError):
                ctx.header("X-Good", 1)  # type: ignore[arg-type]  # wrong on purpose
            with self.assertRaises(TypeError):
                ctx.header(None, "1")  # type: ignore[arg-type]  # wrong on purpose

        response = self.answer(handler)
        self.assertEqual([name for name, _ in response.headers if name.startswith("X")], [])

    def test_framing_headers_cannot_be_set(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.header("Transfer-Encoding", "chunked")
            ctx.header("Connection", "Keep-Alive")
            for name, value in (
                ("Transfer-Encoding", "gzip, chunked"),
                ("Connection", "upgrade"),
                ("Upgrade", "websocket"),
                ("Keep-Alive", "timeout=5"),
                ("Content-Length", "-1"),
                ("Content-Length", "+1"),
                ("Content-Length", "1, 1"),
            ):
                with self.assertRaises(ValueError):
                    ctx.header(name, value)
            ctx.flush()

        response = self.answer(handler)
        self.assertEqual(response.values("Transfer-Encoding"), ["chunked"])
        self.assertIsNone(response.header("Connection"))

    def test_connection_close_closes_after_the_response(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.header("Connection", "close")
            return "all"

        client = self.get(handler)
        self.assertEqual(client.receive().header("Connection"), "close")
        self.assert_complete(client.response, b"all")
        self.assertTrue(client.closed)

    def test_a_transfer_encoding_set_on_the_request_is_removed(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.request.setHeader(b"Transfer-Encoding", b"chunked")
            return "all"

        self.assertIsNone(self.answer(handler).header("Transfer-Encoding"))

    def test_a_status_that_is_not_final_raises(self) -> None:
        def handler(ctx: Context) -> None:
            for code in (100, 199, 600, 0, -1):
                with self.assertRaises(ValueError):
                    ctx.status_code(code)
            for wrong in ("200", True, 200.0):
                with self.assertRaises(TypeError):
                    ctx.status_code(wrong)  # type: ignore[arg-type]  # wrong on purpose

        response = self.answer(handler)
        self.assertEqual((response.status, response.reason), (200, "OK"))

    def test_text_types_get_a_charset(self) -> None:
        for given, sent in (
            ("text/html", "text/html; charset=utf-8"),
            ("text/html; charset=latin-1", "text/html; charset=latin-1"),
            ("TEXT/CSV", "TEXT/CSV; charset=utf-8"),
            ("application/json", "application/json"),
            ("image/png", "image/png"),
        ):

            def handler(ctx: Context, given: str = given) -> str:
                ctx.content_type(given)
                return "x"

            self.assertEqual(self.answer(handler).header("Content-Type"), sent)

    def test_an_invalid_media_type_raises(self) -> None:
        def handler(ctx: Context) -> None:
            for wrong in (
                "",
                "html",
                "text/",
                "/html",
                "a/b/c",
                "a b/c",
                "téxt/x",
                "text/html\r\n",
            ):
                with self.assertRaises(ValueError):
                    ctx.content_type(wrong)
            with self.assertRaises(TypeError):
                ctx.content_type(b"text/html")  # type: ignore[arg-type]  # wrong on purpose

        self.assertEqual(self.answer(handler).status, 200)

    def test_without_a_type_a_response_is_plain_text(self) -> None:
        response = self.answer(lambda ctx: "<b>")
        self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")

    def test_a_stream_has_headers_against_buffering_and_sniffing(self) -> None:
        response = self.answer(lambda ctx: ctx.stream(["x"]))
        self.assertEqual(response.header("X-Accel-Buffering"), "no")
        self.assertEqual(response.header("X-Content-Type-Options"), "nosniff")

    def test_defaults_do_not_replace_headers(self) -> None:
        def handler(ctx: Context) -> Deferred[None]:
            ctx.header("X-Accel-Buffering", "yes")
            ctx.request.addCookie("session", "1")
            ctx.request.setHeader(b"Content-Type", b"x/y")
            return ctx.stream(["x"])

        response = self.answer(handler)
        self.assertEqual(response.header("X-Accel-Buffering"), "yes")
        self.assertEqual(response.header("Set-Cookie"), "session=1")
        self.assertEqual(response.header("Content-Type"), "x/y")

    def test_setters_raise_once_the_head_is_sent(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.flush()
            self.assertRaises(HeadersSent, ctx.header, "X-Late", "1")
            self.assertRaises(HeadersSent, ctx.add_header, "X-Late", "1")
            self.assertRaises(HeadersSent, ctx.content_type, "text/html")
            self.assertRaises(HeadersSent, ctx.status_code, 404)

        self.assertIsNone(self.answer(handler).header("X-Late"))
