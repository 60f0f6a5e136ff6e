"""
``StreamResource(handler, in_thread=True)``: handlers that block.
"""

import csv
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from threading import Event, current_thread
from typing import Any

from tests.decoders import decoded
from tests.harness import Client, SteppedPool, ThreadTest, end
from tests.server.producers import Push
from twistream import (
    BufferOverflow,
    ClientDisconnected,
    Context,
    HeadersSent,
    HTTPError,
    Hub,
    StopStream,
)
from twistream.server.threaded import ThreadContext

variable: ContextVar[str] = ContextVar("variable", default="unset")


class InThreadTest(ThreadTest):
    """
    The base: a pool whose jobs the test runs.
    """

    def serve_in_thread(self, handler: Any, *args: Any, **options: Any) -> Client:
        """
        A client of a handler that runs in a thread. Everything has happened.
        """
        client = self.start(handler, *args, in_thread=True, **options)
        self.settle()
        return client


ANY_TIME = {
    *(
        "binary",
        "clock",
        "close",
        "closed",
        "err",
        "fileno",
        "html",
        "is_cancelled",
        "isatty",
        "json",
    ),
    *("last_event_id", "log", "method", "name", "path", "read", "readable", "request", "seek"),
    *("seekable", "subscription", "tell", "text", "truncate", "writable", "write", "writef"),
    "writelines",
    *("trailer", "add_trailer"),
    *("cookies", "queries", "query"),
    *("jsonp", "markdown", "msgpack", "xml", "yaml"),
}
BEFORE_AN_ITEM = {
    *("add_header", "content_type", "cookie", "header", "status_code"),
    *("compress", "content_digest", "declare_trailers", "problem"),
}
NEVER = {
    *("abort", "done", "flush", "json_line", "on_close", "on_connection_close", "sleep", "sse"),
    *("pipe", "registerProducer", "stream", "stream_blocking", "stream_writer", "subscribe"),
    *("csv", "json_array", "json_seq", "msgpack_stream", "multipart"),
    "unregisterProducer",
}


class FunctionTests(InThreadTest):
    """
    Functions.
    """

    def test_a_function_runs_in_a_thread_and_its_result_is_the_body(self) -> None:
        threads: list[object] = []

        def handler(ctx: Context) -> str:
            threads.append(current_thread())
            return ctx.path

        client = self.start(handler, path="/a", in_thread=True)
        self.assertEqual((threads, client.read_raw()), ([], b""))
        self.settle()
        self.assert_complete(client.receive(), b"/a")
        self.assertNotIn(current_thread(), threads)
        # Complete when the head is sent, like the answer of any function.
        self.assertEqual(client.response.header("Content-Length"), "2")

    def test_what_it_writes_is_the_body(self) -> None:
        def values(ctx: Context) -> None:
            ctx.json({"a": 1})
            ctx.write("\n")

        def table(ctx: Context) -> None:
            csv.writer(ctx).writerow(["a", "b"])

        def formats(ctx: Context) -> None:
            ctx.jsonp("f", 1)
            ctx.markdown("*a*")
            ctx.yaml([1])

        def both(ctx: Context) -> bytes:
            ctx.text("a")
            return b"b"

        for handler, body, kind in (
            (values, b'{"a":1}\n', "application/json"),
            (table, b"a,b\r\n", "text/plain; charset=utf-8"),
            (formats, b"/**/f(1);<p><em>a</em></p>\n- 1\n", "text/javascript; charset=utf-8"),
            (both, b"ab", "text/plain; charset=utf-8"),
            (lambda ctx: ctx.write("ab"), b"ab", "text/plain; charset=utf-8"),
            (lambda ctx: ctx.write("x" * 100_000), b"x" * 100_000, "text/plain; charset=utf-8"),
        ):
            response = self.serve_in_thread(handler).receive()
            self.assert_complete(response, body)
            self.assertEqual(response.header("Content-Type"), kind)

    def test_the_head_is_what_it_sets(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.status_code(201)
            ctx.content_type("text/html")
            ctx.header("X-One", "1")
            ctx.add_header("X-One", "2")
            ctx.cookie("a", "b", path="/")
            return "x"

        for method, body in (("GET", b"x"), ("HEAD", b"")):
            response = self.serve_in_thread(handler, method).receive()
            self.assert_complete(response, body, 201)
            self.assertEqual(response.values("X-One"), ["1", "2"])
            self.assertEqual(response.header("Content-Type"), "text/html; charset=utf-8")
            self.assertEqual(response.header("Set-Cookie"), "a=b; Path=/")
            self.assertEqual(response.header("Content-Length"), "1")

    def test_it_may_answer_with_a_problem(self) -> None:
        response = self.serve_in_thread(lambda ctx: ctx.problem(404, "gone")).receive()
        self.assertEqual(response.header("Content-Type"), "application/problem+json")
        page = b'{"title":"Not Found","status":404,"detail":"gone"}'
        self.assert_complete(response, page, 404)

    def test_it_may_ask_for_compression(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.compress()
            return "again and again, " * 20

        client = self.serve_in_thread(handler, headers={"Accept-Encoding": "gzip"})
        response = client.receive()
        self.assertEqual(response.header("Content-Encoding"), "gzip")
        self.assertEqual(decoded("gzip", response.body).decode(), "again and again, " * 20)

    def test_its_trailers_are_sent(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.declare_trailers("X-Rows")
            ctx.trailer("X-Rows", "2")
            ctx.content_digest("sha-256")
            return "ab"

        client = self.serve_in_thread(handler, headers={"TE": "trailers"})
        response = client.receive()
        self.assert_complete(response, b"ab")
        self.assertIn("sha-256=", response.header("Content-Digest") or str(response.headers))

    def test_it_may_return_an_iterable(self) -> None:
        for result in (["a", b"b"], iter(["a", "b"]), ("a", "b")):
            client = self.serve_in_thread(lambda ctx, result=result: result)
            self.assert_complete(client.receive(), b"ab")
            self.assertEqual(client.response.chunks, [b"a", b"b"])

    def test_a_result_of_another_type_is_an_error(self) -> None:
        async def coroutine() -> None:
            pass

        for make in (int, dict, object, coroutine, lambda: [1]):
            client = self.serve_in_thread(lambda ctx, make=make: make())
            self.assertEqual(client.receive().status, 500)
            (failure,) = self.flushLoggedErrors(TypeError)
            self.assertRegex(str(failure.value), "must (return None, str, bytes|yield str)")

    def test_errors_have_their_pages(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.write("dropped")
            ctx.cookie("kept", "1")
            raise HTTPError(404, "no such row")

        response = self.serve_in_thread(handler).receive()
        self.assert_complete(response, b"404 Not Found\nno such row\n", 404)
        self.assertEqual(response.header("Set-Cookie"), "kept=1")

        def fail(ctx: Context) -> None:
            raise ValueError

        self.assertEqual(self.serve_in_thread(fail).receive().status, 500)
        self.logged(ValueError)

    def test_it_has_the_variables_of_its_request(self) -> None:
        def handler(ctx: Context) -> str:
            before = variable.get()
            variable.set("handler")
            return before

        variable.set("caller")
        self.addCleanup(variable.set, "unset")
        for _ in range(2):
            self.assert_complete(self.serve_in_thread(handler).receive(), b"caller")

    def test_a_pool_can_be_given(self) -> None:
        pool = SteppedPool(1)
        client = self.start(lambda ctx: "x", in_thread=pool)
        self.assertEqual((len(self.pool.jobs), len(pool.jobs)), (0, 1))
        pool.step()
        self.assert_complete(client.receive(), b"x")

    def test_a_pool_that_does_not_run_is_an_error_of_the_server(self) -> None:
        pool = SteppedPool()
        pool.stop()
        self.assertEqual(self.start(lambda ctx: "x", in_thread=pool).receive().status, 500)
        self.logged(RuntimeError)

    def test_for_each_method_it_is_decided_whether_a_thread_may_call_it(self) -> None:
        # A new method either touches nothing that the reactor uses, is made safe in
        # `ThreadContext`, or refuses to be called in a thread. Then it gets a place above.
        decided = ANY_TIME | BEFORE_AN_ITEM | NEVER | {"handler"}
        names = {name for name in dir(ThreadContext) if not name.startswith("_")}
        self.assertEqual(names - decided, set())
        self.assertEqual(decided - names, set())

    def test_in_the_thread_what_acts_on_the_response_is_refused(self) -> None:
        errors: dict[str, str] = {}
        news = Hub(clock=self.clock).channel("news")

        def handler(ctx: Context) -> Iterator[str]:
            yield "a"
            calls: dict[str, Callable[[], object]] = {
                "flush": ctx.flush,
                "json_line": lambda: ctx.json_line(1),
                "stream": lambda: ctx.stream([]),
                "stream_blocking": lambda: ctx.stream_blocking([]),
                "stream_writer": lambda: ctx.stream_writer(print),
                "pipe": lambda: ctx.pipe([]),
                "registerProducer": lambda: ctx.registerProducer(Push(ctx), True),
                "unregisterProducer": ctx.unregisterProducer,
                "sleep": lambda: ctx.sleep(1),
                "done": ctx.done,
                "on_close": lambda: ctx.on_close(print),
                "on_connection_close": lambda: ctx.on_connection_close(print),
                "abort": ctx.abort,
                "sse": ctx.sse,
                "csv": ctx.csv,
                "json_array": ctx.json_array,
                "json_seq": ctx.json_seq,
                "msgpack_stream": ctx.msgpack_stream,
                "multipart": ctx.multipart,
                "subscribe": lambda: ctx.subscribe(news),
            }
            for name, call in calls.items():
                try:
                    call()
                except RuntimeError as err:
                    errors[name] = str(err)
            yield "b"

        self.assert_complete(self.serve_in_thread(handler).receive(), b"ab")
        self.assertEqual(set(errors), NEVER)
        for name, error in errors.items():
            self.assertIn(f"{name}()", error)
            self.assertIn("yield" if name in ("flush", "json_line") else "callFromThread", error)


class GeneratorTests(InThreadTest):
    """
    Generator functions.
    """

    def test_each_item_is_a_chunk_with_what_was_written_before_it(self) -> None:
        def handler(ctx: Context) -> Iterator[str]:
            ctx.header("X-A", "1")
            ctx.write("[")
            yield "1"
            ctx.write(",")
            yield "2"
            ctx.write("]")

        client = self.serve_in_thread(handler)
        self.assert_complete(client.receive(), b"[1,2]")
        self.assertEqual(client.response.chunks, [b"[1", b",2", b"]"])
        self.assertEqual(client.response.header("X-A"), "1")

    def test_an_item_is_sent_while_the_generator_goes_on(self) -> None:
        go_on = Event()

        def handler(ctx: Context) -> Iterator[str]:
            yield "a"
            go_on.wait(60)
            yield "b"

        client = self.start(handler, in_thread=True)
        thread = self.pool.begin()
        while not client.response.body:
            self.clock.wait()
            client.receive()
        self.assertEqual(client.response.body, b"a")
        go_on.set()
        end(thread)
        self.assert_complete(client.receive(), b"ab")

    def test_after_the_first_item_the_head_is_closed(self) -> None:
        errors: list[BaseException] = []

        def handler(ctx: Context) -> Iterator[str]:
            yield "a"
            for call in (
                lambda: ctx.header("A", "b"),
                lambda: ctx.add_header("A", "b"),
                lambda: ctx.status_code(404),
                lambda: ctx.content_type("text/html"),
                lambda: ctx.cookie("a", "b"),
                ctx.compress,
                ctx.content_digest,
                lambda: ctx.declare_trailers("A"),
                lambda: ctx.problem(404),
            ):
                try:
                    call()
                except HeadersSent as err:
                    errors.append(err)
            ctx.json("b")
            ctx.jsonp("c", 1)
            yield ""

        client = self.start(handler, in_thread=True)
        # Although the reactor has sent nothing of it yet.
        end(self.pool.begin())
        self.assertEqual(len(errors), len(BEFORE_AN_ITEM))
        self.settle()
        self.assert_complete(client.receive(), b'a"b"/**/c(1);')
        self.assertEqual(client.response.header("Content-Type"), "text/plain; charset=utf-8")

    def test_an_error_before_the_first_item_has_its_page(self) -> None:
        def handler(ctx: Context) -> Iterator[str]:
            ctx.content_type("text/csv")
            if ctx.method == "GET":
                raise HTTPError(403, "not yours")
            yield "a"

        self.assert_complete(
            self.serve_in_thread(handler).receive(), b"403 Forbidden\nnot yours\n", 403
        )

    def test_a_later_error_aborts(self) -> None:
        def handler(ctx: Context) -> Iterator[str]:
            yield "a"
            raise ValueError

        client = self.serve_in_thread(handler)
        self.assertEqual(client.read_chunks(), [b"a"])
        self.assertNotEqual(client.response.ending.name, "COMPLETE")
        self.logged(ValueError)

    def test_stop_stream_ends_it(self) -> None:
        def handler(ctx: Context) -> Iterator[str]:
            yield "a"
            ctx.write("b")
            raise StopStream

        self.assert_complete(self.serve_in_thread(handler).receive(), b"ab")

    def test_for_head_it_runs_up_to_its_first_item(self) -> None:
        made: list[str] = []

        def handler(ctx: Context) -> Iterator[str]:
            try:
                ctx.status_code(203)
                ctx.content_type("text/csv")
                for item in "abc":
                    made.append(item)
                    yield item
            finally:
                made.append("closed")

        # The thread waits for the reactor, which closes the generator.
        client = self.start(handler, "HEAD", in_thread=True)
        thread = self.pool.begin()
        self.clock.wait()
        end(thread)
        self.assert_complete(client.receive(), b"", 203)
        self.assertEqual(client.response.header("Content-Type"), "text/csv; charset=utf-8")
        self.assertEqual(made, ["a", "closed"])

    def test_for_head_without_an_item_it_answers_like_a_function(self) -> None:
        def handler(ctx: Context) -> Iterator[str]:
            ctx.status_code(404)
            yield from ()

        self.assert_complete(self.serve_in_thread(handler, "HEAD").receive(), b"", 404)

    def test_a_disconnect_is_seen_in_the_thread_and_closes_the_generator(self) -> None:
        seen: list[object] = []
        at_work, go_on = Event(), Event()

        def handler(ctx: Context) -> Iterator[str]:
            try:
                yield "a"
                seen.append(ctx.is_cancelled)
                at_work.set()
                go_on.wait(60)
                seen.append(ctx.is_cancelled)
                seen.append(type(ctx.err))
                yield "b"
            except GeneratorExit:
                seen.append(current_thread())
                raise

        client = self.start(handler, in_thread=True)
        thread = self.pool.begin()
        at_work.wait(60)
        client.receive()
        client.disconnect()
        go_on.set()
        end(thread)
        # It is closed where it would have gone on after "b", in its thread.
        self.assertEqual(seen, [False, True, ClientDisconnected, thread])
        self.settle()

    def test_after_a_disconnect_writes_and_heads_raise_it(self) -> None:
        errors: list[type[BaseException]] = []
        at_work, go_on = Event(), Event()

        def handler(ctx: Context) -> None:
            at_work.set()
            go_on.wait(60)
            for call in (lambda: ctx.write("a"), lambda: ctx.header("A", "b"), lambda: ctx.json(1)):
                try:
                    call()
                except ClientDisconnected as err:
                    errors.append(type(err))
            ctx.write("b")

        client = self.start(handler, in_thread=True)
        thread = self.pool.begin()
        at_work.wait(60)
        client.disconnect()
        go_on.set()
        end(thread)
        self.settle()
        self.assertEqual(errors, [ClientDisconnected] * 3)

    def test_what_is_written_without_a_yield_has_a_bound(self) -> None:
        def handler(ctx: Context) -> Iterator[str]:
            for _ in range(3):
                ctx.write("x" * 60)
                yield ""
            ctx.write("x" * 60)
            ctx.write("x" * 60)
            ctx.write("x" * 60)

        client = self.serve_in_thread(handler, max_buffered=100)
        for _ in range(9):
            client.clock.advance(0.1)
        self.assertEqual(client.read(), b"x" * 180)
        self.logged(BufferOverflow)
