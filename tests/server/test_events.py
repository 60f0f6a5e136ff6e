"""
Event streams: their head, what is sent on them, and what keeps them alive.
"""

from collections.abc import Callable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from tests.harness import Client, Headers, StreamTest
from tests.server.responses import response_of
from tests.server.sources import MadeUp
from twistream import (
    ClientDisconnected,
    Context,
    EncodeError,
    EventStream,
    HeadersSent,
    HTTPError,
    Hub,
    ResponseComplete,
    SendTimeout,
    StreamFinished,
)
from twistream.server.broadcast import Broadcast
from twistream.wire.frames import Frame

STEP = 0.125
"""
Seconds that a clock is advanced by at once, where the time of something is looked at.
"""

ORIGIN = {"Origin": "https://example.org"}


class EventsTest(StreamTest):
    """
    The base: one stream of events.
    """

    def open(
        self,
        use: Callable[[EventStream], object] | None = None,
        *,
        method: str = "GET",
        version: str = "1.1",
        headers: Headers = (),
        body: bytes = b"",
        resource: dict[str, Any] | None = None,
        **options: Any,
    ) -> Client:
        """
        A client of a handler that calls `sse` with `options`, then `use`, and waits.
        """

        async def handler(ctx: Context) -> None:
            self.context = ctx
            self.events = ctx.sse(**options)
            if use is not None:
                use(self.events)
            await ctx.done()

        return self.start(
            handler,
            method,
            headers=headers,
            body=body,
            version=version,
            timeout=None,
            **(resource or {}),
        )

    def assert_no_timer(self, client: Client) -> None:
        """
        Nothing is left on the clock of a site that has no timeout of its own.
        """
        client.clock.advance(1)
        self.assertEqual(client.clock.getDelayedCalls(), [])


class HeadTests(EventsTest):
    """
    The headers of an event stream, when they are sent, and what the handler may change.
    """

    def test_the_headers_of_a_stream(self) -> None:
        response = self.open().receive()
        self.assertEqual(response.status, 200)
        for name, expected in (
            ("Content-Type", "text/event-stream; charset=utf-8"),
            ("Cache-Control", "no-cache, no-transform"),
            ("X-Accel-Buffering", "no"),
            ("X-Content-Type-Options", "nosniff"),
        ):
            self.assertEqual(response.values(name), [expected])
        for name in ("Vary", "Access-Control-Allow-Origin"):
            self.assertEqual(response.values(name), [])

    def test_each_header_can_be_set_before_and_after(self) -> None:
        own = {"Content-Type": "x/y", "Cache-Control": "private", "X-Accel-Buffering": "yes"}

        def set_own(ctx: Context) -> None:
            for name, value in own.items():
                ctx.header(name, value)

        async def before(ctx: Context) -> None:
            set_own(ctx)
            ctx.sse()
            await ctx.done()

        async def after(ctx: Context) -> None:
            ctx.sse()
            set_own(ctx)
            await ctx.done()

        for handler in (before, after):
            response = self.answer(handler)
            for name, value in own.items():
                self.assertEqual(response.values(name), [value])

    def test_the_head_of_a_silent_stream_is_sent_at_the_end_of_the_turn(self) -> None:
        client = self.open(ping=None)
        self.assertEqual(client.take(), b"")
        self.assertTrue(client.read_raw().endswith(b"\r\n\r\n"))
        client.clock.advance(100)
        self.assertEqual(client.read_raw(), b"")

    def test_an_event_in_the_same_turn_sends_the_head(self) -> None:
        client = self.open(lambda events: events.send("now"))
        data = client.take()
        self.assertTrue(data.startswith(b"HTTP/1.1 200 OK\r\n"))
        self.assertTrue(data.endswith(b"\r\n\r\nb\r\ndata: now\n\n\r\n"), data)
        self.assertEqual(client.read_raw(), b"")

    def test_retry_is_sent_with_the_head(self) -> None:
        for retry, expected in (
            (2.5, b"retry: 2500\n"),
            (0, b"retry: 0\n"),
            (0.0004, b"retry: 0\n"),
            (None, b""),
        ):
            client = self.open(retry=retry)
            self.assertEqual(client.take(), b"")
            self.assertEqual(client.read(), expected)

    def test_retry_is_sent_before_an_event_of_the_same_turn(self) -> None:
        client = self.open(lambda events: events.send("x"), retry=1)
        self.assertEqual(client.read(), b"retry: 1000\ndata: x\n\n")

        def ends(ctx: Context) -> None:
            ctx.sse(retry=1).send("x")

        self.assertEqual(self.get(ends).read(), b"retry: 1000\ndata: x\n\n")

    def test_retry_is_sent_before_replayed_messages(self) -> None:
        channel = Hub().channel("news", history=1)
        channel.publish("x")
        client = self.open(lambda events: events.subscribe(channel, after=channel.oldest), retry=1)
        self.assertTrue(client.read().startswith(b"retry: 1000\nid: "))

    def test_the_context_is_an_attribute(self) -> None:
        self.open()
        self.assertIs(self.events.context, self.context)

    def test_it_answers_any_method(self) -> None:
        client = self.open(
            lambda events: events.send("x"), method="POST", resource={"methods": ("POST",)}
        )
        self.assertEqual(client.read(), b"data: x\n\n")

    def test_head_is_answered_with_only_the_headers(self) -> None:
        errors: list[object] = []
        for retry in (None, 3):
            client = self.open(
                lambda events: events.context.done().addCallback(errors.append),
                method="HEAD",
                retry=retry,
            )
            response = client.receive()
            self.assertEqual(response.header("Content-Type"), "text/event-stream; charset=utf-8")
            self.assert_complete(response, b"")
            self.assertIsInstance(errors.pop(), ResponseComplete)
            self.assert_no_timer(client)
            client.request("HEAD")
            self.assert_complete(client.receive(), b"")

    def test_http_1_0_gets_events_without_chunks(self) -> None:
        client = self.open(lambda events: events.send("x"), version="1.0")
        self.assertTrue(client.read_raw().endswith(b"\r\n\r\ndata: x\n\n"))
        client.clock.advance(16)
        self.assertEqual(client.read_raw(), b": ping\n")

    def test_sse_raises_when_called_twice(self) -> None:
        def again(events: EventStream) -> None:
            with self.assertRaises(RuntimeError):
                events.context.sse()  # type: ignore[attr-defined]  # the type says so too
            events.send("x")

        self.assertEqual(self.open(again).read(), b"data: x\n\n")

    def test_sse_with_invalid_arguments_changes_nothing(self) -> None:
        def handler(ctx: Context) -> str:
            with self.assertRaises(ValueError):
                ctx.sse(allow_origin="nowhere")
            return "no stream"

        response = self.answer(handler, headers=ORIGIN)
        self.assertEqual(response.values("Content-Type"), ["text/plain; charset=utf-8"])
        for name in ("Cache-Control", "X-Accel-Buffering", "Vary"):
            self.assertEqual(response.values(name), [])

        def second(ctx: Context) -> None:
            with self.assertRaises(TypeError):
                ctx.sse(retry="3")  # type: ignore[arg-type]  # wrong on purpose
            ctx.sse(retry=3)
            ctx.flush()

        media_type = self.answer(second).header("Content-Type")
        self.assertEqual(media_type, "text/event-stream; charset=utf-8")

    def test_sse_raises_after_the_head(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.flush()
            self.assertRaises(HeadersSent, ctx.sse)

        self.assertNotIn(b"event-stream", self.get(handler).read_raw())

    def test_sse_raises_after_the_end(self) -> None:
        contexts: list[Context] = []
        self.get(contexts.append)
        self.assertRaises(HeadersSent, contexts[0].sse)

        async def waits(ctx: Context) -> None:
            contexts.append(ctx)
            await ctx.sleep(1)

        self.get(waits).disconnect()
        self.assertRaises(ClientDisconnected, contexts[1].sse)

    def test_an_error_in_the_same_turn_is_a_page_without_the_headers_of_a_stream(self) -> None:
        def refuses(ctx: Context) -> None:
            ctx.sse(retry=1)
            raise HTTPError(503, "later")

        def fails(ctx: Context) -> None:
            ctx.sse()
            raise KeyError("made to fail")

        for handler, page in (
            (refuses, b"503 Service Unavailable\nlater\n"),
            (fails, b"500 Internal Server Error\n"),
        ):
            client = self.get(handler, timeout=None)
            response = client.receive()
            self.assert_complete(response, page, int(page[:3]))
            self.assertEqual(response.values("Content-Type"), ["text/plain; charset=utf-8"])
            for name in ("Cache-Control", "X-Accel-Buffering", "Transfer-Encoding"):
                self.assertEqual(response.values(name), [], name)
            self.assert_no_timer(client)
        self.logged(KeyError)


class StopTests(EventsTest):
    """
    Browsers can be told not to reconnect.
    """

    def test_stop_reconnecting_answers_204(self) -> None:
        for retry in (None, 3):
            client = self.open(EventStream.stop_reconnecting, retry=retry)
            response = client.receive()
            self.assert_complete(response, b"", 204)
            for name in ("Content-Type", "Transfer-Encoding", "Content-Length"):
                self.assertEqual(response.values(name), [])
            self.assert_no_timer(client)

    def test_stop_reconnecting_when_the_handler_returns_at_once(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.sse().stop_reconnecting()

        client = self.get(handler, timeout=None)
        self.assert_complete(client.receive(), b"", 204)
        self.assert_no_timer(client)

    def test_stop_reconnecting_raises_after_the_head(self) -> None:
        client = self.open()
        client.receive()
        self.assertRaises(HeadersSent, self.events.stop_reconnecting)
        client.disconnect()
        self.assertRaises(HeadersSent, self.events.stop_reconnecting)

    def test_stop_reconnecting_raises_after_a_disconnect(self) -> None:
        self.open().disconnect()
        self.assertRaises(ClientDisconnected, self.events.stop_reconnecting)


class SendTests(EventsTest):
    """
    What an event may contain, and how it is encoded.
    """

    def sent(self, *events: tuple[Any, dict[str, Any]]) -> bytes:
        """
        The body of a stream on which these are sent.
        """

        def use(stream: EventStream) -> None:
            for data, fields in events:
                stream.send(data, **fields)

        return self.open(use).read()

    def test_the_lines_of_an_event(self) -> None:
        for data, fields, expected in (
            ("text", {}, b"data: text\n\n"),
            ("", {}, b"data: \n\n"),
            (" a ", {}, b"data:  a \n\n"),
            ('{"not": "json"', {}, b'data: {"not": "json"\n\n'),
            ("a\nb\rc\r\nd\n", {}, b"data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n"),
            ("a\0b", {}, b"data: a\0b\n\n"),
            ("\u2028\x85\v\u017c", {}, "data: \u2028\x85\v\u017c\n\n".encode()),
            (None, {}, b"data: null\n\n"),
            ({"a": [1, None, "\n"]}, {}, b'data: {"a":[1,null,"\\n"]}\n\n'),
            (5, {}, b"data: 5\n\n"),
            ([b"bytes"], {}, b'data: ["Ynl0ZXM="]\n\n'),
            ("a", {"event": "story"}, b"event: story\ndata: a\n\n"),
            ("a", {"event": ""}, b"event: \ndata: a\n\n"),
            ("a", {"id": "7"}, b"id: 7\ndata: a\n\n"),
            ("a", {"id": ""}, b"id: \ndata: a\n\n"),
            ("a", {"retry": 2.5}, b"retry: 2500\ndata: a\n\n"),
            ("a", {"retry": 0}, b"retry: 0\ndata: a\n\n"),
            (
                "a\nb",
                {"event": "\u017c", "id": "\u20ac", "retry": 1},
                "event: \u017c\nid: \u20ac\nretry: 1000\ndata: a\ndata: b\n\n".encode(),
            ),
        ):
            self.assertEqual(self.sent((data, fields)), expected)

    def test_each_event_is_a_chunk_of_its_own(self) -> None:
        client = self.open(lambda e: (e.send("a"), e.send("b"), e.comment("c")))
        self.assertEqual(client.read_chunks(), [b"data: a\n\n", b"data: b\n\n", b": c\n"])

    def test_an_invalid_event_raises_and_writes_nothing(self) -> None:
        refused: tuple[tuple[type[Exception], Any, dict[str, Any]], ...] = (
            (EncodeError, "\ud800", {}),
            (EncodeError, object(), {}),
            (EncodeError, {"a": float("nan")}, {}),
            (EncodeError, "a", {"event": "\ud800"}),
            (EncodeError, "a", {"id": "\ud800"}),
            *((ValueError, "a", {"event": f"a{bad}b"}) for bad in "\r\n\0"),
            *((ValueError, "a", {"id": f"a{bad}b"}) for bad in "\r\n\0"),
            *((TypeError, "a", {"event": wrong}) for wrong in (b"a", 1, ["a"])),
            *((TypeError, "a", {"id": wrong}) for wrong in (b"a", 1, ["a"])),
            *((TypeError, "a", {"retry": wrong}) for wrong in ("1", b"1", True, [1])),
            *((ValueError, "a", {"retry": wrong}) for wrong in (-1, float("nan"), 1e10)),
            (ValueError, "a", {"retry": float("inf")}),
        )

        def use(events: EventStream) -> None:
            for error, data, fields in refused:
                with self.assertRaises(error):
                    events.send(data, **fields)
            events.send("fine")

        self.assertEqual(self.open(use).read(), b"data: fine\n\n")

    def test_a_comment_is_lines_that_start_with_a_colon(self) -> None:
        for text, expected in (
            ("ping", b": ping\n"),
            ("", b": \n"),
            ("a\rb\nc\r\nd", b": a\n: b\n: c\n: d\n"),
        ):
            self.assertEqual(self.open(lambda e, text=text: e.comment(text)).read(), expected)  # type: ignore[misc]  # of this round

    def test_a_comment_must_be_a_str(self) -> None:
        def use(events: EventStream) -> None:
            for wrong in (b"a", None, 1):
                with self.assertRaises(TypeError):
                    events.comment(wrong)  # type: ignore[arg-type]  # wrong on purpose
            with self.assertRaises(EncodeError):
                events.comment("\ud800")

        self.assertEqual(self.open(use).read(), b"")

    def test_sending_waits_while_the_connection_is_full(self) -> None:
        client = self.open()
        client.receive()
        client.pause()
        waits = [self.events.send("a"), self.events.comment("b")]
        for wait in waits:
            self.assertNoResult(wait)
        client.resume()
        for wait in waits:
            self.successResultOf(wait)

    def test_send_raises_after_the_end(self) -> None:
        self.open().disconnect()
        self.assertRaises(ClientDisconnected, self.events.send, "a")
        self.assertRaises(ClientDisconnected, self.events.comment, "a")

        def ends(ctx: Context) -> None:
            self.events = ctx.sse()

        self.get(ends)
        self.assertRaises(StreamFinished, self.events.send, "a")
        self.assertRaises(StreamFinished, self.events.comment, "a")


class LastEventIdTests(EventsTest):
    """
    The id of the last event, as the client sends it.
    """

    def told(self, path: str = "/x", header: bytes | None = None) -> str | None:
        async def handler(ctx: Context) -> None:
            self.events = ctx.sse()
            await ctx.done()

        self.get(handler, path=path, headers={} if header is None else {"Last-Event-ID": header})
        return self.events.last_event_id

    def test_it_is_the_header_or_else_the_query(self) -> None:
        for path, header, expected in (
            ("/x", None, None),
            ("/x", b"1-5", "1-5"),
            ("/x?last_event_id=1-6", None, "1-6"),
            ("/x?last_event_id=1-6", b"1-5", "1-5"),
            ("/x?last_event_id=1-6", b"", "1-6"),
            ("/x", b"", None),
            ("/x?last_event_id=", None, None),
            ("/x?last_event_id", None, None),
            ("/x?other=1", None, None),
            ("/x?a=b&last_event_id=1&last_event_id=2", None, "1"),
            ("/x?last_event_id=a%2Cb+c", None, "a,b c"),
            ("/x?last_event_id=%C5%BC", None, "\u017c"),
            ("/x", b"\xc5\xbc", "\u017c"),
            ("/x?last_event_id=a%FFb", None, "a\ufffdb"),
            ("/x?lastEventId=1-6", None, "1-6"),
            ("/x?Last-Event-ID=1-6", None, "1-6"),
            ("/x?Last-Event-Id=1-6", None, "1-6"),
            ("/x?lastEventID=1-6", None, "1-6"),
            ("/x?evs_last_event_id=1-6&evs_preamble=2056", None, "1-6"),
            ("/x?lastEventId=1-6", b"1-5", "1-5"),
            ("/x?lastEventId=1-6", b"", "1-6"),
            ("/x?lastEventId=", None, None),
            ("/x?lastEventId=&last_event_id=1", None, "1"),
            ("/x?last_event_id=1&lastEventId=2", None, "2"),
            ("/x?lastEventId=2&last_event_id=1", None, "2"),
            ("/x?lastEventIdx=1&xlastEventId=2", None, None),
            ("/x?lastEventId=1&lastEventId=2", None, "2"),
            ("/x?lastEventId=1&last_event_id=3&evs_last_event_id=2", None, "2"),
            ("/x?lastEventId=1&lastEventId=", None, "1"),
            ("/x?LAST_EVENT_ID=1", None, "1"),
            ("/x?last%5Fevent%5Fid=1", None, "1"),
            ("/x", b"a\xffb", "a\ufffdb"),
        ):
            self.assertEqual(self.told(path, header), expected, (path, header))

    def test_the_id_may_be_as_long_as_a_request_allows(self) -> None:
        long = "x" * 15_000
        self.assertEqual(self.told(header=long.encode()), long)
        self.assertEqual(self.told(f"/x?last_event_id={long}"), long)

    def test_the_body_of_a_request_is_ignored(self) -> None:
        self.open(
            method="POST",
            headers={"Content-Type": "application/x-www-form-urlencoded"},
            body=b"last_event_id=7",
            resource={"methods": ("POST",)},
        )
        self.assertIn(b"last_event_id", self.context.request.args)
        self.assertIsNone(self.events.last_event_id)


class PingTests(EventsTest):
    """
    Pings keep an idle stream alive.
    """

    def test_a_ping_is_a_comment(self) -> None:
        client = self.open()
        client.receive()
        for _ in range(2):
            client.clock.advance(16)
            self.assertEqual(client.read_chunks(), [b": ping\n"])

    @settings(max_examples=50)
    @given(
        st.integers(0, 500),
        st.sampled_from([15.0, 1.0, 7, 45.5]),
        st.lists(
            st.tuples(
                st.floats(0, 1.5), st.sampled_from(["send", "comment", "flush", "broadcast"])
            ),
            max_size=6,
        ),
    )
    def test_it_is_sent_after_that_much_silence_and_at_most_an_eighth_late(
        self, start: int, ping: float, others: list[tuple[float, str]]
    ) -> None:
        clock = Clock()
        clock.rightNow = start * STEP
        broadcast = Broadcast(clock)
        streams: list[EventStream] = []

        async def handler(ctx: Context) -> None:
            streams.append(ctx.sse(ping))
            broadcast.add(response_of(ctx))
            await ctx.done()

        client = self.get(handler, clock=clock)
        client.receive()
        (events,) = streams
        last = clock.seconds()
        for share, other in [*others, (2.0, "")]:
            for _ in range(round(share * ping / STEP)):
                clock.advance(STEP)
                silence = clock.seconds() - last
                data = client.read()
                if data:
                    assert data == b": ping\n"
                    # A little early is in order, so that rounding makes no second look.
                    assert silence >= ping - 0.001
                    last = clock.seconds()
                else:
                    assert silence < ping * 1.125 + STEP
            if other == "broadcast":
                broadcast.send(Frame(b"data: a\n\n"))
            elif other == "flush":
                events.context.write("data: a\n\n")
                events.context.flush()
            elif other == "send":
                events.send("a")
            elif other == "comment":
                events.comment("a")
            if other:
                assert client.read()
                last = clock.seconds()
        client.disconnect()

    def test_none_and_0_turn_it_off(self) -> None:
        for ping in (None, 0, 0.0):
            client = self.open(ping=ping)
            client.receive()
            self.assertEqual(client.clock.getDelayedCalls(), [])
            client.clock.advance(1000)
            self.assertEqual(client.read_raw(), b"")

    def test_it_is_skipped_while_the_connection_is_full(self) -> None:
        client = self.open(resource={"send_timeout": 1000.0})
        client.receive()
        client.pause()
        for _ in range(10):
            client.clock.advance(16)
            self.assertEqual(client.read_raw(), b"")
        client.resume()
        client.clock.advance(17)
        self.assertEqual(client.read(), b": ping\n")

    def test_it_is_skipped_while_the_limit_is_exceeded(self) -> None:
        client = self.open(
            lambda events: events.context.write("x" * 98 + "\n\n"), resource={"max_buffered": 1}
        )
        client.receive()
        client.clock.advance(16)
        self.assertEqual(client.read_raw(), b"")
        self.assertIsNone(self.context.err)
        self.context.flush()
        client.receive()
        client.clock.advance(32)
        self.assertEqual(client.read(), b": ping\n")

    def test_a_stalled_client_is_cut_even_if_only_pings_were_sent(self) -> None:
        client = self.open(resource={"send_timeout": 20.0})
        client.receive()
        client.pause(after=1)
        client.clock.pump([1] * 15)
        self.assertEqual(client.read(), b": ping\n")
        client.clock.pump([1] * 19)
        self.assertFalse(client.aborted)
        client.clock.pump([1] * 6)
        self.assertTrue(client.aborted)
        self.assertIsInstance(self.context.err, SendTimeout)
        self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_it_has_the_id_that_skipped_messages_have_moved(self) -> None:
        source = MadeUp()
        client = self.open(lambda events: events.subscribe(source))
        client.receive()
        for position, expected in (
            (None, b": ping\n"),
            ("1-7", b": ping\nid: 1-7\n\n"),
            (None, b": ping\n"),
        ):
            source.position = position
            client.clock.advance(15)
            self.assertEqual(client.read(), expected)
        source.outlet.finish()
        source.position = "1-8"
        client.clock.advance(15)
        self.assertEqual(client.read(), b": ping\n")

    def test_it_stops_at_the_end(self) -> None:
        gates: list[Deferred[None]] = []

        async def handler(ctx: Context) -> None:
            gates.append(Deferred())
            ctx.sse(retry=1)
            await gates[-1]

        def leaves(client: Client) -> None:
            client.disconnect()

        def returns(client: Client) -> None:
            gates[-1].callback(None)

        def fails(client: Client) -> None:
            gates[-1].errback(KeyError("made to fail"))

        for end in (leaves, returns, fails):
            for seconds in (0, 100):
                client = self.get(handler)
                client.clock.pump([seconds, 0])
                end(client)
                client.disconnect()
                client.clock.advance(0)
                self.assertEqual(client.clock.getDelayedCalls(), [], end)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 2)

    def test_it_does_not_start_if_the_response_ends_in_its_first_turn(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.sse()

        client = self.get(handler, timeout=None)
        self.assertEqual(client.receive().header("Content-Length"), "0")
        self.assert_no_timer(client)
        client = self.open()
        client.disconnect()
        client.clock.advance(0)
        self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_an_invalid_time_raises(self) -> None:
        no_numbers: tuple[Any, ...] = ("15", "", b"15", [], True, False)
        no_times: tuple[Any, ...] = (-1, float("nan"), float("inf"), 1e10)

        def handler(ctx: Context) -> None:
            for name in ("ping", "retry"):
                for wrong in no_numbers:
                    with self.assertRaises(TypeError):
                        ctx.sse(**{name: wrong})
                for wrong in no_times:
                    with self.assertRaises(ValueError):
                        ctx.sse(**{name: wrong})
            for nearly_none in (5e-324, 1e-300, 1e-7, 0.0009):
                with self.assertRaises(ValueError):
                    ctx.sse(nearly_none)
            ctx.sse(0.001)

        self.get(handler)


class OriginTests(EventsTest):
    """
    The origins that may read a stream.
    """

    def test_an_allowed_origin_is_in_the_headers(self) -> None:
        one = "https://example.org"
        for allowed, headers, allow, vary in (
            (None, ORIGIN, [], []),
            ((), ORIGIN, [], []),
            ("*", {}, ["*"], []),
            ("*", ORIGIN, ["*"], []),
            ([one, "*"], ORIGIN, ["*"], []),
            (one, ORIGIN, [one], ["Origin"]),
            (one, {}, [], ["Origin"]),
            (one, {"Origin": "https://example.com"}, [], ["Origin"]),
            (one, {"Origin": "https://example.org:8443"}, [], ["Origin"]),
            (one, {"Origin": "https://example.org.evil.com"}, [], ["Origin"]),
            (one, {"Origin": "https://example.or"}, [], ["Origin"]),
            (one, {"Origin": "*"}, [], ["Origin"]),
            (["http://localhost:3000", one], ORIGIN, [one], ["Origin"]),
            ({"http://localhost:3000", one}, {"Origin": "null"}, [], ["Origin"]),
            ("null", {"Origin": "null"}, ["null"], ["Origin"]),
        ):
            response = self.open(headers=headers, allow_origin=allowed).receive()
            case = (allowed, headers)
            self.assertEqual(response.values("Access-Control-Allow-Origin"), allow, case)
            self.assertEqual(response.values("Vary"), vary, case)

    def test_an_existing_vary_header_is_kept(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.header("Vary", "Cookie")
            ctx.sse(allow_origin="https://example.org")
            await ctx.done()

        self.assertEqual(self.answer(handler).values("Vary"), ["Cookie", "Origin"])

    def test_an_invalid_origin_raises(self) -> None:
        def handler(ctx: Context) -> None:
            for wrong in (
                *("", "example.org", "https://", "https://a/", "https://a/b", "https://a?b"),
                *("https://a b", "https://a\r\nX: y", "https://a,https://b", "**", " *", "NULL"),
            ):
                for allowed in (wrong, ["https://a", wrong]):
                    with self.assertRaises(ValueError):
                        ctx.sse(allow_origin=allowed)
            for no_text in (b"https://a", [b"https://a"], [None], 1):
                with self.assertRaises(TypeError):
                    ctx.sse(allow_origin=no_text)  # type: ignore[arg-type]  # wrong on purpose

        self.get(handler)
