"""
Values that a handler writes, one for each response, in every format.
"""

from collections.abc import Callable
from math import nan
from typing import Any

from tests.harness import StreamTest
from twistream import Context, EncodeError, HeadersSent, HTTPError, StreamFinished

WRITES: dict[str, tuple[Callable[[Context], int], str, bytes]] = {
    "text": (lambda ctx: ctx.text("<b>"), "text/plain; charset=utf-8", b"<b>"),
    "html": (lambda ctx: ctx.html("<b>"), "text/html; charset=utf-8", b"<b>"),
    "json": (lambda ctx: ctx.json({"a": [1]}), "application/json", b'{"a":[1]}'),
    "binary": (lambda ctx: ctx.binary(b"\0"), "application/octet-stream", b"\0"),
    "xml": (
        lambda ctx: ctx.xml({"a": [1]}, root="r"),
        "text/xml; charset=utf-8",
        b'<?xml version="1.0" encoding="UTF-8"?>\n<r><a>1</a></r>',
    ),
    "yaml": (lambda ctx: ctx.yaml({"a": [1]}), "application/yaml", b"a:\n- 1\n"),
    "msgpack": (lambda ctx: ctx.msgpack({"a": [1]}), "application/msgpack", b"\x81\xa1a\x91\x01"),
    "jsonp": (
        lambda ctx: ctx.jsonp("f", {"a": [1]}),
        "text/javascript; charset=utf-8",
        b'/**/f({"a":[1]});',
    ),
    "markdown": (
        lambda ctx: ctx.markdown("# <b>"),
        "text/html; charset=utf-8",
        b"<h1>&lt;b&gt;</h1>\n",
    ),
    "markdown with html": (
        lambda ctx: ctx.markdown("# <b>", allow_html=True),
        "text/html; charset=utf-8",
        b"<h1><b></h1>\n",
    ),
}


class FormatTests(StreamTest):
    def test_each_sets_its_type_if_none_is_set_and_returns_its_length(self) -> None:
        for name, (write, media_type, body) in WRITES.items():
            for preset in (None, "x/y"):

                def handler(
                    ctx: Context,
                    write: Callable[[Context], int] = write,
                    body: bytes = body,
                    preset: str | None = preset,
                ) -> None:
                    if preset:
                        ctx.content_type(preset)
                    self.assertEqual(write(ctx), len(body))

                response = self.answer(handler)
                self.assertEqual(response.header("Content-Type"), preset or media_type, name)
                self.assertEqual(response.header("Content-Length"), str(len(body)), name)
                self.assert_complete(response, body)

    def test_after_the_head_the_type_stays(self) -> None:
        for write, _, body in WRITES.values():

            async def handler(ctx: Context, write: Callable[[Context], int] = write) -> None:
                await ctx.flush()
                write(ctx)

            response = self.answer(handler)
            self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")
            self.assert_complete(response, body)

    def test_after_the_end_each_raises(self) -> None:
        contexts: list[Context] = []
        self.answer(contexts.append)
        for write, _, _ in WRITES.values():
            self.assertRaises(StreamFinished, write, contexts[0])

    def test_a_bad_value_writes_nothing_and_leaves_the_head_alone(self) -> None:
        def handler(ctx: Context) -> str:
            bad: list[Callable[[], object]] = [
                lambda: ctx.xml({"a": "\0"}),
                lambda: ctx.xml({"a b": 1}),
                lambda: ctx.yaml(object()),
                lambda: ctx.msgpack(2**64),
                lambda: ctx.jsonp("f", nan),
                lambda: ctx.markdown(5),  # type: ignore[arg-type]  # wrong on purpose
                lambda: ctx.problem(404, extensions={"a": nan}),
            ]
            for write in bad:
                self.assertRaises(EncodeError, write)
            return "fine"

        response = self.answer(handler)
        self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")
        self.assertIsNone(response.header("X-Content-Type-Options"))
        self.assert_complete(response, b"fine")


class JSONPTests(StreamTest):
    def test_browsers_must_not_guess_its_type(self) -> None:
        response = self.answer(lambda ctx: ctx.jsonp("f", 1))
        self.assertEqual(response.header("X-Content-Type-Options"), "nosniff")

    def test_a_bad_callback_of_the_query_is_a_400(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.jsonp(ctx.query("callback"), {"secret": 1})

        client = self.start(handler, path="/?callback=app.receive")
        self.assert_complete(client.receive(), b'/**/app.receive({"secret":1});')
        for query in ("", "?callback=", "?callback=alert(1)//", "?callback=%3Cscript%3E"):
            client.request(path=f"/{query}")
            response = client.receive()
            self.assertEqual(response.status, 400)
            self.assertNotIn(b"secret", response.body)
        self.assertEqual(self.flushLoggedErrors(), [])


class ProblemTests(StreamTest):
    def test_it_sets_the_status_and_the_type(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.content_type("text/csv")
            written = ctx.problem(
                403,
                "Your balance is 30.",
                type="/problems/no-credit",
                title="No credit",
                instance="/account/1",
                extensions={"balance": 30},
            )
            self.assertEqual(written, len(self.body))

        response = self.answer(handler)
        self.assertEqual(response.header("Content-Type"), "application/problem+json")
        self.assert_complete(response, self.body, 403)

    body = (
        b'{"type":"/problems/no-credit","title":"No credit","status":403,'
        b'"detail":"Your balance is 30.","instance":"/account/1","balance":30}'
    )

    def test_after_the_head_it_is_too_late(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.flush()
            self.assertRaises(HeadersSent, ctx.problem, 404)

        self.assert_complete(self.answer(handler), b"")

    def test_a_handler_may_answer_so_for_an_error(self) -> None:
        def handler(ctx: Context) -> None:
            try:
                ctx.jsonp("alert(1)", 1)
            except HTTPError as err:
                ctx.problem(err.status, err.message)

        response = self.answer(handler)
        self.assertEqual(response.status, 400)
        self.assertIn(b'"title":"Bad Request"', response.body)


class HeadTests(StreamTest):
    def test_head_has_the_headers_of_get(self) -> None:
        writes: list[Any] = [write for write, _, _ in WRITES.values()]
        for write in (*writes, lambda ctx: ctx.problem(404)):

            def handler(ctx: Context, write: Any = write) -> None:
                write(ctx)

            got, head = self.answer(handler), self.answer(handler, "HEAD")
            self.assertEqual((head.status, head.body), (got.status, b""))
            self.assertEqual(head.headers, got.headers)
