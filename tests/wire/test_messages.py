"""
Messages of channels, as events and as lines.
"""

import copy
import enum
import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.strategies import LINES as ONE_LINE
from tests.strategies import TEXTS
from twistream import EncodeError, EventDecoder, ServerSentEvent
from twistream.wire.messages import (
    EVENTS,
    JSON_LINES,
    Delivery,
    Events,
    Gap,
    Message,
    Payload,
    check_event,
    encoded,
)

GAP = Gap(requested="1-3", resumed_from="1-5", reason="trimmed")

GAP_OF_SEVERAL = Gap(
    requested="1-3,2-4",
    resumed_from="1-5,2-4",
    reason="trimmed",
    channels={"news": "trimmed", "null": "dropped"},
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
)


class Kind(str, enum.Enum):  # noqa: UP042 - a StrEnum formats as what it is
    """
    Text that formats otherwise than it is.
    """

    STORY = "story"


class Markup(str):
    """
    Text that is text of another kind, as template engines have it.
    """

    __slots__ = ()

    def __str__(self) -> str:
        return "something else"


class EncodedTests(SynchronousTestCase):
    """
    Text is text, and all else is JSON on one line.
    """

    def test_a_str_is_as_it_is(self) -> None:
        for text in ("", "text", '"quoted"', "a\r\nb", "\0", "\u017c"):
            self.assertEqual(encoded(text), text)

    def test_text_of_a_subclass_is_plain_text(self) -> None:
        for text in (Markup("<b>"), Markup("\u017c"), Kind.STORY):
            payload, event = encoded(text), check_event(text)
            self.assertEqual((type(payload), type(event)), (str, str))
            self.assertEqual(payload, str.__str__(text))
            line = json.loads(JSON_LINES.message("1-4", payload, event))
            self.assertEqual((line["data"], line["event"]), (payload, event))

    def test_anything_else_is_compact_json(self) -> None:
        for data, expected in (
            (None, b"null"),
            ({"a": [1, "x"]}, b'{"a":[1,"x"]}'),
            (["a\nb"], b'["a\\nb"]'),
            (True, b"true"),
            ({"a": b"bytes"}, b'{"a":"Ynl0ZXM="}'),
        ):
            self.assertEqual(encoded(data), expected)

    def test_bytes_are_refused_with_what_to_do_instead(self) -> None:
        for wrong in (b"", b"bytes", bytearray(b"bytes"), memoryview(b"bytes")):
            kind = type(wrong).__name__
            with self.assertRaisesRegex(TypeError, rf"not be {kind}: .*\.decode\(\).*ctx\.write"):
                encoded(wrong)

    def test_what_neither_can_hold_is_an_encode_error(self) -> None:
        for wrong in ("a\ud800", ["a\ud800"], object(), float("nan"), {"a": float("inf")}):
            self.assertRaises(EncodeError, encoded, wrong)


class FormatTests(SynchronousTestCase):
    """
    Formats have a name.
    """

    def test_the_types_of_their_streams(self) -> None:
        self.assertEqual(EVENTS.media_type, b"text/event-stream; charset=utf-8")
        self.assertEqual(JSON_LINES.media_type, b"application/jsonl")


class EventsTests(SynchronousTestCase):
    """
    As Server-Sent Events.
    """

    def test_a_message_has_its_id_and_its_name(self) -> None:
        for payload, event, expected in (
            ("a\nb", None, b"id: 1-4\ndata: a\ndata: b\n\n"),
            ("", None, b"id: 1-4\ndata: \n\n"),
            (b'{"a":null}', "story", b'event: story\nid: 1-4\ndata: {"a":null}\n\n'),
        ):
            self.assertEqual(EVENTS.message("1-4", payload, event), expected)

    def test_a_gap_is_an_event_whose_id_is_where_it_ends(self) -> None:
        for gap in (GAP, GAP_OF_SEVERAL):
            (event,) = EventDecoder().feed(EVENTS.gap(gap))
            self.assertEqual((event.event, event.id), ("gap", gap.resumed_from))
            assert event.data is not None
            self.assertEqual(json.loads(event.data), as_json(gap))

    def test_a_position_is_no_event_but_its_id_is_kept(self) -> None:
        data = EVENTS.position("1-4")
        decoder = EventDecoder()
        self.assertEqual(data, b"id: 1-4\n\n")
        self.assertEqual(decoder.feed(data), [])
        self.assertEqual(decoder.last_event_id, "1-4")

    @given(ONE_LINE, TEXTS | VALUES, st.none() | ONE_LINE)
    def test_what_is_sent_is_what_is_read(self, id_: str, value: Any, event: str | None) -> None:
        (read,) = EventDecoder().feed(EVENTS.message(id_, encoded(value), event))
        assert read.data is not None
        if isinstance(value, str):
            text = value.replace("\r\n", "\n").replace("\r", "\n")
            assert read == ServerSentEvent(text, event=event or None, id=id_)
        else:
            assert json.loads(read.data) == value

    @given(*[TEXTS | st.text("a\r\n\0\ud800", max_size=4)] * 3)
    def test_a_message_is_encoded_or_refused_as_any_event_is(
        self, id_: str, data: str, event: str
    ) -> None:
        for name in (None, event):
            self.assertEqual(
                outcome(EVENTS.message, id_, data, name),
                outcome(as_event, id_, data, name),
            )


class JSONLinesTests(SynchronousTestCase):
    """
    As lines of JSON.
    """

    def test_a_message_is_one_line(self) -> None:
        for payload, event, expected in (
            ("a\r\nb", None, b'{"id":"1-4","data":"a\\r\\nb"}\n'),
            (b'{"a":1}', None, b'{"id":"1-4","data":{"a":1}}\n'),
            (b"5", "story", b'{"id":"1-4","event":"story","data":5}\n'),
            ("", "", b'{"id":"1-4","event":"","data":""}\n'),
        ):
            self.assertEqual(JSON_LINES.message("1-4", payload, event), expected)

    def test_what_looks_like_no_number_is_sent_all_the_same(self) -> None:
        for value in (None, {"a": None}, ["NaN"], "null", "-Infinity", {"nan": "Inf"}):
            for event in (None, "nan"):
                line = json.loads(JSON_LINES.message("1-4", encoded(value), event))
                self.assertEqual((line["data"], line.get("event")), (value, event))

    def test_the_value_of_an_enum_is_sent(self) -> None:
        data = JSON_LINES.message("1-4", encoded(Kind.STORY), Kind.STORY)
        self.assertEqual(json.loads(data), {"id": "1-4", "data": "story", "event": "story"})

    def test_a_gap_is_a_line_of_its_own_kind(self) -> None:
        for gap in (GAP, GAP_OF_SEVERAL):
            data = JSON_LINES.gap(gap)
            self.assertTrue(data.endswith(b"}\n"))
            self.assertEqual(json.loads(data), {"gap": as_json(gap)})

    def test_json_is_sent_as_it_was_encoded(self) -> None:
        for payload in (b"1e400", b'"\\u017c"', b"[1.0]"):
            line = JSON_LINES.message("1-4", payload, None)
            self.assertEqual(line, b'{"id":"1-4","data":%b}\n' % payload)

    def test_a_topic_is_a_member_and_an_event_has_none(self) -> None:
        line = JSON_LINES.message("1-4", b"[1]", "story", "a/\u017c")
        self.assertEqual(
            line.decode(), '{"id":"1-4","event":"story","topic":"a/\u017c","data":[1]}\n'
        )
        event = EVENTS.message("1-4", b"[1]", "story", "a/\u017c")
        self.assertEqual(event, EVENTS.message("1-4", b"[1]", "story"))

    def test_a_subscription_is_a_line_or_an_event_without_an_id(self) -> None:
        self.assertEqual(JSON_LINES.subscription("x"), b'{"subscription":{"id":"x"}}\n')
        event = b'event: subscription\ndata: {"id":"x"}\n\n'
        self.assertEqual(EVENTS.subscription("x"), event)

    def test_a_position_cannot_be_said(self) -> None:
        self.assertEqual(JSON_LINES.position("1-4"), b"")

    @given(TEXTS, TEXTS | VALUES, st.none() | TEXTS)
    def test_what_is_sent_is_what_is_read(self, id_: str, value: Any, event: str | None) -> None:
        data = JSON_LINES.message(id_, encoded(value), event)
        assert data.count(b"\n") == 1
        expected = {"id": id_, "data": value} | ({} if event is None else {"event": event})
        assert json.loads(data) == expected


def as_event(id_: str, data: str, event: str | None) -> bytes:
    return ServerSentEvent(data, event=event, id=id_).encode()


def outcome(encode: Callable[..., bytes], *args: object) -> bytes | type[Exception]:
    """
    What a call returns, or the type of what it raises.
    """
    try:
        return encode(*args)
    except Exception as err:
        return type(err)


def as_json(gap: Gap) -> dict[str, Any]:
    """
    What a client is told of a gap.
    """
    told: dict[str, Any] = {
        "requested": gap.requested,
        "resumed_from": gap.resumed_from,
        "reason": gap.reason,
    }
    return told if gap.channels is None else told | {"channels": gap.channels}


def message(payload: Payload = "text", event: str | None = None) -> Message:
    """
    The fourth message of a channel.
    """
    return Message(channel="news", id="1-4", previous="1-3", event=event, payload=payload)


class Counted(Events):
    """
    A format that counts what it encodes.
    """

    def __init__(self) -> None:
        self.count = 0

    def message(
        self, id: str, payload: Payload, event: str | None, topic: str | None = None
    ) -> bytes:
        self.count += 1
        return super().message(id, payload, event, topic)


class MessageTests(SynchronousTestCase):
    """
    What was published, as it was.
    """

    def test_its_data_is_what_was_published(self) -> None:
        values: tuple[Any, ...] = ("text", "", '{"a":1}', None, 5, {"a": [1, None]}, [True])
        for value in values:
            self.assertEqual(message(encoded(value)).data, value)

    def test_its_data_is_read_once(self) -> None:
        for value in ({"a": 1}, [None]):
            one = message(encoded(value))
            self.assertIs(one.data, one.data)

    def test_its_data_can_be_read_from_a_copy(self) -> None:
        for copied in (copy.copy, copy.deepcopy):
            self.assertEqual(copied(message(b"[1]")).data, [1])

    def test_its_size_is_bytes_with_its_name(self) -> None:
        for payload, event, expected in (
            ("", None, 0),
            ("text", "", 4),
            ("\u017c\u20ac", None, 5),
            (b"[1]", None, 3),
            (b"[1]", "\u017c", 5),
            ("\u017c", "story", 7),
        ):
            self.assertEqual(message(payload, event).size, expected)

    def test_its_size_includes_its_topic(self) -> None:
        one = Message(
            channel="news", id="1-1", previous="1-0", event="a", payload="text", topic="\u017c/a"
        )
        self.assertEqual(one.size, 9)

    def test_its_name_for_people(self) -> None:
        self.assertEqual(repr(message()), "<Message 1-4 of news>")


class DeliveryTests(SynchronousTestCase):
    """
    A message on its way.
    """

    def test_it_says_where_a_stream_is_before_and_after_it(self) -> None:
        one = message(event="story")
        delivery = Delivery(one, EVENTS, "1-3,2-9", "1-4,2-9")
        self.assertEqual((delivery.before, delivery.id), ("1-3,2-9", "1-4,2-9"))
        self.assertIs(delivery.message, one)
        self.assertEqual(delivery.data, b"event: story\nid: 1-4,2-9\ndata: text\n\n")

    def test_it_is_encoded_once_for_each_format(self) -> None:
        one, format_ = message(), Counted()
        first, lines = one.encoded(format_, one.id), one.encoded(JSON_LINES, one.id)
        self.assertEqual(first, b"id: 1-4\ndata: text\n\n")
        self.assertEqual(lines, b'{"id":"1-4","data":"text"}\n')
        self.assertIs(one.encoded(format_, one.id), first)
        self.assertIs(one.encoded(JSON_LINES, one.id), lines)
        self.assertEqual(format_.count, 1)

    def test_for_streams_of_several_channels_it_has_their_id(self) -> None:
        one = message()
        alone = one.encoded(EVENTS, one.id)
        self.assertEqual(one.encoded(EVENTS, "1-4,2-9"), b"id: 1-4,2-9\ndata: text\n\n")
        self.assertIs(one.encoded(EVENTS, one.id), alone)
