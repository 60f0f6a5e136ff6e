"""
/chat: which messages it accepts, who receives them, and how clients are counted.
"""

import json
from datetime import UTC, datetime, timedelta

from tests.demo.served import DemoTest
from tests.harness import Client
from twistream import Hub, ServerSentEvent
from twistream.demo.chat import KEPT, LONGEST, Room


def said(events: list[ServerSentEvent]) -> list[str]:
    """
    The texts of the messages among these events, which contain no gap.
    """
    assert {event.event for event in events} <= {None, "presence"}, events
    return [json.loads(event.data or "")["text"] for event in events if event.event is None]


def counts(events: list[ServerSentEvent]) -> list[int]:
    """
    The numbers in the presence events.
    """
    return [int(event.data or "") for event in events if event.event == "presence"]


def last_id(events: list[ServerSentEvent]) -> str:
    """
    The id of the last event.
    """
    return events[-1].id or ""


class ChatTest(DemoTest):
    """
    The base of tests of /chat.
    """

    def enter(self, after: str = "") -> Client:
        return self.listen("/chat", after)

    def say(self, text: str) -> None:
        self.assertEqual(self.reply("/chat", "POST", body=text.encode()).status, 200)


class MessageTests(ChatTest):
    """
    Posting messages
    """

    def refused(self, body: bytes, reason: str) -> None:
        client = self.enter()
        client.read_events()
        answer = self.reply("/chat", "POST", body=body)
        self.assertEqual(answer.status, 400)
        self.assertEqual(answer.header("content-type"), "text/plain; charset=utf-8")
        self.assertEqual(answer.body.decode(), f"400 Bad Request\n{reason}\n")
        self.assertEqual(client.read_raw(), b"")
        client.disconnect()

    def test_all_clients_receive_it_at_once(self) -> None:
        clients = [self.enter() for _ in range(3)]
        for text in ("hello", "and again"):
            self.say(text)
            self.assertEqual([said(client.read_events()) for client in clients], [[text]] * 3)

    def test_it_is_sent_with_the_time_in_utc(self) -> None:
        self.say("hello")
        message = self.enter().read_events()[0]
        time = datetime.fromisoformat(json.loads(message.data or "")["time"])
        self.assertEqual(time.utcoffset(), timedelta(0))
        self.assertLess(abs(datetime.now(UTC) - time), timedelta(minutes=1))

    def test_the_answer_is_its_id(self) -> None:
        client = self.enter()
        client.read_events()
        answer = self.reply("/chat", "POST", body=b"hello")
        self.assertEqual(answer.header("content-type"), "text/plain; charset=utf-8")
        self.assertEqual(answer.body.decode(), f"{last_id(client.read_events())}\n")

    def test_its_content_type_does_not_matter(self) -> None:
        client = self.enter()
        for media_type in (
            *("text/plain", "application/octet-stream", "application/json", "nonsense", ""),
            "application/x-www-form-urlencoded",
        ):
            headers = {"Content-Type": media_type}
            answer = self.reply("/chat", "POST", headers, body=b"a=1&b=%20")
            self.assertEqual(answer.status, 200, media_type)
            self.assertEqual(said(client.read_events()), ["a=1&b=%20"])

    def test_white_space_is_stripped_and_kept_within_the_text(self) -> None:
        client = self.enter()
        self.say(" \r\n\tone\n\ttwo  three\u3000\n")
        self.assertEqual(said(client.read_events()), ["one\n\ttwo  three"])

    def test_what_looks_like_an_event_or_like_markup_is_text(self) -> None:
        client = self.enter()
        for text in ("data: x\n\nevent: presence\ndata: 99", "<b>bold</b>", "\u202e\u2028€\ufeff"):
            self.say(text)
            self.assertEqual(said(client.read_events()), [text])

    def test_it_has_at_most_4096_bytes(self) -> None:
        client = self.enter()
        for text in ("a" * LONGEST, "é" * (LONGEST // 2)):
            self.say(text)
            self.assertEqual(said(client.read_events()), [text])
        self.assertEqual(LONGEST, 4096)
        for body in (b"a" * 4097, b" " * 4097, b"\xff" * 1_000_000):
            self.refused(body, "The message is longer than 4096 bytes of UTF-8.")

    def test_it_is_not_empty(self) -> None:
        for body in (b"", b" ", b"\r\n", "\u3000\n".encode()):
            self.refused(body, "The message is empty.")

    def test_it_is_utf_8(self) -> None:
        for body, where in ((b"\xff", 0), (b"abc\xe9", 3), (b"\xed\xa0\x80", 0), (b"a\xe2\x82", 1)):
            self.refused(body, f"The message is not valid UTF-8 at byte {where}.")

    def test_it_has_no_control_characters(self) -> None:
        for control in ("\x00", "\x07", "\x08", "\x1b", "\x7f", "\x9b"):
            reason = f"The message contains a control character, {control!r}."
            self.refused(f"a{control}b".encode(), reason)

    def test_a_browser_receives_the_error_as_a_page(self) -> None:
        answer = self.reply("/chat", "POST", {"Accept": "text/html"})
        self.assertEqual(answer.status, 400)
        self.assertIn(b"<p>The message is empty.", answer.body)


class NameTests(ChatTest):
    """
    The name of the sender
    """

    def name_after(self, query: str, body: bytes = b"hello") -> str:
        """
        The name in the message that is published.
        """
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self.assertEqual(self.reply(f"/chat{query}", "POST", headers, body=body).status, 200)
        *_, message = (e for e in self.enter().read_events() if e.event is None)
        name: str = json.loads(message.data or "")["name"]
        return name

    def test_it_is_in_the_query(self) -> None:
        self.assertEqual(self.name_after("?name=Ann"), "Ann")
        self.assertEqual(self.name_after("?name=%20J%C3%B6rg+Z%20"), "Jörg Z")

    def test_without_one_it_is_empty(self) -> None:
        for query in "", "?", "?name", "?name=", "?name=%20", "?other=Ann":
            self.assertEqual(self.name_after(query), "", query)

    def test_a_form_in_the_body_is_text_and_has_no_name(self) -> None:
        self.assertEqual(self.name_after("", b"name=Ann"), "")

    def test_a_name_that_is_not_valid_is_refused_with_the_reason(self) -> None:
        client = self.enter()
        client.read_events()
        for query, reason in (
            ("?name=" + "a" * 41, "The name is longer than 40 characters."),
            ("?name=a%00b", "The name contains a control character, '\\x00'."),
            ("?name=a%0Ab", "The name contains a control character, '\\n'."),
        ):
            answer = self.reply(f"/chat{query}", "POST", body=b"hello")
            self.assertEqual(answer.body.decode(), f"400 Bad Request\n{reason}\n")
        self.assertEqual(self.reply("/chat?name=a%FF", "POST", body=b"hello").status, 400)
        self.assertEqual(client.read_raw(), b"")
        self.assertEqual(self.name_after("?name=" + "%C3%A9" * 40), "é" * 40)


class ListenTests(ChatTest):
    """
    Reading messages
    """

    def test_a_new_client_receives_the_history_and_then_live_messages(self) -> None:
        for number in range(KEPT + 3):
            self.say(str(number))
        client = self.enter()
        self.say("last")
        expected = [str(number) for number in range(3, KEPT + 3)]
        self.assertEqual(said(client.read_events()), [*expected, "last"])
        self.assertEqual(KEPT, 200)

    def test_a_client_that_reconnects_receives_missed_messages_once(self) -> None:
        client = self.enter()
        self.say("one")
        after = last_id(client.read_events())
        client.disconnect()
        self.say("two")
        again = self.enter(after)
        self.say("three")
        self.assertEqual(said(again.read_events()), ["two", "three"])

    def test_a_client_without_a_message_can_resume_too(self) -> None:
        client = self.enter()
        # An id without data is not an event, but a browser stores it.
        client.read_events()
        after = client.response.last_event_id
        client.disconnect()
        self.say("one")
        self.assertEqual(said(self.enter(after).read_events()), ["one"])

    def test_a_client_that_was_away_for_too_long_receives_a_gap(self) -> None:
        client = self.enter()
        self.say("one")
        after = last_id(client.read_events())
        client.disconnect()
        for number in range(KEPT + 1):
            self.say(str(number))
        gap, first, *_ = self.enter(after).read_events()
        self.assertEqual((gap.event, json.loads(gap.data or "")["reason"]), ("gap", "trimmed"))
        self.assertEqual(json.loads(first.data or "")["text"], "1")

    def test_an_id_of_another_process_receives_a_gap_and_the_history(self) -> None:
        self.say("one")
        gap, first, *_ = self.enter("0123456789abcdef-7").read_events()
        self.assertEqual((gap.event, json.loads(gap.data or "")["reason"]), ("gap", "unknown"))
        self.assertEqual(json.loads(first.data or "")["text"], "one")

    def test_a_browser_reconnects_after_a_second(self) -> None:
        self.assertIn(b"retry: 1000\n", self.enter().read())

    def test_nothing_remains_of_a_client_that_disconnects(self) -> None:
        self.enter().disconnect()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.lines, [])


class PresenceTests(ChatTest):
    """
    Counting clients
    """

    def test_all_clients_are_notified_when_one_connects_or_disconnects(self) -> None:
        first = self.enter()
        self.assertEqual(counts(first.read_events()), [1])
        second = self.enter()
        self.assertEqual(counts(second.read_events()), [2])
        self.assertEqual(counts(first.read_events()), [2])
        second.disconnect()
        self.assertEqual(counts(first.read_events()), [1])

    def test_a_client_that_connects_as_another_disconnects_is_notified_too(self) -> None:
        first, second = self.enter(), self.enter()
        first.read_events(), second.read_events()
        second.disconnect()
        third = self.enter()
        self.assertEqual(counts(third.read_events()), [2])
        self.assertEqual(counts(first.read_events()), [])

    def test_clients_that_only_look_or_post_are_not_counted(self) -> None:
        client = self.enter()
        client.read_events()
        self.reply("/chat", "HEAD")
        self.reply("/chat", headers={"Accept": "text/html"})
        self.say("hello")
        self.assertEqual(counts(client.read_events()), [])

    def test_it_is_not_part_of_the_history(self) -> None:
        client = self.enter()
        self.say("one")
        after = last_id(client.read_events())
        for _ in range(KEPT):
            other = self.enter()
            self.assertEqual(last_id(client.read_events()), after)
            other.disconnect()
            client.read_events()
        client.disconnect()
        again = self.enter(after).read_events()
        self.assertEqual((said(again), counts(again)), ([], [1]))

    def test_a_slow_client_has_one_number_queued_and_then_receives_the_current_one(
        self,
    ) -> None:
        slow = self.enter()
        slow.read_events()
        slow.pause()
        for _ in range(100):
            self.enter().receive()
        slow.resume()
        self.assertEqual(counts(slow.read_events()), [2, 101])


class MemberTests(ChatTest):
    """
    The names of those who are there
    """

    def names(self, client: Client) -> list[list[str]]:
        events = client.read_events()
        return [json.loads(event.data or "") for event in events if event.event == "members"]

    def test_all_clients_receive_the_names_when_they_change(self) -> None:
        nobody = self.enter()
        self.assertEqual(self.names(nobody), [])
        ann = self.listen("/chat?name=Ann")
        self.clock.pump([0.001] * 5)
        self.assertEqual(self.names(nobody), [["Ann"]])
        self.assertEqual(self.names(ann), [["Ann"]])
        self.listen("/chat?name=Ann")
        self.listen("/chat?name=%20Ben%20")
        self.clock.pump([0.001] * 5)
        self.assertEqual(self.names(nobody), [["Ann", "Ben"]])
        ann.disconnect()
        self.clock.pump([1] * 15)
        self.assertEqual(self.names(nobody), [])

    def test_who_leaves_is_named_until_it_had_time_to_reconnect(self) -> None:
        ann, ben = self.listen("/chat?name=Ann"), self.listen("/chat?name=Ben")
        self.clock.pump([0.001] * 5)
        self.names(ben)
        ann.disconnect()
        self.clock.pump([1] * 5)
        self.assertEqual(self.names(ben), [])
        self.clock.pump([1] * 10)
        self.assertEqual(self.names(ben), [["Ben"]])

    def test_a_name_that_is_not_valid_is_none(self) -> None:
        for name in ("", "%20", "a%1bb", "%ff", "x" * 41):
            client = self.listen(f"/chat?name={name}")
            self.clock.pump([0.001] * 5)
            self.assertEqual(self.names(client), [], name)
            client.disconnect()


class RoomTests(DemoTest):
    """
    Room, in cases that the demo does not reach
    """

    def setUp(self) -> None:
        super().setUp()
        self.hub = Hub()
        self.room = Room(self.hub)
        self.client = self.get(self.room.listen, clock=self.clock)
        self.assertIn(b"event: presence\ndata: 1\n", self.client.read())

    def test_a_client_that_disconnects_is_forgotten(self) -> None:
        self.client.disconnect()
        self.clock.advance(0)
        self.assertEqual(self.room._changes, set())

    def test_its_streams_end_cleanly_when_its_channel_is_closed(self) -> None:
        self.hub.close()
        self.assertTrue(self.client.receive().complete)
        self.assertEqual(self.room._changes, set())
