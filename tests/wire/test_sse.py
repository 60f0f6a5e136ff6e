"""
Server-Sent Events, against WHATWG HTML 9.2.
"""

import enum
import re
from typing import Any

from attrs import astuple
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.strategies import EVENT_STREAMS, EVENTS, pieces
from tests.wire.event_streams import RULES
from twistream import EncodeError, EventDecoder, LimitExceeded, ServerSentEvent
from twistream.wire.sse import MAX_RETRY_MS, data_event


class Read:
    """
    What a decoder made of a stream that came in pieces.

    Attributes:
        events: What it returned.
        error: How it ended: offset, limit and unit, or None.
        incomplete: What ``finish`` said.
        decoder: The decoder itself.
        most: The most bytes that it kept between the pieces.
    """

    def __init__(self, fed: list[bytes], **limits: Any) -> None:
        self.decoder = EventDecoder(**limits)
        self.events: list[ServerSentEvent] = []
        self.error: tuple[int, int, str] | None = None
        self.incomplete: bool | None = None
        self.most = 0
        try:
            for piece in fed:
                self.events += self.decoder.feed(piece)
                self.most = max(self.most, kept(self.decoder))
            self.incomplete = self.decoder.finish()
        except LimitExceeded as err:
            self.error = err.offset, err.limit, err.unit
        self.most = max(self.most, kept(self.decoder))

    @property
    def all(self) -> tuple[object, ...]:
        """
        What must not depend on the pieces.
        """
        at_end = self.decoder.last_event_id, self.decoder.retry_ms
        return self.events, self.error, self.incomplete, at_end


def kept(decoder: EventDecoder) -> int:
    """
    The bytes of all buffers of a decoder, without the ids.
    """
    return len(decoder._lines._line) + len(decoder._data) + len(decoder._event or b"")


def single_bytes(stream: bytes) -> list[bytes]:
    return [bytes([byte]) for byte in stream]


def reference(stream: bytes) -> list[tuple[object, ...]]:
    """
    The events of a whole stream, read as the standard tells it and with no regard to speed.
    """
    text = stream.decode("utf-8", "replace").removeprefix("\ufeff")
    *lines, _ = re.split("\r\n|\r|\n", text)
    events: list[tuple[object, ...]] = []
    data, event, retry = "", None, None
    last_id = None
    for line in lines:
        if line == "":
            if data != "":
                events.append((data[:-1], event, last_id, retry, None))
            data, event, retry = "", None, None
            continue
        field, value = line, ""
        if ":" in line:
            field, value = line.split(":", 1)
            if value[:1] == " ":
                value = value[1:]
        if field == "event":
            event = value or None
        elif field == "data":
            data += value + "\n"
        elif field == "id" and "\0" not in value:
            last_id = value
        elif field == "retry" and value and set(value) <= set("0123456789"):
            retry = min(int(value), MAX_RETRY_MS)
    return events


class DecoderTests(SynchronousTestCase):
    """
    What a stream says, by the rules, wherever it is cut.
    """

    def test_the_rules_of_the_standard(self) -> None:
        for rule in RULES:
            for fed in ([rule.stream], single_bytes(rule.stream)):
                read = Read(fed)
                self.assertEqual(read.events, rule.events, rule.name)
                self.assertEqual(read.decoder.last_event_id, rule.last_event_id, rule.name)
                self.assertEqual(read.decoder.retry_ms, rule.retry_ms, rule.name)
                self.assertIsNone(read.error)

    def test_each_rule_has_a_name_of_its_own(self) -> None:
        self.assertEqual(len({rule.name for rule in RULES}), len(RULES))

    @given(EVENT_STREAMS)
    def test_a_plain_reading_of_the_standard_agrees(self, stream: bytes) -> None:
        self.assertEqual(list(map(astuple, EventDecoder().feed(stream))), reference(stream))

    @given(pieces(EVENT_STREAMS), st.integers(0, 20), st.integers(0, 12))
    @example([b"data: a\r", b"\n\r", b"\ndata: b\n\n"], 20, 12)
    @example([b"\xef\xbb", b"\xbfdata: a\n\n"], 20, 12)
    def test_a_stream_means_the_same_wherever_it_is_cut(
        self, fed: list[bytes], max_line: int, max_event: int
    ) -> None:
        stream = b"".join(fed)
        for limits in ({}, {"max_line": max_line, "max_event": max_event}):
            whole = Read([stream], **limits)
            self.assertEqual(Read(fed, **limits).all, whole.all)
            self.assertEqual(Read(single_bytes(stream), **limits).all, whole.all)

    @given(pieces(EVENT_STREAMS), st.integers(0, 20), st.integers(0, 12))
    def test_it_keeps_no_more_than_its_limits(
        self, fed: list[bytes], max_line: int, max_event: int
    ) -> None:
        read = Read(fed, max_line=max_line, max_event=max_event)
        assert read.most <= max_line + max_event
        for event in read.events:
            assert len((event.data or "") + (event.event or "")) <= max_event

    def test_a_million_tiny_lines_take_no_more_than_the_limit(self) -> None:
        decoder = EventDecoder(max_event=1000)
        self.assertRaises(LimitExceeded, decoder.feed, b"data\n" * 1_000_000)
        self.assertEqual(kept(decoder), 0)

    def test_a_name_of_an_event_may_have_nul(self) -> None:
        (event,) = EventDecoder().feed(b"event: a\0b\ndata: c\n\n")
        self.assertEqual((event.event, event.data), ("a\0b", "c"))

    def test_an_id_holds_for_the_decoder_when_its_block_has_ended(self) -> None:
        decoder = EventDecoder()
        decoder.feed(b"id: 1\ndata: a\n")
        self.assertEqual(decoder.last_event_id, "")
        decoder.feed(b"\n")
        self.assertEqual(decoder.last_event_id, "1")

    def test_a_retry_longer_than_any_is_the_longest(self) -> None:
        for digits in (b"9" * 19, b"9" * 10_000, b"0" * 10_000 + b"1" + b"0" * 19):
            decoder = EventDecoder()
            decoder.feed(b"retry: %b\n" % digits)
            self.assertEqual(decoder.retry_ms, MAX_RETRY_MS)

    def test_it_says_whether_the_end_came_in_the_middle_of_an_event(self) -> None:
        for stream, expected in (
            (b"", False),
            (b"\xef\xbb\xbf", False),
            (b"data: a\n\n", False),
            (b"data: a\r\r", False),
            (b"data: a\n\n: a comment\n", False),
            (b"data: a\n", True),
            (b"data: a\n\nda", True),
            (b"data: a\n\nid: 1\n", True),
            (b"\xef\xbb", True),
            (b"retry: 9\n", False),
            (b"retry: 9\ndata: a\n", True),
            (b"other: field\n", False),
        ):
            self.assertIs(Read([stream]).incomplete, expected, stream)

    def test_what_is_not_bytes_like_is_refused(self) -> None:
        decoder = EventDecoder()
        for wrong in ("data: a\n\n", None, 1):
            self.assertRaises(TypeError, decoder.feed, wrong)
        self.assertEqual(decoder.feed(bytearray(b"data: a\n\n")), [ServerSentEvent("a")])


class LimitTests(SynchronousTestCase):
    """
    What is too large is refused, after what came before it.
    """

    def test_the_limit_of_a_line(self) -> None:
        self.assertEqual(Read([b"data: abc\r\n\r\n"], max_line=9).events, [ServerSentEvent("abc")])
        read = Read([b"\ndata: abc\n\n"], max_line=8)
        self.assertEqual(read.error, (9, 8, "bytes of a line"))

    def test_the_limit_of_an_event_counts_lines_with_their_ends_and_the_name(self) -> None:
        stream = b"\ndata: ab\nevent: c\ndata: d\n\n"
        event = ServerSentEvent("ab\nd", event="c")
        self.assertEqual(Read([stream], max_event=6).events, [event])
        self.assertEqual(Read([stream], max_event=5).error, (19, 5, "bytes of an event"))
        self.assertEqual(Read([stream], max_event=3).error, (10, 3, "bytes of an event"))

    def test_each_event_has_the_limit_to_itself(self) -> None:
        stream = b"event: abcd\n\ndata: abc\n\nevent: abc\ndata: \n\n"
        self.assertEqual(len(Read([stream], max_event=4).events), 2)

    def test_events_before_the_error_come_first_and_then_it_stays(self) -> None:
        for large in (b"data: abcdefghi\n", b"data: abcdefghijklmnop\n"):
            decoder = EventDecoder(max_line=20, max_event=8)
            events = decoder.feed(b"data: a\n\n" + large + b"\ndata: b\n\n")
            self.assertEqual(events, [ServerSentEvent("a")])
            first = self.assertRaises(LimitExceeded, decoder.feed, b"data: c\n\n")
            second = self.assertRaises(LimitExceeded, decoder.finish)
            self.assertEqual(str(first), str(second))

    def test_an_error_without_events_before_it_comes_at_once(self) -> None:
        for large in (b"data: abcdefghi\n", b": a\ndata: abcdefghijklmnop"):
            decoder = EventDecoder(max_line=20, max_event=8)
            self.assertRaises(LimitExceeded, decoder.feed, large)

    def test_an_event_of_a_megabyte_on_one_line_is_taken_by_default(self) -> None:
        text = "x" * 1_000_000
        self.assertEqual(Read([b"data: %b\n\n" % text.encode()]).events, [ServerSentEvent(text)])


class Kind(str, enum.Enum):  # noqa: UP042 - a StrEnum formats as what it is
    """
    Text that formats otherwise than it is.
    """

    STORY = "story"


class EncoderTests(SynchronousTestCase):
    """
    An event is a few lines, and none of its values can end one.
    """

    def test_the_lines_of_an_event(self) -> None:
        for event, expected in (
            (ServerSentEvent("a"), b"data: a\n\n"),
            (ServerSentEvent(""), b"data: \n\n"),
            (ServerSentEvent(" a"), b"data:  a\n\n"),
            (ServerSentEvent("a\nb"), b"data: a\ndata: b\n\n"),
            (ServerSentEvent("a\rb"), b"data: a\ndata: b\n\n"),
            (ServerSentEvent("a\r\nb"), b"data: a\ndata: b\n\n"),
            (ServerSentEvent("\n\r\r\n"), b"data: \ndata: \ndata: \ndata: \n\n"),
            (ServerSentEvent("a\0b"), b"data: a\0b\n\n"),
            (
                ServerSentEvent("\v\f\x1c\x1d\x1e\x85\u2028\u2029"),
                "data: \v\f\x1c\x1d\x1e\x85\u2028\u2029\n\n".encode(),
            ),
            (ServerSentEvent(comment="ping"), b": ping\n\n"),
            (ServerSentEvent(comment=""), b": \n\n"),
            (ServerSentEvent(comment="a\r\nb\rc\nd"), b": a\n: b\n: c\n: d\n\n"),
            (ServerSentEvent(event=""), b"event: \n\n"),
            (ServerSentEvent(id=""), b"id: \n\n"),
            (ServerSentEvent(retry_ms=0), b"retry: 0\n\n"),
            (
                ServerSentEvent("d\nd", event="e", id="i", retry_ms=9, comment="c"),
                b": c\nevent: e\nid: i\nretry: 9\ndata: d\ndata: d\n\n",
            ),
            (ServerSentEvent("\u017c", event="\u20ac"), "event: \u20ac\ndata: \u017c\n\n".encode()),
        ):
            self.assertEqual(event.encode(), expected)

    def test_the_value_of_an_enum_is_sent(self) -> None:
        event = ServerSentEvent(Kind.STORY, event=Kind.STORY, id=Kind.STORY, comment=Kind.STORY)
        self.assertEqual(event.encode(), b": story\nevent: story\nid: story\ndata: story\n\n")

    @given(EVENTS)
    def test_what_is_sent_is_what_is_read(self, event: ServerSentEvent) -> None:
        data = (event.data or "").replace("\r\n", "\n").replace("\r", "\n")
        name = event.event or None
        expected = ServerSentEvent(data, event=name, id=event.id, retry_ms=event.retry_ms)
        self.assertEqual(EventDecoder().feed(event.encode()), [expected])

    @given(st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n")))
    def test_an_event_that_has_only_data(self, text: str) -> None:
        encoded = ServerSentEvent(text).encode()
        self.assertEqual(data_event(text), encoded)
        self.assertEqual(data_event(text.encode()), encoded)

    def test_the_data_may_be_the_value_of_an_enum(self) -> None:
        self.assertEqual(data_event(Kind.STORY), ServerSentEvent(Kind.STORY).encode())

    @given(st.lists(EVENTS))
    def test_events_do_not_run_into_each_other(self, events: list[ServerSentEvent]) -> None:
        read = EventDecoder().feed(b"".join(event.encode() for event in events))
        self.assertEqual([e.event for e in read], [e.event or None for e in events])
        self.assertEqual([e.retry_ms for e in read], [e.retry_ms for e in events])

    def test_what_is_read_can_be_sent_again(self) -> None:
        stream = b"event: a\0b\nid: 1\ndata: c\n\n"
        (event,) = EventDecoder().feed(stream)
        self.assertEqual(event.encode(), stream)

    def test_what_would_end_a_line_is_refused(self) -> None:
        for bad in ("\n", "\r", "\0", "a\nb", "a\r\nb", "a\0"):
            self.assertRaises(ValueError, ServerSentEvent, "a", event=bad)
            self.assertRaises(ValueError, ServerSentEvent, "a", id=bad)
        for good in ("\v", "\x85", "\u2028", " ", ":"):
            ServerSentEvent("a", event=good, id=good)

    def test_an_event_has_something_in_it(self) -> None:
        self.assertRaises(ValueError, ServerSentEvent)
        self.assertRaises(ValueError, ServerSentEvent, None, event=None)

    def test_other_types_are_refused(self) -> None:
        for wrong in (b"a", 1, ["a"], {"a": 1}, False):
            for field in ("data", "event", "id", "comment"):
                self.assertRaises(TypeError, ServerSentEvent, **{field: wrong})
        for no_number in ("1", 1.0, True, b"1"):
            self.assertRaises(TypeError, ServerSentEvent, retry_ms=no_number)

    def test_a_retry_has_a_range(self) -> None:
        for wrong in (-1, MAX_RETRY_MS + 1, 10**5000):
            self.assertRaises(ValueError, ServerSentEvent, retry_ms=wrong)
        self.assertEqual(
            EventDecoder().feed(ServerSentEvent("", retry_ms=MAX_RETRY_MS).encode()),
            [ServerSentEvent("", retry_ms=MAX_RETRY_MS)],
        )

    def test_lone_surrogates_are_an_encode_error(self) -> None:
        text = "a\ud800"
        for event in (
            ServerSentEvent(text),
            ServerSentEvent(event=text),
            ServerSentEvent(id=text),
            ServerSentEvent(comment=text),
        ):
            self.assertRaises(EncodeError, event.encode)

    def test_an_event_is_a_value(self) -> None:
        event = ServerSentEvent("a", id="1")
        self.assertEqual(event, ServerSentEvent("a", id="1"))
        self.assertEqual(len({event, ServerSentEvent("a", id="1")}), 1)
        with self.assertRaises(AttributeError):
            event.data = "b"  # type: ignore[misc]  # wrong on purpose
