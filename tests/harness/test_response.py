"""
Responses, against bytes that are cut anywhere and end in every way.
"""

from typing import Any

from h11 import RemoteProtocolError
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.harness import Ending, Response, Responses
from tests.strategies import pieces

CHUNKED = (
    b"HTTP/1.1 103 Early Hints\r\n\r\n"
    b"HTTP/1.1 200 Fine\r\nTransfer-Encoding: chunked\r\nx-One: 1\r\nX-one: 2\r\n\r\n"
    b"2\r\na\n\r\n1\r\n \r\n0\r\nx-Two: 1\r\nX-two: 2\r\n\r\n"
)
SIZED = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
UNSIZED = b"HTTP/1.0 200 OK\r\n\r\nabc"


def parsed(*parts: bytes, methods: tuple[str, ...] = ("GET",)) -> Responses:
    responses = Responses()
    for method in methods:
        responses.expect(method)
    for part in parts:
        responses.feed(part)
    return responses


def facts(response: Response) -> tuple[Any, ...]:
    return (
        response.status,
        response.reason,
        response.version,
        response.headers,
        response.informational,
        response.body,
        response.chunks,
        response.ending,
        response.trailers,
    )


class ParsingTests(SynchronousTestCase):
    @given(pieces(st.just(CHUNKED + SIZED + CHUNKED)))
    def test_it_does_not_matter_where_the_bytes_are_cut(self, parts: list[bytes]) -> None:
        responses = parsed(*parts, methods=("GET",) * 3).all
        whole = [parsed(each).all[0] for each in (CHUNKED, SIZED, CHUNKED)]
        self.assertEqual(list(map(facts, responses)), list(map(facts, whole)))

    def test_a_response_is_shown_with_its_chunks(self) -> None:
        [response] = parsed(CHUNKED).all
        self.assertEqual((response.status, response.reason, response.version), (200, "Fine", "1.1"))
        self.assertEqual((response.body, response.chunks), (b"a\n ", [b"a\n", b" "]))
        self.assertEqual(response.informational, [103])
        self.assertIn(("x-One", "1"), response.headers)
        self.assertEqual(response.trailers, [("x-Two", "1"), ("X-two", "2")])
        self.assertEqual(response.values("X-ONE"), ["1", "2"])
        self.assertRaises(AssertionError, response.header, "X-One")
        self.assertEqual(response.header("transfer-encoding"), "chunked")
        self.assertIsNone(response.header("X-Two"))

    def test_a_chunk_that_was_read_in_part_is_in_the_body_alone(self) -> None:
        [response] = parsed(CHUNKED[: CHUNKED.index(b"a\n") + 1]).all
        self.assertEqual((response.body, response.chunks), (b"a", []))

    def test_bytes_that_answer_no_request_fail(self) -> None:
        self.assertRaises(AssertionError, parsed, CHUNKED + b"x")
        self.assertRaises(AssertionError, parsed, SIZED + SIZED)
        self.assertRaises(AssertionError, parsed, SIZED, methods=("HEAD",))

    def test_a_response_that_breaks_the_protocol_fails(self) -> None:
        self.assertRaises(RemoteProtocolError, parsed, b"nonsense\r\n\r\n")
        self.assertRaises(RemoteProtocolError, parsed, CHUNKED.replace(b"\r\n1\r\n", b"\r\nx\r\n"))
        self.assertRaises(RemoteProtocolError, parsed, CHUNKED.replace(b"a\n\r\n", b"a\nXX"))


class EndingTests(SynchronousTestCase):
    def test_every_end_looks_different(self) -> None:
        for data, open_, fin, rst in (
            (b"", Ending.OPEN, Ending.TRUNCATED, Ending.ABORTED),
            (b"HTTP/1.1 2", Ending.OPEN, Ending.TRUNCATED, Ending.ABORTED),
            (CHUNKED[:-7], Ending.OPEN, Ending.TRUNCATED, Ending.ABORTED),
            (CHUNKED[:-5], Ending.OPEN, Ending.TRUNCATED, Ending.ABORTED),
            (CHUNKED[:-1], Ending.OPEN, Ending.TRUNCATED, Ending.ABORTED),
            (CHUNKED, Ending.COMPLETE, Ending.COMPLETE, Ending.COMPLETE),
            (SIZED[:-1], Ending.OPEN, Ending.TRUNCATED, Ending.ABORTED),
            (SIZED, Ending.COMPLETE, Ending.COMPLETE, Ending.COMPLETE),
            (UNSIZED, Ending.OPEN, Ending.COMPLETE, Ending.ABORTED),
        ):
            self.assertIs(parsed(data).all[0].ending, open_, data)
            for reset, ending in ((False, fin), (True, rst)):
                responses = parsed(data)
                responses.end(reset=reset)
                self.assertIs(responses.all[0].ending, ending, data)

    def test_where_no_body_may_be_a_response_is_complete_with_its_head(self) -> None:
        for status, method in ((200, "HEAD"), (204, "GET"), (304, "GET")):
            head = b"HTTP/1.1 %d X\r\nX: y\r\n\r\n" % status
            [response] = parsed(head, methods=(method,)).all
            self.assertEqual((response.complete, response.body), (True, b""))


class NewTests(SynchronousTestCase):
    def feed(self, body: bytes) -> None:
        self.responses.feed(b"%x\r\n%b\r\n" % (len(body), body))

    def setUp(self) -> None:
        self.responses = parsed(CHUNKED[: CHUNKED.index(b"2\r\na")])
        [self.response] = self.responses.all

    def test_all_that_is_new_shares_one_position(self) -> None:
        self.feed(b"a")
        self.assertEqual(self.response.new_body(), b"a")
        self.feed(b"b")
        self.assertEqual(self.response.new_chunks(), [b"b"])
        self.assertEqual((self.response.new_body(), self.response.new_chunks()), (b"", []))

    def test_events_are_new_when_their_end_is(self) -> None:
        self.feed(b"id: 1\ndata: a\n\nid: 2\nda")
        self.response.new_body()
        self.feed(b"ta: b\n\n")
        [event] = self.response.new_events()
        self.assertEqual((event.data, event.id, self.response.last_event_id), ("b", "2", "2"))

    def test_values_are_new_when_their_end_is(self) -> None:
        self.feed(b'{"a": 1}\n[2')
        self.response.new_body()
        self.feed(b"]\n3\n4")
        self.assertEqual(self.response.new_values(), [[2], 3])
        self.feed(b"\n")
        self.assertEqual(self.response.new_values(), [4])
