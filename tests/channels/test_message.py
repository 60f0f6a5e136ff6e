"""
Messages: encoded once for all who get them.
"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twistream.channels.message import Delivery, Message
from twistream.wire.messages import EVENTS, LINES, Events, Payload, encoded


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

    def message(self, id: str, payload: Payload, event: str | None) -> bytes:
        self.count += 1
        return super().message(id, payload, event)


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
        one, form = message(), Counted()
        first, lines = one.encoded(form, one.id), one.encoded(LINES, one.id)
        self.assertEqual(first, b"id: 1-4\ndata: text\n\n")
        self.assertEqual(lines, b'{"id":"1-4","data":"text"}\n')
        self.assertIs(one.encoded(form, one.id), first)
        self.assertIs(one.encoded(LINES, one.id), lines)
        self.assertEqual(form.count, 1)

    def test_for_streams_of_several_channels_it_has_their_id(self) -> None:
        one = message()
        alone = one.encoded(EVENTS, one.id)
        self.assertEqual(one.encoded(EVENTS, "1-4,2-9"), b"id: 1-4,2-9\ndata: text\n\n")
        self.assertIs(one.encoded(EVENTS, one.id), alone)
