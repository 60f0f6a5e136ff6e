"""
The client and its two wires, against a server that writes what a test says.
"""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost

from tests.harness import Client, StreamTest
from twistream import ClientDisconnected, Context


class WireTest(StreamTest):
    """
    The base: a handler that sends a message a second.
    """

    async def ticks(self, ctx: Context) -> None:
        self.context = ctx
        for number in range(10):
            ctx.write(f"tick {number}")
            await ctx.flush()
            await ctx.sleep(1)


class ReadingTests(WireTest):
    def test_nothing_is_seen_before_it_was_read(self) -> None:
        client = self.get(self.ticks)
        self.assertEqual((client.response.started, client.response.body), (False, b""))
        self.assertEqual(client.read(), b"tick 0")
        client.clock.advance(1)
        self.assertEqual(client.response.body, b"tick 0")
        self.assertEqual(client.read_chunks(), [b"tick 1"])

    def test_a_part_can_be_read_in_the_middle_of_a_turn(self) -> None:
        for tcp in (False, True):
            client = self.get(self.ticks, tcp=tcp)
            while not client.response.started:
                client.take(1)
            self.assertEqual(client.response.body, b"")
            self.assertEqual(client.take(4), b"6\r\nt")
            self.assertEqual((client.response.body, client.response.chunks), (b"t", []))
            client.take()
            self.assertEqual(client.response.chunks, [b"tick 0"])

    def test_reading_lets_the_turn_end(self) -> None:
        client = self.get(lambda ctx: "whole", tcp=True)
        self.assertEqual(client.take(), b"")
        self.assert_complete(client.receive(), b"whole")

    def test_a_message_that_comes_before_its_time_fails(self) -> None:
        client = self.get(self.ticks)
        client.receive()
        self.assert_after(client, 1, b"tick 1")
        self.assertRaises(self.failureException, self.assert_after, client, 2, b"tick 2")
        self.assertRaises(self.failureException, self.assert_after, client, 0.5, b"tick 4")

    def test_requests_on_one_connection(self) -> None:
        client = self.connect(lambda ctx: f"{ctx.method} {ctx.path}", methods=("GET", "POST"))
        first, second = client.request(path="/a"), client.request("HEAD", "/b", version="1.1")
        third = client.expect("POST")
        client.send(b"POST /c HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
        client.receive()
        self.assert_complete(first, b"GET /a")
        self.assert_complete(second, b"")
        self.assert_complete(third, b"POST /c")
        self.assertFalse(client.closed)

    def test_a_body_is_sent_with_its_length(self) -> None:
        def handler(ctx: Context) -> bytes:
            content: Any = ctx.request.content
            body: bytes = content.read()
            return body

        response = self.answer(handler, "POST", body=b"sent", methods=("POST",))
        self.assert_complete(response, b"sent")


class SlowTests(WireTest):
    def test_a_connection_that_is_full_holds_up_the_server_until_it_drains(self) -> None:
        client = self.get(self.ticks)
        client.read()
        client.pause()
        client.clock.pump([1] * 3)
        self.assertEqual(client.read(), b"tick 1")
        client.resume()
        client.clock.advance(1)
        self.assertEqual(client.read(), b"tick 2")

    def test_it_can_be_full_after_some_writes(self) -> None:
        client = self.get(self.ticks)
        client.read()
        client.pause(after=2)
        client.clock.pump([1] * 5)
        self.assertEqual(client.read_chunks(), [b"tick 1", b"tick 2"])
        self.assertEqual([b"tick" in data for data in client.writes[-2:]], [True, True])

    def test_over_tcp_the_client_is_slow_that_does_not_read(self) -> None:
        async def handler(ctx: Context) -> None:
            while True:
                ctx.write(b"x" * 100_000)
                await ctx.flush()

        client = self.get(handler, tcp=True)
        for _ in range(50):
            client.poll()
        stuck = client.unsent
        self.assertGreater(stuck, 0)
        client.poll()
        self.assertEqual(client.unsent, stuck)
        self.assertRaises(NotImplementedError, client.pause)


class EndTests(WireTest):
    def test_the_client_can_close_the_connection(self) -> None:
        for tcp in (False, True):
            for close, kind in (
                (Client.disconnect, ConnectionDone),
                (Client.half_close, ConnectionDone),
                (Client.reset, ConnectionLost),
            ):
                client = self.get(self.ticks, tcp=tcp)
                client.take()
                close(client)
                err = self.context.err
                assert isinstance(err, ClientDisconnected)
                self.assertIsInstance(err.reason, kind, (close, tcp))
                self.assertEqual(client.response.chunks, [b"tick 0"])

    def test_the_server_can_close_the_connection(self) -> None:
        async def aborts(ctx: Context) -> None:
            ctx.write("sent")
            await ctx.flush()
            ctx.abort()

        for tcp in (False, True):
            client = self.get(aborts, tcp=tcp)
            if tcp:
                client.poll()
            response = client.receive()
            self.assertEqual((response.body, response.truncated), (b"sent", True))
            self.assertEqual((client.closed, client.aborted), (True, False))
            client = self.get(aborts, tcp=tcp, version="1.0")
            client.take()
            client.clock.advance(1)
            response = client.receive()
            self.assertEqual((response.body, response.aborted), (b"sent", True))
            self.assertEqual((client.closed, client.aborted), (True, True))

    def test_what_is_served_is_closed_when_the_test_ends(self) -> None:
        waits: list[Deferred[None]] = []

        async def handler(ctx: Context) -> None:
            waits.append(Deferred())
            await waits[-1]

        clients = [self.get(handler, tcp=tcp) for tcp in (False, True)]
        self.doCleanups()
        self.assertTrue(all(wait.called for wait in waits))
        self.assertTrue(clients)
