"""
Wrong arguments: each is refused at the call, by an error that names it, and nothing has changed.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import partial
from io import BytesIO, StringIO
from math import inf, nan
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.protocols.basic import FileSender
from twisted.python.threadpool import ThreadPool
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from tests.harness import StreamTest
from tests.server.upstream import Upstream
from twistream import (
    Channel,
    Compression,
    Context,
    EventDecoder,
    EventStream,
    HTTPError,
    Hub,
    MemoryEngine,
    ServerSentEvent,
    StreamResource,
)
from twistream.client import EventSource, iter_bytes, iter_events, iter_json, iter_lines

HUGE = 10**5000
"""
Python does not even print it.
"""

NOTHING = object()
NO_TEXT = (5, 1.5, True, b"text", ["text"], NOTHING)
NO_CALLABLE = (None, 5, "text", NOTHING)
NO_COUNT = ("1", b"1", 1.5, 1.0, nan, True, NOTHING, [1], -1, -HUGE)
NO_SECONDS = ("1", b"1", True, NOTHING, [1], 1j, -1, -0.1, nan, inf, HUGE, -HUGE)
NO_PATHS = ("", "/", "a/", "/a", "a//b", "a\nb", "\0", "\x85", "a" * 256, "/".join("a" * 33))
NO_CLOCK = (5, "text", True, NOTHING, Clock)
NO_OPEN: tuple[object, ...] = (None, 5, True, "first", b"at_once", [])
NO_POOL = (5, "text", NOTHING, ThreadPool)
NO_CHANNELS = (None, 5, "news", NOTHING, Channel)

RESPONSE = Upstream().response

Rows = list[tuple[str, Callable[[Any], object], str, Iterable[object]]]
"""
What is called, the call with one argument, what its error says, and the wrong values.
"""


def handler(ctx: Context) -> None:
    pass


def generator(*_: object) -> Iterator[None]:
    yield


async def async_generator(*_: object) -> AsyncIterator[None]:
    yield


async def coroutine(*_: object) -> None:
    pass


class Generator:
    """
    An object that makes a generator when it is called.
    """

    def __call__(self, *_: object) -> Iterator[None]:
        yield


NO_CALLBACK = (*NO_CALLABLE, generator, async_generator, Generator())
"""
A call of the last three runs nothing.
"""


class ArgumentTest(StreamTest):
    """
    The base: one row for each argument.
    """

    def check(self, rows: Rows, unchanged: Callable[[], object] = lambda: None) -> None:
        before = unchanged()
        for name, call, says, values in rows:
            for value in values:
                shown = f"{name} with a {type(value).__name__}"
                try:
                    call(value)
                except (TypeError, ValueError) as err:
                    self.assertRegex(str(err), says, shown)
                    self.assertEqual(unchanged(), before, shown)
                else:
                    self.fail(f"{shown} is accepted")


class Unread:
    """
    A response that must not be read.
    """

    headers = Headers()

    def deliverBody(self, _: object) -> None:
        raise AssertionError("the body is read")


class ClientTests(ArgumentTest, SynchronousTestCase):
    """
    What reads a response, and what makes requests.
    """

    def call_with(self, make: Any, response: Any, name: str, value: object) -> object:
        return make(response, **{name: value})

    def test_iterators(self) -> None:
        response: Any = Unread()
        no_responses = (None, 5, "text", b"body", NOTHING, Unread)
        makers: dict[Any, tuple[str, ...]] = {
            iter_bytes: ("max_buffered",),
            iter_lines: ("max_buffered", "max_line"),
            iter_json: ("max_buffered", "max_item"),
            iter_events: ("max_buffered", "max_line", "max_event"),
        }
        for make, limits in makers.items():
            wrong: dict[str, Iterable[object]] = {
                **dict.fromkeys(limits, (*NO_COUNT, None)),
                "idle_timeout": (*NO_SECONDS, 0),
                "allow_close_delimited": (None, 1, "yes"),
                "clock": NO_CLOCK,
            }
            for name, values in wrong.items():
                call = partial(self.call_with, make, response, name)
                self.check([(name, call, f"^{name} must be", values)])
            self.check([("response", make, "^response must be", no_responses)])
        self.check(
            [
                (
                    "format",
                    lambda v: iter_json(response, format=v),
                    "^format must be",
                    (5, True, "json", b"lines", NOTHING, ["lines"]),
                ),
                (
                    "last_event_id",
                    lambda v: iter_events(response, last_event_id=v),
                    "^last_event_id must be",
                    (None, *NO_TEXT),
                ),
            ]
        )

    def test_event_sources(self) -> None:
        def make(**options: Any) -> object:
            return EventSource("http://test/", **options)

        no_urls = (
            None,
            *NO_TEXT,
            "",
            "test",
            "/path",
            "ftp://test/",
            "http://",
            "http://[",
            "http://a:b/",
        )
        rows: Rows = [
            ("url", EventSource, "^url must be", no_urls),
            (
                "method",
                lambda v: make(method=v),
                "^method must be",
                (None, *NO_TEXT, "", "a b", "\n"),
            ),
            (
                "headers",
                lambda v: make(headers=v),
                "^headers must",
                (5, "a: b", [("a", "b")], {"a": 5}, {5: "a"}, {"a": [5]}),
            ),
            ("data", lambda v: make(data=v), "^data must be", (5, True, ["a"], NOTHING)),
            ("data", lambda v: make(data=v, json=1), "^data and json", ("", b"a", {})),
            ("client", lambda v: make(client=v), "^client must", (5, "treq", NOTHING)),
            ("agent", lambda v: make(agent=v), "^agent must", (5, "treq", NOTHING)),
            (
                "last_event_id",
                lambda v: make(last_event_id=v),
                "^last_event_id must",
                (*NO_TEXT, "a\n", "\0"),
            ),
            ("retry", lambda v: make(retry=v), "^retry must be", (*NO_SECONDS, None)),
            ("max_delay", lambda v: make(max_delay=v), "^max_delay must be", (*NO_SECONDS, None)),
            (
                "retry_statuses",
                lambda v: make(retry_statuses=v),
                "^retry_statuses must be",
                (None, 502, "502", b"a", ["502"], [200], [600], [True]),
            ),
            (
                "head_timeout",
                lambda v: make(head_timeout=v),
                "^head_timeout must be",
                (*NO_SECONDS, 0),
            ),
            (
                "idle_timeout",
                lambda v: make(idle_timeout=v),
                "^idle_timeout must be",
                (*NO_SECONDS, 0),
            ),
            ("max_line", lambda v: make(max_line=v), "^max_line must be", (*NO_COUNT, None)),
            ("max_event", lambda v: make(max_event=v), "^max_event must be", (*NO_COUNT, None)),
            (
                "max_buffered",
                lambda v: make(max_buffered=v),
                "^max_buffered must be",
                (*NO_COUNT, None),
            ),
            ("reactor", lambda v: make(reactor=v), "^reactor must be", NO_CLOCK),
            ("random", lambda v: make(random=v), "^random must", (5, "a", NOTHING)),
        ]
        self.check(rows)


def compressions(call: Callable[..., object]) -> Rows:
    """
    The arguments of `Compression` and ``Context.compress``.
    """
    no_size = ("1", b"1", 1.5, nan, True, NOTHING, [1], -1, 0.0, 99, HUGE, -HUGE)
    no_sizes = ({"gzip": None}, {"gzip": "1"}, {"gzip": 99}, {"a": 1}, {b"gzip": 1}, {5: 9})
    return [
        ("codings", lambda v: call(codings=v), "^codings", (5, True, "gzip", b"gzip", NOTHING)),
        ("codings", lambda v: call(codings=v), "^codings", ([5], [None], ["a"], ["GZIP"], [[]])),
        ("codings", lambda v: call(codings=v), "^codings", (["identity"], ["*"], [b"gzip"])),
        ("level", lambda v: call(level=v), "^level (must be|is for)", (*no_size, *no_sizes)),
        ("window", lambda v: call(window=v), "^window (must be|is for)", (*no_size, *no_sizes)),
        (
            "level",
            lambda v: call(codings=["br"], level=v),
            "^level (must be from 0 to 11 for br|must be for br, not for 'gzip')",
            (-1, 12, {"gzip": 1}),
        ),
        (
            "window",
            lambda v: call(codings=["zstd"], window=v),
            "^window must be from 10 to 23 for zstd",
            (9, 24, {"zstd": 24}),
        ),
    ]


class ProgramTests(ArgumentTest, SynchronousTestCase):
    """
    What a program makes when it starts.
    """

    def test_resources(self) -> None:
        def make(**options: Any) -> object:
            return StreamResource(handler, **options)

        self.check(
            [
                ("handler", StreamResource, "^handler must be callable", NO_CALLABLE),
                ("methods", lambda v: make(methods=v), "method", (5, True, "GET", b"GET", NOTHING)),
                ("methods", lambda v: make(methods=[v]), "method", (5, None, NOTHING, "", "a b")),
                ("methods", lambda v: make(methods=v), "method", ((), ["\ud800"])),
                (
                    "on_disconnect",
                    lambda v: make(on_disconnect=v),
                    "^on_disconnect must be",
                    (None, 5, True, "stop", [], NOTHING),
                ),
                (
                    "send_timeout",
                    lambda v: make(send_timeout=v),
                    "^send_timeout must be",
                    (*NO_SECONDS, None, 0),
                ),
                (
                    "max_buffered",
                    lambda v: make(max_buffered=v),
                    "^max_buffered must be",
                    (*NO_COUNT, None, "1M", 0),
                ),
                (
                    "trailers",
                    lambda v: make(trailers=v),
                    "^trailers must be",
                    (None, 5, True, "never", b"always", [], NOTHING),
                ),
                ("clock", lambda v: make(clock=v), "^clock must be", NO_CLOCK),
                (
                    "compress",
                    lambda v: make(compress=v),
                    "^compress must be",
                    (None, 0, 1, "gzip", ("gzip",), {}, NOTHING, Compression),
                ),
                *compressions(Compression),
                ("in_thread", lambda v: make(in_thread=v), "^in_thread must be", NO_POOL),
                (
                    "handler",
                    lambda v: StreamResource(v, in_thread=True),
                    "^with in_thread, handler must be",
                    (coroutine, async_generator, partial(async_generator)),
                ),
            ]
        )

    def test_hubs_and_channels(self) -> None:
        hub = Hub(clock=Clock())
        news = hub.channel("news", history=9)
        wrong_names = (None, *NO_TEXT)

        def channel(**limits: Any) -> object:
            return hub.channel("other", **limits)

        self.check(
            [
                ("engine", Hub, "^engine must be", (5, 0, "", "memory", NOTHING, MemoryEngine)),
                ("clock", lambda v: Hub(clock=v), "^clock must be", NO_CLOCK),
                ("name", hub.channel, "^name", (*wrong_names, "", "\ud800")),
                ("name", hub.get, "^name must", wrong_names),
                ("history", lambda v: channel(history=v), "^history must", NO_COUNT),
                (
                    "history_ttl",
                    lambda v: channel(history=1, history_ttl=v),
                    "^history_ttl must",
                    (*NO_SECONDS, 0),
                ),
                (
                    "history_bytes",
                    lambda v: channel(history=1, history_bytes=v),
                    "^history_bytes must",
                    NO_COUNT,
                ),
                ("linger", lambda v: channel(linger=v), "^linger must", (*NO_SECONDS, 0)),
                ("name", lambda v: hub.publish(v, "a"), "^name must", wrong_names),
                (
                    "data",
                    lambda v: hub.publish("none", v),
                    "message|JSON|^data",
                    (b"a", NOTHING, nan, "\ud800"),
                ),
                ("event", lambda v: hub.publish("none", "a", v), "event", ("a\nb", "gap")),
                ("data", news.publish, "message|JSON|^data", (b"a", NOTHING, nan, "\ud800")),
                ("event", lambda v: news.publish("a", v), "^event", (*NO_TEXT, "\ud800")),
                ("event", lambda v: news.publish("a", v), "event", ("a\nb", "gap")),
                ("topic", lambda v: news.publish("a", topic=v), "^topic", (*NO_TEXT, "\ud800")),
                ("topic", lambda v: news.publish("a", topic=v), "^topic", NO_PATHS),
                ("topic", lambda v: news.publish("a", topic=v), "^topic", ("*", "a/#")),
                ("topic", lambda v: hub.publish("none", "a", topic=v), "^topic", (5, "*")),
                ("callback", news.on_presence, "^callback must", NO_CALLBACK),
            ],
            lambda: (hub.channels, news.published, news.statistics()),
        )

    def test_hubs_and_runs(self) -> None:
        hub = Hub(clock=Clock())
        run = hub.run("work", lambda run: Deferred())
        wrong_names = (None, *NO_TEXT)

        def start(**options: Any) -> object:
            return hub.run("other", repr, **options)

        self.check(
            [
                ("name", lambda v: hub.run(v, repr), "^name", (*wrong_names, "", "\ud800")),
                ("name", hub.get_run, "^name must", wrong_names),
                ("producer", lambda v: hub.run("a", v), "^producer must", NO_CALLABLE),
                # It is refused even if there is a run, which would be joined.
                ("producer", lambda v: hub.run("work", v), "^producer must", NO_CALLABLE),
                ("ttl", lambda v: start(ttl=v), "^ttl must", (*NO_SECONDS, None)),
                ("history", lambda v: start(history=v), "^history must", (*NO_COUNT, None, 0)),
                (
                    "history_bytes",
                    lambda v: start(history_bytes=v),
                    "^history_bytes must",
                    (*NO_COUNT, 0),
                ),
                (
                    "history_ttl",
                    lambda v: start(history_ttl=v),
                    "^history_ttl must",
                    (*NO_SECONDS, 0),
                ),
                (
                    "idle_timeout",
                    lambda v: start(idle_timeout=v),
                    "^idle_timeout must",
                    (*NO_SECONDS, 0),
                ),
                ("on_full", lambda v: start(on_full=v), "^on_full must", (None, 5, "drop", [])),
                ("grace", lambda v: start(grace=v), "^grace must", (*NO_SECONDS, None)),
                ("data", run.publish, "message|JSON|^data", (b"a", NOTHING, nan, "\ud800")),
                ("event", lambda v: run.publish("a", v), "^event", (*NO_TEXT, "\ud800")),
                ("event", lambda v: run.publish("a", v), "event", ("a\nb", "gap", "end")),
                ("reason", run.stop, "^reason", (None, *NO_TEXT, "\ud800")),
            ],
            lambda: (dict(hub.runs), run.state, run.published),
        )

    def test_events_and_decoders(self) -> None:
        decoder = EventDecoder()
        retries = ("1", 1.5, nan, True, NOTHING, -1, HUGE, -HUGE)
        self.check(
            [
                ("max_line", lambda v: EventDecoder(max_line=v), "^max_line must", NO_COUNT),
                ("max_line", lambda v: EventDecoder(max_line=v), "^max_line must", (None,)),
                ("max_event", lambda v: EventDecoder(max_event=v), "^max_event must", NO_COUNT),
                ("max_event", lambda v: EventDecoder(max_event=v), "^max_event must", (None,)),
                ("feed", decoder.feed, "^data must", ("text", None, 5, [1], NOTHING)),
                ("data", ServerSentEvent, "^data must", NO_TEXT),
                ("event", lambda v: ServerSentEvent("a", event=v), "^event must", NO_TEXT),
                ("id", lambda v: ServerSentEvent("a", id=v), "^id must", NO_TEXT),
                ("comment", lambda v: ServerSentEvent(comment=v), "^comment must", NO_TEXT),
                ("retry_ms", lambda v: ServerSentEvent(retry_ms=v), "^retry_ms must", retries),
                ("status", HTTPError, "^status must", (None, "404", 40.4, 399, 600, NOTHING)),
            ],
            lambda: (decoder.feed(b""), decoder.finish(), decoder.last_event_id),
        )


class ResponseTests(ArgumentTest):
    """
    What a handler calls.
    """

    def inside(self, rows: Callable[[Context], Rows]) -> None:
        """
        Check rows in a handler, and that it can answer as if nothing had happened.
        """

        def answer(ctx: Context) -> str:
            headers = ctx.request.responseHeaders
            self.check(rows(ctx), lambda: (repr(ctx), sorted(headers.getAllRawHeaders()), ctx.err))
            return "fine"

        response = self.answer(answer)
        self.assert_complete(response, b"fine")
        self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")

    def test_the_head_and_the_body(self) -> None:
        def rows(ctx: Context) -> Rows:
            no_item = (None, 5, 1.5, True, [b"a"], NOTHING)
            no_field = (None, 5, True, ["a"], bytearray(b"a"), NOTHING, "\ud800", "a\nb")
            no_trailer = (*no_field, "", "Set-Cookie")
            no_cookie = (5, True, b"a", ["a"], NOTHING, "a;b")
            return [
                ("name", lambda v: ctx.header(v, "a"), "header name", (*no_field, "")),
                ("value", lambda v: ctx.header("A", v), "header value", no_field),
                ("name", lambda v: ctx.add_header(v, "a"), "header name", no_field),
                ("value", lambda v: ctx.add_header("A", v), "header value", no_field),
                ("type", ctx.content_type, "media type|header value", (*NO_TEXT, None, "text")),
                ("type", ctx.content_type, "header value", ("text/a;b=\ud800", "text/a;\r")),
                ("code", ctx.status_code, "status code", (*NO_COUNT, None, 199, 600)),
                ("name", lambda v: ctx.cookie(v, "a"), "cookie name", (5, None, "", "a b")),
                ("value", lambda v: ctx.cookie("a", v), "value of a cookie", no_cookie),
                (
                    "max_age",
                    lambda v: ctx.cookie("a", "b", max_age=v),
                    "^max_age must",
                    ("1", 1.5, nan, True, NOTHING, HUGE, -HUGE),
                ),
                ("path", lambda v: ctx.cookie("a", "b", path=v), "^path must", no_cookie),
                ("domain", lambda v: ctx.cookie("a", "b", domain=v), "^domain must", no_cookie),
                (
                    "same_site",
                    lambda v: ctx.cookie("a", "b", same_site=v),
                    "^same_site must",
                    (5, True, "Laxest", [], NOTHING),
                ),
                ("name", ctx.query, "name of a query parameter must", (*NO_TEXT, None)),
                ("name", ctx.queries, "name of a query parameter must", (*NO_TEXT, None)),
                ("name", lambda v: ctx.trailer(v, "a"), "trailer name|Set-Cookie", no_trailer),
                ("value", lambda v: ctx.trailer("A", v), "header value", no_field),
                ("name", lambda v: ctx.add_trailer(v, "a"), "trailer name|Set-Cookie", no_trailer),
                ("value", lambda v: ctx.add_trailer("A", v), "header value", no_field),
                (
                    "names",
                    lambda v: ctx.declare_trailers("A", v),
                    "trailer name|Set-Cookie",
                    no_trailer,
                ),
                (
                    "algorithm",
                    ctx.content_digest,
                    "^algorithm must be",
                    ("md5", "SHA-256", "", 5, True, b"sha-256", [], NOTHING),
                ),
                ("write", ctx.write, r"write\(\) takes", no_item),
                ("writef", ctx.writef, r"write\(\) takes", no_item),
                ("text", ctx.text, "^text must", (*NO_TEXT, None)),
                ("html", ctx.html, "^text must", (*NO_TEXT, None)),
                ("binary", ctx.binary, r"binary\(\) takes", (*no_item, "text")),
                ("json", ctx.json, "JSON", (NOTHING, nan, [inf], "\ud800")),
                ("json_line", ctx.json_line, "JSON|message", (NOTHING, nan, b"a")),
                ("xml", ctx.xml, "XML", (NOTHING, "\0", [NOTHING], {"a b": 1}, HUGE)),
                ("root", lambda v: ctx.xml(1, root=v), "^root must", (*NO_TEXT, "", "a b", "1")),
                ("yaml", ctx.yaml, "YAML", (NOTHING, "\ud800", [NOTHING], HUGE)),
                ("msgpack", ctx.msgpack, "MessagePack", (NOTHING, "\ud800", [NOTHING], 2**64)),
                ("callback", lambda v: ctx.jsonp(v, 1), "^callback must", NO_TEXT),
                ("value", lambda v: ctx.jsonp("f", v), "JSON", (NOTHING, nan, "\ud800")),
                ("markdown", ctx.markdown, "^text must", (*NO_TEXT, None)),
                ("status", ctx.problem, "^status must", (*NO_COUNT, None, 399, 600)),
                *(
                    (name, lambda v, name=name: ctx.problem(404, **{name: v}), f"^{name} must", bad)
                    for name, bad in (
                        ("detail", NO_TEXT),
                        ("title", NO_TEXT),
                        ("type", (*NO_TEXT, "a b")),
                        ("instance", (*NO_TEXT, "a b")),
                        ("extensions", (5, "text", ["a"], NOTHING, {5: 1}, {"status": 1})),
                    )
                ),
                *compressions(ctx.compress),
            ]

        self.inside(rows)

    def test_loops_and_waits(self) -> None:
        def rows(ctx: Context) -> Rows:
            return [
                ("writer", ctx.stream_writer, "^writer must", NO_CALLABLE),
                (
                    "interval",
                    lambda v: ctx.stream_writer(lambda ctx: None, v),
                    "^interval must",
                    NO_SECONDS,
                ),
                ("items", ctx.stream, r"stream\(\) takes", (None, 5, "text", b"text", NOTHING)),
                (
                    "source",
                    ctx.pipe,
                    r"pipe\(\) takes",
                    (None, 5, True, "text", b"text", NOTHING, BytesIO, generator, Deferred()),
                ),
                ("source", ctx.pipe, "open it with 'rb'", (StringIO(),)),
                (
                    "copy_headers",
                    lambda v: ctx.pipe(RESPONSE, copy_headers=v),
                    "^copy_headers must",
                    (None, 5, "ETag", [5], [b"ETag"], NOTHING),
                ),
                (
                    "copy_headers",
                    lambda v: ctx.pipe([b"a"], copy_headers=v),
                    "^copy_headers is for responses",
                    (["ETag"],),
                ),
                (
                    "allow_close_delimited",
                    lambda v: ctx.pipe([b"a"], allow_close_delimited=v),
                    "^allow_close_delimited is for responses",
                    (True,),
                ),
                (
                    "producer",
                    lambda v: ctx.registerProducer(v, False),
                    r"^registerProducer\(\) takes",
                    (None, 5, NOTHING, FileSender),
                ),
                (
                    "items",
                    ctx.stream_blocking,
                    r"stream_blocking\(\) takes",
                    (None, 5, "text", b"text", NOTHING, coroutine, async_generator),
                ),
                (
                    "items",
                    ctx.stream_blocking,
                    r"use ctx.stream\(\)",
                    (coroutine, async_generator, async_generator()),
                ),
                (
                    "ahead",
                    lambda v: ctx.stream_blocking([], ahead=v),
                    "^ahead must",
                    (*NO_COUNT, None),
                ),
                (
                    "pool",
                    lambda v: ctx.stream_blocking([], pool=v),
                    "^pool must be",
                    NO_POOL,
                ),
                ("seconds", ctx.sleep, "^seconds must", (*NO_SECONDS, None)),
                ("callback", ctx.on_close, "^callback must", NO_CALLBACK),
                ("callback", ctx.on_connection_close, "^callback must", NO_CALLBACK),
            ]

        self.inside(rows)

    def test_streams_of_events(self) -> None:
        def rows(ctx: Context) -> Rows:
            news = Hub(clock=Clock()).channel("news")
            no_origin = (5, 0, True, b"*", [5], ["example.org"], "example.org", NOTHING)
            return [
                ("ping", ctx.sse, "^ping must", (*NO_SECONDS, 1e-9)),
                ("retry", lambda v: ctx.sse(retry=v), "^retry must", NO_SECONDS),
                ("allow_origin", lambda v: ctx.sse(allow_origin=v), "origin", no_origin),
                ("open", lambda v: ctx.sse(open=v), "^open must", NO_OPEN),
                ("open", lambda v: ctx.subscribe(news, open=v), "^open must", NO_OPEN),
                *self.subscriptions(ctx),
            ]

        self.inside(rows)

    def test_streams_of_values(self) -> None:
        def rows(ctx: Context) -> Rows:
            return [
                ("header", ctx.csv, "^header must", (5, True, "text", NOTHING, [], {"a": 1})),
                ("header", ctx.csv, "decode it", ([b"a"],)),
                ("delimiter", lambda v: ctx.csv(delimiter=v), "delimiter", (5, "", "ab", NOTHING)),
                ("dialect", lambda v: ctx.csv(dialect=v), "dialect", ("unheard-of",)),
                ("options", lambda v: ctx.csv(None, **{v: 1}), "colour", ("colour",)),
                (
                    "content_type",
                    ctx.multipart,
                    "content_type must|media type|header value",
                    (*NO_TEXT, "", "text", "a/b;\r"),
                ),
                (
                    "subtype",
                    lambda v: ctx.multipart(subtype=v),
                    "subtype must",
                    (*NO_TEXT, None, "", "a b", "a/b"),
                ),
            ]

        self.inside(rows)

    def test_values_of_streams(self) -> None:
        def answer(open_: Callable[[Context], Any], rows: Callable[[Any], Rows]) -> bytes:
            def handler(ctx: Context) -> None:
                stream = open_(ctx)
                self.check(rows(stream), lambda: (repr(ctx), ctx.err))

            return self.answer(handler).body

        no_items = (None, 5, "text", b"text", NOTHING)
        no_json = (NOTHING, nan, b"a", "\ud800")
        no_row = (None, 5, "text", b"text", NOTHING, {"a": 1}, [b"a"], ["\ud800"])
        no_msgpack = (NOTHING, 2**64, "\ud800")
        for open_, says, wrong, body in (
            (lambda ctx: ctx.json_array(), "JSON|message", no_json, b"[]"),
            (lambda ctx: ctx.json_seq(), "JSON|message", no_json, b""),
            (lambda ctx: ctx.msgpack_stream(), "MessagePack", no_msgpack, b""),
            (lambda ctx: ctx.csv(), "a row|a field", no_row, b""),
        ):

            def rows(stream: Any, says: str = says, wrong: Any = wrong) -> Rows:
                return [
                    ("value", stream.send, says, wrong),
                    ("values", stream.send_all, r"send_all\(\) takes", no_items),
                ]

            self.assertEqual(answer(open_, rows), body)

        def parts(stream: Any) -> Rows:
            no_header = ({"a b": "c"}, {"a": "b\n"}, {"a": 5}, {"Content-Type": "a/b"})
            return [
                ("data", stream.send, "^data", (None, 5, True, ["a"], NOTHING, "\ud800")),
                (
                    "content_type",
                    lambda v: stream.send("a", content_type=v),
                    "content_type must|media type|header value",
                    (*NO_TEXT, "", "a/b;\r"),
                ),
                (
                    "headers",
                    lambda v: stream.send("a", headers=v),
                    "header",
                    (5, "text", ["a"], NOTHING, *no_header),
                ),
                ("parts", stream.send_all, r"send_all\(\) takes", no_items),
            ]

        self.assertEqual(answer(lambda ctx: ctx.multipart(), parts)[-4:], b"--\r\n")

    def test_events_and_their_subscriptions(self) -> None:
        def answer(ctx: Context) -> None:
            events = ctx.sse(ping=None)
            rows: Rows = [
                ("data", events.send, "JSON|message|^data", (NOTHING, nan, b"a", "\ud800")),
                (
                    "event",
                    lambda v: events.send("a", event=v),
                    "^event",
                    (*NO_TEXT, "a\n", "\ud800"),
                ),
                ("id", lambda v: events.send("a", id=v), "^id", (*NO_TEXT, "a\n", "\ud800")),
                ("retry", lambda v: events.send("a", retry=v), "^retry must", NO_SECONDS),
                (
                    "text",
                    events.comment,
                    "comment must|^comment cannot",
                    (*NO_TEXT, None, "\ud800"),
                ),
                *self.subscriptions(events),
            ]
            self.check(rows, lambda: repr(ctx))
            events.send("fine")

        self.assertEqual(self.answer(answer).body, b"data: fine\n\n")

    def test_origins_may_come_from_an_iterator(self) -> None:
        def answer(ctx: Context) -> None:
            ctx.sse(allow_origin=iter(["https://example.org"]))  # type: ignore[arg-type]  # works

        response = self.answer(answer, headers={"Origin": "https://example.org"})
        self.assertEqual(response.header("Access-Control-Allow-Origin"), "https://example.org")

    def subscriptions(self, stream: Context | EventStream) -> Rows:
        news = Hub(clock=Clock()).channel("news", history=9)

        def subscribe(**options: Any) -> object:
            try:
                return stream.subscribe(news, **options)
            finally:
                self.assertEqual(news.subscriber_count, 0)

        return [
            ("channels", stream.subscribe, r"subscribe\(\) takes", NO_CHANNELS),
            (
                "after",
                lambda v: subscribe(after=v),
                "^after",
                (5, True, b"a", {"a"}, [5], "\ud800"),
            ),
            ("filter", lambda v: subscribe(filter=v), "^filter must", NO_CALLABLE[1:]),
            (
                "topics",
                lambda v: subscribe(topics=v),
                "^topics",
                (5, True, "a", b"a", NOTHING, *([each] for each in (*NO_TEXT, "\ud800"))),
            ),
            (
                "topics",
                lambda v: subscribe(topics=[v]),
                "^topics",
                (*NO_PATHS, "a*", "#/a", "a#", "**"),
            ),
            ("topics", lambda v: subscribe(topics=v), "1,000", ([str(n) for n in range(1_001)],)),
            ("may_see", lambda v: subscribe(may_see=v), "^may_see must", NO_CALLBACK[1:]),
            ("may_see", lambda v: subscribe(may_see=v), "^may_see must", (coroutine,)),
            ("on_slow", lambda v: subscribe(on_slow=v), "^on_slow must", (5, True, "a", [])),
            (
                "max_queued",
                lambda v: subscribe(max_queued=v),
                "^max_queued must",
                (*NO_COUNT, None, 0),
            ),
        ]
