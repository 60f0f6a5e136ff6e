"""
What a handler sees: the head, the body, the formats, time, and the end.
"""

import csv
import gc
from array import array
from typing import Any

from twisted.internet.defer import Deferred, FirstError, gatherResults

from tests.glue import Connection, GlueTest
from twistream import (
    ClientDisconnected,
    Context,
    EncodeError,
    HeadersSent,
    StreamFinished,
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
                ctx.header("X-Good", 1)  # type: ignore[arg-type]
            with self.assertRaises(TypeError):
                ctx.header(None, "1")  # type: ignore[arg-type]

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
                    ctx.status_code(wrong)  # type: ignore[arg-type]

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
                ctx.content_type(b"text/html")  # type: ignore[arg-type]

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


class WriteTests(GlueTest):
    """
    What may be written, and what comes out.
    """

    def test_text_and_everything_bytes_like(self) -> None:
        counts: list[int] = []

        def handler(ctx: Context) -> None:
            buffer = bytearray(b"array")
            counts.extend(
                (
                    ctx.write("zażółć "),
                    ctx.write(b"bytes "),
                    ctx.write(buffer),
                    ctx.write(memoryview(b"-view-")[::2]),
                    ctx.write(array("H", [0x4141])),  # type: ignore[arg-type]
                    ctx.write(""),
                )
            )
            buffer[:] = b"later"

        self.assertEqual(self.get(handler).body(), "zażółć bytes array-iwAA".encode())
        self.assertEqual(counts, [11, 6, 5, 3, 2, 0])

    def test_text_that_utf_8_cannot_hold_is_an_encode_error(self) -> None:
        def handler(ctx: Context) -> None:
            self.assertRaises(EncodeError, ctx.write, "\ud800")

        self.assertEqual(self.get(handler).body(), b"")

    def test_what_is_neither_is_a_type_error_at_the_call(self) -> None:
        def handler(ctx: Context) -> None:
            for wrong in ({}, None, 1, 1.5, ["x"], object()):
                with self.assertRaises(TypeError) as caught:
                    ctx.write(wrong)  # type: ignore[arg-type]
                self.assertIn(type(wrong).__name__, str(caught.exception))

        self.assertEqual(self.get(handler).body(), b"")

    def test_writef_formats_as_logging_does(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.writef("%d of %s, ", 1, "two")
            ctx.writef("100%")
            with self.assertRaises(TypeError):
                ctx.writef("%d", "x")

        self.assertEqual(self.get(handler).body(), b"1 of two, 100%")

    def test_print_and_csv_take_it_for_a_file(self) -> None:
        def handler(ctx: Context) -> None:
            print("a", 1, file=ctx, flush=True)
            csv.writer(ctx).writerow(["b", 2])

        self.assertEqual(self.get(handler).body(), b"a 1\nb,2\r\n")

    def test_the_formats_set_their_type_if_none_is_set(self) -> None:
        for method, value, media_type, body in (
            ("text", "<b>", b"text/plain; charset=utf-8", b"<b>"),
            ("html", "<b>", b"text/html; charset=utf-8", b"<b>"),
            ("json", {"a": [1, None]}, b"application/json", b'{"a":[1,null]}'),
            ("json_line", [1], b"application/jsonl", b"[1]\n"),
            ("binary", b"\0\1", b"application/octet-stream", b"\0\1"),
        ):
            for preset in (None, "x/y"):

                def handler(
                    ctx: Context,
                    method: str = method,
                    value: object = value,
                    preset: str | None = preset,
                ) -> None:
                    if preset:
                        ctx.content_type(preset)
                    getattr(ctx, method)(value)

                client = self.get(handler)
                data = client.received()
                expected = media_type if preset is None else b"x/y"
                self.assertIn(b"\r\nContent-Type: " + expected + b"\r\n", data)
                self.assertIn(body, data)

    def test_json_line_is_flushed(self) -> None:
        async def handler(ctx: Context) -> None:
            for number in (1, 2):
                await ctx.json_line({"number": number})
                await ctx.sleep(1)

        client = self.get(handler)
        self.assertEqual(client.body(), b'{"number":1}\n')
        client.clock.advance(1)
        self.assertEqual(client.body(), b'{"number":2}\n')

    def test_what_json_cannot_hold_leaves_no_trace(self) -> None:
        def handler(ctx: Context) -> str:
            for wrong in (object(), {"a": float("nan")}, [float("inf")]):
                with self.assertRaises(EncodeError):
                    ctx.json(wrong)
                with self.assertRaises(EncodeError):
                    ctx.json_line(wrong)
            with self.assertRaises(EncodeError):
                ctx.text(1)  # type: ignore[arg-type]
            with self.assertRaises(TypeError):
                ctx.binary("text")  # type: ignore[arg-type]
            return "fine"

        data = self.get(handler).received()
        self.assertIn(b"Content-Type: text/plain", data)
        self.assertTrue(data.endswith(b"\r\n\r\nfine"))


class EndTests(GlueTest):
    """
    Who learns of the end, in which order.
    """

    def test_done_fires_with_none_after_a_good_end(self) -> None:
        fired: list[object] = []

        async def handler(ctx: Context) -> None:
            self.context = ctx
            ctx.done().addCallback(fired.append)
            await ctx.sleep(1)
            self.assertEqual(fired, [])

        client = self.get(handler)
        client.clock.advance(1)
        self.assertEqual(fired, [None])
        self.assertIsNone(self.successResultOf(self.context.done()))
        self.assertFalse(self.context.is_cancelled)

    def test_done_fires_with_err_when_the_client_left(self) -> None:
        fired: list[object] = []

        async def handler(ctx: Context) -> None:
            self.context = ctx
            ctx.done().addCallback(fired.append)
            ctx.done().addCallback(lambda err: fired.append("second"))
            await ctx.sleep(1)

        self.get(handler).leave()
        self.assertIsInstance(fired[0], ClientDisconnected)
        self.assertEqual(fired[1:], ["second"])
        self.assertIs(self.successResultOf(self.context.done()), self.context.err)

    def test_a_handler_that_waits_for_done_is_told_by_it(self) -> None:
        results = []

        async def handler(ctx: Context) -> None:
            results.append(await ctx.done())

        self.get(handler).leave()
        self.assertIsInstance(results[0], ClientDisconnected)

    def test_the_order_when_the_client_leaves(self) -> None:
        order: list[str] = []

        async def handler(ctx: Context) -> None:
            ctx.done().addCallback(lambda err: order.append("done"))
            ctx.on_close(lambda c: order.append("on_close"))
            ctx.on_connection_close(lambda c: order.append("on_connection_close 1"))
            ctx.on_connection_close(lambda c: order.append("on_connection_close 2"))
            ctx.sleep(5).addErrback(lambda f: order.append("another wait"))
            try:
                await ctx.sleep(1)
            except ClientDisconnected:
                order.append("err is set" if ctx.is_cancelled else "err is not set")
                order.append("handler")

        self.get(handler).leave()
        self.assertEqual(
            order,
            [
                "err is set",
                "handler",
                "another wait",
                "on_connection_close 1",
                "on_connection_close 2",
                "on_close",
                "done",
            ],
        )

    def test_callbacks_at_a_good_end(self) -> None:
        order: list[str] = []

        def handler(ctx: Context) -> None:
            ctx.on_connection_close(lambda c: order.append("left"))
            ctx.on_close(lambda c: order.append("first"))
            ctx.on_close(lambda c: order.append("second"))
            self.context = ctx

        self.get(handler).leave()
        self.assertEqual(order, ["first", "second"])

    def test_callbacks_that_come_too_late_are_called_at_once(self) -> None:
        called: list[object] = []

        async def handler(ctx: Context) -> None:
            self.context = ctx
            await ctx.sleep(1)

        self.get(handler).leave()
        self.context.on_close(called.append)
        self.context.on_connection_close(called.append)
        self.assertEqual(called, [self.context] * 2)

    def test_what_a_callback_raises_is_logged_and_stops_no_other(self) -> None:
        called: list[object] = []

        async def fails_later(ctx: Context) -> None:
            raise KeyError("later")

        def fails(ctx: Context) -> None:
            raise KeyError("now")

        def handler(ctx: Context) -> None:
            ctx.on_close(fails)
            ctx.on_close(fails_later)
            ctx.on_close(called.append)
            self.assertRaises(TypeError, ctx.on_close, None)

        self.get(handler)
        self.assertEqual(len(called), 1)
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 2)

    def test_waits_that_remain_at_a_good_end_fail_too(self) -> None:
        failures: list[Any] = []

        def handler(ctx: Context) -> None:
            ctx.sleep(10).addErrback(failures.append)

        client = self.get(handler)
        client.received()
        self.assertIsInstance(failures[0].value, StreamFinished)
        self.assertEqual(len(client.clock.getDelayedCalls()), 1)  # the idle timeout

    def test_that_the_response_is_over_is_no_failure_of_a_callback(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.on_close(lambda c: c.flush())
            ctx.on_close(lambda c: c.write("x"))
            await ctx.sleep(1)

        self.get(handler).leave()
        self.get(lambda ctx: ctx.on_close(lambda c: c.flush()))
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_sleeping_on_when_the_client_has_left(self) -> None:
        slept: list[str] = []

        async def handler(ctx: Context) -> None:
            await ctx.sleep(1)
            slept.append("through the end")
            await ctx.sleep(1)
            slept.append("after it")

        client = self.get(handler, on_disconnect="continue")
        client.leave()
        client.clock.pump([1, 1])
        self.assertEqual(slept, ["through the end", "after it"])

    def test_a_wait_that_nobody_holds_logs_nothing(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.sleep(10)
            ctx.flush()
            await ctx.sleep(20)

        def callbacks(ctx: Context) -> Deferred[None]:
            return ctx.sleep(10).addCallback(lambda _: None)

        for each in (handler, callbacks):
            self.get(each).leave()
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_an_error_of_ones_own_in_a_chain_is_still_reported(self) -> None:
        async def handler(ctx: Context) -> None:
            def breaks(_: object) -> None:
                raise KeyError("mine")

            ctx.sleep(1).addBoth(breaks)
            await ctx.sleep(5)

        self.get(handler).leave()
        gc.collect()
        self.logged(KeyError)

    def test_cancelling_a_sleep_stops_its_clock(self) -> None:
        async def handler(ctx: Context) -> None:
            sleep = ctx.sleep(10)
            sleep.cancel()
            self.failureResultOf(sleep)
            await Deferred()

        client = self.get(handler)
        self.assertEqual(client.clock.getDelayedCalls(), [])

    def test_two_waits_gathered(self) -> None:
        errors = []

        async def handler(ctx: Context) -> None:
            try:
                await gatherResults([ctx.sleep(1), ctx.sleep(2)], consumeErrors=True)
            except FirstError as err:
                errors.append(err.subFailure.value)
                raise ctx.err or AssertionError from None

        self.get(handler).leave()
        self.assertIsInstance(errors[0], ClientDisconnected)


class LogTests(GlueTest):
    """
    The context's logger names the context.
    """

    def test_events_have_the_context_as_their_source(self) -> None:
        events = self.log_events()

        def handler(ctx: Context) -> None:
            ctx.log.info("hello {name}", name="x")
            self.assertIs(ctx.log, ctx.log)
            self.assertEqual(repr(ctx), "<Context GET /x>")
            self.context = ctx

        self.get(handler)
        (event,) = [event for event in events if event.get("name") == "x"]
        self.assertIs(event["log_source"], self.context)

    def test_a_client_that_leaves_is_one_line_at_debug(self) -> None:
        events = self.log_events()

        async def handler(ctx: Context) -> None:
            await ctx.sleep(1)

        client: Connection = self.get(handler)
        events.clear()
        client.leave()
        mine = [e for e in events if e["log_namespace"].startswith("twistream")]
        self.assertEqual([e["log_level"].name for e in mine], ["debug"])
