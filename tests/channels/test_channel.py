"""
What programs do with hubs and channels.
"""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

from tests.channels.case import ChannelTest
from twistream import ChannelClosed, Context, EncodeError, HTTPError, Hub, MemoryEngine
from twistream.channels.memory import MemoryLog


class HubTests(ChannelTest):
    def test_a_name_has_one_channel(self) -> None:
        news = self.hub.channel("news", history=5)
        self.assertIs(self.hub.channel("news"), news)
        self.assertIs(self.hub.channel("news", history=5), news)
        self.assertEqual(self.hub.channels, (news,))

    def test_a_channel_does_not_change_its_bounds(self) -> None:
        self.hub.channel("news", history=5, history_ttl=60)
        with self.assertRaisesRegex(ValueError, "'news' exists with history=5, history_ttl=60"):
            self.hub.channel("news", history=6, history_ttl=60)
        with self.assertRaises(ValueError):
            self.hub.channel("news", history=5)

    def test_what_cannot_be_a_channel_is_refused(self) -> None:
        channel: Any = self.hub.channel  # It is called with wrong types.
        cases: list[tuple[type[Exception], Callable[[], object]]] = [
            (TypeError, lambda: channel(b"news")),
            (ValueError, lambda: channel("")),
            (EncodeError, lambda: channel("\ud800")),
            (ValueError, lambda: channel("a", history=-1)),
            (TypeError, lambda: channel("a", history=1.5)),
            (TypeError, lambda: channel("a", history=True)),
            (ValueError, lambda: channel("a", history=1, history_bytes=-1)),
            (ValueError, lambda: channel("a", history=1, history_ttl=-1)),
            (ValueError, lambda: channel("a", history=1, history_ttl=float("nan"))),
            (ValueError, lambda: channel("a", history=1, history_ttl=1e-9)),
            (TypeError, lambda: channel("a", history=1, history_ttl="1")),
            (ValueError, lambda: channel("a", history_ttl=60)),
            (ValueError, lambda: channel("a", history_bytes=60)),
        ]
        for error, make in cases:
            self.assertRaises(error, make)
        self.assertEqual(self.hub.channels, ())

    def test_counters_do_not_go_back_when_a_channel_is_closed(self) -> None:
        for _ in range(2):
            news = self.hub.channel("news")
            self.publish(news, 3)
            self.join(news, last_event_id="unknown")
            news.close()
        statistics = self.hub.statistics()
        self.assertEqual((statistics.channels, statistics.published, statistics.gaps), (0, 6, 2))

    def test_closing_a_hub_closes_all(self) -> None:
        news, other = self.hub.channel("news"), self.hub.channel("other", history=2)
        reader = self.join(news, other)
        self.hub.close()
        self.assertTrue(news.closed and other.closed)
        self.assertTrue(reader.read().response.complete)
        self.assertEqual(self.hub.channels, ())

    def test_a_closed_channel_leaves_its_name_to_another(self) -> None:
        news = self.hub.channel("news")
        news.close()
        news.close()
        again = self.hub.channel("news", history=3)
        self.assertIsNot(again, news)
        news.close()
        self.assertEqual(self.hub.channels, (again,))

    def test_the_hub_has_no_closed_channel_while_the_engine_closes_it(self) -> None:
        found: list[object] = []

        class Log(MemoryLog):
            def close(self) -> None:
                found.append(hub.get("news"))
                raise ZeroDivisionError

        class Engine(MemoryEngine):
            def open(self, *arguments: Any) -> MemoryLog:
                return Log(*arguments)

        hub = Hub(Engine(), clock=self.clock)
        news = hub.channel("news")
        self.assertRaises(ZeroDivisionError, news.close)
        self.assertTrue(news.closed)
        self.assertEqual(found, [None])
        self.assertIsNot(hub.channel("news"), news)

    def test_a_hub_needs_no_reactor_until_it_measures_an_age(self) -> None:
        program = (
            "import sys; from twistream import Hub; hub = Hub();"
            "hub.channel('a', history=3).publish('x'); print('twisted.internet.reactor' in sys.modules);"
            "hub.channel('b', history=3, history_ttl=9).publish('x');"
            "print('twisted.internet.reactor' in sys.modules)"
        )
        printed = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
        self.assertEqual(printed.stdout.split(), [b"False", b"True"])


class PublishTests(ChannelTest):
    def test_it_returns_ids_that_order_the_channel(self) -> None:
        news = self.hub.channel("news")
        ids = [self.successResultOf(news.publish("a")) for _ in range(12)]
        self.assertEqual([int(each.rpartition("-")[2]) for each in ids], list(range(1, 13)))
        self.assertEqual(len({each.rpartition("-")[0] for each in ids}), 1)
        self.assertEqual((news.last, news.published), (ids[-1], 12))

    def test_it_acts_at_once_also_when_nobody_awaits_it(self) -> None:
        news = self.hub.channel("news", history=1)
        news.publish("a")
        self.assertEqual(news.statistics().history, 1)

    def test_what_cannot_be_published_raises_at_the_call_and_changes_nothing(self) -> None:
        news = self.hub.channel("news", history=5)
        client = self.client(self.resource(news))
        client.receive()
        publish: Any = news.publish  # It is called with wrong types.
        cases: list[tuple[type[Exception], Callable[[], object]]] = [
            (EncodeError, lambda: publish(object())),
            (EncodeError, lambda: publish({"a": float("nan")})),
            (EncodeError, lambda: publish("\ud800")),
            (EncodeError, lambda: publish("a", event="\ud800")),
            (ValueError, lambda: publish("a", event="two\nlines")),
            (ValueError, lambda: publish("a", event="a\0b")),
            (ValueError, lambda: publish("a", event="gap")),
            (TypeError, lambda: publish("a", event=1)),
        ]
        for error, call in cases:
            self.assertRaises(error, call)
        self.assertEqual((news.published, news.statistics().history), (0, 0))
        self.assertEqual(client.read_raw(), b"")

    def test_a_closed_channel_refuses_and_says_which(self) -> None:
        news = self.hub.channel("news")
        news.close()
        with self.assertRaisesRegex(
            ChannelClosed, "'news' has been closed; publish before"
        ) as caught:
            news.publish("a")
        self.assertEqual(caught.exception.channel, "news")

    def test_data_of_every_kind_arrives_as_the_standard_reads_it(self) -> None:
        news = self.hub.channel("news")
        client = self.client(self.resource(news))
        client.receive()
        cases: dict[object, bytes] = {
            "": b"data: \n",
            "a\nb\rc\r\nd": b"data: a\ndata: b\ndata: c\ndata: d\n",
            "\n": b"data: \ndata: \n",
            "a\0b": b"data: a\0b\n",
            "\v\f\x1c\x85\u2028": "data: \v\f\x1c\x85\u2028\n".encode(),
            " a": b"data:  a\n",
            7: b"data: 7\n",
            None: b"data: null\n",
            ("a\nb", 1): b'data: ["a\\nb",1]\n',
        }
        for data, expected in cases.items():
            news.publish(data)
            self.assertEqual(client.read(), b"id: %b\n%b\n" % (news.last.encode(), expected))


class SubscribeTests(ChannelTest):
    def refused(self, error: type[Exception], *channels: Any, **options: Any) -> None:
        """
        The subscription is refused at the call, and the handler may answer something else.
        """
        caught: list[BaseException] = []

        async def feed(ctx: Context) -> str:
            try:
                await ctx.sse().subscribe(*channels, **options)
            except Exception as err:
                caught.append(err)
            return "data: something else\n\n"

        client = self.client(feed)
        self.assertTrue(client.read().endswith(b"data: something else\n\n"))
        self.assertIsInstance(caught[0], error)

        async def lines(ctx: Context) -> str:
            with self.assertRaises(error):
                ctx.subscribe(*channels, **options)
            return "something else"

        response = self.client(lines).receive()
        self.assert_complete(response, b"something else")
        self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")

    def test_what_cannot_be_is_refused_at_the_call(self) -> None:
        news = self.hub.channel("news")
        kept = self.hub.channel("kept", history=1)
        self.refused(TypeError)
        self.refused(TypeError, "news")
        self.refused(ValueError, news, news)
        self.refused(ValueError, news, on_slow="catchup")
        self.refused(ValueError, kept, news, on_slow="catchup")
        self.refused(ValueError, news, on_slow="wait")
        self.refused(ValueError, news, max_queued=0)
        self.refused(TypeError, news, max_queued=1.5)
        self.refused(TypeError, news, filter="a")
        self.refused(TypeError, news, after=7)
        self.refused(EncodeError, news, after="\ud800")

        async def passes(message: object) -> bool:
            return True

        self.refused(TypeError, news, filter=passes)
        self.assertEqual((news.subscriber_count, kept.subscriber_count), (0, 0))

    def test_a_subscription_that_is_refused_leaves_the_answer_to_the_handler(self) -> None:
        news = self.hub.channel("news")

        async def feed(ctx: Context) -> None:
            try:
                await ctx.subscribe(news, on_slow="catchup")
            except ValueError as err:
                await ctx.sleep(1)
                raise HTTPError(400, "no") from err

        client = self.client(feed)
        self.clock.advance(1)
        response = client.receive()
        self.assertEqual(response.status, 400)
        self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")

    def test_several_channels_may_start_each_at_an_id_of_its_own(self) -> None:
        red, blue = (self.hub.channel(name, history=5) for name in ("red", "blue"))
        self.publish(red, 2)
        self.publish(blue, 3)
        body = self.client(self.resource(red, blue, after=[red.oldest, blue.oldest])).read()
        self.assertEqual((body.count(b"data: "), body.count(b"event: gap")), (5, 0))

    def test_a_channel_shares_no_stream_with_a_source_of_another_kind(self) -> None:
        class Other:
            def attach(self, *args: object) -> None:
                pass

        news = self.hub.channel("news")
        self.refused(TypeError, news, Other())
        self.assertEqual(news.subscriber_count, 0)

    def test_head_is_answered_and_subscribes_nobody(self) -> None:
        news = self.hub.channel("news", history=3)
        client = self.client(self.resource(news), method="HEAD")
        media_type = client.receive().header("Content-Type")
        self.assertEqual(media_type, "text/event-stream; charset=utf-8")
        self.assertEqual((self.ends, news.subscriber_count), ([None], 0))

    def test_an_old_client_gets_events_without_chunks(self) -> None:
        news = self.hub.channel("news")
        client = self.client(self.resource(news), version="1.0")
        client.receive()
        news.publish("a")
        self.assertEqual(client.read_raw(), b"id: %b\ndata: a\n\n" % news.last.encode())

    def test_a_handler_may_send_events_of_its_own_between_those_of_a_channel(self) -> None:
        news = self.hub.channel("news")

        async def feed(ctx: Context) -> None:
            events = ctx.sse(ping=None)
            self.events = events
            await events.subscribe(news)

        client = self.client(feed)
        client.receive()
        news.publish("a")
        self.events.send("b", event="own")
        news.publish("c")
        body = client.read()
        for part in (b"data: a\n\n", b"event: own\ndata: b\n\n", b"data: c\n\n"):
            self.assertIn(part, body)
        self.assertLess(body.index(b"data: a"), body.index(b"data: c"))
