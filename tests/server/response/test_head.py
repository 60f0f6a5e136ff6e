"""
Status and headers, until they are sent.
"""

from typing import Any

from twisted.internet.defer import Deferred

from tests.glue import GlueTest
from twistream import (
    Context,
    HeadersSent,
)


class HeadTests(GlueTest):
    """
    Status and headers, until they are sent.
    """

    def head(self, handler: Any) -> bytes:
        data = self.get(handler).received()
        return data.partition(b"\r\n\r\n")[0] + b"\r\n"

    def test_headers_are_set_and_added(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.header("X-One", "1")
            ctx.header("X-One", "2")
            ctx.add_header("Set-Cookie", "a=1")
            ctx.add_header(b"Set-Cookie", b"b=2")
            ctx.status_code(201)

        head = self.head(handler)
        self.assertTrue(head.startswith(b"HTTP/1.1 201 Created\r\n"))
        self.assertIn(b"X-One: 2\r\n", head)
        self.assertNotIn(b"X-One: 1\r\n", head)
        self.assertIn(b"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n", head)

    def test_what_would_break_the_head_is_refused_at_the_call(self) -> None:
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

        self.assertNotIn(b"X-", self.head(handler))

    def test_framing_is_the_protocols(self) -> None:
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

        head = self.head(handler)
        self.assertEqual(head.count(b"Transfer-Encoding"), 1)
        self.assertNotIn(b"Connection", head)

    def test_connection_close_closes_after_the_response(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.header("Connection", "close")
            return "all"

        client = self.get(handler)
        self.assertIn(b"\r\nConnection: close\r\n", client.received())
        self.assertTrue(client.transport.disconnecting)

    def test_a_transfer_encoding_put_on_the_request_is_not_sent_beside_a_length(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.request.setHeader(b"Transfer-Encoding", b"chunked")
            return "all"

        self.assertNotIn(b"Transfer-Encoding", self.head(handler))

    def test_statuses_that_end_no_response_are_refused(self) -> None:
        def handler(ctx: Context) -> None:
            for code in (100, 199, 600, 0, -1):
                with self.assertRaises(ValueError):
                    ctx.status_code(code)
            for wrong in ("200", True, 200.0):
                with self.assertRaises(TypeError):
                    ctx.status_code(wrong)  # type: ignore[arg-type]  # wrong on purpose

        self.assertTrue(self.head(handler).startswith(b"HTTP/1.1 200 OK\r\n"))

    def test_text_types_get_a_charset(self) -> None:
        for given, sent in (
            ("text/html", b"text/html; charset=utf-8"),
            ("text/html; charset=latin-1", b"text/html; charset=latin-1"),
            ("TEXT/CSV", b"TEXT/CSV; charset=utf-8"),
            ("application/json", b"application/json"),
            ("image/png", b"image/png"),
        ):

            def handler(ctx: Context, given: str = given) -> str:
                ctx.content_type(given)
                return "x"

            self.assertIn(b"Content-Type: " + sent + b"\r\n", self.head(handler))

    def test_what_is_no_media_type_is_refused(self) -> None:
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

        self.head(handler)

    def test_without_a_type_a_response_is_plain_text(self) -> None:
        self.assertIn(b"Content-Type: text/plain; charset=utf-8\r\n", self.head(lambda ctx: "<b>"))

    def test_a_stream_tells_proxies_not_to_buffer_and_browsers_not_to_guess(self) -> None:
        head = self.head(lambda ctx: ctx.stream(["x"]))
        self.assertIn(b"X-Accel-Buffering: no\r\n", head)
        self.assertIn(b"X-Content-Type-Options: nosniff\r\n", head)

    def test_what_is_set_is_kept(self) -> None:
        def handler(ctx: Context) -> Deferred[None]:
            ctx.header("X-Accel-Buffering", "yes")
            ctx.request.addCookie("session", "1")
            ctx.request.setHeader(b"Content-Type", b"x/y")
            return ctx.stream(["x"])

        head = self.head(handler)
        self.assertIn(b"X-Accel-Buffering: yes\r\n", head)
        self.assertIn(b"Set-Cookie: session=1\r\n", head)
        self.assertIn(b"Content-Type: x/y\r\n", head)

    def test_after_the_head_nothing_of_it_changes(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.flush()
            self.assertRaises(HeadersSent, ctx.header, "X-Late", "1")
            self.assertRaises(HeadersSent, ctx.add_header, "X-Late", "1")
            self.assertRaises(HeadersSent, ctx.content_type, "text/html")
            self.assertRaises(HeadersSent, ctx.status_code, 404)

        self.assertNotIn(b"X-Late", self.head(handler))
