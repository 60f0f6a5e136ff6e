"""
Compressed responses: who gets one, and the heads of all of them.
"""

from collections.abc import Callable
from typing import Any

from twisted.web.resource import EncodingResourceWrapper
from twisted.web.server import GzipEncoderFactory, Request

from tests.decoders import decoded
from tests.harness import Response, StreamTest
from tests.server.kinds import EVERY, FRAMING
from twistream import (
    Compression,
    ContentLengthMismatch,
    Context,
    HeadersSent,
    HTTPError,
    StreamClosed,
    StreamResource,
)
from twistream.wire.compression import CODINGS

TEXT = "a text that repeats itself. " * 20 + "."


class CompressTest(StreamTest):
    """
    The base: a client that accepts gzip, unless a test says something else.
    """

    def ask(
        self,
        handler: Callable[[Context], Any],
        accepts: str | None = "gzip",
        method: str = "GET",
        **options: Any,
    ) -> Response:
        """
        The answer of a handler behind ``compress=True``.
        """
        headers = {} if accepts is None else {"Accept-Encoding": accepts}
        options.setdefault("compress", True)
        return self.answer(handler, method, headers=headers, **options)

    def body(self, response: Response) -> str:
        """
        The body of a complete response, decoded.
        """
        self.assertTrue(response.complete, response)
        return decoded(response.header("Content-Encoding"), response.body).decode()


class ChoiceTests(CompressTest):
    def test_a_client_gets_a_coding_that_it_accepts(self) -> None:
        for coding in CODINGS:
            response = self.ask(lambda ctx: TEXT, f"{coding};q=0.5")
            self.assertEqual(response.header("Content-Encoding"), coding)
            self.assertEqual(self.body(response), TEXT)

    def test_a_client_that_accepts_none_gets_the_body_as_it_is(self) -> None:
        for accepts in (None, "", "identity", "compress", "gzip;q=0"):
            response = self.ask(lambda ctx: TEXT, accepts)
            self.assert_complete(response, TEXT.encode())
            self.assertIsNone(response.header("Content-Encoding"))
            self.assertEqual(response.header("Content-Length"), str(len(TEXT)))
            self.assertEqual(response.header("Vary"), "Accept-Encoding")

    def test_several_fields_are_one_list(self) -> None:
        fields = [("Accept-Encoding", "br;q=0.5"), ("Accept-Encoding", "deflate;q=0.6, *;q=0")]
        response = self.answer(lambda ctx: TEXT, compress=True, headers=fields)
        self.assertEqual(response.header("Content-Encoding"), "deflate")

    def test_without_compress_nothing_is_negotiated(self) -> None:
        response = self.ask(lambda ctx: TEXT, "gzip, identity;q=0", compress=False)
        self.assert_complete(response, TEXT.encode())
        self.assertIsNone(response.header("Vary"))

    def test_the_handler_can_call_it_too(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.compress(codings=("deflate", "gzip"), level=9, window=15)
            return TEXT

        response = self.ask(handler, "gzip, deflate", compress=False)
        self.assertEqual(response.header("Content-Encoding"), "deflate")
        self.assertEqual(self.body(response), TEXT)

    def test_options_of_a_resource(self) -> None:
        options = Compression(codings=["br", "gzip"], level={"br": 1}, window=10)
        response = self.ask(lambda ctx: TEXT, "gzip, br", compress=options)
        self.assertEqual(response.header("Content-Encoding"), "br")
        self.assertEqual(self.body(response), TEXT)

    def test_the_last_call_counts_and_can_turn_it_off(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.compress(codings=["gzip"])
            ctx.compress(codings=codings)
            return TEXT

        codings: list[str]
        for got in (None, "br", "gzip"):
            codings = [got] if got else []
            response = self.ask(handler, "gzip, br")
            self.assertEqual(response.header("Content-Encoding"), got)
            self.assertEqual(self.body(response), TEXT)
            self.assertEqual(response.header("Vary"), "Accept-Encoding")

    def test_it_comes_before_the_head_is_sent(self) -> None:
        errors: list[Exception] = []

        async def handler(ctx: Context) -> None:
            await ctx.flush()
            try:
                ctx.compress()
            except HeadersSent as err:
                errors.append(err)

        self.assert_complete(self.ask(handler, compress=False), b"")
        self.assertEqual(len(errors), 1)

    def test_after_an_early_end_it_raises_the_reason(self) -> None:
        errors: list[Exception] = []

        async def handler(ctx: Context) -> None:
            try:
                await ctx.sleep(60)
            except StreamClosed:
                try:
                    ctx.compress()
                except StreamClosed as err:
                    errors.append(err)
                raise

        self.get(handler).disconnect()
        self.assertEqual(len(errors), 1)

    def test_an_encoder_of_twisted_is_replaced(self) -> None:
        events = self.log_events()
        resource = EncodingResourceWrapper(
            StreamResource(lambda ctx: ctx.stream([TEXT]), compress=True), [GzipEncoderFactory()]
        )
        response = self.start(resource, headers={"Accept-Encoding": "gzip"}).receive()
        self.assertEqual(response.header("Content-Encoding"), "gzip")
        self.assertEqual(self.body(response), TEXT)
        (warning,) = (e for e in events if e["log_level"].name == "warn")
        self.assertIn("compress=True", warning["log_format"])


class RefusalTests(CompressTest):
    """
    A client that refuses everything that there is.
    """

    REFUSALS = ("identity;q=0", "*;q=0", "compress, identity;q=0")

    def test_the_handler_of_a_compressed_resource_is_not_called(self) -> None:
        called: list[Context] = []
        for accepts in self.REFUSALS:
            response = self.ask(called.append, accepts)
            self.assertEqual((response.status, response.complete), (406, True))
            self.assertIn("gzip, zstd, br, deflate, identity", response.body.decode())
            self.assertIn("Accept-Encoding", ", ".join(response.values("Vary")))
            self.assertIsNone(response.header("Content-Encoding"))
        self.assertEqual(called, [])

    def test_the_call_of_a_handler_raises(self) -> None:
        errors: list[HTTPError] = []

        def handler(ctx: Context) -> str:
            ctx.write("not sent")
            try:
                ctx.compress(codings=["gzip"])
            except HTTPError as err:
                errors.append(err)
                if ctx.path == "/raise":
                    raise
            return "sent all the same"

        for accepts in (*self.REFUSALS, "br, identity;q=0"):
            headers = {"Accept-Encoding": accepts}
            response = self.start(handler, path="/raise", headers=headers).receive()
            self.assertEqual(response.status, 406)
            self.assertNotIn(b"sent", response.body)
            self.assertIn("Accept-Encoding", ", ".join(response.values("Vary")))
            self.assertEqual(self.start(handler, headers=headers).receive().status, 200)
        self.assertEqual([err.status for err in errors], [406] * 8)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_wrong_method_is_a_405_first(self) -> None:
        self.assertEqual(self.ask(lambda ctx: TEXT, "*;q=0", "POST").status, 405)

    def test_a_client_that_refuses_the_body_as_it_is_never_gets_it(self) -> None:
        def image(ctx: Context) -> None:
            ctx.content_type("image/png")
            ctx.write("x")

        def fails(ctx: Context) -> None:
            raise HTTPError(404)

        def short(ctx: Context) -> str:
            return "x"

        handlers: list[tuple[Callable[[Context], Any], str]]
        handlers = [(short, "x"), (image, "x"), (fails, "404 Not Found\n")]
        for handler, body in handlers:
            response = self.ask(handler, "identity;q=0, gzip")
            self.assertEqual(response.header("Content-Encoding"), "gzip")
            self.assertEqual(response.header("Content-Length"), str(len(response.body)))
            self.assertEqual(self.body(response), body)


class HeadTests(CompressTest):
    def test_a_whole_body_is_compressed_in_one_piece(self) -> None:
        response = self.ask(lambda ctx: TEXT)
        self.assertEqual(response.chunks, [])
        self.assertEqual(response.header("Content-Length"), str(len(response.body)))
        self.assertLess(len(response.body), len(TEXT))
        self.assertEqual(self.body(response), TEXT)

    def test_a_whole_body_that_would_not_be_shorter_stays_as_it_is(self) -> None:
        def handler(ctx: Context) -> str:
            return body

        for body in ("", "x", "short"):
            response = self.ask(handler)
            self.assert_complete(response, body.encode())
            self.assertIsNone(response.header("Content-Encoding"))
            self.assertEqual(response.header("Content-Length"), str(len(body)))
            self.assertEqual(response.header("Vary"), "Accept-Encoding")

    def test_vary_is_merged(self) -> None:
        for before, after in (
            ((), "Accept-Encoding"),
            (("Origin",), "Origin, Accept-Encoding"),
            (("Origin, Accept", "Cookie"), "Origin, Accept, Cookie, Accept-Encoding"),
            (("accept-encoding",), "accept-encoding"),
            (("Origin , ACCEPT-Encoding",), "Origin , ACCEPT-Encoding"),
            (("*",), "*"),
        ):

            def handler(ctx: Context, before: tuple[str, ...] = before) -> str:
                for value in before:
                    ctx.add_header("Vary", value)
                return TEXT

            for accepts in ("gzip", "identity", None):
                self.assertEqual(self.ask(handler, accepts).header("Vary"), after)

    def test_a_strong_etag_becomes_weak(self) -> None:
        def handler(ctx: Context) -> str:
            if ctx.path == "/twisted":
                ctx.request.setETag(etag.encode())
                ctx.request.setLastModified(0)
            else:
                ctx.header("ETag", etag)
            return TEXT

        for path in ("/", "/twisted"):
            for etag, weak in (('"x"', 'W/"x"'), ('W/"x"', 'W/"x"')):
                client = self.connect(handler, compress=True)
                client.request(path=path, headers={"Accept-Encoding": "gzip"})
                self.assertEqual(client.receive().header("ETag"), weak)
                client.request(path=path)
                self.assertEqual(client.receive().header("ETag"), etag)

    def test_headers_about_the_bytes_of_the_handler_are_dropped(self) -> None:
        names = ("Accept-Ranges", "Content-MD5", "Content-Digest", "Repr-Digest", "Digest")

        def handler(ctx: Context) -> str:
            for name in names:
                ctx.header(name, "bytes")
            ctx.header("X-Other", "kept")
            return TEXT

        response, plain = self.ask(handler), self.ask(handler, "identity")
        for name in names:
            self.assertIsNone(response.header(name))
            self.assertEqual(plain.header(name), "bytes")
        self.assertEqual(response.header("X-Other"), "kept")

    def test_a_declared_length_is_dropped_and_checked_all_the_same(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.header("Content-Length", str(len(TEXT)))
            ctx.write(TEXT[:100])
            await ctx.flush()
            ctx.write(TEXT[100:length])

        length = len(TEXT)
        response = self.ask(handler)
        self.assertIsNone(response.header("Content-Length"))
        self.assertEqual(response.header("Transfer-Encoding"), "chunked")
        self.assertEqual(self.body(response), TEXT)
        length -= 1
        self.assertTrue(self.ask(handler).truncated)
        self.logged(ContentLengthMismatch)

    def test_a_declared_length_of_a_whole_body(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.header("Content-Length", str(length))
            return TEXT

        length = len(TEXT)
        response = self.ask(handler)
        self.assertEqual(response.header("Content-Length"), str(len(response.body)))
        self.assertEqual(self.body(response), TEXT)
        length += 1
        self.assertEqual(self.ask(handler).status, 500)
        self.logged(ContentLengthMismatch)

    def test_more_than_the_declared_length_is_refused_before_the_head(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write(TEXT)
            ctx.header("Content-Length", "5")
            for _ in range(2):
                try:
                    await ctx.flush()
                except ContentLengthMismatch as err:
                    errors.append(err)
            ctx.header("Content-Length", str(len(TEXT)))
            await ctx.flush()

        errors: list[Exception] = []
        response = self.ask(handler)
        self.assertEqual(len(errors), 2)
        self.assertEqual(response.header("Content-Encoding"), "gzip")
        self.assertEqual(self.body(response), TEXT)

    def test_after_a_head_that_cannot_be_written_another_one_can_be(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.request.setETag(b'"x"')
            ctx.header("Content-Length", str(len(TEXT)))
            ctx.request.cookies.append(wrong)
            ctx.write(TEXT)
            try:
                await ctx.flush()
            except Exception as err:
                errors.append(err)
            ctx.request.cookies.clear()
            if ctx.path == "/plain":
                ctx.compress(codings=())
            await ctx.flush()

        wrong: Any = object()
        errors: list[Exception] = []
        client = self.connect(handler, compress=True)
        for path, coding, etag in (("/", "gzip", 'W/"x"'), ("/plain", None, '"x"')):
            client.request(path=path, headers={"Accept-Encoding": "gzip"})
            response = client.receive()
            self.assertEqual(response.header("Content-Encoding"), coding)
            self.assertEqual(response.header("ETag"), etag)
            self.assertEqual(self.body(response), TEXT)
        self.assertEqual(len(errors), 2)


class ExceptionTests(CompressTest):
    """
    Bodies that are sent as they are.
    """

    def headers(self, *fields: tuple[str, str], status: int = 200) -> Callable[[Context], str]:
        def handler(ctx: Context) -> str:
            ctx.status_code(status)
            for name, value in fields:
                ctx.header(name, value)
            return TEXT

        return handler

    def assert_untouched(self, handler: Callable[[Context], str]) -> None:
        response = self.ask(handler)
        self.assertIn(response.header("Content-Encoding"), (None, "own"))
        self.assertEqual(response.header("Content-Length"), str(len(TEXT)))
        self.assertEqual(response.body.decode(), TEXT)
        self.assertEqual(response.header("Vary"), "Accept-Encoding")

    def test_parts(self) -> None:
        self.assert_untouched(self.headers(status=206))
        self.assert_untouched(self.headers(("Content-Range", "bytes 0-9/10"), ("ETag", '"x"')))

    def test_a_coding_of_the_handler_s_own(self) -> None:
        self.assert_untouched(self.headers(("Content-Encoding", "own")))

    def test_no_transform(self) -> None:
        for value in ("no-transform", "no-cache , No-Transform", "no-transform,max-age=5"):
            self.assert_untouched(self.headers(("Cache-Control", value)))
        for value in ("no-cache", "x-no-transform", "no-transform-x"):
            response = self.ask(self.headers(("Cache-Control", value)))
            self.assertEqual(self.body(response), TEXT)
            self.assertEqual(response.header("Content-Encoding"), "gzip")

    def test_types_that_are_compressed_already(self) -> None:
        for media_type in (
            *("image/png", "IMAGE/JPEG", "image/webp", "video/mp4", "audio/ogg", "font/woff2"),
            *("application/zip", "application/gzip", "application/x-gzip", "application/zstd"),
            *("application/epub+zip", "application/octet-stream", "application/pdf"),
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        ):
            self.assert_untouched(self.headers(("Content-Type", media_type)))

    def test_types_that_are_not(self) -> None:
        for media_type in (
            *("text/html", "application/json", "application/jsonl", "image/svg+xml", "font/ttf"),
            *("text/event-stream", "application/wasm", "application/xml", "image/bmp", "x/zip"),
            *("application/msgpack", "application/zipper+json", "application/problem+json"),
        ):
            response = self.ask(self.headers(("Content-Type", media_type)))
            self.assertEqual(response.header("Content-Encoding"), "gzip", media_type)
            self.assertEqual(self.body(response), TEXT)


class BodylessTests(CompressTest):
    def test_head_has_the_fields_of_get_but_those_of_the_body(self) -> None:
        fields = {name.lower() for name in FRAMING} | {"content-encoding"}
        for name, handler in EVERY.items():
            heads = []
            for method in ("GET", "HEAD"):
                response = self.ask(handler, method=method)
                self.assertIn("Accept-Encoding", ", ".join(response.values("Vary")), name)
                heads.append(
                    sorted(each for each in response.headers if each[0].lower() not in fields)
                )
            self.assertEqual(heads[0], heads[1], name)
            self.assertTrue(response.complete)
            self.assertEqual(response.body, b"")
            self.assertIsNone(response.header("Content-Encoding"))
        self.flushLoggedErrors()

    def test_head_has_no_length_where_get_has_another_one(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.header("ETag", '"x"')
            ctx.header("Content-Length", str(len(TEXT)))
            if ctx.method == "GET":
                ctx.write(TEXT)

        response = self.ask(handler, method="HEAD")
        self.assertIsNone(response.header("Content-Length"))
        self.assertEqual(response.header("ETag"), 'W/"x"')
        response = self.ask(handler, "identity", method="HEAD")
        self.assertEqual(response.header("Content-Length"), str(len(TEXT)))
        self.assertEqual(response.header("ETag"), '"x"')

    def test_statuses_without_a_body(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.status_code(status)
            ctx.header("ETag", '"x"')
            ctx.write(TEXT)

        for status, length, etag in ((204, None, '"x"'), (205, "0", '"x"'), (304, None, 'W/"x"')):
            response = self.ask(handler)
            self.assert_complete(response, b"", status)
            self.assertIsNone(response.header("Content-Encoding"))
            self.assertEqual(response.header("Content-Length"), length)
            self.assertEqual(response.header("Vary"), "Accept-Encoding")
            self.assertEqual(response.header("ETag"), etag)


class PageTests(CompressTest):
    """
    An error page in place of a compressed response.
    """

    def test_a_page_has_nothing_of_the_response_that_it_replaces(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.header("Content-Encoding", "own")
            ctx.header("ETag", '"x"')
            ctx.write(TEXT)
            raise HTTPError(404, message)

        for message, coding in (("gone", None), (TEXT, "gzip")):
            response = self.ask(handler)
            self.assertEqual(response.status, 404)
            self.assertEqual(response.header("Content-Encoding"), coding)
            self.assertEqual(response.header("Content-Length"), str(len(response.body)))
            self.assertIsNone(response.header("ETag"))
            self.assertEqual(self.body(response), f"404 Not Found\n{message}\n")
            self.assertEqual(response.header("Vary"), "Accept, Accept-Encoding")

    def test_a_page_after_a_head_that_could_not_be_written(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.request.cookies.append(wrong)
            ctx.write(TEXT)
            if ctx.path != "/whole":
                await ctx.flush()

        wrong: Any = object()
        for path in ("/", "/whole"):
            client = self.connect(handler, compress=True)
            client.request(path=path, headers={"Accept-Encoding": "gzip"})
            response = client.receive()
            self.assertEqual(response.status, 500)
            self.assertEqual(self.body(response), "500 Internal Server Error\n")
            self.assertTrue(self.flushLoggedErrors())

    def test_a_head_that_cannot_be_written_even_for_the_page(self) -> None:
        def handler(ctx: Context) -> None:
            request: Any = ctx.request
            request.getHeader = fail
            raise HTTPError(404)

        def fail(*_: object) -> Any:
            raise KeyError("made to fail")

        response = self.ask(handler, "gzip, identity;q=0")
        self.assertEqual(self.body(response), "500 Internal Server Error\n")
        self.logged(KeyError)


class OtherResourceTests(CompressTest):
    def test_headers_that_other_resources_have_set_are_seen(self) -> None:
        class Outer(StreamResource):
            def render(self, request: Request) -> int:
                request.setHeader(b"content-encoding", b"own")
                return super().render(request)

        response = self.start(
            Outer(lambda ctx: TEXT, compress=True), headers={"Accept-Encoding": "gzip"}
        ).receive()
        self.assertEqual(response.header("Content-Encoding"), "own")
        self.assert_complete(response, TEXT.encode())
