"""
Responses as async iterators: items, backpressure, ends, and connections that are closed.
"""

import gc
import gzip
import warnings
import weakref
import zlib
from collections.abc import Callable
from contextlib import aclosing
from threading import get_ident
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IProtocol, IReactorFromThreads
from twisted.python import threadable
from twisted.web.http import PotentialDataLoss
from twisted.web.http_headers import Headers
from twisted.web.iweb import UNKNOWN_LENGTH, IResponse
from zope.interface import directlyProvides
from zope.interface.verify import verifyObject

from tests.client.memory import CHUNKED, ClientTest, Consumer
from twistream import (
    DecodeError,
    LimitExceeded,
    ServerSentEvent,
    StreamTruncated,
)
from twistream.client import IdleTimeout, iter_bytes, iter_events, iter_json, iter_lines
from twistream.client.body import Body, Options


class IterationTests(ClientTest):
    """
    What the iterators return.
    """

    def decode(self, make: Callable[..., Any], *fields: bytes, **options: Any) -> Consumer:
        response = self.get(CHUNKED, *fields)
        return self.consume(make(response, clock=self.clock, **options))

    def test_bytes_arrive_as_they_are_sent(self) -> None:
        consumer = self.decode(iter_bytes)
        self.peer.chunk(b"a")
        self.assertEqual(consumer.items, [b"a"])
        self.peer.chunk(b"bc")
        self.assertEqual(consumer.items, [b"a", b"bc"])
        self.assertNoResult(consumer.task)
        self.peer.end()
        self.successResultOf(consumer.task)

    def test_lines_are_text_without_their_ends(self) -> None:
        consumer = self.decode(iter_lines)
        self.peer.chunks(b"one\r\ntw", b"o\nth\xc5", b"\xbcree")
        self.assertEqual(consumer.items, ["one", "two"])
        self.peer.end()
        self.assertEqual(consumer.items, ["one", "two", "th\u017cree"])
        self.successResultOf(consumer.task)

    def test_json_lines_are_values(self) -> None:
        consumer = self.decode(iter_json)
        self.peer.chunks(b'{"a":', b"1}\n\n[2]\r", b"\nnull")
        self.assertEqual(consumer.items, [{"a": 1}, [2]])
        self.peer.end()
        self.assertEqual(consumer.items, [{"a": 1}, [2], None])

    def test_the_media_type_chooses_a_json_sequence(self) -> None:
        for kind in (b"application/json-seq", b"Application/GEO+json-seq; a=b"):
            consumer = self.decode(iter_json, b"Content-Type: " + kind)
            self.peer.chunks(b"\x1e1\n", b'\x1e{"a":\n2}\n')
            self.assertEqual(consumer.items, [1, {"a": 2}])

    def test_an_argument_overrides_the_media_type(self) -> None:
        consumer = self.decode(iter_json, b"Content-Type: text/plain", format="sequence")
        self.peer.chunk(b"\x1e1\n")
        self.assertEqual(consumer.items, [1])
        consumer = self.decode(iter_json, b"Content-Type: application/json-seq", format="lines")
        self.peer.chunk(b"1\n")
        self.assertEqual(consumer.items, [1])

    def test_events_are_decoded(self) -> None:
        consumer = self.decode(iter_events)
        self.peer.chunk(b"id: 1\nevent: a\ndata: \xff\n\n: ping\n\ndata: b\n\ndata: c\n")
        self.assertEqual(
            consumer.items,
            [ServerSentEvent("\ufffd", event="a", id="1"), ServerSentEvent("b", id="1")],
        )
        self.peer.end()  # The incomplete event is dropped.
        self.assertEqual(len(consumer.items), 2)
        self.successResultOf(consumer.task)

    def test_events_continue_with_the_last_id(self) -> None:
        consumer = self.decode(iter_events, last_event_id="7")
        self.peer.chunk(b"data: a\n\nid: 8\ndata: b\n\nid:\ndata: c\n\n")
        self.assertEqual([event.id for event in consumer.items], ["7", "8", ""])

    def test_a_response_without_a_body_has_no_items(self) -> None:
        for fields, status in [
            ([b"Content-Length: 0"], b"200 OK"),
            ([], b"204 No Content"),
            ([b"Content-Encoding: gzip"], b"304 Not Modified"),
        ]:
            response = self.get(*fields, status=status)
            consumer = self.consume(iter_bytes(response, clock=self.clock))
            self.successResultOf(consumer.task)
            self.assertEqual(consumer.items, [])

    def test_the_number_of_received_bytes_is_known(self) -> None:
        items = iter_bytes(self.get(CHUNKED), clock=self.clock)
        self.peer.chunk(b"abc")
        self.assertEqual(items.received, 3)
        items.aclose()

    def test_a_second_task_is_refused(self) -> None:
        items = iter_bytes(self.get(CHUNKED), clock=self.clock)
        first, second = self.consume(items), self.consume(items)
        self.failureResultOf(second.task, RuntimeError)
        self.peer.chunk(b"a")
        self.assertEqual(first.items, [b"a"])

    def test_any_response_is_read_and_closed_in_the_way_that_it_has(self) -> None:
        class Response:
            length = UNKNOWN_LENGTH
            headers = Headers()

            def deliverBody(self, protocol: Any) -> None:
                self.protocol = protocol

        class Closing:
            def __init__(self, *names: str) -> None:
                self.called: list[str] = []
                for name in names:
                    setattr(self, name, lambda name=name: self.called.append(name))

        for names in (
            ("abortConnection", "loseConnection", "stopProducing"),
            ("loseConnection", "stopProducing"),
            ("stopProducing",),
        ):
            response: Any = Response()
            transport: Any = Closing(*names)
            consumer = self.consume(iter_lines(response, clock=self.clock))
            response.protocol.makeConnection(transport)
            response.protocol.dataReceived(b"a\n")
            self.assertEqual(consumer.items, ["a"])
            consumer.task.cancel()
            self.failureResultOf(consumer.task, CancelledError)
            self.assertEqual(transport.called, [names[0]])

    def test_interfaces(self) -> None:
        body = Body(self.clock, Options(None, 0, allow_close_delimited=False))
        verifyObject(IProtocol, body)
        verifyObject(IResponse, self.get(CHUNKED))


async def _closed(items: Any) -> None:
    await items.aclose()


class BackpressureTests(ClientTest):
    """
    A consumer that works, and a connection that waits.
    """

    def test_the_connection_pauses_while_the_consumer_works(self) -> None:
        items = iter_bytes(self.get(CHUNKED), max_buffered=10, clock=self.clock)
        consumer = self.consume(items, gate=Deferred())
        self.peer.chunk(b"first")
        self.assertEqual(consumer.items, [b"first"])
        self.peer.chunk(b"123456789")
        self.assertFalse(self.peer.paused)
        self.peer.chunk(b"0")
        self.assertTrue(self.peer.paused)
        consumer.release()
        self.assertEqual(b"".join(consumer.items), b"first1234567890")
        self.assertFalse(self.peer.paused)
        self.peer.end()
        self.successResultOf(consumer.task)

    def test_nothing_is_paused_for_a_consumer_that_keeps_up(self) -> None:
        consumer = self.consume(iter_bytes(self.get(CHUNKED), max_buffered=0, clock=self.clock))
        pauses = self.peer.pauses  # Twisted pauses until the body is wanted.
        for _ in range(10):
            self.peer.chunk(b"x" * 100)
        self.assertEqual(len(consumer.items), 10)
        self.assertEqual(self.peer.pauses, pauses)

    def test_a_connection_pauses_before_the_iteration_starts(self) -> None:
        items = iter_bytes(self.get(CHUNKED), max_buffered=10, clock=self.clock)
        self.peer.chunk(b"1234567890")
        self.assertTrue(self.peer.paused)
        consumer = self.consume(items)
        self.assertEqual(consumer.items, [b"1234567890"])
        self.assertFalse(self.peer.paused)

    def test_bytes_that_arrived_with_the_head_count(self) -> None:
        deferred = self.client.get("http://test/", unbuffered=True, reactor=self.clock)
        self.peer.send(b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"\r\n\r\n5\r\n12345\r\n")
        items = iter_bytes(self.successResultOf(deferred), max_buffered=5, clock=self.clock)
        self.assertTrue(self.peer.paused)
        self.assertEqual(self.consume(items).items, [b"12345"])
        self.assertFalse(self.peer.paused)

    def test_a_paused_connection_is_aborted(self) -> None:
        items = iter_bytes(self.get(CHUNKED), max_buffered=1, clock=self.clock)
        self.peer.chunk(b"a")
        self.assertTrue(self.peer.paused)
        self.result(_closed(items))
        self.assertTrue(self.peer.aborted)

    def test_a_body_that_ended_while_it_was_paused_is_complete(self) -> None:
        items = iter_bytes(self.get(CHUNKED), max_buffered=1, clock=self.clock)
        self.peer.send(b"1\r\na\r\n0\r\n\r\n")
        consumer = self.consume(items)
        self.successResultOf(consumer.task)
        self.assertEqual(consumer.items, [b"a"])
        self.assertFalse(self.peer.aborted)

    def test_a_consumer_that_never_waits_gives_way(self) -> None:
        body = gzip.compress(bytes(10**6))
        items = iter_bytes(self.get(CHUNKED, b"Content-Encoding: gzip"), clock=self.clock)
        consumer = self.consume(items)
        self.peer.chunk(body)
        self.peer.end()
        taken = sum(map(len, consumer.items))
        self.assertLess(taken, 10**6)
        self.assertNoResult(consumer.task)
        self.clock.advance(0)
        self.successResultOf(consumer.task)
        self.assertEqual(b"".join(consumer.items), bytes(10**6))

    def test_a_task_is_cancelled_while_it_gives_way(self) -> None:
        items = iter_bytes(self.get(CHUNKED, b"Content-Encoding: gzip"), clock=self.clock)
        consumer = self.consume(items)
        self.peer.chunk(gzip.compress(bytes(10**6)))
        taken = len(consumer.items)
        consumer.task.cancel()
        self.failureResultOf(consumer.task, CancelledError)
        self.clock.advance(0)
        self.assertEqual(len(consumer.items), taken)
        self.assertTrue(self.peer.aborted)


class ClosingTests(ClientTest):
    """
    Ends that the consumer causes.
    """

    def test_cancelling_the_task_aborts_a_silent_connection(self) -> None:
        consumer = self.consume(iter_lines(self.get(CHUNKED), clock=self.clock))
        self.peer.chunk(b"a\nb")
        consumer.task.cancel()
        self.failureResultOf(consumer.task, CancelledError)
        self.assertEqual(consumer.items, ["a"])
        self.assertTrue(self.peer.aborted)
        self.clock.advance(0)
        self.assertTrue(self.peer.lost)

    def test_an_iterator_has_ended_after_a_cancellation(self) -> None:
        items = iter_lines(self.get(CHUNKED), clock=self.clock)
        consumer = self.consume(items)
        self.peer.chunk(b"incomplete")
        consumer.task.cancel()
        self.failureResultOf(consumer.task, CancelledError)
        again = self.consume(items)
        self.successResultOf(again.task)
        self.assertEqual(again.items, [])

    def test_aclose_acts_without_an_await(self) -> None:
        items = iter_bytes(self.get(CHUNKED), clock=self.clock)
        self.peer.chunk(b"a")
        self.successResultOf(items.aclose())
        self.assertTrue(self.peer.aborted)
        self.assertEqual(self.consume(items).items, [])

    def test_aclose_ends_a_loop_that_waits(self) -> None:
        items = iter_bytes(self.get(CHUNKED), clock=self.clock)
        consumer = self.consume(items)
        items.aclose()
        self.successResultOf(consumer.task)
        self.assertTrue(self.peer.aborted)

    def test_aclose_can_be_called_within_the_loop(self) -> None:
        items = iter_bytes(self.get(CHUNKED), clock=self.clock)

        async def consume() -> int:
            count = 0
            async for _ in items:
                count += 1
                items.aclose()
            return count

        task = Deferred.fromCoroutine(consume())
        self.peer.chunks(b"a", b"b", b"c")
        self.assertEqual(self.successResultOf(task), 1)
        self.assertTrue(self.peer.aborted)

    def test_aclose_of_a_complete_body_keeps_the_connection(self) -> None:
        items = iter_bytes(self.get(CHUNKED), clock=self.clock)
        consumer = self.consume(items)
        self.peer.end()
        self.successResultOf(consumer.task)
        items.aclose()
        self.assertFalse(self.peer.aborted)

    def test_break_in_a_block_closes_the_connection(self) -> None:
        async def with_aclosing(items: Any) -> None:
            async with aclosing(items):
                async for _ in items:
                    break

        async def with_itself(items: Any) -> None:
            async with items as entered:
                async for _ in entered:
                    break

        for leave in (with_aclosing, with_itself):
            task = Deferred.fromCoroutine(leave(iter_bytes(self.get(CHUNKED), clock=self.clock)))
            self.assertNoResult(task)
            self.peer.chunk(b"a")
            self.successResultOf(task)
            self.assertTrue(self.peer.aborted)

    def test_an_abandoned_iterator_closes_its_connection(self) -> None:
        items = iter_bytes(self.get(CHUNKED), clock=self.clock)
        self.peer.chunk(b"abc")
        self.assertFalse(self.peer.aborted)
        gc.collect()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del items
            gc.collect()
        self.assertTrue(self.peer.aborted)
        (warning,) = caught
        self.assertIs(warning.category, ResourceWarning)
        self.assertIn("3 bytes", str(warning.message))

    def test_an_iterator_that_has_ended_goes_without_a_warning(self) -> None:
        items = iter_bytes(self.get(CHUNKED), clock=self.clock)
        consumer = self.consume(items)
        self.peer.end()
        closed = iter_bytes(self.get(CHUNKED), clock=self.clock)
        closed.aclose()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            del items, consumer, closed
            gc.collect()
        self.assertEqual(caught, [])

    def test_garbage_that_another_thread_collects_is_closed_in_the_reactors(self) -> None:
        items = iter_bytes(self.get(CHUNKED), clock=self.clock)
        calls: list[Any] = []
        reactor: Any = self.clock
        directlyProvides(reactor, IReactorFromThreads)
        reactor.callFromThread = calls.append
        self.patch(threadable, "ioThread", get_ident() + 1)
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            del items
            gc.collect()
        self.assertFalse(self.peer.aborted)
        (close,) = calls
        close()
        self.assertTrue(self.peer.aborted)

    def test_a_task_that_is_garbage_closes_its_connection(self) -> None:
        async def consume(items: Any) -> None:
            async for _ in items:
                pass

        coroutine = consume(iter_bytes(self.get(CHUNKED), clock=self.clock))
        task = Deferred.fromCoroutine(coroutine)
        coroutine.close()  # As its finalizer does.
        self.assertTrue(self.peer.aborted)
        self.assertNoResult(task)

    def test_an_iterator_that_has_ended_leaves_no_cycle(self) -> None:
        async def consume(items: Any) -> None:
            async for _ in items:
                pass

        def complete(_: Any) -> None:
            self.peer.end()

        def close(items: Any) -> None:
            items.aclose()

        gc.collect()
        gc.disable()
        self.addCleanup(gc.enable)
        for end in (complete, close):
            items = iter_events(self.get(CHUNKED), idle_timeout=9, clock=self.clock)
            alive = weakref.ref(items), weakref.ref(items._body)
            task = Deferred.fromCoroutine(consume(items))
            self.peer.chunk(b"data: a\n\n")
            end(items)
            self.clock.advance(0)
            del items, task
            self.agent.peers.clear()
            self.assertEqual([each() for each in alive], [None, None], end)

    def test_a_connection_and_its_task_are_garbage_together(self) -> None:
        async def consume(items: Any) -> None:
            async for _ in items:
                pass

        gc.collect()
        Deferred.fromCoroutine(consume(iter_bytes(self.get(CHUNKED), clock=self.clock)))
        self.agent.peers.clear()
        gc.collect()
        self.assertEqual(self.flushLoggedErrors(), [])


class TruncationTests(ClientTest):
    """
    Bodies that break off.
    """

    def truncated(self, consumer: Consumer) -> StreamTruncated:
        error: StreamTruncated = self.failureResultOf(consumer.task, StreamTruncated).value
        return error

    def test_chunks_without_the_last_one(self) -> None:
        consumer = self.consume(iter_lines(self.get(CHUNKED), clock=self.clock))
        self.peer.chunk(b"a\nb")
        self.peer.lose(ConnectionLost())
        self.assertEqual(consumer.items, ["a"])
        error = self.truncated(consumer)
        self.assertEqual(error.received, 3)
        self.assertIn("3 bytes", str(error))

    def test_a_short_body(self) -> None:
        consumer = self.consume(iter_bytes(self.get(b"Content-Length: 5"), clock=self.clock))
        self.peer.send(b"abc")
        self.peer.lose()
        self.assertEqual(self.truncated(consumer).received, 3)

    def test_a_body_that_ends_with_its_connection(self) -> None:
        consumer = self.consume(iter_bytes(self.get(), clock=self.clock))
        self.peer.send(b"abc")
        self.peer.lose()
        self.assertIsInstance(self.truncated(consumer).reason, PotentialDataLoss)

    def test_a_body_that_may_end_with_its_connection(self) -> None:
        items = iter_bytes(self.get(), allow_close_delimited=True, clock=self.clock)
        consumer = self.consume(items)
        self.peer.send(b"abc")
        self.peer.lose()
        self.successResultOf(consumer.task)
        self.assertEqual(consumer.items, [b"abc"])

    def test_an_allowed_end_does_not_hide_others(self) -> None:
        for fields, data in [([CHUNKED], b"1\r\na\r\n"), ([b"Content-Length: 5"], b"a")]:
            items = iter_bytes(self.get(*fields), allow_close_delimited=True, clock=self.clock)
            consumer = self.consume(items)
            self.peer.send(data)
            self.peer.lose()
            self.truncated(consumer)

    def test_what_was_buffered_comes_first(self) -> None:
        consumer = self.consume(iter_lines(self.get(CHUNKED), clock=self.clock), gate=Deferred())
        self.peer.chunk(b"a\n")
        self.peer.chunk(b"b\nc\n")
        self.peer.lose(ConnectionLost())
        self.assertEqual(consumer.items, ["a"])
        consumer.release()
        self.assertEqual(consumer.items, ["a", "b", "c"])
        self.truncated(consumer)

    def test_a_coding_that_breaks_off_in_a_complete_body(self) -> None:
        for coding, data in [
            (b"gzip", gzip.compress(b"abc" * 100)[:-5]),
            (b"deflate", zlib.compress(b"abc" * 100)[:-2]),
        ]:
            response = self.get(CHUNKED, b"Content-Encoding: " + coding)
            consumer = self.consume(iter_bytes(response, clock=self.clock))
            self.peer.chunk(data)
            self.peer.end()
            self.assertEqual(self.truncated(consumer).received, len(data))
            self.assertEqual(b"".join(consumer.items), b"abc" * 100)

    def test_a_sequence_that_ends_within_a_number(self) -> None:
        response = self.get(CHUNKED)
        consumer = self.consume(iter_json(response, format="sequence", clock=self.clock))
        self.peer.chunk(b"\x1e1\n\x1e12")
        self.peer.end()
        self.truncated(consumer)
        self.assertEqual(consumer.items, [1])


class IdleTests(ClientTest):
    """
    Servers that fall silent.
    """

    def test_a_silent_connection_is_closed(self) -> None:
        items = iter_events(self.get(CHUNKED), idle_timeout=10, clock=self.clock)
        consumer = self.consume(items)
        self.clock.advance(9)
        self.peer.chunk(b": ping\n\n")
        self.clock.advance(9)
        self.assertNoResult(consumer.task)
        self.assertFalse(self.peer.aborted)
        self.clock.advance(1)
        error = self.failureResultOf(consumer.task, IdleTimeout).value
        self.assertEqual((error.seconds, error.received), (10, 8))
        self.assertTrue(self.peer.aborted)
        self.assertIsInstance(error, StreamTruncated)

    def test_a_paused_connection_is_not_idle(self) -> None:
        items = iter_bytes(self.get(CHUNKED), idle_timeout=10, max_buffered=1, clock=self.clock)
        consumer = self.consume(items, gate=Deferred())
        self.peer.chunk(b"a")
        self.peer.chunk(b"b")
        self.assertTrue(self.peer.paused)
        self.clock.advance(100)
        self.assertFalse(self.peer.aborted)
        consumer.release()
        self.clock.advance(9)
        self.assertFalse(self.peer.aborted)
        self.clock.advance(1)
        self.failureResultOf(consumer.task, IdleTimeout)

    def test_the_time_starts_anew_when_a_connection_is_resumed(self) -> None:
        items = iter_bytes(self.get(CHUNKED), idle_timeout=10, max_buffered=1, clock=self.clock)
        consumer = self.consume(items, gate=Deferred())
        self.peer.chunk(b"a")
        self.peer.chunk(b"b")
        self.clock.advance(8)
        consumer.release()
        self.clock.advance(9)
        self.assertFalse(self.peer.aborted)
        self.clock.advance(1)
        self.failureResultOf(consumer.task, IdleTimeout)

    def test_the_items_before_the_silence_come_first(self) -> None:
        items = iter_lines(self.get(CHUNKED), idle_timeout=10, clock=self.clock)
        consumer = self.consume(items, gate=Deferred())
        self.peer.chunk(b"a\n")
        self.peer.chunk(b"b\n")
        self.clock.advance(10)
        self.assertTrue(self.peer.aborted)
        consumer.release()
        self.assertEqual(consumer.items, ["a", "b"])
        self.failureResultOf(consumer.task, IdleTimeout)

    def test_bytes_that_nobody_could_read_yet_count(self) -> None:
        response = self.get(CHUNKED)
        # A reactor that was busy runs its delayed calls before it reads its sockets.
        self.clock.callLater(10, self.clock.callLater, 0, self.peer.chunk, b"a")
        consumer = self.consume(iter_bytes(response, idle_timeout=10, clock=self.clock))
        self.clock.advance(10)
        self.assertEqual(consumer.items, [b"a"])
        self.assertFalse(self.peer.aborted)

    def test_no_timer_stays(self) -> None:
        items = iter_bytes(self.get(CHUNKED), idle_timeout=10, clock=self.clock)
        consumer = self.consume(items)
        self.peer.end()
        self.successResultOf(consumer.task)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        items = iter_bytes(self.get(CHUNKED), idle_timeout=10, clock=self.clock)
        items.aclose()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class MalformedTests(ClientTest):
    """
    Bodies that are too large, or no lines, JSON or events.
    """

    def check(self, make: Any, data: bytes, **options: Any) -> Consumer:
        consumer = self.consume(make(self.get(CHUNKED), clock=self.clock, **options))
        self.peer.chunk(data)
        self.assertTrue(self.peer.aborted)
        return consumer

    def test_limits_name_themselves_and_come_after_the_items(self) -> None:
        rows: list[Any] = [
            (iter_lines, {"max_line": 3}, b"abc\nabcd", ["abc"]),
            (iter_json, {"max_item": 3}, b"[1]\n[23]\n", [[1]]),
            (iter_json, {"max_item": 3, "format": "sequence"}, b"\x1e12\n\x1e123\n", [12]),
            (iter_events, {"max_line": 9}, b"data: a\n\ndata: 1234", [ServerSentEvent("a")]),
            (iter_events, {"max_event": 3}, b"data: a\n\ndata: 123\n", [ServerSentEvent("a")]),
        ]
        for make, option, data, items in rows:
            consumer = self.check(make, data, **option)
            self.assertEqual(consumer.items, items)
            error = self.failureResultOf(consumer.task, LimitExceeded).value
            limit = next(iter(option.values()))
            self.assertEqual(error.limit, limit)
            self.assertRegex(str(error), rf"^more than {limit} bytes of .* at byte \d+ ")

    def test_invalid_utf_8_has_an_offset(self) -> None:
        rows: list[Any] = [
            (iter_lines, b"a\nb\xff", ["a"], 3),
            (iter_lines, b"a\nb\xff\nc\n", ["a"], 3),
            (iter_json, b'1\n"\xff"\n', [1], 3),
        ]
        for make, data, items, offset in rows:
            consumer = self.consume(make(self.get(CHUNKED), clock=self.clock))
            self.peer.chunk(data)
            self.peer.end()
            self.assertEqual(consumer.items, items)
            error = self.failureResultOf(consumer.task, DecodeError).value
            self.assertEqual(error.offset, offset)
            self.assertIn("UTF-8", str(error))

    def test_no_json(self) -> None:
        consumer = self.check(iter_json, b'{"a":1}\n{"b":}\n3\n')
        self.assertEqual(consumer.items, [{"a": 1}])
        self.assertEqual(self.failureResultOf(consumer.task, DecodeError).value.offset, 13)

    def test_no_coding(self) -> None:
        response = self.get(CHUNKED, b"Content-Encoding: gzip")
        consumer = self.consume(iter_bytes(response, clock=self.clock))
        self.peer.chunk(b"no gzip at all")
        error = self.failureResultOf(consumer.task, DecodeError).value
        self.assertIn("'gzip'", str(error))
        self.assertTrue(self.peer.aborted)

    def test_an_unknown_coding_is_refused_and_the_connection_closed(self) -> None:
        response = self.get(CHUNKED, b"Content-Encoding: gzip, compress")
        with self.assertRaisesRegex(DecodeError, "'compress'"):
            iter_bytes(response, clock=self.clock)
        self.assertTrue(self.peer.aborted)

    def test_a_body_can_be_read_once(self) -> None:
        response = self.get(CHUNKED)
        items = iter_bytes(response, clock=self.clock)
        with self.assertRaisesRegex(RuntimeError, "read already"):
            iter_lines(response, clock=self.clock)
        self.peer.end()
        self.consume(items)
        with self.assertRaisesRegex(RuntimeError, "read already"):
            iter_lines(response, clock=self.clock)

    def test_a_buffered_response_is_refused_with_the_remedy(self) -> None:
        response = self.get(CHUNKED, unbuffered=False)
        with self.assertRaisesRegex(ValueError, "unbuffered=True"):
            iter_bytes(response, clock=self.clock)

    def test_a_response_that_was_not_awaited_is_refused(self) -> None:
        deferred = self.client.get("http://test/", reactor=self.clock)
        with self.assertRaisesRegex(TypeError, "await it"):
            iter_bytes(deferred, clock=self.clock)
        deferred.addErrback(lambda _: None)
