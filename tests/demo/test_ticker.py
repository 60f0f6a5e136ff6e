"""
/events: what it sends and replays, and when it stops.
"""

import json
from datetime import UTC, datetime, timedelta

from tests.demo.served import DemoTest
from tests.harness import Client
from twistream import ServerSentEvent
from twistream.demo.ticker import LINGER


def numbers(events: list[ServerSentEvent]) -> list[int]:
    """
    The numbers of these events, all of which are ticks.
    """
    assert {event.event for event in events} <= {None}, events
    return [json.loads(event.data or "")["number"] for event in events]


class TickerTests(DemoTest):
    """
    /events
    """

    def wait(self, seconds: int) -> None:
        """
        Advance the clock by so many seconds, one by one.
        """
        for _ in range(seconds):
            self.clock.advance(1)

    def listen_and_leave(self, seconds: int) -> str:
        """
        Listen for so many seconds, and return the id of the last tick.
        """
        client = self.listen("/events")
        self.wait(seconds)
        last = client.read_events()[-1]
        client.disconnect()
        assert last.id is not None
        return last.id

    def listen_again(self, after: str) -> Client:
        return self.listen("/events", after)

    def test_there_is_a_tick_at_once_and_then_one_per_second(self) -> None:
        client = self.listen("/events")
        for number in range(1, 100):
            [tick] = client.read_events()
            self.assertEqual(json.loads(tick.data or "")["number"], number)
            self.clock.advance(0.75)
            self.assertEqual(client.read_raw(), b"")
            self.clock.advance(0.25)

    def test_a_tick_has_the_time_in_utc(self) -> None:
        [tick] = self.listen("/events").read_events()
        time = datetime.fromisoformat(json.loads(tick.data or "")["time"])
        self.assertEqual(time.utcoffset(), timedelta(0))
        self.assertLess(abs(datetime.now(UTC) - time), timedelta(minutes=1))

    def test_each_tick_has_its_own_id(self) -> None:
        client = self.listen("/events")
        self.wait(9)
        self.assertEqual(len({event.id for event in client.read_events()}), 10)

    def test_all_clients_receive_the_same_ticks(self) -> None:
        first, second = self.listen("/events"), self.listen("/events")
        first.read_events(), second.read_events()
        self.wait(3)
        ticks = [[(e.id, e.data) for e in client.read_events()] for client in (first, second)]
        self.assertEqual(len(ticks[0]), 3)
        self.assertEqual(*ticks)

    def test_a_new_client_receives_live_ticks_only(self) -> None:
        self.listen_and_leave(5)
        client = self.listen("/events")
        self.wait(2)
        self.assertEqual(numbers(client.read_events()), [7, 8])

    def test_a_client_that_reconnects_receives_missed_ticks_once(self) -> None:
        last = self.listen_and_leave(5)
        self.wait(3)
        again = self.listen_again(last)
        self.wait(2)
        self.assertEqual(numbers(again.read_events()), [7, 8, 9, 10, 11])

    def test_the_last_id_can_be_in_the_query(self) -> None:
        last = self.listen_and_leave(5)
        self.wait(3)
        client = self.ask(f"/events?last_event_id={last}")
        self.assertEqual(numbers(client.read_events()), [7, 8, 9])

    def test_it_ticks_for_a_minute_after_the_last_disconnect_and_then_stops(self) -> None:
        last = self.listen_and_leave(1)
        self.wait(60)
        self.assertNotEqual(self.clock.getDelayedCalls(), [])
        self.wait(1)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(3600)
        # The ticks of that minute, and a new one.
        self.assertEqual(numbers(self.listen_again(last).read_events()), list(range(3, 64)))

    def test_it_ticks_as_long_as_a_client_is_connected(self) -> None:
        first, second = self.listen("/events"), self.listen("/events")
        self.wait(10)
        first.disconnect()
        second.read_events()
        self.wait(2 * LINGER)
        self.assertEqual(len(second.read_events()), 2 * LINGER)

    def test_a_client_within_the_last_minute_makes_it_tick_for_another(self) -> None:
        self.listen_and_leave(1)
        self.wait(LINGER - 1)
        last = self.listen_and_leave(1)
        self.wait(LINGER)
        self.assertEqual(len(numbers(self.listen_again(last).read_events())), LINGER)

    def test_a_client_that_was_away_for_too_long_receives_a_gap(self) -> None:
        last = self.listen_and_leave(1)
        self.listen("/events")
        self.wait(LINGER + 5)
        gap, *rest = self.listen_again(last).read_events()
        self.assertEqual((gap.event, json.loads(gap.data or "")["reason"]), ("gap", "trimmed"))
        self.assertEqual(len(numbers(rest)), LINGER)

    def test_an_id_of_another_process_receives_a_gap_and_the_history(self) -> None:
        self.listen_and_leave(2)
        gap, *rest = self.listen_again("0123456789abcdef-7").read_events()
        self.assertEqual((gap.event, json.loads(gap.data or "")["reason"]), ("gap", "unknown"))
        self.assertEqual(numbers(rest), [1, 2, 3])

    def test_head_and_the_page_start_no_ticker(self) -> None:
        self.assertEqual(self.reply("/events", "HEAD").status, 200)
        self.assertEqual(self.reply("/events", headers={"Accept": "text/html"}).status, 200)
        self.wait(5)
        self.assertEqual(numbers(self.listen("/events").read_events()), [1])

    def test_a_browser_reconnects_after_a_second(self) -> None:
        self.assertIn(b"retry: 1000\n", self.listen("/events").read())
