"""
What the streams of the demo send and when, and what they log.
"""

from datetime import UTC, datetime, timedelta

from tests.demo.served import DemoTest
from tests.harness import Client
from twistream.demo.streams import NUMBERS

END = b"0\r\n\r\n"


class NumbersTests(DemoTest):
    """
    /numbers
    """

    def test_there_are_twelve_messages_each_half_a_second_after_the_one_before(self) -> None:
        client = self.ask("/numbers")
        self.assertEqual(client.read_chunks(), [b"Message number 1<br>"])
        for n in NUMBERS[1:]:
            self.assert_after(client, 0.5, b"Message number %d<br>" % n)
        client.clock.advance(0.375)
        self.assertEqual(client.read_raw(), b"")
        client.clock.advance(0.125)
        self.assertEqual(client.read_raw(), END)
        self.assertTrue(client.response.complete)
        self.assertEqual(len(NUMBERS), 12)
        self.assertEqual(self.lines, [])

    def test_they_are_html(self) -> None:
        response = self.reply("/numbers")
        self.assertEqual(response.header("content-type"), "text/html; charset=utf-8")
        self.assertEqual(response.header("transfer-encoding"), "chunked")

    def test_a_client_that_disconnects_early_is_logged_in_one_line(self) -> None:
        client = self.ask("/numbers")
        client.clock.advance(1)
        client.disconnect()
        client.clock.advance(60)
        self.assertEqual(self.lines, ["stream: client disconnected"])

    def test_each_client_receives_all_of_them(self) -> None:
        for client in (self.ask("/numbers"), self.ask("/numbers")):
            self.assertEqual(client.read(), b"Message number 1<br>")


class JSONTests(DemoTest):
    """
    /json
    """

    def test_there_are_twelve_lines_each_half_a_second_after_the_one_before(self) -> None:
        client = self.ask("/json")
        for n in NUMBERS:
            self.assertEqual(client.read_values(), [{"number": n}])
            client.clock.advance(0.375)
            self.assertEqual(client.read_raw(), b"")
            self.assertEqual(self.lines, [])
            client.clock.advance(0.125)
        self.assertEqual(client.read_raw(), END)
        self.assertTrue(client.response.complete)
        self.assertEqual(self.lines, ["Loop end."])

    def test_they_are_json_lines(self) -> None:
        response = self.reply("/json")
        self.assertEqual(response.header("content-type"), "application/jsonl")

    def test_a_client_that_disconnects_early_is_logged_in_one_line(self) -> None:
        client = self.ask("/json")
        client.clock.advance(1)
        client.disconnect()
        client.clock.advance(60)
        self.assertEqual(self.lines, ["Connection closed, loop end."])


class ClockTests(DemoTest):
    """
    /clock
    """

    def test_each_line_is_the_time_of_day(self) -> None:
        line = self.ask("/clock").read().decode()
        self.assertEqual(line[-1], "\n")
        time = datetime.fromisoformat(line.strip())
        self.assertEqual(time.utcoffset(), timedelta(0))
        self.assertLess(abs(datetime.now(UTC) - time), timedelta(minutes=1))

    def test_there_is_one_each_second_and_no_end(self) -> None:
        client = self.ask("/clock")
        for _ in range(100):
            self.assertEqual(client.read().count(b"\n"), 1)
            client.clock.advance(0.75)
            self.assertEqual(client.read_raw(), b"")
            client.clock.advance(0.25)

    def test_they_are_plain_text(self) -> None:
        response = self.reply("/clock")
        self.assertEqual(response.header("content-type"), "text/plain; charset=utf-8")

    def test_a_disconnect_ends_it_and_is_not_logged(self) -> None:
        client = self.ask("/clock")
        client.disconnect()
        client.clock.advance(0)
        self.assertEqual(self.lines, [])
        self.assertEqual(client.clock.getDelayedCalls(), [])


class PaceTests(DemoTest):
    """
    ?interval=
    """

    STREAMS = ("/numbers", "/json", "/clock")
    BAD = (
        *("", "abc", "nan", "inf", "-inf", "-1", "0", "0.049", "60.01", "1e400", "9" * 400),
        *("1,5", "0x1", "1_0", "0.5.5", "0.5s", "%20", "1%0A", "%00", "%D9%A1"),
        "%3Cb%3E",
    )

    def assert_pace(self, client: Client, interval: float) -> None:
        self.assertTrue(client.read_raw())
        client.clock.advance(interval / 2)
        self.assertEqual(client.read_raw(), b"")
        client.clock.advance(interval)
        self.assertEqual(len(client.read_chunks()), 1)

    def test_it_changes_the_interval(self) -> None:
        for stream in self.STREAMS:
            for value, interval in ("0.05", 0.05), ("2", 2), (".5", 0.5), ("60.0", 60):
                client = self.ask(f"{stream}?interval={value}")
                self.assert_pace(client, interval)

    def test_an_interval_without_a_value_is_a_bad_request_too(self) -> None:
        for query in ("interval", "interval=", "a=1&interval", "interval&interval=1"):
            self.assertEqual(self.reply(f"/clock?{query}").status, 400, query)

    def test_other_values_are_a_bad_request_with_a_reason(self) -> None:
        for stream in self.STREAMS:
            for value in self.BAD:
                answer = self.reply(f"{stream}?interval={value}")
                self.assertEqual(answer.status, 400, value)
                self.assertEqual(answer.header("content-type"), "text/plain; charset=utf-8")
                self.assertIn(b"a number of seconds from 0.05 to 60", answer.body)
                self.assertLess(len(answer.body), 200)
        self.assertEqual(self.lines, [])

    def test_the_reason_quotes_the_value_in_printable_characters(self) -> None:
        for value, named in (
            ("abc", b", not 'abc'."),
            ("", b", not ''."),
            ("1%0A2", rb", not '1\n2'."),
            ("%FF", b" interval must be UTF-8."),
        ):
            self.assertIn(named, self.reply(f"/clock?interval={value}").body)

    def test_markup_in_the_query_is_escaped_on_the_page(self) -> None:
        answer = self.reply("/clock?interval=<script>", headers={"Accept": "text/html"})
        self.assertEqual(answer.header("content-type"), "text/html; charset=utf-8")
        self.assertIn(b"&#x27;&lt;script&gt;&#x27;", answer.body)
        self.assertNotIn(b"<script>", answer.body)

    def test_it_can_be_given_once(self) -> None:
        for stream in self.STREAMS:
            answer = self.reply(f"{stream}?interval=1&interval=2")
            self.assertEqual(answer.status, 400)
            self.assertIn(b"interval must be given once, not 2 times.", answer.body)

    def test_other_parameters_change_nothing(self) -> None:
        client = self.ask("/clock?pace=9&%FF=1")
        self.assert_pace(client, 1)


class HeadTests(DemoTest):
    """
    HEAD on a stream, and other methods.
    """

    def test_it_is_answered_at_once_with_the_head_alone(self) -> None:
        for stream, media_type in (
            ("/numbers", "text/html; charset=utf-8"),
            ("/json", "application/jsonl"),
            ("/clock", "text/plain; charset=utf-8"),
        ):
            client = self.ask(stream, "HEAD")
            response = client.receive()
            self.assert_complete(response, b"")
            self.assertEqual(response.header("Content-Type"), media_type)
            client.clock.advance(10)
            self.assertEqual(client.read_raw(), b"")
        self.assertEqual(self.lines, [])

    def test_a_wrong_interval_is_a_bad_request_here_too(self) -> None:
        for stream in PaceTests.STREAMS:
            answer = self.reply(f"{stream}?interval=abc", "HEAD")
            self.assertEqual((answer.status, answer.body), (400, b""))

    def test_other_methods_are_not_allowed(self) -> None:
        for stream in PaceTests.STREAMS:
            answer = self.reply(stream, "POST")
            self.assertEqual((answer.status, answer.header("allow")), (405, "GET, HEAD"))
