"""
HTTP/2: the same handlers, as DATA frames.
"""

from base64 import b64encode
from hashlib import sha256
from inspect import isawaitable
from io import BytesIO
from typing import Any

from h2.errors import ErrorCodes
from h2.exceptions import ProtocolError
from pytest_twisted import ensureDeferred
from twisted.internet.defer import CancelledError, Deferred
from twisted.protocols.basic import FileSender

from tests.e2e.conftest import Log
from tests.e2e.h2client import H2Client
from tests.e2e.net import eventually, pause, serving
from tests.server.kinds import EVERY, FRAMING
from twistream import (
    ClientDisconnected,
    Context,
    EventDecoder,
    HeadersSent,
    HTTPError,
    Hub,
    SendTimeout,
    StreamAborted,
)


def by_path(**handlers: Any) -> Any:
    """
    A handler that leaves each request to the one that its path names.
    """
    return lambda ctx: handlers[ctx.path[1:]](ctx)


@ensureDeferred
async def test_each_flush_is_a_data_frame_at_once() -> None:
    async def handler(ctx: Context) -> None:
        ctx.header("Transfer-Encoding", "chunked")
        ctx.header("Connection", "close")
        for word in ("one", "two", "three"):
            ctx.write(word)
            await ctx.flush()
            await go_on.pop()
        ctx.write("end")

    go_on: list[Deferred[None]] = [Deferred() for _ in range(3)]
    gates = go_on[::-1]
    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server)
        stream = client.request()
        for number, gate in enumerate(gates, start=1):
            await client.client.until(lambda: len(stream.frames) == number)  # noqa: B023 - awaited in its round
            assert not stream.over
            gate.callback(None)
        await client.over(stream)
        assert stream.frames == [b"one", b"two", b"three", b"end"]
        assert stream.ended
        assert stream.head[":status"] == "200"
        assert not {"transfer-encoding", "connection", "keep-alive"} & set(stream.head)
        assert not client.gone


@ensureDeferred
async def test_head_has_the_fields_of_get() -> None:
    async with serving(by_path(**EVERY), tls=True) as server:
        client = await H2Client.connect(server)
        for name in EVERY:
            found = []
            for method in ("GET", "HEAD"):
                stream = client.request(f"/{name}", method)
                await client.client.until(lambda: bool(stream.head))  # noqa: B023 - awaited in its round
                found.append({k: v for k, v in stream.head.items() if k not in FRAMING})
            await client.over(stream)
            assert found[0] == found[1], name
            assert stream.frames == []


@ensureDeferred
async def test_the_request_refuses_changes_of_a_head_that_was_sent() -> None:
    async def handler(ctx: Context) -> None:
        ctx.cookie("a", "1", same_site="lax")
        await ctx.flush()
        for change in (
            lambda: ctx.request.setHeader("X-A", "1"),
            lambda: ctx.request.addCookie("b", "1"),
            lambda: ctx.request.setResponseCode(404),
            lambda: ctx.request.responseHeaders.setRawHeaders("X-A", ["1"]),
            ctx.request.getSession,
        ):
            try:
                change()
            except HeadersSent:
                ctx.write(".")
        try:
            FileSender().beginFileTransfer(BytesIO(b"x"), ctx.request)
        except RuntimeError:
            ctx.write("|")

    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server)
        stream = client.request("/")
        await client.over(stream)
        assert stream.head["set-cookie"] == "a=1; SameSite=Lax"
        assert (stream.body, stream.ended) == (b".....|", True)


@ensureDeferred
async def test_no_body_where_none_may_be() -> None:
    def nothing(ctx: Context) -> str:
        ctx.status_code(204)
        return "no body may be here"

    async def endless(ctx: Context) -> None:
        while True:
            ctx.write("x")
            await ctx.flush()

    async with serving(by_path(nothing=nothing, endless=endless), tls=True) as server:
        client = await H2Client.connect(server)
        streams = [client.request("/nothing"), client.request("/endless", "HEAD")]
        await client.over(*streams)
        assert [stream.frames for stream in streams] == [[], []]
        assert [stream.ended for stream in streams] == [True, True]
        assert [stream.head[":status"] for stream in streams] == ["204", "200"]


@ensureDeferred
async def test_a_failure_after_the_head_is_a_stream_error_after_what_was_sent(log: Log) -> None:
    async def fails(ctx: Context) -> None:
        ctx.write("sent" * 10_000)
        await ctx.flush()
        raise KeyError("made to fail")

    def aborts(ctx: Context) -> None:
        ctx.abort("before the head")

    def fine(ctx: Context) -> str:
        return "fine"

    async with serving(by_path(fails=fails, aborts=aborts, fine=fine), tls=True) as server:
        client = await H2Client.connect(server)
        failed, aborted, ended = map(client.request, ("/fails", "/aborts", "/fine"))
        await client.over(failed, aborted, ended)
        assert failed.reset == ErrorCodes.INTERNAL_ERROR
        assert failed.body == b"sent" * 10_000
        assert aborted.reset == ErrorCodes.INTERNAL_ERROR
        assert aborted.head == {}
        assert (ended.body, ended.ended) == (b"fine", True)
        assert not client.gone
    assert log.failures(KeyError) == 1


@ensureDeferred
async def test_an_error_before_the_head_is_a_page(log: Log) -> None:
    def handler(ctx: Context) -> None:
        raise KeyError("made to fail")

    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server)
        stream = client.request()
        await client.over(stream)
        assert stream.head[":status"] == "500"
        assert (stream.body, stream.ended) == (b"500 Internal Server Error\n", True)
    assert log.failures(KeyError) == 1


@ensureDeferred
async def test_a_head_that_cannot_be_written_is_a_plain_500(log: Log) -> None:
    async def handler(ctx: Context) -> str:
        ctx.request.lastModified = "yesterday"
        if ctx.path == "/flush":
            await ctx.flush()
        return "x"

    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server)
        streams = [client.request(path) for path in ("/return", "/flush")]
        await client.over(*streams)
        for stream in streams:
            assert stream.head[":status"] == "500"
            assert (stream.body, stream.ended) == (b"500 Internal Server Error\n", True)
    assert log.failures(TypeError)


@ensureDeferred
async def test_a_reset_stream_ends_its_handler_and_no_other() -> None:
    seen: dict[str, type[BaseException]] = {}

    async def handler(ctx: Context) -> None:
        await ctx.flush()
        try:
            await (Deferred() if "foreign" in ctx.path else ctx.sleep(60))
        except BaseException as err:
            seen[ctx.path] = type(err)
            raise

    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server)
        foreign, sleeping, last = map(client.request, ("/foreign", "/sleeping", "/last"))
        await client.client.until(lambda: bool(foreign.head and sleeping.head and last.head))
        client.reset(foreign)
        client.reset(sleeping)
        await eventually(lambda: len(seen) == 2)
        assert seen == {"/foreign": CancelledError, "/sleeping": ClientDisconnected}
        client.client.leave()
        await eventually(lambda: len(seen) == 3)
        assert seen["/last"] is ClientDisconnected


@ensureDeferred
async def test_a_reset_that_comes_with_its_request_is_a_client_that_left() -> None:
    ends: list[BaseException] = []
    channel = Hub().channel("news", history=1)
    channel.publish("kept")

    async def writes(ctx: Context) -> None:
        await ctx.sse().subscribe(channel, after=channel.oldest)

    async def waits(ctx: Context) -> None:
        await ctx.sleep(60)

    def answers(ctx: Context) -> str:
        return "short"

    def refuses(ctx: Context) -> None:
        raise HTTPError(404)

    handlers: dict[str, Any] = {"/w": writes, "/s": waits, "/a": answers, "/r": refuses}

    async def handler(ctx: Context) -> Any:
        try:
            result = handlers[ctx.path](ctx)
            return await result if isawaitable(result) else result
        except BaseException as err:
            ends.append(err)
            raise

    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server)
        packet: list[bytes] = []
        send = client.client.send
        client.client.send = packet.append  # type: ignore[assignment]  # collects frames for one packet
        for path in handlers:
            client.reset(client.request(path))
        client.client.send = send  # type: ignore[method-assign]  # restores the method
        send(b"".join(packet))
        await eventually(lambda: len(server.contexts) == len(handlers))
        # The connection is as good as before.
        stream = client.request("/a")
        await client.over(stream)
        assert (stream.body, stream.ended) == (b"short", True)
        assert channel.subscriber_count == 0
    kinds = sorted(type(end).__name__ for end in ends)
    assert kinds == ["ClientDisconnected", "ClientDisconnected", "HTTPError"]


@ensureDeferred
async def test_a_reset_that_comes_with_a_request_on_a_quiet_connection_harms_no_other() -> None:
    def handler(ctx: Context) -> str:
        if ctx.path == "/fails":
            raise HTTPError(404)
        if ctx.path == "/bodyless":
            ctx.status_code(204)
        return "short"

    async with serving(handler, tls=True) as server:
        for path in ("/returns", "/fails", "/bodyless"):
            server.contexts.clear()
            client = await H2Client.connect(server)
            await client.over(client.request("/returns"))
            await pause(0.01)  # Until Twisted has nothing to send any more.
            packet: list[bytes] = []
            send = client.client.send
            client.client.send = packet.append  # type: ignore[assignment]  # collects frames for one packet
            client.reset(client.request(path))
            client.client.send = send  # type: ignore[method-assign]  # restores the method
            send(b"".join(packet))
            # With one more request in the packet, h2 would have dropped the stream by then.
            await eventually(lambda: len(server.contexts) == 2)
            stream = client.request("/returns")
            await client.over(stream)
            assert (stream.body, stream.ended) == (b"short", True)


@ensureDeferred
async def test_a_request_that_comes_with_the_end_of_its_connection_has_an_end_too(
    log: Log,
) -> None:
    ends: list[object] = []

    def handler(ctx: Context) -> str:
        ctx.on_close(lambda ctx: ends.append(ctx.path))
        return "short"

    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server)
        await client.over(client.request("/first"))
        await pause(0.01)  # Until Twisted has nothing to send any more.
        packet: list[bytes] = []
        send = client.client.send
        client.client.send = packet.append  # type: ignore[assignment]  # collects frames for one packet
        client.request("/last")
        client.connection.close_connection()
        client.flush()
        client.client.send = send  # type: ignore[method-assign]  # restores the method
        send(b"".join(packet))
        await eventually(lambda: ends == ["/first", "/last"])
        assert log.failures(ProtocolError) == 0


@ensureDeferred
async def test_a_window_that_opens_as_its_stream_is_reset_harms_no_other() -> None:
    async def handler(ctx: Context) -> None:
        ctx.write("x" * (5_000 if ctx.path == "/large" else 5))
        await ctx.flush()
        await ctx.sleep(60)

    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server, window=1_000)
        client.reading = False
        large, other = map(client.request, ("/large", "/other"))
        await client.client.until(lambda: len(large.body) == 1_000 and bool(other.body))
        packet: list[bytes] = []
        send = client.client.send
        client.client.send = packet.append  # type: ignore[assignment]  # collects frames for one packet
        client.open_window(1_000, large)
        client.open_window(1_000)
        client.reset(large)
        last = client.request("/last")
        client.client.send = send  # type: ignore[method-assign]  # restores the method
        send(b"".join(packet))
        await client.client.until(lambda: bool(last.body))
        assert client.client.reason is None
        await eventually(lambda: server.contexts[0].is_cancelled)
        assert not any(context.is_cancelled for context in server.contexts[1:])


@ensureDeferred
async def test_large_bodies_arrive_whole_on_many_streams() -> None:
    async def handler(ctx: Context) -> None:
        for number in range(60):
            ctx.write(b"%05d" % number * 4000)
            await ctx.flush()

    expected = b"".join(b"%05d" % number * 4000 for number in range(60))
    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server)
        streams = [client.request() for _ in range(8)]
        await client.over(*streams)
        assert all(stream.ended and stream.body == expected for stream in streams)


@ensureDeferred
async def test_trailers_follow_all_data_on_every_stream() -> None:
    async def handler(ctx: Context) -> None:
        ctx.content_digest()
        for number in range(10):
            ctx.write(b"%05d" % number * 4000)
            await ctx.flush()
        ctx.trailer("Path", ctx.path)

    expected = b"".join(b"%05d" % number * 4000 for number in range(10))
    digest = b64encode(sha256(expected).digest()).decode()
    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server, window=7000)
        streams = {f"/{number}": client.request(f"/{number}") for number in range(8)}
        await client.over(*streams.values())
        for path, stream in streams.items():
            assert stream.ended
            assert stream.body == expected
            assert stream.head["trailer"] == "Content-Digest"
            assert stream.trailers == [("path", path), ("content-digest", f"sha-256=:{digest}:")]
        assert not client.gone


@ensureDeferred
async def test_flush_waits_while_the_window_is_closed() -> None:
    flushed: list[int] = []

    async def handler(ctx: Context) -> None:
        for number in range(4):
            ctx.write("x" * 1000)
            await ctx.flush()
            flushed.append(number)
            await ctx.sleep(0.001)  # In a turn of its own: in one they would be joined.

    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server, window=2500)
        client.reading = False
        stream = client.request()
        await client.client.until(lambda: len(stream.body) == 2500)
        await pause(0.05)
        assert flushed == [0, 1]
        client.open_window(10_000, stream)
        await client.over(stream)
        assert stream.ended
        assert len(stream.body) == 4000
        assert flushed == [0, 1, 2, 3]


@ensureDeferred
async def test_a_window_that_opens_by_a_setting_is_noticed() -> None:
    async with serving(lambda ctx: "x" * 4000, tls=True, send_timeout=1.0) as server:
        client = await H2Client.connect(server, window=1000)
        client.reading = False
        stream = client.request()
        await client.client.until(lambda: len(stream.body) == 1000)
        client.set_windows(65_535)
        await client.over(stream)
        assert len(stream.body) == 4000


@ensureDeferred
async def test_a_client_that_shrinks_its_window_harms_only_itself() -> None:
    async def handler(ctx: Context) -> None:
        while True:
            ctx.write("x" * 3000)
            await ctx.flush()

    def fine(ctx: Context) -> str:
        return "fine"

    async with serving(by_path(endless=handler, fine=fine), tls=True) as server:
        client = await H2Client.connect(server, window=10_000)
        client.reading = False
        stream = client.request("/endless")
        await client.client.until(lambda: len(stream.body) == 10_000)
        client.set_windows(100)
        client.open_window(5_000, stream)
        await pause(0.05)
        assert not stream.over
        other = client.request("/fine")
        await client.over(other)
        assert other.body == b"fine"
        client.open_window(50_000, stream)
        await client.client.until(lambda: len(stream.body) > 10_000)
        assert not client.gone


@ensureDeferred
async def test_a_stream_that_takes_nothing_is_reset_and_the_others_go_on() -> None:
    errors: list[Any] = []

    async def stuck(ctx: Context) -> None:
        try:
            while True:
                ctx.write("x" * 1000)
                await ctx.flush()
        except SendTimeout as err:
            errors.append(err)

    async def ticks(ctx: Context) -> None:
        while not errors:
            ctx.write("tick")
            await ctx.flush()
            await ctx.sleep(0.02)

    async with serving(by_path(stuck=stuck, ticks=ticks), tls=True, send_timeout=0.4) as server:
        client = await H2Client.connect(server, window=2000)
        client.reading = False
        one, other = client.request("/stuck"), client.request("/ticks")
        await client.over(one, other)
        assert one.reset == ErrorCodes.INTERNAL_ERROR
        assert len(one.body) == 2000
        assert other.ended
        assert len(errors) == 1


@ensureDeferred
async def test_streams_that_want_more_than_the_connection_takes_have_turns() -> None:
    async def greedy(ctx: Context) -> None:
        while True:
            ctx.write(b"x" * 20_000)
            await ctx.flush()

    async def ticks(ctx: Context) -> None:
        for number in range(20):
            ctx.writef("%d;", number)
            await ctx.flush()
            await ctx.sleep(0.02)

    # Its window is the default, and smaller than what is offered.
    async with serving(by_path(greedy=greedy, ticks=ticks), tls=True, send_timeout=2.0) as server:
        client = await H2Client.connect(server)
        one, two = client.request("/greedy"), client.request("/greedy")
        await client.client.until(lambda: len(one.body) > 500_000 and len(two.body) > 500_000)
        ticking = client.request("/ticks")
        await client.over(ticking)
        assert ticking.body == b"".join(b"%d;" % number for number in range(20))
        assert not one.over
        assert not two.over
        sizes = sorted(len(stream.body) for stream in (one, two))
        assert sizes[1] < 2 * sizes[0]


@ensureDeferred
async def test_a_stream_that_others_keep_waiting_is_not_taken_for_stuck() -> None:
    async def greedy(ctx: Context) -> None:
        while True:
            ctx.write(b"x" * 20_000)
            await ctx.flush()

    async with serving(greedy, tls=True, send_timeout=0.4) as server:
        client = await H2Client.connect(server)
        client.reading = False
        streams = [client.request() for _ in range(4)]
        # The connection's window is shut but for a little now and then, which one stream
        # has the use of at a time.
        for _ in range(20):
            await pause(0.05)
            client.open_window(500)
        assert not any(stream.over for stream in streams)
        await client.over(*streams)
        assert [stream.reset for stream in streams] == [ErrorCodes.INTERNAL_ERROR] * 4


@ensureDeferred
async def test_a_closed_window_costs_no_cpu() -> None:
    async with serving(lambda ctx: "x" * 10_000, tls=True) as server:
        client = await H2Client.connect(server, window=1000)
        client.reading = False
        stream = client.request()
        await client.client.until(lambda: len(stream.body) == 1000)
        connection = server.contexts[0].request.channel._conn  # type: ignore[attr-defined]  # Twisted's, private
        rounds: list[int] = []
        send = connection._sendPrioritisedData

        def counted(*args: object) -> None:
            rounds.append(1)
            send(*args)

        connection._sendPrioritisedData = counted
        await pause(0.1)
        assert len(rounds) < 3


@ensureDeferred
async def test_a_silent_stream_is_not_idle_and_an_idle_connection_is() -> None:
    async def handler(ctx: Context) -> None:
        await ctx.flush()
        await ctx.sleep(0.6)
        ctx.write("still here")

    async with serving(handler, tls=True) as server:
        server.site.timeOut = 0.2
        client = await H2Client.connect(server)
        first, second = client.request(), client.request()
        await client.over(first, second)
        assert [stream.body for stream in (first, second)] == [b"still here"] * 2
        await client.client.until(lambda: client.gone)
        assert client.gone


@ensureDeferred
async def test_a_reset_that_comes_with_its_request_leaves_a_silent_stream_its_connection() -> None:
    async def handler(ctx: Context) -> None:
        await ctx.flush()
        if ctx.path == "/silent":
            await ctx.sleep(60)

    async with serving(handler, tls=True) as server:
        server.site.timeOut = 0.2
        client = await H2Client.connect(server)
        silent = client.request("/silent")
        await client.client.until(lambda: bool(silent.head))
        packet: list[bytes] = []
        send = client.client.send
        client.client.send = packet.append  # type: ignore[assignment]  # collects frames for one packet
        client.reset(client.request("/short"))
        client.client.send = send  # type: ignore[method-assign]  # restores the method
        send(b"".join(packet))
        await eventually(lambda: len(server.contexts) == 2)
        await pause(0.4)
        assert not client.gone
        client.reset(silent)
        await client.client.until(lambda: client.gone)


@ensureDeferred
async def test_a_connection_whose_last_stream_was_reset_is_idle_again() -> None:
    async def handler(ctx: Context) -> None:
        await ctx.flush()
        await ctx.sleep(60)

    async with serving(handler, tls=True) as server:
        server.site.timeOut = 0.2
        client = await H2Client.connect(server)
        stream = client.request()
        await client.client.until(lambda: bool(stream.head))
        await pause(0.4)
        assert not client.gone
        client.reset(stream)
        await client.client.until(lambda: client.gone)
        assert client.gone


@ensureDeferred
async def test_a_stream_that_is_aborted_while_its_window_is_closed() -> None:
    ended: list[Any] = []

    async def handler(ctx: Context) -> None:
        ctx.write("x" * 3000)
        ctx.done().addCallback(ended.append)
        ctx.flush()
        ctx.abort("no more")

    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server, window=1000)
        client.reading = False
        stream = client.request()
        await client.client.until(lambda: len(stream.body) == 1000)
        assert isinstance(ended[0], StreamAborted)
        assert not stream.over
        client.open_window(5000, stream)
        await client.over(stream)
        assert len(stream.body) == 3000
        assert stream.reset == ErrorCodes.INTERNAL_ERROR


@ensureDeferred
async def test_a_stream_of_events_is_frames_with_their_pings_and_messages() -> None:
    news = Hub().channel("news")

    async def handler(ctx: Context) -> None:
        events = ctx.sse(ping=0.1, retry=3, allow_origin="*")
        events.send("hello", event="greeting")
        await events.subscribe(news)

    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server)
        silent, other = client.request(), client.request()
        await client.client.until(lambda: b": ping\n" in silent.frames and b"ping" in other.body)
        assert silent.head["content-type"] == "text/event-stream; charset=utf-8"
        assert silent.head["access-control-allow-origin"] == "*"
        for text in ("one", "two"):
            news.publish(text)
        news.close()
        await client.over(silent, other)
        for stream in (silent, other):
            assert stream.ended
            decoder = EventDecoder()
            events = [(event.event, event.data) for event in decoder.feed(stream.body)]
            assert events == [("greeting", "hello"), (None, "one"), (None, "two")]
            assert decoder.retry_ms == 3000
            assert decoder.last_event_id == news.last


@ensureDeferred
async def test_head_on_a_stream_of_events_ends_at_once() -> None:
    async def handler(ctx: Context) -> None:
        ctx.sse(retry=3)
        await ctx.done()

    async with serving(handler, tls=True) as server:
        client = await H2Client.connect(server)
        stream = client.request(method="HEAD")
        await client.over(stream)
        assert (stream.head[":status"], stream.frames, stream.ended) == ("200", [], True)
