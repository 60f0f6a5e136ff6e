"""
Bodies that are compressed as they are sent: when a client can decode what, and how they end.
"""

import gc
import random
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from hashlib import sha256
from io import BytesIO
from typing import Any
from weakref import ref

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.web.http import Request

from tests.decoders import Decoder, decoded, decoder
from tests.harness import Client, Server, StreamTest
from tests.server.responses import response_of
from twistream import (
    BufferOverflow,
    Compression,
    Context,
    EventDecoder,
    Hub,
    SendTimeout,
    ServerSentEvent,
    SlowConsumer,
    StopStream,
    StreamAborted,
    StreamResource,
)
from twistream.server.broadcast import Broadcast
from twistream.wire.compression import CODINGS, Coder
from twistream.wire.frames import Frame

RANDOM = random.Random(1)  # noqa: S311 - the same in each run
LONG = "the same again and again, " * 40


class Reader:
    """
    A client that decodes what it reads.

    Attributes:
        client: Its connection.
        decoder: The decoder of the response.
    """

    def __init__(self, client: Client, coding: str = "gzip", **request: Any) -> None:
        self.client = client
        self.decoder: Decoder = decoder(coding)
        self._coding = coding
        self._events = EventDecoder()
        client.request(headers={"Accept-Encoding": coding}, **request)

    def read(self) -> str:
        """
        What can be decoded of what has arrived when the turn has ended.
        """
        data = self.client.read()
        response = self.client.response
        assert not response.started or response.header("Content-Encoding") == self._coding
        return self.decoder.feed(data).decode()

    def read_events(self) -> list[ServerSentEvent]:
        return self._events.feed(self.read().encode())


class CodingTest(StreamTest):
    """
    The base: a reader of a compressed response.
    """

    def reader(
        self,
        handler: Callable[[Context], Any],
        coding: str = "gzip",
        *,
        version: str = "1.1",
        **options: Any,
    ) -> Reader:
        options.setdefault("compress", True)
        client = self.connect(handler, **options)
        return Reader(client, coding, version=version)

    def assert_incomplete(self, reader: Reader) -> None:
        self.assertFalse(reader.decoder.complete)


class FlushTests(CodingTest):
    """
    What is flushed can be decoded at once.
    """

    def test_every_way_to_write(self) -> None:
        async def flush(ctx: Context) -> None:
            for number in range(4):
                ctx.write(f"{number}\n")
                await ctx.flush()
                await ctx.sleep(1)

        def generator(ctx: Context) -> Deferred[None]:
            return ctx.stream_writer(step(), 1)

        async def coroutine(ctx: Context) -> None:
            numbers = step()

            async def write(w: Context) -> None:
                numbers(w)

            await ctx.stream_writer(write, 1)

        def step() -> Callable[[Context], None]:
            numbers = iter(range(4))

            def write(w: Context) -> None:
                number = next(numbers, None)
                if number is None:
                    raise StopStream
                w.write(f"{number}\n")

            return write

        async def items(ctx: Context) -> AsyncIterator[str]:
            for number in range(4):
                yield f"{number}\n"
                await ctx.sleep(1)

        async def lines(ctx: Context) -> None:
            for number in range(4):
                await ctx.json_line(number)
                await ctx.sleep(1)

        for handler in (flush, generator, coroutine, items, lines):
            for coding in CODINGS:
                reader = self.reader(handler, coding)
                for number in range(4):
                    self.assertEqual(reader.read(), f"{number}\n", (handler, coding))
                    self.assert_incomplete(reader)
                    reader.client.clock.advance(1)
                self.assertEqual(reader.read(), "")
                self.assertTrue(reader.client.response.complete)
                self.assertTrue(reader.decoder.complete)

    def test_the_first_flush_of_a_turn_is_sent_within_the_call(self) -> None:
        async def handler(ctx: Context) -> None:
            for word in ("one", "two"):
                ctx.write(word)
                await ctx.flush()
                client.take()
                seen.append(reads.feed(client.response.new_body()))
                await ctx.sleep(1)

        seen: list[bytes] = []
        reads = decoder("gzip")
        client = self.connect(handler, compress=True)
        client.request(headers={"Accept-Encoding": "gzip"})
        client.clock.advance(1)
        self.assertEqual(seen, [b"one", b"two"])

    def test_what_is_sent_together_shares_a_flush_and_a_chunk(self) -> None:
        def handler(ctx: Context) -> Iterator[str]:
            for number in range(50):
                yield f"number {number}\n"

        reader = self.reader(handler)
        everything = reader.read()
        self.assertEqual(everything.count("\n"), 50)
        response = reader.client.response
        self.assertTrue(response.complete)
        # All items in one, with the end of the coding.
        self.assertEqual(len(response.chunks), 1)

    def test_an_empty_flush_sends_the_head_and_no_chunk(self) -> None:
        async def handler(ctx: Context) -> None:
            for _ in range(3):
                await ctx.flush()
                await ctx.sleep(1)
            ctx.write("text")

        reader = self.reader(handler)
        self.assertEqual(reader.client.read_chunks(), [])
        self.assertEqual(reader.client.response.header("Content-Encoding"), "gzip")
        for _ in range(2):
            reader.client.clock.advance(1)
            self.assertEqual(reader.client.read_chunks(), [])
        reader.client.clock.advance(1)
        self.assertEqual(reader.read(), "text")
        self.assertTrue(reader.decoder.complete)

    def test_a_body_that_is_empty_after_its_head(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.flush()

        for coding in CODINGS:
            reader = self.reader(handler, coding)
            self.assertEqual(reader.read(), "")
            self.assertTrue(reader.client.response.complete)
            self.assertTrue(reader.decoder.complete)

    def test_a_file_that_is_piped(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.content_type("text/plain")
            await ctx.pipe(BytesIO(LONG.encode() * 100))

        for coding in CODINGS:
            reader = self.reader(handler, coding)
            read = reader.read()
            for _ in range(10):
                reader.client.clock.advance(0.01)
                read += reader.read()
            self.assertEqual(read, LONG * 100)
            self.assertTrue(reader.decoder.complete)

    def test_a_large_body_without_a_flush(self) -> None:
        def handler(ctx: Context) -> None:
            for _ in range(50):
                ctx.write(LONG)

        reader = self.reader(handler)
        self.assertEqual(reader.read(), LONG * 50)
        self.assertTrue(reader.decoder.complete)
        self.assertEqual(reader.client.response.header("Transfer-Encoding"), "chunked")

    def test_one_window_covers_all_messages(self) -> None:
        message = "".join(RANDOM.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=600))

        async def handler(ctx: Context) -> None:
            for _ in range(5):
                ctx.write(message)
                await ctx.flush()
                await ctx.sleep(1)

        reader = self.reader(handler)
        sizes = []
        for _ in range(5):
            sizes.append(len(reader.client.take()))
            reader.client.clock.advance(1)
        self.assertLess(max(sizes[1:]), 60)

    def test_http_1_0(self) -> None:
        async def handler(ctx: Context) -> None:
            for number in range(3):
                ctx.write(f"{number}\n")
                await ctx.flush()
                await ctx.sleep(1)

        reader = self.reader(handler, version="1.0")
        for number in range(3):
            self.assertEqual(reader.read(), f"{number}\n")
            reader.client.clock.advance(1)
        self.assertEqual(reader.read(), "")
        self.assertTrue(reader.client.closed)
        self.assertTrue(reader.decoder.complete)
        self.assertIsNone(reader.client.response.header("Transfer-Encoding"))


class EventTests(CodingTest):
    def test_events_pings_and_comments(self) -> None:
        async def handler(ctx: Context) -> None:
            events = ctx.sse(ping=5.0, retry=2.0)
            await events.send({"n": 1}, event="tick", id="1")
            await events.comment("half")
            await ctx.sleep(12)
            await events.send("last")

        for coding in CODINGS:
            reader = self.reader(handler, coding)
            text = 'retry: 2000\nevent: tick\nid: 1\ndata: {"n":1}\n\n: half\n'
            self.assertEqual(reader.read(), text)
            for _ in range(2):
                reader.client.clock.advance(5.5)
                self.assertEqual(reader.read(), ": ping\n")
            reader.client.clock.advance(1)
            self.assertEqual(reader.read(), "data: last\n\n")
            self.assertTrue(reader.decoder.complete)
            response = reader.client.response
            self.assertEqual(response.header("Cache-Control"), "no-cache, no-transform")

    def test_subscriptions_with_ids_and_replay(self) -> None:
        news = Hub().channel("news", history=10)
        for number in range(3):
            news.publish(number)

        async def handler(ctx: Context) -> None:
            await ctx.sse(ping=None).subscribe(news, after=news.oldest)

        server = self.serve(handler, compress=True)
        readers = [Reader(server.connect(), coding) for coding in CODINGS]
        for reader in readers:
            events = reader.read_events()
            self.assertEqual([each.data for each in events if each.data], ["0", "1", "2"])
        for number in (3, 4):
            news.publish(number)
        server.clock.advance(0)
        for reader in readers:
            events = reader.read_events()
            self.assertEqual([each.data for each in events], ["3", "4"])
            self.assertEqual(events[-1].id, news.last)
        news.close()
        server.clock.advance(0)
        for reader in readers:
            self.assertEqual(reader.read(), "")
            self.assertTrue(reader.decoder.complete)

    def test_lines_of_a_channel(self) -> None:
        news = Hub().channel("news")

        async def handler(ctx: Context) -> None:
            await ctx.subscribe(news)

        reader = self.reader(handler)
        reader.read()
        news.publish({"a": 1})
        self.assertIn('"data":{"a":1}}\n', reader.read())

    def test_a_broadcast_is_one_chunk_for_the_messages_of_a_turn(self) -> None:
        async def handler(ctx: Context) -> None:
            broadcast.add(response_of(ctx))
            await ctx.done()

        server = self.serve(handler, compress=True)
        broadcast = Broadcast(server.clock)
        readers = [Reader(server.connect(), coding) for coding in (*CODINGS, "gzip")]
        for reader in readers:
            reader.read()
        for _ in range(3):
            for word in (b"one ", b"two ", b"three "):
                broadcast.send(Frame(word))
            server.clock.advance(1)
            for reader in readers:
                self.assertEqual(reader.read(), "one two three ")
        for reader in readers:
            self.assertEqual(len(reader.client.response.chunks), 3)

    def test_what_is_postponed_during_an_event_by_hand_is_compressed_after_it(self) -> None:
        async def handler(ctx: Context) -> None:
            events = ctx.sse(ping=None)
            ctx.write("data: by hand\n")
            await ctx.flush()
            await events.comment("postponed")
            await ctx.sleep(1)
            ctx.write("\n")
            await ctx.flush()
            await ctx.sleep(1)

        reader = self.reader(handler)
        self.assertEqual(reader.read(), "data: by hand\n")
        reader.client.clock.advance(1)
        self.assertEqual(reader.read(), "\n: postponed\n")


class OrderTests(CodingTest):
    @given(
        st.sampled_from(CODINGS),
        st.lists(
            st.tuples(
                st.sampled_from(["write", "flush", "broadcast", "turn", "pause", "resume"]),
                st.integers(0, 400),
            ),
            max_size=40,
        ),
        st.booleans(),
    )
    def test_whatever_is_sent_in_whatever_order_can_be_decoded_when_a_turn_ends(
        self, coding: str, steps: list[tuple[str, int]], aborted: bool
    ) -> None:
        contexts: list[Context] = []
        ended: Deferred[None] = Deferred()

        async def handler(ctx: Context) -> None:
            broadcast.add(response_of(ctx))
            contexts.append(ctx)
            await ended

        server = self.serve(handler, compress=True)
        broadcast = Broadcast(server.clock)
        client = server.connect()
        reader = Reader(client, coding)
        written = sent = later = read = ""
        for number, (step, size) in enumerate(steps):
            data = f"{number}: " + "abcde"[number % 5] * size
            if step == "write":
                contexts[0].write(data)
                written += data
            elif step == "flush":
                contexts[0].flush()
                sent, written = sent + written, ""
            elif step == "broadcast":
                broadcast.send(Frame(data.encode()))
                later += data
            elif step == "turn":
                read += reader.read()
                sent, later = sent + later, ""
                self.assertEqual(read, sent)
            else:
                getattr(client, step)()
        client.resume()
        read += reader.read()
        sent += later
        self.assertEqual(read, sent)
        self.assertFalse(reader.decoder.complete)
        if aborted:
            contexts[0].abort()
        else:
            sent += written
            ended.callback(None)
        read += reader.read()
        self.assertEqual(read, sent)
        self.assertEqual(reader.decoder.complete, not aborted)
        client.disconnect()


class EndTests(CodingTest):
    def test_an_abort_sends_what_was_flushed_and_no_end(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("flushed ")
            await ctx.flush()
            ctx.write("together")
            ctx.flush()
            ctx.write(" not flushed")
            if ctx.path == "/raise":
                raise KeyError("made to fail")
            ctx.abort()

        for coding in CODINGS:
            for version in ("1.1", "1.0"):
                for path in ("/raise", "/abort"):
                    client = self.connect(handler, compress=True)
                    reader = Reader(client, coding, path=path, version=version)
                    self.assertEqual(reader.read(), "flushed together")
                    self.assert_incomplete(reader)
                    self.assertFalse(client.response.complete)
        self.flushLoggedErrors(KeyError)

    def test_the_access_log_counts_what_was_sent(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write(LONG)
            if ctx.path != "/whole":
                await ctx.flush()
            if ctx.path == "/abort":
                raise KeyError("made to fail")

        def log(request: Request) -> None:
            sizes.append(request.sentLength)

        sizes: list[int] = []
        for path in ("/", "/whole", "/abort"):
            client = self.connect(handler, compress=True)
            sizes.clear()
            client.site.log = log  # type: ignore[method-assign]  # of this one
            reader = Reader(client, path=path)
            self.assertEqual(reader.read(), LONG)
            client.disconnect()
            self.assertEqual(sizes, [len(client.response.body)])
        self.flushLoggedErrors(KeyError)

    def coders(self) -> list[Any]:
        """
        References to all coders that are made from now on.
        """

        class Traced:
            def __init__(self, coder: Coder) -> None:
                self.compress, self.flush, self.finish = coder.compress, coder.flush, coder.finish

        made: list[Any] = []
        make = Compression.coder

        def coder(options: Compression, coding: str) -> Any:
            traced = Traced(make(options, coding))
            made.append(ref(traced))
            return traced

        self.patch(Compression, "coder", coder)
        return made

    def test_every_end_frees_the_coder_at_once(self) -> None:
        contexts: list[Context] = []

        async def handler(ctx: Context) -> None:
            contexts.append(ctx)
            ctx.write("x")
            await ctx.flush()
            if ctx.path != "/":
                await ctx.sleep(1)
                ctx.abort()
                await ctx.sleep(1)

        def cut(reader: Reader) -> None:
            response_of(contexts[-1]).cut(StreamAborted())

        ends: list[tuple[str, Callable[[Reader], object]]] = [
            ("/", lambda reader: None),
            ("/1", lambda reader: reader.client.disconnect()),
            ("/2", lambda reader: reader.client.reset()),
            ("/3", lambda reader: reader.client.clock.advance(1)),
            ("/4", cut),
        ]
        coders = self.coders()
        gc.disable()
        self.addCleanup(gc.enable)
        for path, end in ends:
            reader = Reader(self.connect(handler, compress=True), path=path)
            self.assertEqual(coders[-1]() is None, path == "/")
            end(reader)
            self.assertIsNone(coders[-1](), path)
        self.assertEqual(len(coders), len(ends))
        self.assertEqual(len(contexts), len(ends))

    def test_nothing_is_sent_after_a_cut(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.flush()
            await ctx.sleep(1)
            for _ in range(2):  # The second one is to be sent at the end of the turn.
                ctx.write("x")
                ctx.flush()
            response_of(ctx).cut(StreamAborted())
            pending.append(response_of(ctx).writer._out.pending)

        pending: list[int] = []
        reader = self.reader(handler)
        reader.client.clock.advance(1)
        self.assertEqual(reader.read(), "x")
        self.assertEqual(pending, [0])

    def test_no_coder_is_made_where_nothing_is_compressed(self) -> None:
        async def handler(ctx: Context) -> None:
            if ctx.path == "/image":
                ctx.content_type("image/png")
            if ctx.path != "/empty":
                ctx.write("x")
                await ctx.flush()

        coders = self.coders()
        client = self.connect(handler, compress=True)
        for method, path in (("GET", "/image"), ("GET", "/empty"), ("HEAD", "/")):
            client.request(method, path, {"Accept-Encoding": "gzip"})
            self.assertTrue(client.receive().complete)
        self.assertEqual(coders, [])


class TrailerTests(CodingTest):
    """
    A digest covers the content as it is sent (RFC 9530 2).
    """

    def digest(self, body: bytes) -> str:
        return f"sha-256=:{b64encode(sha256(body).digest()).decode()}:"

    def test_the_digest_of_a_stream(self) -> None:
        def first(ctx: Context) -> None:
            ctx.content_digest()
            ctx.compress()

        def last(ctx: Context) -> None:
            ctx.compress()
            ctx.content_digest()

        async def late(ctx: Context) -> None:
            ctx.compress()
            ctx.declare_trailers("X-Count")
            await ctx.flush()
            ctx.trailer("X-Count", "2")

        async def handler(ctx: Context) -> None:
            if (result := prepare(ctx)) is not None:
                await result
            for _ in range(2):
                ctx.write(LONG)
                await ctx.flush()
                await ctx.sleep(1)

        prepare: Callable[[Context], Any]
        for prepare in (first, last, late):
            client = self.connect(handler)
            client.request(headers={"Accept-Encoding": "gzip", "TE": "trailers"})
            client.clock.pump([1.0] * 2)
            response = client.receive()
            self.assertEqual(decoded("gzip", response.body).decode(), LONG * 2)
            self.assertLess(len(response.body), 200)
            name, value = "X-Count", "2"
            if prepare is not late:
                name, value = "Content-Digest", self.digest(response.body)
            self.assertEqual(response.header("Trailer"), name)
            self.assertEqual([each[1] for each in response.trailers], [value])

    def test_the_digest_of_a_whole_body(self) -> None:
        def handler(ctx: Context) -> str:
            ctx.content_digest()
            return LONG

        for accepts in ("gzip", "identity"):
            response = self.answer(handler, compress=True, headers={"Accept-Encoding": accepts})
            self.assertEqual(response.header("Content-Digest"), self.digest(response.body))
            self.assertEqual(len(response.body) < len(LONG), accepts == "gzip")


class SlowClientTests(CodingTest):
    def test_a_flush_waits_while_the_connection_is_full(self) -> None:
        async def handler(ctx: Context) -> None:
            for number in range(3):
                ctx.write(f"{number} ")
                await ctx.flush()
                done.append(number)

        done: list[int] = []
        client = self.connect(handler, compress=True)
        client.pause(after=1)
        reader = Reader(client)
        self.assertEqual(reader.read(), "0 ")
        client.clock.advance(10)
        self.assertEqual(done, [])
        client.resume()
        client.clock.advance(0)
        self.assertEqual(reader.read(), "1 2 ")
        self.assertEqual(done, [0, 1, 2])

    def written(self, message: Callable[[], bytes], limit: int) -> int:
        """
        How many messages fit into `max_buffered` while the client reads nothing.
        """
        count: list[int] = []

        async def handler(ctx: Context) -> None:
            await ctx.flush()
            client.pause()
            try:
                for number in range(1000):
                    count.append(number)
                    ctx.write(message())
                    ctx.flush()
                    await ctx.sleep(0.01)
            except BufferOverflow:
                return

        client = self.connect(handler, compress=True, max_buffered=limit, send_timeout=1e6)
        Reader(client)
        client.clock.pump([0.01] * 1001)
        return len(count)

    def test_the_limit_counts_compressed_bytes(self) -> None:
        noise = self.written(lambda: RANDOM.randbytes(3000), 300_000)
        self.assertGreater(noise, 60)
        self.assertLess(noise, 120)
        # Each flush that nobody awaits counts a little, too.
        self.assertGreater(self.written(lambda: b"x" * 3000, 300_000), 3 * noise)

    def test_what_is_not_pushed_counts_as_it_was_written(self) -> None:
        def handler(ctx: Context) -> None:
            for _ in range(4):
                ctx.write("x" * 5000)
                backlogs.append(response_of(ctx).backlog)
                ctx.flush()
                backlogs.append(response_of(ctx).backlog)

        backlogs: list[int] = []
        self.reader(handler)
        self.assertEqual(backlogs[0], 5000)
        self.assertLess(backlogs[1], 500)  # The head, and what 5000 bytes are compressed.
        later = [backlog - backlogs[1] for backlog in backlogs[2:]]
        self.assertEqual(later, [5000, 5000, 10_000, 10_000, 15_000, 15_000])

    def test_a_client_that_accepts_nothing_is_cut(self) -> None:
        async def handler(ctx: Context) -> None:
            client.pause(after=1)
            try:
                while True:
                    ctx.write("x")
                    await ctx.flush()
            except SendTimeout as err:
                errors.append(err)
                raise

        errors: list[BaseException] = []
        client = self.connect(handler, compress=True, send_timeout=10.0)
        Reader(client)
        client.clock.pump([1.0] * 13)
        self.assertEqual(len(errors), 1)

    def test_a_subscriber_that_reads_too_slowly_is_cut(self) -> None:
        news = Hub().channel("news")
        errors: list[BaseException] = []

        async def handler(ctx: Context) -> None:
            try:
                await ctx.subscribe(news, max_queued=10_000)
            except SlowConsumer as err:
                errors.append(err)
                raise

        server = self.serve(handler, compress=True)
        slow, quick = Reader(server.connect()), Reader(server.connect())
        slow.read()
        slow.client.pause()
        for number in range(30):
            news.publish(f"{number} " + RANDOM.randbytes(500).hex())
            server.clock.advance(0.01)
        self.assertEqual(len(errors), 1)
        self.assertEqual(quick.read().count("\n"), 30)


class CostTests(CodingTest):
    def test_a_response_that_is_not_compressed_has_no_stage(self) -> None:
        async def handler(ctx: Context) -> None:
            await ctx.flush()
            writers.append(response_of(ctx).writer)

        writers: list[Any] = []
        resource = StreamResource(handler, compress=True)
        for accepts in ("identity", "gzip"):
            client = Server(resource).connect()
            client.request(headers={"Accept-Encoding": accepts})
        kinds = [type(writer._out).__name__ for writer in writers]
        self.assertEqual(kinds, ["HTTP1Outbound", "CodingStage"])
