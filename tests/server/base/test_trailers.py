"""
Trailers and digests, from the handler to the client on HTTP/1.
"""

import gc
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from hashlib import sha256, sha512
from operator import itemgetter
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from tests.harness import Response, StreamTest
from tests.server.responses import response_of
from tests.strategies import TRAILERS
from twistream import (
    ClientDisconnected,
    Context,
    HeadersSent,
    HTTPError,
    Hub,
    StopStream,
    StreamFinished,
)
from twistream.server.response.sink import Stage
from twistream.server.response.trailers import Trailers, TrailerStage

ASKED = {"TE": "trailers"}


def digest_of(body: bytes) -> str:
    """
    The field value of a digest, computed independently.
    """
    return f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"


class Louder(Stage):
    """
    A content coding, more or less.
    """

    __slots__ = ()

    def put(self, data: bytes) -> None:
        super().put(data.upper())

    def put_end(self) -> None:
        super().put(b"END")
        super().put_end()


class Doubled(Stage):
    """
    Another one.
    """

    __slots__ = ()

    def put(self, data: bytes) -> None:
        super().put(data + data)


class TrailerTest(StreamTest):
    """
    The base: clients that ask for trailers.
    """

    def ask(self, handler: Any, method: str = "GET", **options: Any) -> Response:
        return self.start(handler, method, headers=ASKED, **options).receive()


class SendingTests(TrailerTest):
    """
    Fields that follow a body in chunks.
    """

    def test_fields_that_are_set_after_the_head_follow_the_body(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("a")
            await ctx.flush()
            self.assertTrue(ctx.trailer("X-One", "1"))
            ctx.write("b")
            self.assertTrue(ctx.trailer(b"x-two", b" \xff "))

        response = self.ask(handler)
        self.assert_complete(response, b"ab")
        self.assertEqual(response.trailers, [("X-One", "1"), ("x-two", "\xff")])
        self.assertIsNone(response.header("Trailer"))

    def test_those_that_are_known_before_the_head_are_named_in_it(self) -> None:
        async def handler(ctx: Context) -> None:
            self.assertTrue(ctx.declare_trailers("X-Later", "x-never"))
            self.assertTrue(ctx.trailer("X-Set", "1"))
            self.assertTrue(ctx.trailer("X-LATER", "early"))
            await ctx.stream(["a"])
            ctx.trailer("X-Later", "2")
            ctx.trailer("X-Unnamed", "3")

        response = self.ask(handler)
        self.assertEqual(response.header("Trailer"), "X-LATER, x-never, X-Set")
        self.assertEqual(response.trailers, [("X-Set", "1"), ("X-Later", "2"), ("X-Unnamed", "3")])

    def test_names_that_the_handler_has_listed_itself_are_not_repeated(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.header("Trailer", "x-a ,X-B")
            ctx.trailer("X-A", "1")
            ctx.trailer("X-C", "2")
            await ctx.flush()

        self.assertEqual(self.ask(handler).values("Trailer"), ["x-a ,X-B", "X-C"])

    def test_the_last_value_counts_and_values_can_be_added(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.add_trailer("X-A", "0")
            ctx.trailer("x-a", "1")
            await ctx.flush()
            ctx.add_trailer("X-B", "2")
            ctx.add_trailer("X-A", "3")

        self.assertEqual(self.ask(handler).trailers, [("x-a", "1"), ("X-A", "3"), ("X-B", "2")])

    def test_a_whole_response_with_trailers_has_chunks(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.trailer("X-A", "1")
            return "whole"

        response = self.ask(handler)
        self.assert_complete(response, b"whole")
        self.assertEqual((response.chunks, response.trailers), ([b"whole"], [("X-A", "1")]))
        self.assertIsNone(response.header("Content-Length"))

    def test_an_empty_response_has_them_too(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.trailer("X-A", "1")

        response = self.ask(handler)
        self.assert_complete(response, b"")
        self.assertEqual(response.trailers, [("X-A", "1")])

    def test_a_whole_response_that_sets_none_keeps_its_length(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.declare_trailers("X-A")
            return "whole"

        for options in ({}, {"trailers": "always"}):
            response = self.ask(handler, **options)
            self.assert_complete(response, b"whole")
            self.assertEqual(response.header("Content-Length"), "5")
            self.assertIsNone(response.header("Trailer"))

    def test_a_resource_can_send_them_to_every_client(self) -> None:
        def handler(ctx: Context) -> str:
            self.assertTrue(ctx.trailer("X-A", "1"))
            return "whole"

        response = self.answer(handler, trailers="always")
        self.assert_complete(response, b"whole")
        self.assertEqual(response.trailers, [("X-A", "1")])

    def test_its_streams_without_trailers_end_as_others_do(self) -> None:
        client = self.get(lambda ctx: ctx.stream(["a"]), trailers="always")
        self.assertTrue(client.read_raw().endswith(b"\r\n\r\n1\r\na\r\n0\r\n\r\n"))
        self.assertIsNone(client.response.header("Trailer"))

    def test_they_come_after_all_that_a_slow_client_has_to_read(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write(b"a" * 500_000)
            ctx.trailer("X-A", "1")

        client = self.connect(handler, tcp=True)
        client.request(headers=ASKED)
        client.clock.advance(0)
        self.assertGreater(client.unsent, 0)
        while not client.response.complete:
            client.poll()
            client.read_raw()
        self.assertEqual(client.response.body, b"a" * 500_000)
        self.assertEqual(client.response.trailers, [("X-A", "1")])

    def test_the_connection_goes_on(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.trailer("X-Path", ctx.path)
            if ctx.path != "/1":
                await ctx.flush()
            ctx.write(ctx.path)

        client = self.connect(handler)
        lines = []
        client.site.log = lambda request: lines.append(request.sentLength)  # type: ignore[method-assign]  # of this one
        paths = ["/0", "/1", "/2"]
        for path in paths:
            self.assertEqual(client.request("GET", path, ASKED).trailers, [])
            self.assert_complete(client.receive(), path.encode())
        requests = [
            b"GET %b HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n" % path.encode() for path in paths
        ]
        for _ in paths:
            client.expect()
        client.send(b"".join(requests))
        client.receive()
        client.request("GET", "/3")
        client.receive()
        self.assertEqual(
            [response.trailers for response in client.responses],
            [[("X-Path", path)] for path in paths * 2] + [[]],
        )
        self.assertEqual(lines, [2] * 7)

    @given(st.lists(st.binary(min_size=1, max_size=9)), TRAILERS, st.integers(0, 8))
    def test_any_fields_arrive(
        self, parts: list[bytes], fields: list[tuple[str, bytes]], early: int
    ) -> None:
        async def handler(ctx: Context) -> None:
            for name, value in fields[:early]:
                ctx.add_trailer(name, value)
            await ctx.stream(parts)
            for name, value in fields[early:]:
                ctx.add_trailer(name, value)

        response = self.ask(handler)
        self.assert_complete(response, b"".join(parts))
        by_name = itemgetter(0)
        got = [(name.lower(), value.encode("latin-1")) for name, value in response.trailers]
        expected = [(name.lower(), value) for name, value in fields]
        self.assertEqual(sorted(got, key=by_name), sorted(expected, key=by_name))


class MemoryTests(TrailerTest):
    def test_they_are_freed_without_the_garbage_collector(self) -> None:
        def count() -> int:
            return sum(isinstance(each, Trailers | TrailerStage) for each in gc.get_objects())

        async def handler(ctx: Context) -> None:
            ctx.content_digest()
            ctx.trailer("X-A", "1")
            ctx.write("a")
            if ctx.path != "/whole":
                await ctx.flush()
            if ctx.path == "/endless":
                await ctx.done()

        client = self.connect(handler)
        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        before = count()
        for path in ("/", "/whole"):
            client.request("GET", path, ASKED)
            self.assertTrue(client.receive().complete)
            self.assertEqual(count(), before, path)
        client.request("GET", "/endless", ASKED)
        client.receive()
        self.assertEqual(count(), before + 2)
        client.disconnect()
        self.assertEqual(count(), before)


class DroppedTests(TrailerTest):
    """
    Responses that cannot have trailers.
    """

    def check(self, response: Response, body: bytes = b"a", status: int = 200) -> None:
        self.assert_complete(response, body, status)
        self.assertEqual(response.trailers, [])
        self.assertIsNone(response.header("Trailer"))
        self.assertIsNone(response.header("Content-Digest"))

    def handler(self, prepare: Callable[[Context], object] = lambda ctx: None) -> Any:
        """
        A handler that learns each time that a trailer will not be sent.
        """

        async def handler(ctx: Context) -> None:
            prepare(ctx)
            self.assertFalse(ctx.declare_trailers("X-B"))
            self.assertFalse(ctx.content_digest())
            self.assertFalse(ctx.trailer("X-A", "1"))
            ctx.write("a")
            await ctx.flush()
            self.assertFalse(ctx.trailer("X-A", "2"))
            self.assertFalse(ctx.add_trailer("X-A", "3"))

        return handler

    def test_a_client_that_does_not_ask(self) -> None:
        self.check(self.answer(self.handler()))
        for value in ("gzip", "trailer", "x-trailers", ""):
            self.check(self.answer(self.handler(), headers={"TE": value}))

    def test_a_whole_response_to_it_keeps_its_length(self) -> None:
        def handler(ctx: Context) -> str:
            self.assertFalse(ctx.trailer("X-A", "1"))
            return "a"

        response = self.answer(handler)
        self.check(response)
        self.assertEqual(response.header("Content-Length"), "1")

    def test_http_1_0(self) -> None:
        client = self.get(self.handler(), version="1.0", headers=ASKED, trailers="always")
        client.receive()
        self.check(client.response)

    def test_a_body_with_a_declared_length(self) -> None:
        self.check(self.ask(self.handler(lambda ctx: ctx.header("Content-Length", "1"))))

    def test_one_that_is_declared_later(self) -> None:
        async def handler(ctx: Context) -> None:
            self.assertTrue(ctx.content_digest())
            self.assertTrue(ctx.trailer("X-A", "1"))
            ctx.header("Content-Length", "1")
            self.assertFalse(ctx.trailer("X-A", "1"))
            await ctx.stream(["a"])

        self.check(self.ask(handler))

    def test_no_body(self) -> None:
        self.check(self.ask(self.handler(), "HEAD"), b"")
        for status in (204, 205, 304):
            handler = self.handler(partial(Context.status_code, code=status))
            self.check(self.ask(handler), b"", status)

    def test_a_status_without_a_body_that_is_set_later(self) -> None:
        def handler(ctx: Context) -> None:
            self.assertTrue(ctx.content_digest())
            self.assertTrue(ctx.trailer("X-A", "1"))
            ctx.status_code(204)

        self.check(self.ask(handler), b"", 204)

    def test_an_error_page(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.declare_trailers("X-B")
            ctx.trailer("X-A", "1")
            ctx.content_digest()
            ctx.header("Trailer", "X-C")
            ctx.write("b")
            raise HTTPError(404)

        response = self.ask(handler, trailers="always")
        self.check(response, b"404 Not Found\n", 404)
        self.assertEqual(response.header("Content-Length"), "14")

    def test_a_failed_response(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.trailer("X-A", "1")
            await ctx.stream(["a"])
            raise KeyError

        response = self.ask(handler)
        self.logged(KeyError)
        self.assertTrue(response.truncated)
        self.assertEqual(response.trailers, [])

    def test_an_aborted_response(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.trailer("X-A", "1")
            await ctx.stream(["a"])
            ctx.abort()

        client = self.start(handler, headers=ASKED)
        self.assertTrue(client.receive().truncated)
        self.assertTrue(client.writes[-1].endswith(b"1\r\na\r\n"))


class MisuseTests(TrailerTest):
    """
    Calls at the wrong time.
    """

    def test_names_cannot_be_declared_after_the_head(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.stream(["a"])
            self.assertRaises(HeadersSent, ctx.declare_trailers, "X-A")
            self.assertRaises(HeadersSent, ctx.content_digest)

        self.assert_complete(self.ask(handler), b"a")

    def test_after_the_end_they_raise(self) -> None:
        contexts: list[Context] = []
        self.ask(contexts.append)
        for call in (
            lambda: contexts[0].trailer("X-A", "1"),
            lambda: contexts[0].add_trailer("X-A", "1"),
        ):
            self.assertRaises(StreamFinished, call)

    def test_after_a_disconnect_they_raise_the_reason(self) -> None:
        contexts: list[Context] = []

        def handler(ctx: Context) -> Deferred[None]:
            contexts.append(ctx)
            return ctx.sleep(1)

        self.start(handler, headers=ASKED).disconnect()
        (ctx,) = contexts
        self.assertRaises(ClientDisconnected, ctx.trailer, "X-A", "1")
        self.assertRaises(ClientDisconnected, ctx.declare_trailers, "X-A")
        self.assertRaises(ClientDisconnected, ctx.content_digest)


class DigestTests(TrailerTest):
    """
    ``Content-Digest`` covers the content as it was sent.
    """

    def check(self, handler: Any, body: bytes | None = None, **options: Any) -> Response:
        def with_digest(ctx: Context) -> object:
            self.assertTrue(ctx.content_digest())
            return handler(ctx)

        client = self.start(with_digest, headers=ASKED, **options)
        response = client.receive()
        for _ in range(20):
            client.clock.advance(1)
            client.receive()
        self.assert_complete(response, response.body if body is None else body)
        self.assertEqual(response.trailers, [("Content-Digest", digest_of(response.body))])
        self.assertEqual(response.header("Trailer"), "Content-Digest")
        return response

    def test_a_stream(self) -> None:
        async def flushed(ctx: Context) -> None:
            await ctx.flush()
            for number in range(5):
                ctx.write(f"{number}")
                await ctx.flush()
                await ctx.sleep(0.5)
            await ctx.json_line([1])
            ctx.write("the rest")

        self.check(flushed, b"01234[1]\nthe rest")

    def test_an_empty_stream(self) -> None:
        self.check(lambda ctx: ctx.flush(), b"")

    def test_large_writes(self) -> None:
        async def handler(ctx: Context) -> None:
            for _ in range(7):
                ctx.write(b"x" * 20_001)

        self.check(handler, b"x" * 140_007)

    def test_loops(self) -> None:
        async def handler(ctx: Context) -> None:
            def step(ctx: Context) -> None:
                ctx.write("tick")
                if response_of(ctx).room.written > 20:
                    raise StopStream

            await ctx.stream_writer(step, 1.0)
            await ctx.stream_writer(step)
            await ctx.stream(["x", "y"])

        self.check(handler)

    def test_events(self) -> None:
        async def handler(ctx: Context) -> None:
            events = ctx.sse(ping=2.0)
            await events.send("a")
            await ctx.sleep(5.0)
            await events.send("b", id="1")

        self.assertIn(b":", self.check(handler).body)

    def test_messages_of_a_channel(self) -> None:
        for as_events in (True, False):
            news = Hub().channel("news", history=5)
            news.publish("before")

            async def handler(ctx: Context, news: Any = news, as_events: bool = as_events) -> None:
                stream = ctx.sse() if as_events else ctx
                subscribed = stream.subscribe(news, after=news.oldest)
                await ctx.sleep(1.0)
                for number in range(5):
                    news.publish(number)
                    if number % 2:
                        await ctx.sleep(0)
                ctx.write(": by hand\n\n")
                await ctx.flush()
                news.close()
                await subscribed

            body = self.check(handler).body
            for part in (b"before", b"0", b"4", b"by hand"):
                self.assertIn(part, body)

    def test_a_whole_response_has_it_as_a_header(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.content_digest()
            ctx.write("who")
            return "le"

        for options in ({}, {"version": "1.0"}, {"headers": ASKED}, {"trailers": "always"}):
            response = self.start(handler, **options).receive()
            self.assert_complete(response, b"whole")
            self.assertEqual(response.header("Content-Digest"), digest_of(b"whole"))
            self.assertEqual(response.header("Content-Length"), "5")
            self.assertIsNone(response.header("Trailer"))
            self.assertEqual(response.trailers, [])

    def test_beside_other_trailers_it_is_a_header_too(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.content_digest()
            ctx.trailer("X-A", "1")
            return "whole"

        response = self.ask(handler)
        self.assertEqual(response.header("Content-Digest"), digest_of(b"whole"))
        self.assertEqual(response.header("Trailer"), "X-A")
        self.assertEqual(response.trailers, [("X-A", "1")])

    def test_it_covers_what_a_stage_has_made_of_the_body(self) -> None:
        def inserted_before(ctx: Context) -> Any:
            response_of(ctx).writer.insert(Louder)
            self.assertTrue(ctx.content_digest())
            return ctx.stream(["a", "b"])

        def inserted_after(ctx: Context) -> Any:
            self.assertTrue(ctx.content_digest())
            response_of(ctx).writer.insert(Louder)
            return ctx.stream(["a", "b"])

        for handler in (inserted_before, inserted_after):
            response = self.ask(handler)
            self.assert_complete(response, b"ABEND")
            self.assertEqual(response.trailers, [("Content-Digest", digest_of(b"ABEND"))])

    def test_it_covers_what_several_stages_have_made_of_the_body(self) -> None:
        async def handler(ctx: Context) -> None:
            writer = response_of(ctx).writer
            writer.insert(Louder)
            writer.insert(Doubled)
            ctx.content_digest()
            writer.insert(Doubled)
            await ctx.stream(["a"])

        response = self.ask(handler)
        self.assert_complete(response, b"AAAAEND")
        self.assertEqual(response.trailers, [("Content-Digest", digest_of(b"AAAAEND"))])

    def test_nothing_is_computed_that_cannot_be_sent(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.content_digest()
            await ctx.stream(["a"])
            trailers = response_of(ctx).head.trailers
            self.assertTrue(trailers is not None and not trailers.digests)

        self.assert_complete(self.answer(handler), b"a")

    def test_with_a_stage_it_is_a_trailer_of_a_whole_response(self) -> None:
        def handler(ctx: Context) -> str:
            response_of(ctx).writer.insert(Louder)
            ctx.content_digest()
            return "whole"

        response = self.ask(handler)
        self.assert_complete(response, b"WHOLEEND")
        self.assertIsNone(response.header("Content-Digest"))
        self.assertEqual(response.trailers, [("Content-Digest", digest_of(b"WHOLEEND"))])

    def test_several_algorithms(self) -> None:
        async def handler(ctx: Context) -> None:
            for algorithm in ("sha-512", "sha-256", "sha-512"):
                ctx.content_digest(algorithm)
            await ctx.stream(["a"])

        long = b64encode(sha512(b"a").digest()).decode()
        self.assertEqual(
            self.ask(handler).trailers,
            [("Content-Digest", f"sha-512=:{long}:, {digest_of(b'a')}")],
        )

    def test_the_client_chooses_if_the_handler_does_not(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.content_digest(None if ctx.path == "/" else "sha-256")
            return "a"

        for path, wanted, chosen in (
            ("/", "sha-256=3, sha-512=10", "sha-512"),
            ("/256", "sha-256=3, sha-512=10", "sha-256"),
            ("/", "sha-256=0", "sha-512"),
            ("/", "sha-256=0, sha-512=0", None),
            ("/256", "sha-256=0", "sha-256"),
        ):
            fields = {"Want-Content-Digest": wanted}
            response = self.start(handler, "GET", path, fields).receive()
            value = response.header("Content-Digest")
            self.assertEqual(value and value.partition("=")[0], chosen, wanted)

    def test_a_client_that_wants_no_known_algorithm_gets_none(self) -> None:
        async def handler(ctx: Context) -> None:
            self.assertFalse(ctx.content_digest())
            await ctx.stream(["a"])

        fields = {**ASKED, "Want-Content-Digest": "sha-256=0,sha-512=0"}
        self.assertEqual(self.start(handler, headers=fields).receive().trailers, [])
