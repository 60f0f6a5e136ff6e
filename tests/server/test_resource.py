"""
Handlers of every kind, what they return, how they fail, and how they are cancelled.
"""

import contextlib
import html
from collections.abc import AsyncIterator, Iterator
from typing import Any

from twisted.internet.defer import (
    CancelledError,
    Deferred,
    DeferredList,
    ensureDeferred,
    gatherResults,
    inlineCallbacks,
    race,
    succeed,
)
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import EncodingResourceWrapper, IResource, Resource
from twisted.web.server import NOT_DONE_YET, GzipEncoderFactory, Request
from zope.interface.verify import verifyObject

from tests.harness import StreamTest
from twistream import (
    ClientDisconnected,
    Context,
    HTTPError,
    SendTimeout,
    StreamAborted,
    StreamResource,
)


class RequestTests(StreamTest):
    """
    What a handler may do with the request itself.
    """

    def test_notify_finish_callbacks_find_err_on_the_context(self) -> None:
        seen: list[object] = []

        async def handler(ctx: Context) -> None:
            ctx.write("x")
            await ctx.flush()
            try:
                await ctx.request.notifyFinish()
            except BaseException as err:
                seen.extend((type(err), type(ctx.err)))
                raise

        self.get(handler).disconnect()
        self.assertEqual(seen, [CancelledError, ClientDisconnected])

    def test_a_handler_may_pass_its_request_to_another_resource(self) -> None:
        other = StreamResource(lambda ctx: "from the other")

        async def handler(ctx: Context) -> None:
            other.render(ctx.request)
            await Deferred()

        client = self.get(handler)
        self.assert_complete(client.receive(), b"from the other")

    def test_the_end_of_a_request_that_was_passed_on_is_noticed(self) -> None:
        notified: list[object] = []

        def at_once(ctx: Context) -> str:
            return "x"

        async def later(ctx: Context) -> AsyncIterator[str]:
            yield "x"
            await ctx.sleep(1)

        async def handler(ctx: Context) -> None:
            ctx.on_close(lambda ctx: notified.append(type(ctx.err)))
            ctx.done().addCallback(lambda err: notified.append(str(err)))
            other.render(ctx.request)
            await Deferred(lambda _: notified.append("cancelled"))

        for inner in (at_once, later):
            for tcp in (False, True):
                other = StreamResource(inner)
                client = self.connect(handler, tcp=tcp)
                producer = client.wire.protocol._channel._networkProducer
                for _ in range(2):
                    notified.clear()
                    client.request()
                    client.receive()
                    client.clock.advance(1)
                    self.assert_complete(client.receive(), b"x")
                    client.receive()
                    reason = "stream aborted: another resource has answered the request"
                    self.assertEqual(notified, [StreamAborted, reason, "cancelled"])
                # No watch for a hang-up remains on the connection.
                self.assertIs(client.wire.protocol._channel._networkProducer, producer)

    def test_a_handler_that_answers_what_it_has_passed_on_cancels_the_other(self) -> None:
        ended: list[object] = []

        async def slow(ctx: Context) -> None:
            try:
                await ctx.sleep(60)
            finally:
                ended.append(type(ctx.err))

        other = StreamResource(slow)

        async def handler(ctx: Context) -> str:
            other.render(ctx.request)
            return "mine"

        client = self.get(handler)
        self.assert_complete(client.receive(), b"mine")
        client.request()
        self.assert_complete(client.receive(), b"mine")
        self.assertEqual(ended, [StreamAborted] * 2)

    def test_a_request_of_a_disconnected_client_is_not_answered(self) -> None:
        called: list[Context] = []
        requests: list[Request] = []

        class Later(Resource):
            isLeaf = True  # noqa: N815 - IResource

            def render_GET(self, request: Request) -> int:
                requests.append(request)
                return NOT_DONE_YET

        client = self.get(Later())
        client.disconnect()
        self.assertEqual(StreamResource(called.append).render(requests[0]), NOT_DONE_YET)
        self.assertEqual(called, [])

    def test_an_invalid_content_length_is_an_error_page(self) -> None:
        class Odd(Resource):
            isLeaf = True  # noqa: N815 - IResource

            def render_GET(self, request: Request) -> int:
                request.responseHeaders.setRawHeaders(b"Content-Length", [b"many"])
                return StreamResource(lambda ctx: "x").render(request)

        client = self.get(Odd())
        self.assertEqual(client.receive().status, 500)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)


class HeadThatFailsTests(StreamTest):
    """
    Twisted writes the head, which other code may have broken.
    """

    def test_one_that_cannot_be_written_is_a_plain_500_and_is_logged(self) -> None:
        async def handler(ctx: Context) -> str:
            ctx.request.lastModified = "yesterday"
            await ctx.sleep(1)
            return "x"

        client = self.get(handler)
        client.clock.advance(1)
        self.assert_complete(client.receive(), b"500 Internal Server Error\n", 500)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_one_that_a_flush_cannot_write_is_a_plain_500_even_if_the_handler_goes_on(self) -> None:
        async def raises(ctx: Context) -> None:
            ctx.request.lastModified = "yesterday"
            ctx.write("some")
            await ctx.flush()

        async def goes_on(ctx: Context) -> str:
            with contextlib.suppress(TypeError):
                await raises(ctx)
            ctx.write("more")
            await ctx.sleep(1)
            return "x"

        for handler in (raises, goes_on):
            with self.subTest(handler.__name__):
                client = self.get(handler)
                client.clock.advance(1)
                self.assert_complete(client.receive(), b"500 Internal Server Error\n", 500)
                self.assertTrue(self.flushLoggedErrors())


class KindTests(StreamTest):
    """
    A handler is any function of a context.
    """

    def test_every_kind(self) -> None:
        async def coroutine(ctx: Context) -> None:
            ctx.write("ab")

        async def returns(ctx: Context) -> str:
            return "ab"

        def plain(ctx: Context) -> None:
            ctx.write("ab")

        def deferred(ctx: Context) -> Deferred[bytes]:
            return succeed(b"ab")

        @inlineCallbacks
        def inline(ctx: Context):  # type: ignore[no-untyped-def]  # noqa: ANN202 - of a generator
            yield ctx.flush()
            ctx.write("ab")

        def generator(ctx: Context) -> Iterator[str]:
            yield "a"
            yield "b"

        async def async_generator(ctx: Context) -> AsyncIterator[bytes]:
            yield b"a"
            yield b"b"

        class Callable:
            async def __call__(self, ctx: Context) -> str:
                return str(ctx.method).replace("GET", "ab")

        for handler in (
            coroutine,
            returns,
            plain,
            deferred,
            inline,
            generator,
            async_generator,
            Callable(),
            lambda ctx: bytearray(b"ab"),
        ):
            self.assertEqual(self.get(handler).read(), b"ab", handler)

    def test_it_is_a_resource_and_a_leaf(self) -> None:
        resource = StreamResource(lambda ctx: None)
        verifyObject(IResource, resource)
        self.assertTrue(resource.isLeaf)

    def test_a_result_of_another_type_is_an_error(self) -> None:
        for wrong in ({}, 1, ["x"], object()):

            def handler(ctx: Context, wrong: object = wrong) -> object:
                return wrong

            client = self.get(handler)
            self.assertEqual(client.receive().status, 500)
            self.logged(TypeError)

    def test_invalid_options_raise(self) -> None:
        def handler(ctx: Context) -> None:
            pass

        for error, options in (
            (ValueError, {"on_disconnect": "ignore"}),
            (ValueError, {"send_timeout": 0}),
            (ValueError, {"send_timeout": float("nan")}),
            (ValueError, {"max_buffered": 0}),
            (TypeError, {"max_buffered": "1M"}),
            (TypeError, {"max_buffered": 1e6}),
            (TypeError, {"max_buffered": True}),
            (ValueError, {"methods": ("GET POST",)}),
            (TypeError, {"methods": "GET"}),
        ):
            self.assertRaises(error, StreamResource, handler, **options)
        self.assertRaises(TypeError, StreamResource, "handler")

    def test_other_methods_get_405_with_allow(self) -> None:
        response = self.answer(lambda ctx: "x", methods=("POST",))
        self.assertEqual((response.status, response.reason), (405, "Method Not Allowed"))
        self.assertEqual(response.header("Allow"), "POST")
        response = self.answer(lambda ctx: "x", "DELETE")
        self.assertEqual(response.header("Allow"), "GET, HEAD")
        response = self.answer(lambda ctx: ctx.method, "BREW", methods=("BREW",))
        self.assert_complete(response, b"BREW")

    def test_an_encoder_is_removed_with_one_warning(
        self,
    ) -> None:
        events = self.log_events()
        resource = EncodingResourceWrapper(
            StreamResource(lambda ctx: ctx.stream(["ab"])), [GzipEncoderFactory()]
        )
        client = self.connect(resource)
        for _ in range(2):
            client.request(headers={"Accept-Encoding": "gzip"})
        client.receive()
        for response in client.responses:
            self.assertEqual((response.chunks, response.complete), ([b"ab"], True))
            self.assertEqual(response.status, 200)
            self.assertIsNone(response.header("Content-Encoding"))
        warnings = [e for e in events if e["log_level"].name == "warn"]
        self.assertEqual(len(warnings), 1)
        self.assertIn("compress=True", warnings[0]["log_format"])

    def test_it_uses_the_clock_of_its_site_or_its_own(self) -> None:
        clocks = []

        def handler(ctx: Context) -> None:
            clocks.append(ctx.clock)

        own = Clock()
        site = self.get(handler).clock
        self.get(StreamResource(handler, clock=own))
        self.assertEqual(clocks, [site, own])


class FailureTests(StreamTest):
    """
    A failure never looks like success.
    """

    def test_before_the_head_it_is_an_error_page(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.content_type("image/png")
            ctx.header("ETag", '"1"')
            ctx.header("Content-Length", "3")
            ctx.header("WWW-Authenticate", "Basic")
            ctx.write("x")
            raise KeyError("secret")

        client = self.get(handler)
        data = client.read_raw()
        response = client.response
        self.assertEqual(response.reason, "Internal Server Error")
        self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")
        self.assertEqual(response.header("WWW-Authenticate"), "Basic")
        self.assertEqual(response.header("X-Content-Type-Options"), "nosniff")
        self.assert_complete(response, b"500 Internal Server Error\n", 500)
        for absent in (b"secret", b"ETag", b"image/png"):
            self.assertNotIn(absent, data)
        self.logged(KeyError)

    def test_http_error_chooses_the_page_and_is_no_failure(self) -> None:
        for as_html in (False, True):

            def handler(ctx: Context) -> None:
                raise HTTPError(404, "no <such> room")

            response = self.answer(handler, headers={"Accept": "text/html"} if as_html else {})
            self.assertEqual((response.status, response.reason), (404, "Not Found"))
            self.assertEqual(response.header("Vary"), "Accept")
            page = b"no &lt;such&gt; room" if as_html else b"404 Not Found\nno <such> room\n"
            self.assertIn(page, response.body)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_clients_that_prefer_json_get_a_problem(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.content_type("text/csv")
            raise HTTPError(404, "no <such> room")

        for accept, media_type in (
            ("application/json", "application/problem+json"),
            ("application/problem+json", "application/problem+json"),
            ("application/json, text/plain, */*", "application/problem+json"),
            ("text/html, application/json;q=0.9", "text/html; charset=utf-8"),
            ("*/*", "text/plain; charset=utf-8"),
            ("application/xml", "text/plain; charset=utf-8"),
        ):
            response = self.answer(handler, headers={"Accept": accept})
            self.assertEqual(response.header("Content-Type"), media_type, accept)
            self.assertEqual((response.status, response.header("Vary")), (404, "Accept"))
            if "json" in media_type:
                page = b'{"title":"Not Found","status":404,"detail":"no <such> room"}'
                self.assert_complete(response, page, 404)

    def test_failures_are_problems_without_a_reason(self) -> None:
        def handler(ctx: Context) -> None:
            raise KeyError("secret")

        response = self.answer(handler, headers={"Accept": "application/json"})
        self.assert_complete(response, b'{"title":"Internal Server Error","status":500}', 500)
        self.logged(KeyError)

    def test_any_message_of_an_http_error_is_answered(self) -> None:
        for message, text in (
            (ValueError("bad <room>"), b"bad <room>"),
            ("\udcff", "\ufffd".encode()),
            (None, b""),
            (b"\xff", "\ufffd".encode()),
            ("a\r\n\r\nb", b"a b"),
        ):
            for accept in ("text/html", "text/plain"):

                async def handler(ctx: Context) -> None:
                    ctx.sse()
                    raise HTTPError(400, message)  # noqa: B023 - called at once

                response = self.answer(handler, headers={"Accept": accept})
                self.assertEqual((response.status, response.truncated), (400, False))
                page = html.escape(text.decode()) if accept == "text/html" else text.decode()
                self.assertIn(page, response.body.decode())

    def test_http_error_is_an_error(self) -> None:
        for status in (200, 399, 600, "404", None):
            self.assertRaises(ValueError, HTTPError, status)
        self.assertEqual(str(HTTPError(404, "gone")), "404 gone")
        self.assertEqual(HTTPError(599).title, "599")

    def test_after_the_head_it_aborts_and_is_logged_once(self) -> None:
        async def handler(ctx: Context) -> None:
            self.context = ctx
            ctx.write("sent")
            await ctx.flush()
            ctx.write("dropped")
            raise HTTPError(404)

        client = self.get(handler)
        response = client.receive()
        self.assertEqual((response.chunks, response.truncated), ([b"sent"], True))
        self.assertIsInstance(self.context.err, StreamAborted)
        self.logged(HTTPError)

    def test_head_gets_the_page_of_an_error_without_its_body(self) -> None:
        def handler(ctx: Context) -> None:
            raise HTTPError(404)

        response = self.answer(handler, "HEAD")
        self.assert_complete(response, b"", 404)
        self.assertEqual(response.header("Content-Length"), "14")

    def test_the_next_request_on_the_connection_is_answered(self) -> None:
        answers = iter([HTTPError(503), None])

        def handler(ctx: Context) -> str:
            error = next(answers)
            if error:
                raise error
            return "fine"

        client = self.get(handler)
        self.assertEqual(client.receive().status, 503)
        client.request()
        self.assert_complete(client.receive(), b"fine")


class CancellationTests(StreamTest):
    """
    A disconnect cancels the handler, which gets exactly one exception.
    """

    def leave_at(self, wait: Any, **options: Any) -> list[Any]:
        """
        The exceptions of a handler that awaits `wait(ctx)` when the client disconnects.
        """
        seen: list[Any] = []

        async def handler(ctx: Context) -> None:
            self.context = ctx
            ctx.write("x")
            await ctx.flush()
            ctx.request.channel.pauseProducing()
            try:
                await wait(ctx)
                seen.append("went on")
            except BaseException as err:
                seen.append(type(err))
                raise

        client = self.get(handler, **options)
        client.disconnect()
        client.clock.advance(0)
        return seen

    def test_a_twistream_deferred_fails_with_client_disconnected(self) -> None:
        async def items() -> AsyncIterator[str]:
            yield "x"
            await Deferred()

        sending = (
            lambda ctx: ctx.flush(),
            lambda ctx: ctx.stream_writer(lambda w: w.write("x") and None),
            lambda ctx: ctx.stream_writer(lambda w: None, interval=1),
            lambda ctx: ctx.stream_writer(lambda w: Deferred()),
            lambda ctx: ctx.stream(items()),
        )
        for wait in sending:
            self.assertEqual(self.leave_at(wait), [ClientDisconnected])
            self.assertEqual(self.leave_at(wait, on_disconnect="continue"), [ClientDisconnected])
        self.assertEqual(self.leave_at(lambda ctx: ctx.sleep(1)), [ClientDisconnected])

    def test_another_deferred_fails_with_cancelled_error(self) -> None:
        self.assertEqual(self.leave_at(lambda ctx: Deferred()), [CancelledError])

    def test_with_continue_it_keeps_running_and_only_sending_fails(self) -> None:
        seen: list[Any] = []
        foreign: Deferred[None] = Deferred()

        async def handler(ctx: Context) -> None:
            await foreign
            seen.append("foreign")
            await ctx.sleep(1)
            seen.append("slept")
            try:
                await ctx.flush()
            except ClientDisconnected:
                seen.append("flush failed")
            with self.assertRaises(ClientDisconnected):
                ctx.write("x")
            seen.append("end")

        client = self.get(handler, on_disconnect="continue")
        client.disconnect()
        foreign.callback(None)
        client.clock.advance(1)
        self.assertEqual(seen, ["foreign", "slept", "flush failed", "end"])

    def test_its_cleanup_is_not_cancelled_again(self) -> None:
        seen: list[Any] = []
        cleaning: Deferred[None] = Deferred()

        async def handler(ctx: Context) -> None:
            try:
                await Deferred()
            finally:
                await cleaning
                seen.append("cleaned")

        client = self.get(handler)
        client.disconnect()
        client.clock.advance(1)
        self.assertFalse(cleaning.called)
        cleaning.callback(None)
        self.assertEqual(seen, ["cleaned"])

    def test_its_own_error_after_the_end_is_logged_once(self) -> None:
        async def handler(ctx: Context) -> None:
            try:
                await ctx.sleep(1)
            finally:
                raise KeyError("in cleaning up")

        self.get(handler).disconnect()
        self.logged(KeyError)

    def test_handlers_of_other_kinds_are_cancelled(self) -> None:
        cancelled: list[Any] = []

        @inlineCallbacks
        def inline(ctx: Context):  # type: ignore[no-untyped-def]  # noqa: ANN202 - of a generator
            try:
                yield Deferred()
            except CancelledError:
                cancelled.append("inline")
                raise

        async def async_generator(ctx: Context) -> AsyncIterator[str]:
            yield "x"
            try:
                await Deferred()
            except CancelledError:
                cancelled.append("async generator")
                raise

        handlers: tuple[Any, ...] = (
            inline,
            async_generator,
            lambda ctx: Deferred(lambda _: cancelled.append("deferred")),
        )
        for handler in handlers:
            client = self.get(handler)
            client.clock.advance(0)
            client.disconnect()
        self.assertEqual(cancelled, ["inline", "async generator", "deferred"])
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_handler_that_aborts_ends_at_its_next_wait(self) -> None:
        for wait, kind in (
            (lambda ctx: ctx.sleep(1), StreamAborted),
            (lambda ctx: ctx.flush(), StreamAborted),
            (lambda ctx: Deferred(), CancelledError),
        ):
            for later in (False, True):
                seen: list[Any] = []

                async def handler(
                    ctx: Context, wait: Any = wait, later: bool = later, seen: list[Any] = seen
                ) -> None:
                    ctx.write("x")
                    await ctx.flush()
                    if later:
                        await ctx.sleep(1)
                    ctx.abort()
                    try:
                        await wait(ctx)
                    except BaseException as err:
                        seen.append(type(err))
                        raise

                client = self.get(handler)
                client.clock.pump([1, 0, 0])
                self.assertEqual(seen, [kind], (kind, later))
                client.disconnect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_without_a_body_a_flush_that_nobody_awaits_ends_the_handler(self) -> None:
        pending: list[Deferred[None]] = []

        def wait() -> Deferred[None]:
            pending.append(Deferred())
            return pending[-1]

        async def coroutine(ctx: Context) -> None:
            ctx.write("x")
            ctx.flush()
            await wait()

        def plain(ctx: Context) -> Deferred[None]:
            ctx.json_line(1)
            return wait()

        for handler in (coroutine, plain):
            self.assertEqual(self.answer(handler, "HEAD").status, 200)
            self.assertTrue(pending[-1].called, handler)

    def test_an_error_in_a_callback_does_not_notify_the_handler(self) -> None:
        pending: Deferred[None] = Deferred()

        def callback(ctx: Context) -> None:
            ctx.flush()
            self.assertRaises(StreamAborted, ctx.write, "x")

        async def handler(ctx: Context) -> None:
            ctx.on_close(callback)
            ctx.abort()
            await pending

        self.answer(handler)
        self.assertTrue(pending.called)

    def test_cleanup_after_an_abort_of_its_own_is_not_cancelled(self) -> None:
        for method in ("HEAD", "GET"):
            cleaning: Deferred[None] = Deferred()

            async def handler(ctx: Context, cleaning: Deferred[None] = cleaning) -> None:
                try:
                    if ctx.method == "GET":
                        ctx.abort()
                        ctx.write("x")
                    await ctx.flush()
                finally:
                    await cleaning

            self.answer(handler, method)
            self.assertFalse(cleaning.called)
            cleaning.callback(None)

    def test_an_abort_in_a_part_of_a_handler_ends_the_whole(self) -> None:
        pending: Deferred[None] = Deferred()

        async def part(ctx: Context) -> None:
            await ctx.sleep(1)
            ctx.abort()
            await pending

        @inlineCallbacks
        def inline(ctx: Context):  # type: ignore[no-untyped-def]  # noqa: ANN202 - of a generator
            yield ctx.sleep(1)
            ctx.abort()
            yield pending

        async def nested(ctx: Context) -> None:
            await ensureDeferred(part(ctx))

        for handler in (inline, nested):
            pending = Deferred()
            client = self.get(handler)
            client.clock.pump([1, 0])
            self.assertTrue(pending.called, handler)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_an_error_of_a_canceller_is_logged(self) -> None:
        def canceller(_: Deferred[None]) -> None:
            raise KeyError("in cancelling")

        called: list[Any] = []

        def handler(ctx: Context) -> Deferred[None]:
            ctx.on_close(called.append)
            ctx.done().addCallback(called.append)
            return Deferred(canceller)

        self.get(handler).disconnect()
        self.assertEqual(len(called), 2)
        self.logged(KeyError)

    def test_a_handler_that_gathers_waits_ends_without_a_log_entry(self) -> None:
        async def gathers(ctx: Context) -> None:
            await gatherResults([ctx.sleep(5), Deferred()], consumeErrors=True)

        async def races(ctx: Context) -> None:
            await race([ctx.sleep(5), Deferred()])

        for handler in (gathers, races):
            self.get(handler).disconnect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_other_code_can_abort_a_waiting_handler(self) -> None:
        seen: list[Any] = []

        async def handler(ctx: Context) -> None:
            self.context = ctx
            try:
                await ctx.sleep(10)
            except StreamAborted as err:
                seen.append(err.reason)
                raise

        self.get(handler)
        self.context.abort("kicked")
        self.assertEqual(seen, ["kicked"])

    def test_a_notified_handler_is_not_cancelled_while_cleaning_up(self) -> None:
        waits: tuple[Any, ...] = (
            lambda ctx: ctx.sleep(10),
            lambda ctx: ctx.done(),
            lambda ctx: gatherResults([ctx.sleep(5), Deferred()], consumeErrors=True),
            lambda ctx: gatherResults(
                [ctx.stream_writer(lambda w: None, 1), Deferred()], consumeErrors=True
            ),
        )
        for wait in waits:
            cleaning: Deferred[None] = Deferred()

            async def handler(
                ctx: Context, wait: Any = wait, cleaning: Deferred[None] = cleaning
            ) -> None:
                self.context = ctx
                try:
                    await wait(ctx)
                finally:
                    await cleaning

            client = self.get(handler)
            self.context.abort("kicked")
            client.clock.advance(0)
            self.assertFalse(cleaning.called)
            cleaning.callback(None)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_an_error_in_a_part_of_a_handler_does_not_notify_the_whole(self) -> None:
        async def produces(ctx: Context) -> None:
            ctx.write("x")
            await ctx.flush()

        async def waits() -> None:
            await pending

        async def handler(ctx: Context) -> None:
            parts = [Deferred.fromCoroutine(produces(ctx)), Deferred.fromCoroutine(waits())]
            await DeferredList(parts, consumeErrors=True)

        pending: Deferred[None] = Deferred()
        self.answer(handler, "HEAD")
        self.assertTrue(pending.called)

    def test_a_generator_that_gathers_waits_ends_without_a_log_entry(self) -> None:
        async def handler(ctx: Context) -> AsyncIterator[str]:
            yield "x"
            await gatherResults([ctx.sleep(5), Deferred()], consumeErrors=True)

        client = self.get(handler)
        client.clock.advance(0)
        client.disconnect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_being_cut_counts_as_a_disconnect(self) -> None:
        called: list[Any] = []

        async def handler(ctx: Context) -> None:
            ctx.on_connection_close(lambda c: called.append(c.err))
            await ctx.flush()
            ctx.write("x")
            await ctx.sleep(1)
            await ctx.flush()

        client = self.get(handler, send_timeout=5.0)
        client.pause()
        client.clock.pump([1] * 8)
        self.assertEqual([type(err) for err in called], [SendTimeout])

    def test_the_traceback_of_err_is_dropped(self) -> None:
        async def handler(ctx: Context) -> None:
            self.context = ctx
            await ctx.sleep(1)

        self.get(handler).disconnect()
        assert self.context.err is not None
        self.assertIsNone(self.context.err.__traceback__)


class ImportTests(SynchronousTestCase):
    """
    The library leaves the choice of a reactor to the program.
    """

    def test_importing_installs_no_reactor(self) -> None:
        import subprocess
        import sys

        code = "import sys, twistream; sys.exit('twisted.internet.reactor' in sys.modules)"
        self.assertEqual(subprocess.run([sys.executable, "-c", code], check=False).returncode, 0)

    def test_importing_loads_no_client(self) -> None:
        import subprocess
        import sys

        names = "'treq', 'twistream.client', 'brotli', 'zstandard'"
        code = f"import sys, twistream; sys.exit(not sys.modules.keys().isdisjoint([{names}]))"
        self.assertEqual(subprocess.run([sys.executable, "-c", code], check=False).returncode, 0)

    def test_importing_the_client_installs_no_reactor_and_loads_no_treq(self) -> None:
        import subprocess
        import sys

        names = "'treq', 'twisted.internet.reactor'"
        code = (
            f"import sys, twistream.client; sys.exit(not sys.modules.keys().isdisjoint([{names}]))"
        )
        self.assertEqual(subprocess.run([sys.executable, "-c", code], check=False).returncode, 0)
