"""
The request under a stream: what of it is refused, and which methods a resource answers.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from io import BytesIO
from typing import Any, cast

from klein import Klein
from twisted.internet.defer import Deferred, fail, succeed
from twisted.protocols.basic import FileSender
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from tests.harness import Client, Server, StreamTest
from tests.server.kinds import EVERY, FRAMING
from twistream import Context, HeadersSent, HTTPError, StreamResource


class ProducerTests(StreamTest):
    """
    The stream has the producer of the request.
    """

    def test_another_is_refused_at_the_call_with_the_remedy(self) -> None:
        async def handler(ctx: Context) -> None:
            await FileSender().beginFileTransfer(BytesIO(b"x" * 100), ctx.request)

        self.assertEqual(self.answer(handler).status, 500)
        [failure] = self.flushLoggedErrors(RuntimeError)
        self.assertIn("ctx.pipe(", str(failure.value))

    def test_it_cannot_be_taken_away(self) -> None:
        async def handler(ctx: Context) -> None:
            self.assertRaises(RuntimeError, ctx.request.unregisterProducer)
            await ctx.flush()
            self.assertRaises(RuntimeError, ctx.request.unregisterProducer)
            await ctx.stream(["x"])

        self.assert_complete(self.answer(handler), b"x")

    def test_one_that_is_there_already_is_refused(self) -> None:
        for streaming in (False, True):

            class Odd(Resource):
                isLeaf = True  # noqa: N815 - IResource

                def render_GET(self, request: Request, streaming: bool = streaming) -> int:
                    request.registerProducer(FileSender(), streaming)
                    return StreamResource(lambda ctx: "x").render(request)

            self.assertEqual(self.get(Odd()).receive().status, 500)
            ours, _ = self.flushLoggedErrors(RuntimeError)  # The other is Twisted's.
            self.assertIn("unregister it", str(ours.value))

    def test_the_remedy_sends_a_file(self) -> None:
        async def handler(ctx: Context) -> None:
            file = BytesIO(b"x" * 200_000)
            await ctx.stream(iter(lambda: file.read(65536), b""))

        self.assert_complete(self.answer(handler), b"x" * 200_000)


class HeadOfTheRequestTests(StreamTest):
    """
    The request's own ways to change the head.
    """

    def test_after_the_head_they_raise(self) -> None:
        changes: list[Callable[[Request], object]] = [
            lambda request: request.setHeader("X-A", "1"),
            lambda request: request.setResponseCode(404),
            lambda request: request.addCookie("a", "1"),
            lambda request: request.redirect(b"/"),
            lambda request: request.setETag(b"a"),
            lambda request: request.setLastModified(1),
            lambda request: request.getSession(),
            lambda request: request.responseHeaders.setRawHeaders("X-A", ["1"]),
            lambda request: request.responseHeaders.addRawHeader("X-A", "1"),
            lambda request: request.responseHeaders.removeHeader("X-Before"),
            lambda request: request.cookies.append(b"a=1"),
            lambda request: request.cookies.clear(),
            *(
                lambda request, name=name: setattr(request, name, None)
                for name in ("code", "code_message", "cookies", "etag", "lastModified")
            ),
            lambda request: setattr(request, "responseHeaders", Headers()),
        ]
        refused: list[int] = []

        async def handler(ctx: Context) -> None:
            ctx.sse(ping=None)
            ctx.request.setHeader("X-Before", "1")
            ctx.request.addCookie("before", "1")
            kept = (ctx.request.addCookie, ctx.request.setResponseCode)
            await ctx.sleep(0)
            self.assertRaises(HeadersSent, kept[0], "a", "1")
            self.assertRaises(HeadersSent, kept[1], 404)
            self.assertEqual((ctx.request.code, ctx.request.cookies), (200, [b"before=1"]))
            for number, change in enumerate(changes):
                try:
                    change(ctx.request)
                except HeadersSent:
                    refused.append(number)

        client = self.get(handler)
        response = client.receive()
        self.assertTrue(response.complete)
        self.assertEqual(response.header("X-Before"), "1")
        self.assertEqual(refused, list(range(len(changes))))
        self.assertEqual(client.site.sessions, {})  # Nothing waits for a client without an id.

    def test_after_the_end_they_raise_too(self) -> None:
        for kind in (lambda ctx: "short", lambda ctx: ctx.stream(["x"])):
            refused: list[object] = []

            def closed(ctx: Context, refused: list[object] = refused) -> None:
                self.assertRaises(HeadersSent, ctx.request.addCookie, "a", "1")
                self.assertRaises(HeadersSent, ctx.request.setResponseCode, 500)
                refused.append(ctx.request.responseHeaders.copy())

            def handler(ctx: Context, kind: Any = kind, closed: Any = closed) -> object:
                ctx.on_close(closed)
                return kind(ctx)

            client = self.connect(handler)
            for _ in range(2):
                client.request()
                self.assertTrue(client.receive().complete)
            self.assertEqual(len(refused), 2)

    def test_a_session_that_the_client_knows_is_found(self) -> None:
        found: list[Any] = []

        async def handler(ctx: Context) -> None:
            if not found:
                found.append(ctx.request.getSession())
            await ctx.flush()
            found.append(ctx.request.getSession())
            found.append(cast("Site", ctx.request.site).getSession(found[0].uid))

        client = self.get(handler)
        cookie = client.receive().header("Set-Cookie") or ""
        client.request(headers={"Cookie": cookie.partition(";")[0]})
        self.assertTrue(client.receive().complete)
        self.assertEqual(len(found), 5)
        self.assertEqual(found, found[:1] * 5)
        for session in list(client.site.sessions.values()):
            session.expire()

    def test_the_request_cannot_be_handed_to_another_resource(self) -> None:
        other = StreamResource(lambda ctx: "from the other")

        async def handler(ctx: Context) -> None:
            ctx.write("mine")
            await ctx.flush()
            self.assertRaises(HeadersSent, other.render, ctx.request)

        self.assert_complete(self.answer(handler), b"mine")

    def test_before_it_they_work_and_the_next_request_is_not_concerned(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.request.setHeader("X-A", "1")
            ctx.request.addCookie("a", "1")
            return "x"

        client = self.connect(handler)
        for _ in range(2):
            client.request()
            response = client.receive()
            self.assertEqual((response.header("X-A"), response.header("Set-Cookie")), ("1", "a=1"))


class MethodTests(StreamTest):
    """
    The methods that a resource answers.
    """

    def test_names_are_in_any_case_and_head_comes_with_get(self) -> None:
        for methods, allowed in (
            (("get",), ["GET", "HEAD"]),
            (("GET", "POST"), ["GET", "HEAD", "POST"]),
            (["Post"], ["POST"]),
            (("GET", "GET", "HEAD"), ["GET", "HEAD"]),
            (None, ["GET", "HEAD"]),
        ):
            for method in ("GET", "HEAD", "POST", "DELETE"):
                response = self.answer(lambda ctx: "x", method, methods=methods)
                self.assertEqual(response.status, 200 if method in allowed else 405)
                if response.status == 405:
                    self.assertEqual(response.header("Allow"), ", ".join(allowed))

    def test_none_at_all_or_a_single_str_is_refused(self) -> None:
        self.assertRaises(ValueError, StreamResource, lambda ctx: None, methods=())
        self.assertRaises(TypeError, StreamResource, lambda ctx: None, methods="GET")
        self.assertRaises(ValueError, StreamResource, lambda ctx: None, methods=("GE T",))


class KleinTests(StreamTest):
    """
    Routes of Klein that return a stream.
    """

    def client(self, app: Klein) -> Client:
        server = Server(app.resource())
        self.addCleanup(server.close)
        return server.connect()

    def test_the_methods_of_the_route_count(self) -> None:
        app = Klein()

        @app.route("/", methods=["POST", "PUT"])
        def route(request: Any) -> StreamResource:
            return StreamResource(lambda ctx: ctx.method)

        client = self.client(app)
        for method, status in (("POST", 200), ("PUT", 200), ("GET", 405)):
            client.request(method)
            self.assertEqual(client.receive().status, status, method)

    def test_methods_of_the_resource_go_before_them(self) -> None:
        app = Klein()

        @app.route("/", methods=["POST"])
        def route(request: Any) -> StreamResource:
            return StreamResource(lambda ctx: ctx.method, methods=("GET",))

        client = self.client(app)
        client.request("POST")
        self.assertEqual(client.receive().status, 405)

    def test_an_http_error_of_a_route_is_a_page_by_an_error_handler(self) -> None:
        app = Klein()

        @app.handle_errors(HTTPError)
        def failed(request: Any, failure: Any) -> StreamResource:
            return StreamResource(lambda ctx: failure.raiseException())

        @app.route("/")
        def route(request: Any) -> StreamResource:
            raise HTTPError(404, "no such room")

        client = self.client(app)
        client.request()
        response = client.receive()
        self.assertEqual(response.status, 404)
        self.assertIn(b"no such room", response.body)

    def test_so_is_one_of_another_kind_of_route(self) -> None:
        class Conflict(HTTPError):
            pass

        app = Klein()

        @app.handle_errors(HTTPError)
        def failed(request: Any, failure: Any) -> StreamResource:
            return StreamResource(lambda ctx: failure.raiseException())

        @app.route("/coroutine")
        async def coroutine(request: Any) -> StreamResource:
            raise HTTPError(404, "no such room")

        @app.route("/deferred", methods=["POST"])
        def deferred(request: Any) -> Deferred[StreamResource]:
            return fail(Conflict(409, "no such room"))

        client = self.client(app)
        for method, path, status in (
            ("GET", "/coroutine", 404),
            ("HEAD", "/coroutine", 404),
            ("POST", "/deferred", 409),
        ):
            client.request(method, path)
            response = client.receive()
            self.assertEqual((response.status, response.complete), (status, True))
            self.assertEqual(b"no such room" in response.body, method != "HEAD")

    def test_a_route_may_be_a_coroutine_or_return_a_deferred(self) -> None:
        app = Klein()

        @app.route("/coroutine", methods=["POST"])
        async def coroutine(request: Any) -> StreamResource:
            return StreamResource(lambda ctx: ctx.method)

        with app.subroute("/below") as below:

            @below.route("/deferred", methods=["PUT"])
            def deferred(request: Any) -> Deferred[StreamResource]:
                return succeed(StreamResource(lambda ctx: ctx.method))

        client = self.client(app)
        for method, path in (("POST", "/coroutine"), ("PUT", "/below/deferred")):
            client.request(method, path)
            self.assert_complete(client.receive(), method.encode())


class CookieTests(StreamTest):
    """
    ``ctx.cookie`` (RFC 6265 4.1.1).
    """

    def test_its_attributes(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.cookie("plain", "")
            ctx.cookie("gone", "x", max_age=0, path="/a", domain="example.org")
            ctx.cookie("all", "a=b/%20", secure=True, http_only=True, same_site="none")
            ctx.cookie("strict", "1", same_site="strict")
            ctx.cookie(
                "dated", "1", expires=datetime(2030, 1, 2, 5, tzinfo=timezone(timedelta(hours=9)))
            )
            ctx.cookie("last", "1", expires=datetime.max.replace(tzinfo=UTC), domain=".a-b.org")
            ctx.cookie("__Host-a", "1", secure=True, path="/")
            ctx.cookie("__Secure-a", "1", secure=True, domain="example.org")
            return "x"

        self.assertEqual(
            self.answer(handler).values("Set-Cookie"),
            [
                "plain=",
                "gone=x; Max-Age=0; Domain=example.org; Path=/a",
                "all=a=b/%20; SameSite=None; Secure; HttpOnly",
                "strict=1; SameSite=Strict",
                "dated=1; Expires=Tue, 01 Jan 2030 20:00:00 GMT",
                "last=1; Expires=Fri, 31 Dec 9999 23:59:59 GMT; Domain=.a-b.org",
                "__Host-a=1; Path=/; Secure",
                "__Secure-a=1; Domain=example.org; Secure",
            ],
        )

    def test_whatever_would_break_it_is_refused(self) -> None:
        cases: list[tuple[type[Exception], tuple[Any, ...], dict[str, Any]]] = [
            (ValueError, ("a b", "x"), {}),
            (ValueError, ("", "x"), {}),
            (TypeError, ("a", 1), {}),
            (TypeError, ("a", b"x"), {}),
            *((ValueError, ("a", value), {}) for value in ("a b", "a;b", 'a"', "ä", "a\r\nb", ",")),
            (TypeError, ("a", "x"), {"max_age": 1.5}),
            (TypeError, ("a", "x"), {"max_age": True}),
            (ValueError, ("a", "x"), {"path": "/;b"}),
            (ValueError, ("a", "x"), {"domain": "a\nb"}),
            (TypeError, ("a", "x"), {"path": b"/"}),
            (ValueError, ("a", "x"), {"same_site": "Lax"}),
            (ValueError, ("a", "x"), {"same_site": "none"}),
            (ValueError, ("a", "x"), {"path": "a"}),
            (ValueError, ("a", "x"), {"expires": datetime(2030, 1, 2)}),  # noqa: DTZ001 - refused
            (TypeError, ("a", "x"), {"expires": 1}),
            (TypeError, ("a", "x"), {"expires": "Tue, 01 Jan 2030 20:00:00 GMT"}),
            *(
                (ValueError, ("a", "x"), {"expires": moment})
                for moment in (
                    datetime.min.replace(tzinfo=UTC),
                    datetime.min.replace(tzinfo=timezone(timedelta(hours=9))),
                    datetime.max.replace(tzinfo=timezone(timedelta(hours=-9))),
                    datetime(1600, 12, 31, tzinfo=UTC),
                )
            ),
            *(
                (ValueError, ("a", "x"), {"domain": domain})
                for domain in ("", " ", "a b", ".", "a.org:80", "http://a.org", "a,b")
            ),
            (ValueError, ("a", "x" * 4096), {}),
            (ValueError, ("a", "x"), {"path": "/" + "x" * 1024}),
            (ValueError, ("__Secure-a", "x"), {}),
            (ValueError, ("__host-a", "x"), {"secure": True}),
            (ValueError, ("__Host-a", "x"), {"path": "/"}),
            (ValueError, ("__Host-a", "x"), {"secure": True, "path": "/", "domain": "a.org"}),
        ]

        def handler(ctx: Context) -> str:
            for error, arguments, options in cases:
                with self.assertRaises(error, msg=f"{arguments} {options}"):
                    ctx.cookie(*arguments, **options)
            return "x"

        self.assertEqual(self.answer(handler).values("Set-Cookie"), [])

    def test_after_the_head_it_is_refused(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.flush()
            self.assertRaises(HeadersSent, ctx.cookie, "a", "x")

        self.assert_complete(self.answer(handler), b"")

    def test_an_error_page_keeps_it(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.cookie("a", "")
            raise HTTPError(401)

        response = self.answer(handler)
        self.assertEqual((response.status, response.header("Set-Cookie")), (401, "a="))


class HeadMethodTests(StreamTest):
    """
    HEAD has the headers of GET.
    """

    def test_the_fields_are_the_same_for_every_kind_of_handler(self) -> None:
        for name, handler in EVERY.items():
            for version in ("1.1", "1.0"):
                found = []
                for method in ("GET", "HEAD"):
                    client = self.connect(handler)
                    client.request(method, version=version)
                    client.receive()
                    response = client.receive()  # Some wait for the next turn.
                    fields = {(k.lower(), v) for k, v in response.headers}
                    found.append(
                        (response.status, {field for field in fields if field[0] not in FRAMING})
                    )
                self.assertEqual(found[0], found[1], (name, version))
                self.assertEqual(response.body, b"")
                self.assertTrue(response.complete, name)

    def test_a_length_is_that_of_get(self) -> None:
        for name, handler in EVERY.items():
            length = self.answer(handler, "HEAD").header("Content-Length")
            if length is not None:
                self.assertEqual(self.answer(handler).header("Content-Length"), length, name)
