"""
Channels and threads, without a reactor that runs.
"""

import io
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable

from twisted.python import threadable

from tests.channels.case import ChannelTest
from twistream import Context


class HubTests(ChannelTest):
    """
    Looking for a channel.
    """

    def test_looking_for_a_channel_makes_none(self) -> None:
        self.assertIsNone(self.hub.get("news"))
        self.assertNotIn("news", self.hub)
        self.assertEqual(len(self.hub.channels), 0)
        news = self.hub.channel("news")
        self.assertIs(self.hub.get("news"), news)
        self.assertIn("news", self.hub)
        news.close()
        self.assertIsNone(self.hub.get("news"))
        self.assertNotIn(5, self.hub)

    def test_threads_that_ask_at_once_get_one_channel(self) -> None:
        found: list[object] = []
        barrier = threading.Barrier(8)

        def look() -> None:
            for n in range(200):
                barrier.wait(60)
                found.append(self.hub.channel(str(n)))

        threads = [threading.Thread(target=look) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual((len(found), len(set(map(id, found)))), (1600, 200))


class WrongThreadTests(ChannelTest):
    """
    Calls from a thread that is not the reactor's.
    """

    def in_thread(self, call: Callable[[], object]) -> BaseException | None:
        errors: list[BaseException] = []

        def run() -> None:
            try:
                call()
            except RuntimeError as err:
                errors.append(err)

        self.patch(threadable, "ioThread", threading.get_ident())
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        return errors[0] if errors else None

    def test_publish_names_the_supported_ways_and_changes_nothing(self) -> None:
        news = self.hub.channel("news", history=10)
        error = self.in_thread(lambda: news.publish("x"))
        for name in ("publish_from_thread", "callFromThread"):
            self.assertIn(name, str(error))
        self.assertEqual(news.published, 0)

    def test_from_the_reactors_thread_or_without_a_reactor_it_would_wait_for_ever(self) -> None:
        news = self.hub.channel("news")
        for thread in (threading.get_ident(), None):
            self.patch(threadable, "ioThread", thread)
            self.assertRaises(RuntimeError, news.publish_from_thread, "x")

    def test_close_is_refused_and_changes_nothing(self) -> None:
        news = self.hub.channel("news")
        for close in (news.close, self.hub.close):
            self.assertIn("callFromThread", str(self.in_thread(close)))
        self.assertFalse(news.closed)
        self.assertIn("news", self.hub)

    def test_events_and_lines_are_refused_before_anything_is_written(self) -> None:
        contexts: list[Context] = []

        async def handler(ctx: Context) -> None:
            contexts.append(ctx)
            events = ctx.sse()
            for call in (
                lambda: events.send("x"),
                lambda: events.comment("x"),
                lambda: ctx.json_line("x"),
            ):
                self.assertIn("callFromThread", str(self.in_thread(call)))

        self.client(handler).receive()
        self.assertIn("0 bytes written", repr(contexts[0]))

    def test_what_would_act_on_a_stream_is_refused_and_changes_nothing(self) -> None:
        news = self.hub.channel("news", history=10)
        ends: list[object] = []

        async def handler(ctx: Context) -> None:
            self.assertIn("callFromThread", str(self.in_thread(ctx.sse)))
            self.assertIn("callFromThread", str(self.in_thread(lambda: ctx.subscribe(news))))
            events = ctx.sse(ping=None)
            for call in (
                lambda: events.subscribe(news),
                lambda: ctx.stream_writer(print),
                lambda: ctx.stream(["x"]),
                lambda: ctx.sleep(1),
                ctx.done,
                lambda: ctx.on_close(ends.append),
                lambda: ctx.on_connection_close(ends.append),
                lambda: news.on_presence(lambda _, count: ends.append(count)),
                ctx.abort,
            ):
                self.assertIn("callFromThread", str(self.in_thread(call)))
            self.assertIsNone(ctx.err)
            self.assertEqual(news.subscriber_count, 0)
            subscription = events.subscribe(news)
            for wait in (subscription, ctx.sleep(9)):
                wait.addErrback(ends.append)
                self.assertIn("callFromThread", str(self.in_thread(wait.cancel)))
            await ctx.done()

        client = self.client(handler)
        client.receive()
        self.assertEqual((ends, news.subscriber_count), ([], 1))
        self.publish(news)
        self.assertEqual(len(client.read_events()), 1)

    def test_a_subscription_is_not_changed_from_a_thread(self) -> None:
        news = self.hub.channel("news")
        self.join(news, topics=["a"])
        [subscription] = news.subscriptions
        topics = subscription.topics
        assert topics is not None
        for call in (
            lambda: topics.add("b"),
            lambda: topics.discard("a"),
            subscription.recheck,
            lambda: subscription.id,
        ):
            self.assertIn("callFromThread", str(self.in_thread(call)))
        self.assertEqual((set(topics), len(self.hub.subscriptions)), ({"a"}, 0))
        id_ = subscription.id
        for atomic in (lambda: subscription.id, lambda: self.hub.subscriptions[id_]):
            self.assertIsNone(self.in_thread(atomic))

    def test_a_buffer_that_is_full_is_not_sent_from_a_thread(self) -> None:
        async def handler(ctx: Context) -> None:
            error = self.in_thread(lambda: ctx.write("x" * 20_000))
            self.assertIn("callFromThread", str(error))
            await ctx.done()

        client = self.client(handler)
        self.assertEqual(client.read_raw(), b"")

    def test_figures_are_not_read_from_a_thread_because_that_removes_messages(self) -> None:
        news = self.hub.channel("news", history=10, history_ttl=1)
        self.publish(news)
        for read in (lambda: news.oldest, news.statistics, self.hub.statistics):
            self.assertIn("blockingCallFromThread", str(self.in_thread(read)))
        for atomic in (lambda: news.last, lambda: news.subscriber_count, lambda: self.hub.channels):
            self.assertIsNone(self.in_thread(atomic))

    def test_a_write_that_would_send_is_refused_and_sends_nothing(self) -> None:
        async def handler(ctx: Context) -> None:
            ctx.write("head")
            await ctx.flush()
            source = io.BytesIO(b"x" * 100_000)
            error = self.in_thread(lambda: shutil.copyfileobj(source, ctx, 10_000))
            self.assertIn("callFromThread", str(error))
            self.assertEqual(source.tell(), 20_000)
            await ctx.sleep(60)

        self.assertEqual(self.client(handler).read(), b"head")

    def test_a_thread_does_not_wait_for_a_reactor_that_has_stopped(self) -> None:
        program = subprocess.run(
            [sys.executable, "-c", STOPPING],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        printed = program.stdout.split()
        self.assertEqual(printed, ["RuntimeError"] * 2, program.stderr)


STOPPING = """
from threading import Event, Thread
from twisted.internet import reactor
from twistream import Hub

news = Hub().channel("news")
stopping = Event()
errors = []

def publish():
    stopping.wait()
    try:
        news.publish_from_thread("x")
    except RuntimeError as err:
        errors.append(type(err).__name__)

def start():
    reactor.callInThread(publish)
    own.start()
    reactor.addSystemEventTrigger("before", "shutdown", stopping.set)
    reactor.callLater(0, reactor.stop)

own = Thread(target=publish)
reactor.callWhenRunning(start)
reactor.run()
own.join()
print(*errors)
"""
"""
A thread of the pool, and one of its own, publish while the reactor stops.
"""
