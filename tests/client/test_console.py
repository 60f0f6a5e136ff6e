"""
The console client without a process: what it prints, what it shows, and its exit statuses.
"""

import sys
from io import BytesIO, StringIO
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.error import ConnectionRefusedError as Refused
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.client.memory import CHUNKED, ClientTest
from twistream import ServerSentEvent
from twistream.client import console, source
from twistream.client.progress import Progress

URL = "http://test/"


class Output:
    """
    The standard output, which may be closed.
    """

    def __init__(self) -> None:
        self.buffer: Any = BytesIO()

    @property
    def text(self) -> str:
        text: bytes = self.buffer.getvalue()
        return text.decode()


class Closed(BytesIO):
    def write(self, _: Any) -> int:
        raise BrokenPipeError


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


class ConsoleTests(ClientTest):
    """
    One run of the program.
    """

    def setUp(self) -> None:
        super().setUp()
        self.output, self.errors = Output(), StringIO()
        self.patch(sys, "stdout", self.output)
        self.patch(sys, "stderr", self.errors)
        for module in (console, source):
            self.patch(module, "treq_client", lambda *_: self.client)

    def run_with(self, *arguments: str) -> Deferred[int]:
        options = console._parser().parse_args([*arguments, URL])
        run = Deferred.fromCoroutine(console._run(self.clock, options))
        self.addCleanup(self.end, run)
        return run

    def end(self, run: Deferred[int]) -> None:
        run.addErrback(lambda _: None)
        run.cancel()

    def status(self, run: Deferred[int]) -> int:
        status: int = self.successResultOf(run)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return status

    def test_text_is_printed_as_it_arrives(self) -> None:
        run = self.run_with()
        self.peer.head(CHUNKED, b"Content-Type: text/plain")
        self.peer.chunk(b"one\ntw")
        self.assertEqual(self.output.text, "one\ntw")
        self.peer.chunk(b"o")
        self.peer.end()
        self.assertEqual(self.status(run), 0)
        self.assertEqual((self.output.text, self.errors.getvalue()), ("one\ntwo", ""))

    def test_json_is_printed_line_by_line(self) -> None:
        for kind, arguments, body in [
            (b"application/jsonl", (), b'{"a": 1}\n\n[2]'),
            (b"application/x-ndjson; a=b", (), b'{"a": 1}\n[2]\n'),
            (b"application/json-seq", (), b'\x1e{"a":\n1}\n\x1e[2]\n'),
            (b"application/geo+json-seq", (), b'\x1e{"a":1}\n\x1e[2]\n'),
            (b"text/plain", ("--json",), b'{"a":1}\n[2]\n'),
        ]:
            self.output.buffer = BytesIO()
            run = self.run_with(*arguments)
            self.peer.head(CHUNKED, b"Content-Type: " + kind)
            self.peer.chunk(body)
            self.peer.end()
            self.assertEqual(self.status(run), 0)
            self.assertEqual(self.output.text, '{"a":1}\n[2]\n')

    def test_events_are_printed_with_their_names(self) -> None:
        for arguments, expected in [
            ((), "a\nb\ngap: {}\n"),
            (
                ("--json",),
                '{"event":"message","id":"","data":"a\\nb"}\n{"event":"gap","id":"1","data":"{}"}\n',
            ),
        ]:
            self.output.buffer = BytesIO()
            run = self.run_with(*arguments)
            self.peer.head(CHUNKED, b"Content-Type: text/event-stream")
            self.peer.chunk(b"data: a\ndata: b\n\nid: 1\nevent: gap\ndata: {}\n\n")
            self.peer.end()
            self.assertEqual(self.status(run), 0)
            self.assertEqual(self.output.text, expected)

    def test_it_reconnects(self) -> None:
        run = self.run_with("--reconnect", "--last-event-id", "1")
        self.assertIn(b"\r\nLast-Event-Id: 1\r\n", self.peer.request)
        self.peer.head(CHUNKED, b"Content-Type: text/event-stream")
        self.peer.chunk(b"id: 2\ndata: a\nretry: 10\n\n")
        self.peer.lose()
        self.clock.advance(1)
        self.assertIn(b"\r\nLast-Event-Id: 2\r\n", self.peer.request)
        self.peer.head(status=b"204 No Content")
        self.assertEqual(self.status(run), 0)
        self.assertEqual(self.output.text, "a\n")

    def test_the_request(self) -> None:
        self.run_with("-H", "X-A: b:c", "-H", "X-A:d", "-d", "\u017c", "--last-event-id", "7")
        self.clock.advance(0)
        head, _, body = self.peer.request.partition(b"\r\n\r\n")
        self.assertTrue(head.startswith(b"POST / HTTP/1.1\r\n"))
        for field in (b"X-A: b:c", b"X-A: d", b"Last-Event-Id: 7", b"Accept: text/event-stream, "):
            self.assertIn(b"\r\n" + field, head)
        self.assertEqual(body, "\u017c".encode())
        self.run_with("-X", "put", "-H", "Accept: text/html")
        self.assertTrue(self.peer.request.startswith(b"PUT / "))
        self.assertIn(b"\r\nAccept: text/html\r\n", self.peer.request)

    def test_refused(self) -> None:
        for arguments in ((), ("--reconnect",)):
            run = self.run_with(*arguments)
            self.peer.head(CHUNKED, b"Content-Type: text/plain", status=b"403 Forbidden")
            self.peer.chunk(b"not for you")
            self.peer.end()
            self.assertEqual(self.status(run), 1)
            self.assertIn("received 403 (text/plain): 'not for you'\n", self.errors.getvalue())
        self.assertEqual(self.output.text, "")

    def test_truncated(self) -> None:
        run = self.run_with()
        self.peer.head(CHUNKED)
        self.peer.chunk(b"abc")
        self.peer.lose()
        self.assertEqual(self.status(run), 3)
        self.assertEqual(self.output.text, "abc")
        self.assertIn("after 3 bytes", self.errors.getvalue())

    def test_a_body_that_ends_with_its_connection(self) -> None:
        for arguments, status in (((), 3), (("--allow-close-delimited",), 0)):
            run = self.run_with(*arguments)
            self.peer.head()
            self.peer.send(b"abc")
            self.peer.lose()
            self.assertEqual(self.status(run), status)

    def test_silent(self) -> None:
        run = self.run_with("--idle-timeout", "5")
        self.peer.head(CHUNKED)
        self.clock.pump([1] * 5)
        self.assertEqual(self.status(run), 3)
        self.assertIn("no byte for 5 seconds", self.errors.getvalue())

    def test_malformed(self) -> None:
        run = self.run_with("--json")
        self.peer.head(CHUNKED)
        self.peer.chunk(b"1\nx\n")
        self.clock.advance(0)
        self.assertEqual(self.status(run), 3)
        self.assertEqual(self.output.text, "1\n")
        self.assertIn("invalid JSON", self.errors.getvalue())

    def test_unreachable(self) -> None:
        self.agent.refusals = [Refused("nobody listens")]
        self.assertEqual(self.status(self.run_with()), 4)
        self.assertIn("nobody listens", self.errors.getvalue())
        run = self.run_with()
        self.peer.lose(ConnectionLost())
        self.assertEqual(self.status(run), 4)
        self.assertIn("no response: Connection to the other side was lost", self.errors.getvalue())

    def test_a_closed_output(self) -> None:
        self.output.buffer = Closed()
        closed: list[int] = []
        self.patch(console, "discard_output", lambda: closed.append(1))
        run = self.run_with()
        self.peer.head(CHUNKED)
        self.peer.chunk(b"abc")
        self.clock.advance(0)
        self.assertEqual(self.status(run), 141)
        self.assertTrue(self.peer.aborted)
        self.assertEqual((closed, self.errors.getvalue()), ([1], ""))

    def test_a_cancelled_run_closes_the_connection(self) -> None:
        run = self.run_with()
        self.peer.head(CHUNKED)
        run.cancel()
        self.failureResultOf(run, CancelledError)
        self.clock.advance(0)
        self.assertTrue(self.peer.aborted)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_progress_makes_room_for_the_output(self) -> None:
        self.errors = Terminal()
        self.patch(sys, "stderr", self.errors)
        run = self.run_with()
        self.peer.head(CHUNKED, b"Content-Type: text/event-stream")
        self.peer.chunk(b"data: a\n\nevent: gap\ndata: b\n\n")
        self.clock.advance(0.5)
        self.assertEqual(self.errors.getvalue(), "\r\x1b[K2 messages, 29 bytes, 4/s, 1 gap")
        self.peer.chunk(b"data: c\n\n")
        self.assertTrue(self.errors.getvalue().endswith("\r\x1b[K"))
        self.peer.end()
        self.assertEqual(self.status(run), 0)
        self.assertTrue(self.errors.getvalue().endswith("3 messages, 38 bytes, 6/s, 1 gap\n"))

    def test_a_quiet_run_shows_no_progress(self) -> None:
        self.errors = Terminal()
        self.patch(sys, "stderr", self.errors)
        run = self.run_with("--quiet")
        self.peer.head(CHUNKED)
        self.clock.advance(1)
        self.peer.end()
        self.assertEqual(self.status(run), 0)
        self.assertEqual(self.errors.getvalue(), "")


class ProgressTests(SynchronousTestCase):
    """
    The line of the progress.
    """

    def test_sizes(self) -> None:
        class Read:
            received = 0

        progress = Progress(Clock(), is_shown=False)
        progress.follow(Read())
        for received, size in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1.0 kB"),
            (1_250_000, "1.2 MB"),
            (10**16, "10000.0 TB"),
        ]:
            self.patch(Read, "received", received)
            self.assertEqual(progress.line(1234.5), f"0 messages, {size}, 1,234/s")

    def test_messages_and_gaps(self) -> None:
        progress = Progress(Clock(), is_shown=False)
        for item in (b"a", ServerSentEvent("a"), ServerSentEvent("a", event="gap")):
            progress.count(item)
        self.assertEqual(progress.line(0), "3 messages, 0 bytes, 0/s, 1 gap")
