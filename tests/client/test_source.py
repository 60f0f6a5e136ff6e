"""
EventSource: connections, reconnections and ends.
"""

import gc
from random import Random
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.error import DNSLookupError
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers

from tests.client.memory import CHUNKED, ClientTest, Consumer
from twistream import DecodeError, LimitExceeded
from twistream.client import EventSource, State, UnexpectedResponse
from twistream.client.backoff import Backoff

EVENTS = b"Content-Type: text/event-stream"


class Fixed(Random):
    """
    Always returns the same number.
    """

    def __init__(self, number: float) -> None:
        self.number = number

    def random(self) -> float:
        return self.number


class SourceTest(ClientTest):
    """
    The base of tests with a source and its consumer.
    """

    def follow(self, url: str = "http://test/", **options: Any) -> Consumer:
        options.setdefault("random", Fixed(0.0))
        options.setdefault("client", self.client)
        self.source = EventSource(url, reactor=self.clock, **options)
        return self.consume(self.source)

    def accept(self, *data: bytes) -> None:
        """
        Answer the newest request with an event stream.
        """
        self.peer.head(CHUNKED, EVENTS)
        for each in data:
            self.peer.chunk(each)

    def data(self, consumer: Consumer) -> list[str]:
        return [event.data for event in consumer.items]

    def fields(self) -> dict[str, str]:
        """
        The fields of the newest request.
        """
        lines = self.peer.request.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return dict(line.split(": ", 1) for line in lines)


class ConnectionTests(SourceTest):
    """
    One connection.
    """

    def test_it_connects_when_the_first_event_is_awaited(self) -> None:
        source = EventSource("http://test/", client=self.client, reactor=self.clock)
        self.assertIs(source.state, State.CONNECTING)
        self.assertEqual(self.agent.peers, [])
        self.consume(source)
        self.assertEqual(len(self.agent.peers), 1)

    def test_the_request(self) -> None:
        self.follow("http://test/a?b=c")
        fields = self.fields()
        self.assertEqual(self.agent.uris, [b"http://test/a?b=c"])
        self.assertEqual(fields["Accept"], "text/event-stream")
        self.assertEqual(fields["Cache-Control"], "no-store")
        self.assertNotIn("Last-Event-Id", fields)

    def test_events_and_states(self) -> None:
        consumer = self.follow()
        self.assertIs(self.source.state, State.CONNECTING)
        self.accept(b"id: 1\ndata: a\n\n", b"event: gap\ndata: {}\n\n")
        self.assertIs(self.source.state, State.OPEN)
        self.assertEqual(self.data(consumer), ["a", "{}"])
        self.assertEqual([event.event for event in consumer.items], [None, "gap"])
        self.assertEqual(self.source.last_event_id, "1")
        self.assertEqual(repr(self.source), "<EventSource http://test/ OPEN>")

    def test_secrets_of_the_address_are_not_shown(self) -> None:
        source = EventSource("https://user:secret@test:8443/a?token=secret#secret")
        self.assertEqual(repr(source), "<EventSource https://test:8443/a CONNECTING>")

    def test_parameters_of_the_type_do_not_matter(self) -> None:
        consumer = self.follow()
        self.peer.head(CHUNKED, b"Content-Type: Text/Event-Stream;charset=utf-8")
        self.peer.chunk(b"data: a\n\n")
        self.assertEqual(self.data(consumer), ["a"])

    def test_a_body_and_a_method(self) -> None:
        for data, body, kind in [
            (b"a\xff", b"a\xff", None),
            ("\u017c", b"\xc5\xbc", None),
            ({"a": "b c"}, b"a=b+c", "application/x-www-form-urlencoded"),
        ]:
            self.follow(method="post", data=data)
            self.clock.pump([0.1] * 3)
            self.assertTrue(self.peer.request.startswith(b"POST / HTTP/1.1\r\n"))
            self.assertEqual(self.peer.request.partition(b"\r\n\r\n")[2], body)
            self.assertEqual(self.fields().get("Content-Type"), kind)

    def test_a_body_of_json(self) -> None:
        self.follow(method="POST", json={"a": 1})
        self.clock.advance(0)
        self.assertTrue(self.peer.request.endswith(b'\r\n\r\n{"a":1}'))

    def test_fields_of_the_program(self) -> None:
        for headers in (
            {"X-A": "1", "Accept": "text/html"},
            {"X-A": ["1"]},
            Headers({"X-A": ["1"]}),
        ):
            self.follow(headers=headers)
            self.assertEqual(self.fields()["X-A"], "1")
            self.assertEqual(self.fields()["Accept"], "text/event-stream")

    def test_no_content_ends_it(self) -> None:
        consumer = self.follow()
        self.peer.head(status=b"204 No Content")
        self.successResultOf(consumer.task)
        self.assertIs(self.source.state, State.CLOSED)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_another_status_or_type_fails(self) -> None:
        for status, kind, text in [
            (b"404 Not Found", b"text/html", "404 (text/html): 'oh \ufffd'"),
            (b"500 Oh", b"text/event-stream", "500 (text/event-stream): 'oh \ufffd'"),
            (b"200 OK", b"text/plain; a=b", "200 (text/plain; a=b): 'oh \ufffd'"),
        ]:
            consumer = self.follow()
            self.peer.head(CHUNKED, b"Content-Type: " + kind, status=status)
            self.peer.chunk(b"oh \xff")
            self.assertNoResult(consumer.task)
            self.peer.end()
            error = self.failureResultOf(consumer.task, UnexpectedResponse).value
            self.assertEqual(str(error), f"expected an event stream, received {text}")
            self.assertEqual((error.status, error.excerpt), (int(status[:3]), b"oh \xff"))
            self.assertIs(self.source.state, State.CLOSED)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_no_type_fails(self) -> None:
        consumer = self.follow()
        self.peer.head(b"Content-Length: 0")
        error = self.failureResultOf(consumer.task, UnexpectedResponse).value
        self.assertEqual(str(error), "expected an event stream, received 200 (no content type)")

    def test_only_the_start_of_a_page_is_read(self) -> None:
        consumer = self.follow()
        self.peer.head(CHUNKED, status=b"403 Forbidden")
        self.peer.chunk(b"x" * 1001)
        error = self.failureResultOf(consumer.task, UnexpectedResponse).value
        self.assertEqual(error.excerpt, b"x" * 1000)
        self.assertTrue(self.peer.aborted)

    def test_a_page_that_does_not_come_is_not_waited_for(self) -> None:
        consumer = self.follow()
        self.peer.head(CHUNKED, status=b"403 Forbidden")
        self.peer.chunk(b"a")
        self.clock.advance(5)
        error = self.failureResultOf(consumer.task, UnexpectedResponse).value
        self.assertEqual(error.excerpt, b"a")
        self.assertTrue(self.peer.aborted)

    def test_an_event_that_is_too_large_fails(self) -> None:
        consumer = self.follow(max_event=5)
        self.accept(b"data: 1\n\ndata: 123456\n\n")
        self.assertEqual(self.data(consumer), ["1"])
        self.failureResultOf(consumer.task, LimitExceeded)
        self.assertIs(self.source.state, State.CLOSED)
        self.assertTrue(self.peer.aborted)

    def test_an_unknown_coding_fails(self) -> None:
        consumer = self.follow()
        self.peer.head(CHUNKED, EVENTS, b"Content-Encoding: compress")
        self.failureResultOf(consumer.task, DecodeError)
        self.assertIs(self.source.state, State.CLOSED)
        self.assertTrue(self.peer.aborted)

    def test_a_slow_consumer_pauses_the_connection(self) -> None:
        self.source = EventSource(
            "http://test/", client=self.client, reactor=self.clock, max_buffered=20
        )
        consumer = self.consume(self.source, gate=Deferred())
        self.accept(b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n", b"data: 4\n\n")
        self.assertEqual(self.data(consumer), ["1"])
        self.assertTrue(self.peer.paused)
        consumer.release()
        self.assertEqual(self.data(consumer), ["1", "2", "3", "4"])
        self.assertFalse(self.peer.paused)


class ReconnectionTests(SourceTest):
    """
    Several connections.
    """

    def reconnect(self, seconds: float) -> None:
        """
        It reconnects after this time, and not before.
        """
        count = len(self.agent.uris)
        self.assertIs(self.source.state, State.CONNECTING)
        self.clock.advance(seconds * 0.999)
        self.assertEqual(len(self.agent.uris), count)
        self.clock.advance(seconds * 0.002)
        self.assertEqual(len(self.agent.uris), count + 1)

    def test_it_reconnects_with_the_last_id(self) -> None:
        consumer = self.follow()
        self.accept(b"id: \xc5\xbc\ndata: a\n\n")
        self.peer.end()
        self.reconnect(3)
        self.assertEqual(self.fields()["Last-Event-Id"].encode(), "\u017c".encode())
        self.accept(b"data: b\n\n")
        self.assertEqual(self.data(consumer), ["a", "b"])
        self.assertEqual(consumer.items[1].id, "\u017c")  # As in a browser.

    def test_every_end_is_alike(self) -> None:
        consumer = self.follow()
        for end in range(4):
            fields = (b"Content-Length: 99",) if end == 1 else () if end == 2 else (CHUNKED,)
            self.peer.head(EVENTS, *fields)
            data = b"data: %d\n\ndata: lost\n" % end
            if end in (1, 2):
                self.peer.send(data)
            else:
                self.peer.chunk(data)
            self.peer.end() if end == 0 else self.peer.lose()
            self.reconnect(3)
        self.assertEqual(self.data(consumer), ["0", "1", "2", "3"])

    def test_an_id_without_data_counts(self) -> None:
        self.follow()
        self.accept(b"id: 1\ndata: a\n\nid: 2\n\nid: 3\n")
        self.peer.lose()
        self.reconnect(3)
        self.assertEqual(self.fields()["Last-Event-Id"], "2")

    def test_an_empty_id_unsets_it(self) -> None:
        self.follow(last_event_id="7")
        self.assertEqual(self.fields()["Last-Event-Id"], "7")
        self.accept(b"id\ndata: a\n\n")
        self.peer.lose()
        self.reconnect(3)
        self.assertNotIn("Last-Event-Id", self.fields())

    def test_the_id_survives_a_connection_without_events(self) -> None:
        self.follow()
        self.accept(b"id: 1\ndata: a\n\n")
        self.peer.lose()
        self.reconnect(3)
        self.accept()
        self.peer.lose()
        self.reconnect(3)
        self.assertEqual(self.fields()["Last-Event-Id"], "1")

    def test_the_server_sets_the_time(self) -> None:
        self.follow()
        self.accept(b"data: a\n\nretry: 500\n")  # It counts at once, without a blank line.
        self.peer.lose()
        self.assertEqual(self.source.retry, 0.5)
        self.reconnect(0.5)
        self.accept(b"data: b\n\n")
        self.peer.lose()
        self.reconnect(0.5)

    def test_failures_wait_longer_and_an_event_ends_that(self) -> None:
        consumer = self.follow(random=Fixed(1.0), max_delay=20)
        self.peer.lose()
        for seconds in (4.5, 9, 18, 20, 20):
            self.reconnect(seconds)
            self.peer.lose()
        self.clock.advance(20)
        self.accept(b"data: a\n\n")
        self.peer.lose()
        self.reconnect(4.5)
        self.assertEqual(self.data(consumer), ["a"])

    def test_errors_of_the_network_are_failures(self) -> None:
        self.agent.refusals = [Refused(), DNSLookupError("no such host"), OSError("unreachable")]
        consumer = self.follow()
        for _ in range(3):
            self.clock.advance(3)
        self.accept(b"data: a\n\n")
        self.assertEqual(self.data(consumer), ["a"])
        self.assertEqual(len(self.agent.uris), 4)

    def test_a_retry_of_zero_is_no_busy_loop(self) -> None:
        self.follow(retry=0.0, random=Fixed(1.0))
        for _ in range(9):
            self.accept(b"retry: 0\n\n")
            self.peer.lose()
            before = self.clock.seconds()
            while self.source.state is State.CONNECTING and self.peer.lost:
                self.clock.advance(0.5)
        self.assertGreater(self.clock.seconds() - before, 10)

    def test_a_head_that_does_not_come(self) -> None:
        self.follow(head_timeout=10)
        peer = self.peer
        self.clock.advance(10)
        self.assertTrue(peer.aborted)
        self.reconnect(3)

    def test_an_idle_connection(self) -> None:
        self.follow(idle_timeout=10)
        self.accept(b"data: a\n\n")
        peer = self.peer
        self.clock.advance(10)
        self.assertTrue(peer.aborted)
        self.reconnect(3)

    def test_statuses_after_which_it_reconnects(self) -> None:
        consumer = self.follow(retry_statuses=(502, 503))
        self.peer.head(CHUNKED, status=b"503 Service Unavailable")
        peer = self.peer
        self.assertTrue(peer.aborted)
        self.reconnect(3)
        self.peer.head(b"Content-Length: 0", status=b"504 Gateway Timeout")
        self.failureResultOf(consumer.task, UnexpectedResponse)

    def test_fresh_fields_for_each_attempt(self) -> None:
        tokens = iter("abc")

        async def headers() -> dict[str, str]:
            return {"Authorization": next(tokens)}

        self.follow(headers=headers)
        self.assertEqual(self.fields()["Authorization"], "a")
        self.peer.lose()
        self.reconnect(3)
        self.assertEqual(self.fields()["Authorization"], "b")

    def test_an_error_of_the_fields_ends_it(self) -> None:
        def headers() -> dict[str, str]:
            raise KeyError("no token")

        consumer = self.follow(headers=headers)
        self.failureResultOf(consumer.task, KeyError)
        self.assertIs(self.source.state, State.CLOSED)

    def test_events_that_arrived_before_the_end_come_first(self) -> None:
        self.source = EventSource(
            "http://test/", client=self.client, reactor=self.clock, random=Fixed(0)
        )
        consumer = self.consume(self.source, gate=Deferred())
        self.accept(b"id: 1\ndata: 1\n\n", b"id: 2\ndata: 2\n\n")
        self.peer.lose()
        self.assertEqual(self.source.last_event_id, "1")
        consumer.release()
        self.assertEqual(self.data(consumer), ["1", "2"])
        self.reconnect(3)
        self.assertEqual(self.fields()["Last-Event-Id"], "2")


class RedirectTests(SourceTest):
    """
    Redirects.
    """

    def redirect(self, status: int, location: bytes) -> None:
        self.peer.head(CHUNKED, b"Location: " + location, status=b"%d R" % status)

    def test_redirects_are_followed_and_their_connections_closed(self) -> None:
        for status in (301, 302, 303, 307, 308):
            consumer = self.follow("http://test/a/b")
            first = self.peer
            self.redirect(status, b"../c#d")
            self.assertTrue(first.aborted)
            self.assertEqual(self.agent.uris[-1], b"http://test/c")
            self.accept(b"data: a\n\n")
            self.assertEqual(self.data(consumer), ["a"])

    def test_it_reconnects_to_the_new_address(self) -> None:
        self.follow("http://test/a", headers={"Authorization": "a"})
        self.redirect(302, b"http://other/b")
        self.accept(b"data: a\n\n")
        self.peer.lose()
        self.clock.advance(3)
        self.assertEqual(self.agent.uris[-1], b"http://other/b")
        self.assertNotIn("Authorization", self.fields())

    def test_secrets_stay_at_their_origin_after_several_redirects(self) -> None:
        self.follow("http://test/a", headers={"Authorization": "a"})
        self.redirect(302, b"http://other/b")
        self.redirect(302, b"/c")
        self.assertNotIn("Authorization", self.fields())
        self.accept(b"data: a\n\n")
        self.peer.lose()
        self.clock.advance(3)
        self.assertEqual(self.agent.uris[-1], b"http://other/c")
        self.assertNotIn("Authorization", self.fields())

    def test_it_starts_anew_if_the_new_address_fails(self) -> None:
        self.follow("http://test/a", headers={"Authorization": "a"})
        self.redirect(301, b"http://other/b")
        self.accept(b"data: a\n\n")
        self.peer.lose()
        self.clock.advance(3)
        self.peer.lose()
        self.clock.advance(3)
        self.assertEqual(self.agent.uris[-1], b"http://test/a")
        self.assertEqual(self.fields()["Authorization"], "a")

    def test_methods_and_bodies(self) -> None:
        for status, method in [
            (301, b"GET"),
            (302, b"GET"),
            (303, b"GET"),
            (307, b"POST"),
            (308, b"POST"),
        ]:
            self.follow(method="POST", json={"a": 1})
            self.clock.pump([0] * 3)
            self.redirect(status, b"/b")
            self.clock.pump([0] * 3)
            self.assertTrue(self.peer.request.startswith(method + b" "), status)
            self.assertEqual(self.peer.request.endswith(b'{"a":1}'), method == b"POST")
            self.assertEqual("Content-Type" in self.fields(), method == b"POST")

    def test_secrets_stay_at_their_origin(self) -> None:
        headers = {"Authorization": "a", "Cookie": "b", "X-C": "c"}
        for url, location, kept in [
            ("http://test/", b"/b", True),
            ("http://test/", b"http://test:80/b", True),
            ("http://test/", b"http://other/b", False),
            ("http://test/", b"http://test:81/b", False),
            ("http://test/", b"https://test/b", False),
        ]:
            self.follow(url, headers=headers, last_event_id="7")
            self.redirect(307, location)
            fields = self.fields()
            self.assertEqual(fields.get("Authorization"), "a" if kept else None, location)
            self.assertEqual("Cookie" in fields, kept, location)
            self.assertEqual((fields["X-C"], fields["Last-Event-Id"]), ("c", "7"))

    def test_endless_redirects_are_a_failure_of_one_attempt(self) -> None:
        consumer = self.follow()
        for _ in range(21):
            self.assertNoResult(consumer.task)
            self.redirect(302, b"/")
        self.assertEqual(len(self.agent.uris), 21)
        self.assertTrue(all(peer.aborted for peer in self.agent.peers))
        self.clock.advance(3)
        self.assertEqual(len(self.agent.uris), 22)

    def test_a_redirect_to_nowhere_fails(self) -> None:
        for location in (b"", b"ftp://test/", b"http://[", b"javascript:1"):
            consumer = self.follow()
            self.redirect(302, location)
            error = self.failureResultOf(consumer.task, UnexpectedResponse).value
            self.assertEqual(error.status, 302)
            self.assertTrue(self.peer.aborted)


class ClosingTests(SourceTest):
    """
    Ends that the program causes.
    """

    def closed(self, consumer: Consumer) -> None:
        self.successResultOf(consumer.task)
        self.assertIs(self.source.state, State.CLOSED)
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_close_while_it_connects(self) -> None:
        consumer = self.follow()
        self.source.close()
        self.assertTrue(self.peer.aborted)
        self.closed(consumer)

    def test_close_while_it_is_open(self) -> None:
        consumer = self.follow()
        self.accept()
        self.source.close()
        self.assertTrue(self.peer.aborted)
        self.closed(consumer)

    def test_close_while_it_waits_to_reconnect(self) -> None:
        consumer = self.follow()
        self.peer.lose()
        self.source.close()
        self.closed(consumer)
        self.assertEqual(len(self.agent.uris), 1)

    def test_close_while_it_reads_a_page(self) -> None:
        consumer = self.follow()
        self.peer.head(CHUNKED, status=b"403 Forbidden")
        self.source.close()
        self.assertTrue(self.peer.aborted)
        self.closed(consumer)

    def test_close_while_the_fields_are_made(self) -> None:
        made: Deferred[Any] = Deferred()
        consumer = self.follow(headers=lambda: made)
        self.source.close()
        self.closed(consumer)
        self.assertEqual(self.agent.uris, [])

    def test_close_within_the_loop(self) -> None:
        consumer = self.follow()
        consumer.gate = Deferred()
        self.accept(b"data: 1\n\ndata: 2\n\n")
        self.source.close()
        consumer.release()
        self.assertEqual(self.data(consumer), ["1"])
        self.closed(consumer)

    def test_close_before_the_start_and_twice(self) -> None:
        source = EventSource("http://test/", client=self.client, reactor=self.clock)
        source.close()
        source.close()
        self.successResultOf(source.aclose())
        self.successResultOf(self.consume(source).task)
        self.assertEqual(self.agent.uris, [])

    def test_a_task_is_cancelled_in_every_state(self) -> None:
        def connecting() -> None:
            pass

        def opened() -> None:
            self.accept()

        def waiting() -> None:
            self.peer.lose()

        def reading() -> None:
            self.peer.head(CHUNKED, status=b"403 Forbidden")

        for reach in (connecting, opened, waiting, reading):
            consumer = self.follow()
            reach()
            consumer.task.cancel()
            self.failureResultOf(consumer.task, CancelledError)
            self.assertIs(self.source.state, State.CLOSED, reach)
            self.assertTrue(self.peer.aborted or self.peer.lost, reach)
            self.clock.advance(0)
            self.assertEqual(self.clock.getDelayedCalls(), [], reach)

    def test_the_end_of_a_block_closes_it(self) -> None:
        async def first() -> str | None:
            async with EventSource(
                "http://test/", client=self.client, reactor=self.clock
            ) as source:
                async for event in source:
                    return event.data
            return None

        task = Deferred.fromCoroutine(first())
        self.accept(b"data: a\n\n")
        self.assertEqual(self.successResultOf(task), "a")
        self.assertTrue(self.peer.aborted)

    def test_a_second_task_is_refused_and_the_first_goes_on(self) -> None:
        first = self.follow()
        for _ in range(2):
            second = self.consume(self.source)
            self.failureResultOf(second.task, RuntimeError)
            if self.source.state is State.CONNECTING:
                self.accept()
        self.peer.chunk(b"data: a\n\n")
        self.assertEqual(self.data(first), ["a"])

    def test_nothing_refers_to_a_closed_source(self) -> None:
        consumer = self.follow()
        self.accept(b"data: a\n\n")
        self.source.close()
        self.closed(consumer)
        gc.collect()
        self.assertEqual(
            [each for each in gc.get_referrers(self.source) if isinstance(each, Deferred)], []
        )


class BackoffTests(SynchronousTestCase):
    """
    The times between attempts.
    """

    def delays(self, random: float, retry: float, *, max_delay: float = 60) -> list[float]:
        backoff = Backoff(retry, max_delay, Fixed(random))
        return [backoff.next_delay() for _ in range(8)]

    def test_the_shortest_is_what_the_server_asked_for(self) -> None:
        for retry in (0, 0.5, 3, 1000):
            self.assertEqual(self.delays(0, retry), [retry] * 8)

    def test_the_longest_doubles_up_to_a_limit(self) -> None:
        self.assertEqual(self.delays(1, 3), [4.5, 9, 18, 36, 60, 60, 60, 60])
        self.assertEqual(self.delays(1, 0), [0, 3, 6, 12, 24, 48, 60, 60])

    def test_a_server_may_ask_for_more_than_the_limit(self) -> None:
        self.assertEqual(self.delays(1, 100), [150] * 8)

    def test_thousands_of_failures(self) -> None:
        backoff = Backoff(3, 60, Fixed(1))
        self.assertEqual([backoff.next_delay() for _ in range(5000)][-1], 60)
