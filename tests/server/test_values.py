"""
Streams of values: when each is sent, and how they end.
"""

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from hashlib import sha256
from threading import get_ident
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred, fail
from twisted.internet.task import Clock
from twisted.python import threadable

from tests.harness import Client, StreamTest
from tests.server.kinds import FRAMING
from twistream import (
    BufferOverflow,
    ClientDisconnected,
    ContentLengthMismatch,
    Context,
    EncodeError,
    HeadersSent,
    HTTPError,
    Hub,
    PartStream,
    ResponseComplete,
    StreamAborted,
    StreamFinished,
    ValueStream,
)

Open = Callable[[Context], Any]

PART = b"\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 1\r\n\r\n%b\r\n--BOUNDARY"
"""
A part, and the boundary after it.
"""

FORMS: dict[str, tuple[Open, str, list[bytes]]] = {
    # How it begins, its media type, and what is sent for each of two values, and at the end.
    "json_array": (
        lambda ctx: ctx.json_array(),
        "application/json",
        [b'["a"', b',\n"b"', b"]"],
    ),
    "json_seq": (
        lambda ctx: ctx.json_seq(),
        "application/json-seq",
        [b'\x1e"a"\n', b'\x1e"b"\n', b""],
    ),
    "msgpack_stream": (
        lambda ctx: ctx.msgpack_stream(),
        "application/msgpack",
        [b"\xa1a", b"\xa1b", b""],
    ),
    "csv": (
        lambda ctx: Rows(ctx.csv(["name"])),
        "text/csv; header=present; charset=utf-8",
        [b"name\r\na\r\n", b"b\r\n", b""],
    ),
    "multipart": (
        lambda ctx: ctx.multipart(),
        "multipart/x-mixed-replace; boundary=BOUNDARY",
        [
            b"--BOUNDARY" + PART % b"a",
            PART % b"b",
            b"--\r\n",
        ],
    ),
}


class Rows:
    """
    A stream of rows, each of one field.
    """

    def __init__(self, stream: ValueStream) -> None:
        self.stream = stream

    def send(self, value: str) -> Deferred[None]:
        return self.stream.send([value])

    def send_all(self, values: Any, **options: Any) -> Deferred[None]:
        if not hasattr(values, "__aiter__"):
            return self.stream.send_all(([value] for value in values), **options)
        return self.stream.send_all(self.rows(values), **options)

    async def rows(self, values: Any) -> AsyncIterator[list[str]]:
        async for value in values:
            yield [value]


def boundary_of(client: Client) -> bytes:
    media_type = client.response.header("Content-Type") or ""
    return media_type.partition("boundary=")[2].encode() or b"none"


def chunks(client: Client) -> list[bytes]:
    """
    The new chunks of a response, with a boundary that does not change.
    """
    read = client.read_chunks()
    return [chunk.replace(boundary_of(client), b"BOUNDARY") for chunk in read]


class FormTest(StreamTest):
    def forms(self) -> Iterator[tuple[Open, list[bytes]]]:
        for open_, _, sent in FORMS.values():
            yield open_, sent

    def assert_ends(self, client: Client, *sent: bytes) -> None:
        """
        The rest of a complete response.
        """
        self.assertEqual(chunks(client), [chunk for chunk in sent if chunk])
        self.assertTrue(client.response.complete)


class SendTests(FormTest):
    """
    send(): each value is with the client at once.
    """

    def test_each_value_is_a_chunk_and_the_end_comes_by_itself(self) -> None:
        for name, (open_, media_type, (first, second, end)) in FORMS.items():

            async def handler(ctx: Context, open_: Open = open_) -> None:
                stream = open_(ctx)
                for value in "ab":
                    await stream.send(value)
                    await ctx.sleep(1)

            client = self.get(handler)
            self.assertEqual(chunks(client), [first], name)
            boundary = boundary_of(client).decode()
            self.assertEqual(
                client.response.header("Content-Type"), media_type.replace("BOUNDARY", boundary)
            )
            client.clock.advance(1)
            self.assertEqual(chunks(client), [second], name)
            client.clock.advance(1)
            self.assert_ends(client, end)

    def test_the_first_value_is_sent_with_all_that_stands_before_it(self) -> None:
        for open_, (first, _, _) in self.forms():

            async def handler(ctx: Context, open_: Open = open_) -> None:
                await open_(ctx).send("a")
                await ctx.sleep(1)

            self.assertEqual(chunks(self.get(handler)), [first])

    def test_without_values_the_body_is_an_empty_sequence(self) -> None:
        for name, body in (
            ("json_array", b"[]"),
            ("json_seq", b""),
            ("msgpack_stream", b""),
            ("csv", b"name\r\n"),
            ("multipart", b"--BOUNDARY--\r\n"),
        ):
            open_ = FORMS[name][0]

            def handler(ctx: Context, open_: Open = open_) -> None:
                open_(ctx)

            client = self.get(handler)
            response = client.receive()
            self.assertEqual(response.body.replace(boundary_of(client), b"BOUNDARY"), body, name)
            self.assertTrue(response.complete)
            self.assertEqual(response.header("Content-Length"), str(len(response.body)))

    def test_until_the_first_value_the_head_can_change(self) -> None:
        async def handler(ctx: Context) -> None:
            array = ctx.json_array()
            await ctx.sleep(1)
            ctx.status_code(201)
            ctx.content_type("application/geo+json-seq")
            await array.send(1)

        client = self.get(handler)
        self.assertEqual(client.read_raw(), b"")
        client.clock.advance(1)
        response = client.receive()
        self.assertEqual(response.header("Content-Type"), "application/geo+json-seq")
        self.assert_complete(response, b"[1]", 201)

    def test_a_type_that_is_set_stays(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.content_type("application/geo+json")
            ctx.json_array()

        response = self.answer(handler)
        self.assertEqual(response.header("Content-Type"), "application/geo+json")
        self.assert_complete(response, b"[]")

    def test_a_bad_value_raises_and_the_others_are_sent(self) -> None:
        async def handler(ctx: Context) -> None:
            array = ctx.json_array()
            for value in (object(), 1, float("nan"), 2, "\ud800"):
                with contextlib.suppress(EncodeError):
                    await array.send(value)
            self.assertRaises(TypeError, array.send, b"a")

        self.assert_complete(self.answer(handler), b"[1,\n2]")

    def test_a_value_that_is_not_admitted_does_not_count(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("x" * 101)
            array = ctx.json_array()
            self.assertRaises(BufferOverflow, array.send, 1)
            await ctx.flush()
            await array.send(2)

        client = self.get(handler, max_buffered=100)
        client.read()
        client.clock.advance(1)  # When the limit is looked at again.
        self.assert_complete(client.receive(), b"x" * 101 + b"[2]")

    def test_send_waits_for_a_slow_client(self) -> None:
        sent: list[int] = []

        async def handler(ctx: Context) -> None:
            array = ctx.json_array()
            for number in range(3):
                await array.send(number)
                sent.append(number)

        client = self.connect(handler)
        client.pause(after=1)
        client.request()
        client.clock.advance(0)
        self.assertEqual(sent, [])
        client.resume()
        self.assert_complete(client.receive(), b"[0,\n1,\n2]")
        self.assertEqual(sent, [0, 1, 2])


class SendAllTests(FormTest):
    """
    send_all(): an iterable or an async iterable.
    """

    def sources(self) -> Iterator[Callable[[Context], Any]]:
        def generator(ctx: Context) -> Iterator[str]:
            yield "a"
            yield "b"

        async def async_generator(ctx: Context) -> AsyncIterator[str]:
            yield "a"
            await ctx.sleep(0)
            yield "b"

        yield from (lambda ctx: ["a", "b"], lambda ctx: iter("ab"), generator, async_generator)

    def test_each_value_is_a_chunk_and_the_end_comes_by_itself(self) -> None:
        for open_, sent in self.forms():
            for source in self.sources():

                async def handler(
                    ctx: Context, open_: Open = open_, source: Callable[[Context], Any] = source
                ) -> None:
                    await open_(ctx).send_all(source(ctx))

                self.assert_ends(self.get(handler), *sent)

    def test_it_may_be_called_again_and_mixed_with_send(self) -> None:
        async def handler(ctx: Context) -> None:
            array = ctx.json_array()
            await array.send_all([])
            await array.send_all([1, 2])
            await array.send(3)
            await array.send_all(iter([4]))

        self.assert_complete(self.answer(handler), b"[1,\n2,\n3,\n4]")

    def test_an_error_of_the_source_reaches_the_handler(self) -> None:
        def broken(ctx: Context) -> Iterator[int]:
            yield 1
            raise KeyError("made to fail")

        async def async_broken(ctx: Context) -> AsyncIterator[int]:
            yield 1
            raise KeyError("made to fail")

        for source in (broken, async_broken):

            async def handler(ctx: Context, source: Callable[[Context], Any] = source) -> None:
                await ctx.json_array().send_all(source(ctx))

            response = self.answer(handler)
            self.assertEqual((response.body, response.complete), (b"[1", False))
            self.logged(KeyError)

    def test_a_bad_value_ends_it_and_closes_the_generator(self) -> None:
        closed: list[str] = []

        def bad(ctx: Context) -> Iterator[object]:
            try:
                yield 1
                yield object()
            finally:
                closed.append("generator")

        async def async_bad(ctx: Context) -> AsyncIterator[object]:
            try:
                yield 1
                yield object()
            finally:
                closed.append("async generator")

        for source in (bad, async_bad):

            async def handler(ctx: Context, source: Callable[[Context], Any] = source) -> None:
                array = ctx.json_array()
                with self.assertRaisesRegex(EncodeError, "JSON"):
                    await array.send_all(source(ctx))
                await array.send(2)

            self.assert_complete(self.answer(handler), b"[1,\n2]")
        self.assertEqual(closed, ["generator", "async generator"])

    def test_a_disconnect_closes_the_generator(self) -> None:
        closed: list[str] = []

        def endless(ctx: Context) -> Iterator[int]:
            try:
                while True:
                    yield 1
            finally:
                closed.append("generator")

        async def async_endless(ctx: Context) -> AsyncIterator[int]:
            try:
                while True:
                    yield 1
                    await ctx.sleep(1)
            finally:
                closed.append("async generator")

        for source in (endless, async_endless):

            async def handler(ctx: Context, source: Callable[[Context], Any] = source) -> None:
                with self.assertRaises(ClientDisconnected):
                    await ctx.json_array().send_all(source(ctx))

            client = self.connect(handler)
            client.pause(after=1)
            client.request()
            client.disconnect()
            client.clock.advance(0)
        self.assertEqual(closed, ["generator", "async generator"])

    def test_a_loop_that_nobody_awaits_is_named(self) -> None:
        async def endless(ctx: Context) -> AsyncIterator[int]:
            yield 1
            await ctx.sleep(9)

        events = self.log_events()
        for detached in (False, True):

            def handler(ctx: Context, *, detached: bool = detached) -> None:
                ctx.json_array().send_all(endless(ctx), detached=detached)

            self.assert_complete(self.answer(handler), b"[1]")
        warnings = [event["call"] for event in events if "call" in event]
        self.assertEqual(warnings, ["send_all"])

    def test_what_is_not_iterable_is_refused_at_the_call(self) -> None:
        def handler(ctx: Context) -> None:
            array = ctx.json_array()
            for wrong in (None, 5, "text", b"text", bytearray(b"a"), object()):
                with self.assertRaisesRegex(TypeError, r"^send_all\(\) takes an iterable"):
                    array.send_all(wrong)  # type: ignore[arg-type]  # wrong on purpose

        self.assert_complete(self.answer(handler), b"[]")


class EndTests(FormTest):
    """
    The end of a sequence is written when the handler returns, and never otherwise.
    """

    def broken(self, end: Callable[[Context], Any], open_: Open, *, count: int = 1) -> Client:
        """
        A client of a handler that sends some values and then ends otherwise.
        """

        async def handler(ctx: Context) -> None:
            stream = open_(ctx)
            for value in "ab"[:count]:
                await stream.send(value)
            await end(ctx)

        return self.get(handler)

    async def fails(self, _: Context) -> None:
        raise KeyError("made to fail")

    async def aborts(self, ctx: Context) -> None:
        ctx.abort()
        await ctx.sleep(1)

    async def returns(self, ctx: Context) -> None:
        ctx.abort()

    def test_after_a_failure_it_is_missing(self) -> None:
        for open_, (first, _, _) in self.forms():
            client = self.broken(self.fails, open_)
            self.assertEqual(chunks(client), [first])
            self.assertTrue(client.response.truncated)
            self.logged(KeyError)

    def test_a_handler_that_returns_text_as_well_fails(self) -> None:
        async def handler(ctx: Context) -> str:
            await ctx.json_array().send(1)
            return "done"

        response = self.answer(handler)
        self.assertEqual((response.body, response.complete), (b"[1", False))
        [failure] = self.flushLoggedErrors(TypeError)
        self.assertIn("must return None: its response is a sequence", str(failure.value))

    def test_after_an_abort_it_is_missing(self) -> None:
        for end in (self.aborts, self.returns):
            for open_, (first, _, _) in self.forms():
                client = self.broken(end, open_)
                self.assertEqual(chunks(client), [first])
                self.assertTrue(client.response.truncated)

    def test_an_error_before_the_first_value_is_an_error_page(self) -> None:
        async def refuses(_: Context) -> None:
            raise HTTPError(404, "no such list")

        for open_, _ in self.forms():
            response = self.broken(refuses, open_, count=0).receive()
            self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")
            self.assert_complete(response, b"404 Not Found\nno such list\n", 404)

    def test_after_a_disconnect_the_handler_is_cancelled(self) -> None:
        seen: list[object] = []

        async def handler(ctx: Context) -> None:
            array = ctx.json_array()
            await array.send(1)
            try:
                await ctx.sleep(1)
            finally:
                seen.append(ctx.err)
                self.assertRaises(ClientDisconnected, array.send, 2)

        client = self.get(handler)
        client.read()
        client.disconnect()
        self.assertIsInstance(seen[0], ClientDisconnected)

    def test_a_handler_that_goes_on_after_a_disconnect_writes_no_end(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.json_array().send(1)
            await ctx.sleep(1)

        client = self.get(handler, on_disconnect="continue")
        client.read()
        client.disconnect()
        client.clock.advance(1)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_after_the_end_send_raises(self) -> None:
        streams: list[ValueStream] = []

        def handler(ctx: Context) -> None:
            streams.append(ctx.json_array())

        self.answer(handler)
        self.assertRaises(StreamFinished, streams[0].send, 1)
        self.failureResultOf(streams[0].send_all([1]), StreamFinished)

    def test_a_deferred_that_the_handler_returns_decides(self) -> None:
        def handler(ctx: Context) -> Deferred[None]:
            return ctx.json_array().send_all([1, 2])

        self.assert_complete(self.answer(handler), b"[1,\n2]")

        def failing(ctx: Context) -> Deferred[None]:
            ctx.json_array().send(1)
            return fail(KeyError("made to fail"))

        response = self.answer(failing)
        self.assertEqual((response.body, response.truncated), (b"[1", True))
        self.logged(KeyError)

    def test_a_generator_may_end_it_too(self) -> None:
        async def handler(ctx: Context) -> AsyncIterator[str]:
            array = ctx.json_array()
            await array.send(1)
            yield ""
            await array.send(2)

        self.assert_complete(self.answer(handler), b"[1,\n2]")

    def test_the_end_counts_for_a_declared_length(self) -> None:
        for length, body in ((7, b"[1,\n22]"), (6, b"[1,\n22"), (8, b"[1,\n22")):

            async def handler(ctx: Context, length: int = length) -> None:
                ctx.header("Content-Length", str(length))
                await ctx.json_array().send_all([1, 22])

            response = self.answer(handler)
            self.assertEqual((response.body, response.truncated), (body, length == 8), length)
        self.assertEqual(len(self.flushLoggedErrors(ContentLengthMismatch)), 2)

    def test_the_end_counts_for_a_digest(self) -> None:
        async def handler(ctx: Context) -> None:
            self.assertTrue(ctx.content_digest())
            await ctx.json_array().send_all([1, 2])

        response = self.start(handler, headers={"TE": "trailers"}).receive()
        digest = base64.b64encode(sha256(b"[1,\n2]").digest()).decode()
        self.assertEqual(dict(response.trailers), {"Content-Digest": f"sha-256=:{digest}:"})
        self.assert_complete(response, b"[1,\n2]")

    def test_an_abort_names_no_end(self) -> None:
        async def handler(ctx: Context) -> None:
            array = ctx.json_array()
            await array.send(1)
            ctx.abort("enough")
            self.assertIsInstance(ctx.err, StreamAborted)
            self.assertRaises(StreamAborted, array.send, 2)

        self.assertTrue(self.answer(handler).truncated)

    def test_http_1_0_has_the_same_body(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.json_array().send(1)

        client = self.start(handler, version="1.0")
        self.assertEqual(json.loads(client.receive().body), [1])
        self.assertTrue(client.response.complete)


class BodylessTests(FormTest):
    def kinds(self) -> Iterator[tuple[Open, Callable[[Context], Any]]]:
        async def nothing(ctx: Context, open_: Open) -> None:
            open_(ctx)

        async def one(ctx: Context, open_: Open) -> None:
            await open_(ctx).send("a")

        async def several(ctx: Context, open_: Open) -> None:
            await open_(ctx).send_all(["a", "b"])

        async def none_of_several(ctx: Context, open_: Open) -> None:
            await open_(ctx).send_all([])

        async def later(ctx: Context, open_: Open) -> None:
            stream = open_(ctx)
            await ctx.sleep(0)
            await stream.send("a")

        async def from_generator(ctx: Context, open_: Open) -> None:
            async def generator() -> AsyncIterator[str]:
                await ctx.sleep(0)
                yield "a"

            await open_(ctx).send_all(generator())

        for open_, _ in self.forms():
            for kind in (nothing, one, several, none_of_several, later, from_generator):
                yield open_, partial(kind, open_=open_)

    def test_head_has_the_headers_of_get(self) -> None:
        for _, handler in self.kinds():

            def fields(method: str, handler: Any = handler) -> list[tuple[str, str]]:
                client = self.start(handler, method)
                response = client.receive()
                self.assertTrue(response.complete)
                self.assertEqual(response.body == b"", method == "HEAD" or not response.body)
                return [
                    (name, value.replace(boundary_of(client).decode(), "BOUNDARY"))
                    for name, value in response.headers
                    if name.lower() not in FRAMING
                ]

            self.assertEqual(fields("HEAD"), fields("GET"))

    def test_head_has_the_length_of_get(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.json_array()

        self.assertEqual(self.answer(handler, "HEAD").header("Content-Length"), "2")

    def test_send_says_that_there_is_no_body(self) -> None:
        for method, status in (("HEAD", 200), ("GET", 204), ("GET", 304)):

            async def handler(ctx: Context, status: int = status) -> None:
                ctx.status_code(status)
                array = ctx.json_array()
                with self.assertRaises(ResponseComplete):
                    await array.send(1)

            response = self.answer(handler, method)
            self.assertEqual((response.status, response.body), (status, b""))
            self.assertTrue(response.complete)

    def test_without_values_204_has_no_body(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.status_code(204)
            ctx.json_array()

        response = self.answer(handler)
        self.assertIsNone(response.header("Content-Length"))
        self.assert_complete(response, b"", 204)

    def test_a_bad_first_value_is_an_error_for_head_too(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.json_array().send_all([object()])

        for method in ("GET", "HEAD"):
            self.assertEqual(self.answer(handler, method).status, 500)
            self.logged(EncodeError)


class OnceTests(StreamTest):
    """
    A response is one stream only.
    """

    def test_a_second_stream_is_refused(self) -> None:
        news = Hub(clock=Clock()).channel("news")
        calls: dict[str, Callable[[Context], object]] = {
            "json_array": lambda ctx: ctx.json_array(),
            "json_seq": lambda ctx: ctx.json_seq(),
            "msgpack_stream": lambda ctx: ctx.msgpack_stream(),
            "csv": lambda ctx: ctx.csv(),
            "multipart": lambda ctx: ctx.multipart(),
            "sse": lambda ctx: ctx.sse(),
            "subscribe": lambda ctx: ctx.subscribe(news),
        }
        for first, begin in calls.items():
            for second, call in calls.items():
                if first == "subscribe" == second:
                    continue  # Refused by the outlet.

                def handler(
                    ctx: Context,
                    begin: Callable[[Context], object] = begin,
                    second: str = second,
                    call: Callable[[Context], object] = call,
                ) -> None:
                    begin(ctx)
                    media_type = ctx.request.responseHeaders.getRawHeaders("Content-Type")
                    with self.assertRaisesRegex(RuntimeError, rf"{second}\(\)"):
                        call(ctx)
                    self.assertEqual(
                        ctx.request.responseHeaders.getRawHeaders("Content-Type"), media_type
                    )

                self.assertEqual(self.answer(handler).status, 200, (first, second))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_after_the_head_it_is_too_late(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.flush()
            for begin in (ctx.json_array, ctx.json_seq, ctx.msgpack_stream, ctx.csv, ctx.multipart):
                self.assertRaises(HeadersSent, begin)

        self.assert_complete(self.answer(handler), b"")

    def test_refused_options_leave_the_response_as_it_was(self) -> None:
        def handler(ctx: Context) -> str:
            self.assertRaises(TypeError, ctx.csv, 5)
            self.assertRaises(TypeError, ctx.csv, delimiter="ab")
            self.assertRaises(ValueError, ctx.multipart, "a b")
            self.assertRaises(ValueError, ctx.multipart, subtype="a b")
            return "fine"

        response = self.answer(handler)
        self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")
        self.assert_complete(response, b"fine")


class ThreadTests(StreamTest):
    def test_another_thread_is_refused_at_the_call(self) -> None:
        def handler(ctx: Context) -> None:
            array = ctx.json_array()
            with patch.object(threadable, "ioThread", get_ident() + 1):
                for name, call in (
                    ("send", lambda: array.send(1)),
                    ("send_all", lambda: array.send_all([1])),
                    ("json_seq", ctx.json_seq),
                    ("csv", ctx.csv),
                    ("multipart", ctx.multipart),
                ):
                    with self.assertRaisesRegex(RuntimeError, rf"^{name}\(\).*callFromThread"):
                        call()

        self.assert_complete(self.answer(handler), b"[]")


class PartTests(StreamTest):
    def test_parts_have_types_and_headers(self) -> None:
        async def handler(ctx: Context) -> None:
            parts: PartStream = ctx.multipart(subtype="mixed")
            await parts.send(b"1", content_type="image/png", headers={"X-A": "b"})
            await parts.send_all([b"2", "3"], content_type="text/html", headers={"X-C": "d"})

        client = self.get(handler)
        response = client.receive()
        boundary = boundary_of(client)
        self.assertEqual(
            response.header("Content-Type"), f"multipart/mixed; boundary={boundary.decode()}"
        )
        self.assertEqual(
            response.body.replace(boundary, b"X").split(b"\r\n"),
            [
                *(b"--X", b"Content-Type: image/png", b"Content-Length: 1", b"X-A: b", b"", b"1"),
                *(b"--X", b"Content-Type: text/html; charset=utf-8", b"Content-Length: 1"),
                *(b"X-C: d", b"", b"2"),
                *(b"--X", b"Content-Type: text/html; charset=utf-8", b"Content-Length: 1"),
                *(b"X-C: d", b"", b"3"),
                *(b"--X--", b""),
            ],
        )

    def test_with_one_type_the_headers_of_the_next_part_are_sent_ahead(self) -> None:
        async def handler(ctx: Context) -> None:
            parts = ctx.multipart("image/png")
            await parts.send(b"1")
            await ctx.sleep(1)
            await parts.send_all([b"2"])

        client = self.get(handler)
        head = b"--BOUNDARY\r\nContent-Type: image/png\r\n\r\n"
        self.assertEqual(chunks(client), [head + b"1\r\n" + head])
        client.clock.advance(1)
        self.assertEqual(chunks(client), [b"2\r\n" + head, b"\r\n--BOUNDARY--\r\n"])
        self.assertTrue(client.response.complete)

    def test_boundaries_differ(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.multipart()

        one, other = self.get(handler), self.get(handler)
        one.receive()
        other.receive()
        self.assertNotEqual(boundary_of(one), boundary_of(other))
        self.assertEqual(len(boundary_of(one)), 32)

    def test_a_wrong_part_is_refused_and_the_others_are_sent(self) -> None:
        async def handler(ctx: Context) -> None:
            parts = ctx.multipart()
            self.assertRaises(TypeError, parts.send, 5)
            self.assertRaises(ValueError, parts.send, "a", content_type="text")
            self.assertRaises(ValueError, parts.send, "a", headers={"a": "b\n"})
            with self.assertRaises(TypeError):
                await parts.send_all([5])  # type: ignore[list-item]  # wrong on purpose
            await parts.send("a")

        client = self.get(handler)
        body = client.receive().body.replace(boundary_of(client), b"X")
        self.assertEqual(body.count(b"--X"), 2)
        self.assertTrue(client.response.complete)
