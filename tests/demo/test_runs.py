"""
/runs: who receives which part of the text, and how it is stopped and replaced.
"""

import json
from collections.abc import Sequence
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.demo.served import DemoTest
from tests.harness import Client
from twistream import ServerSentEvent
from twistream.demo import make_root
from twistream.demo.runs import INTERVAL, TEXTS, pieces

FIRST, SECOND, *_ = (pieces(text) for text in TEXTS)

JSON = {"Accept": "application/json"}


def words(events: list[ServerSentEvent]) -> list[str]:
    """
    The text in these events.
    """
    return [event.data or "" for event in events if event.event is None]


def ends(events: list[ServerSentEvent]) -> list[dict[str, Any]]:
    """
    What the events say about the end of a text.
    """
    return [json.loads(event.data or "") for event in events if event.event == "end"]


def gaps(events: list[ServerSentEvent]) -> list[str]:
    """
    The reasons for gaps.
    """
    return [json.loads(event.data or "")["reason"] for event in events if event.event == "gap"]


class RunTest(DemoTest):
    """
    The base of tests of /runs.
    """

    def follow(self, after: str = "") -> Client:
        return self.listen("/runs", after)

    def write(self, count: int) -> None:
        """
        Wait for so many pieces.
        """
        for _ in range(count):
            self.clock.advance(INTERVAL)

    def order(self, word: str) -> dict[str, Any]:
        client = self.ask("/runs", "POST", body=word.encode())
        self.clock.advance(0)
        return self.decoded(client)

    def state(self) -> dict[str, Any]:
        return self.decoded(self.ask("/runs", headers=JSON))

    def decoded(self, client: Client) -> dict[str, Any]:
        answer = client.receive()
        self.assertEqual((answer.status, answer.header("content-type")), (200, "application/json"))
        decoded: dict[str, Any] = json.loads(answer.body)
        return decoded


class FollowTests(RunTest):
    """
    Reading the text
    """

    def test_the_first_client_starts_it_and_receives_all_of_it(self) -> None:
        client = self.follow()
        self.assertEqual(words(client.read_events()), FIRST[:1])
        for piece in FIRST[1:]:
            self.write(1)
            self.assertEqual(words(client.read_events()), [piece])
        self.write(1)
        self.assertEqual(ends(client.read_events()), [{"state": "done"}])
        self.assertTrue(client.receive().complete)

    def test_it_takes_twenty_seconds(self) -> None:
        for text in TEXTS:
            self.assertLess(abs(len(pieces(text)) * INTERVAL - 20), 1)

    def test_it_goes_on_without_clients(self) -> None:
        self.follow().disconnect()
        self.write(len(FIRST))
        self.assertEqual(self.state(), {"state": "done", "published": len(FIRST) + 1})

    def test_a_second_client_receives_the_beginning_and_then_the_same(self) -> None:
        first = self.follow()
        self.write(3)
        second = self.follow()
        self.write(2)
        events = [client.read_events() for client in (first, second)]
        self.assertEqual(words(events[1]), FIRST[:6])
        self.assertEqual(*events)

    def test_a_client_that_reconnects_receives_the_pieces_after_its_last(self) -> None:
        client = self.follow()
        self.write(2)
        last = client.read_events()[-1].id or ""
        client.disconnect()
        self.write(3)
        again = self.follow(last)
        self.write(1)
        self.assertEqual(words(again.read_events()), FIRST[3:7])

    def test_a_client_that_has_the_end_gets_a_204(self) -> None:
        client = self.follow()
        self.write(len(FIRST))
        end = client.read_events()[-1]
        self.assertEqual(self.follow(end.id or "").receive().status, 204)

    def test_a_client_that_opens_it_after_the_end_receives_all_of_it(self) -> None:
        self.follow()
        self.write(len(FIRST))
        events = self.follow().read_events()
        self.assertEqual("".join(words(events)), TEXTS[0])
        self.assertEqual(ends(events), [{"state": "done"}])

    def test_after_a_restart_of_the_server_there_is_a_gap_and_a_text(self) -> None:
        events = self.follow("0123456789abcdef-7").read_events()
        self.assertEqual((gaps(events), words(events)), (["unknown"], FIRST[:1]))

    def test_head_and_the_page_start_no_text(self) -> None:
        self.reply("/runs", "HEAD")
        self.reply("/runs", headers={"Accept": "text/html"})
        self.assertEqual(self.reply("/runs", headers=JSON).status, 404)

    def test_a_browser_reconnects_after_a_second(self) -> None:
        self.assertIn(b"retry: 1000\n", self.follow().read())


class OrderTests(RunTest):
    """
    Stopping the text, and starting a new one
    """

    def test_stop_ends_it_for_all(self) -> None:
        clients = [self.follow(), self.follow()]
        self.write(2)
        self.assertEqual(self.order("stop"), {"state": "stopped", "published": 4})
        for client in clients:
            events = client.read_events()
            self.assertEqual(words(events), FIRST[:3])
            [end] = ends(events)
            self.assertEqual(end, {"state": "stopped", "reason": "a reader asked for it"})
            self.assertTrue(client.receive().complete)
        self.write(3)
        self.assertEqual(self.state(), {"state": "stopped", "published": 4})

    def test_stop_changes_nothing_after_the_end(self) -> None:
        self.follow()
        self.write(len(FIRST))
        self.assertEqual(self.order("stop\n")["state"], "done")

    def test_a_stopped_text_stays_until_there_is_a_new_one(self) -> None:
        self.follow()
        self.order("stop")
        events = self.follow().read_events()
        self.assertEqual((words(events), len(ends(events))), (FIRST[:1], 1))

    def test_new_starts_the_next_text_from_its_beginning(self) -> None:
        self.follow()
        self.write(len(FIRST))
        self.assertEqual(self.order("new"), {"state": "running", "published": 1})
        client = self.follow()
        self.write(1)
        self.assertEqual(words(client.read_events()), SECOND[:2])

    def test_new_replaces_a_text_that_is_still_written(self) -> None:
        old = self.follow()
        self.assertEqual(self.order("new")["state"], "running")
        events = old.read_events()
        self.assertEqual(ends(events)[0]["state"], "stopped")
        # What a browser does then: it reconnects, and learns that this is another text.
        events = self.follow(events[-1].id or "").read_events()
        self.assertEqual((gaps(events), words(events)), (["unknown"], SECOND[:1]))

    def test_new_starts_the_first_text_too(self) -> None:
        self.assertEqual(self.order("new"), {"state": "running", "published": 1})
        self.assertEqual(words(self.follow().read_events()), FIRST[:1])

    def test_after_the_last_text_comes_the_first(self) -> None:
        for _ in range(len(TEXTS) + 1):
            self.order("new")
        self.assertEqual(words(self.follow().read_events()), FIRST[:1])

    def test_other_orders_are_refused(self) -> None:
        client = self.follow()
        client.read_events()
        for body in b"", b"halt", b"stopped", b"news", b"\xff", b"stop" * 1000:
            answer = self.reply("/runs", "POST", body=body)
            expected = '400 Bad Request\nThe body must be "stop" or "new".\n'
            self.assertEqual((answer.status, answer.body.decode()), (400, expected))
        self.assertEqual(client.read_raw(), b"")

    def test_without_a_text_there_is_nothing_to_stop(self) -> None:
        for answer in self.reply("/runs", "POST", body=b"stop"), self.reply("/runs", headers=JSON):
            self.assertEqual(answer.status, 404)
            self.assertIn(b"There is no text yet.", answer.body)


class StateTests(RunTest):
    """
    The state, for clients that accept JSON
    """

    def test_it_counts_the_messages(self) -> None:
        self.follow()
        for count in 1, 2, 3:
            self.assertEqual(self.state(), {"state": "running", "published": count})
            self.write(1)

    def test_it_does_not_subscribe(self) -> None:
        client = self.follow()
        self.state()
        self.write(1)
        self.assertEqual(len(words(client.read_events())), 2)

    def test_the_interval_is_an_argument(self) -> None:
        clock = Clock()
        client = self.get(make_root(clock=clock, interval=5.0), clock=clock, path="/runs")
        clock.advance(4.875)
        self.assertEqual(words(client.read_events()), FIRST[:1])
        clock.advance(0.125)
        self.assertEqual(words(client.read_events()), FIRST[1:2])


class PiecesTests(SynchronousTestCase):
    """
    pieces()
    """

    def test_they_have_three_words_and_are_the_text(self) -> None:
        cases: Sequence[tuple[str, list[str]]] = (
            ("", []),
            ("one", ["one"]),
            ("one two three", ["one two three"]),
            ("one  two\nthree four ", ["one  two\nthree ", "four "]),
        )
        for text, expected in cases:
            self.assertEqual(pieces(text), expected)
        for text in TEXTS:
            self.assertEqual("".join(pieces(text)), text)
