"""
HangupWatch: checks the socket by a timer, but only while nothing is read.
"""

import socket
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from tests.harness import Client, StreamTest
from twistream import ClientDisconnected, Context
from twistream.scheduling.wheel import TimerWheel
from twistream.server.connection.hangup import HangupWatch


class Producer:
    """
    Records its calls.
    """

    def __init__(self) -> None:
        self.told: list[str] = []

    def pauseProducing(self) -> None:
        self.told.append("pause")

    def resumeProducing(self) -> None:
        self.told.append("resume")

    def unregisterProducer(self) -> None:
        self.told.append("unregister")


class Channel:
    """
    A channel with a producer.
    """

    def __init__(self) -> None:
        self._networkProducer: Any = Producer()
        self._waitingForTransport = False


class Descriptor(FileDescriptor):
    """
    A socket of Twisted's, without its reactor.
    """

    def __init__(self, number: int) -> None:
        self._number = number

    def fileno(self) -> int:
        return self._number


class HangupWatchTests(SynchronousTestCase):
    """
    A client on a real socket, and a channel that is stepped by hand.
    """

    def setUp(self) -> None:
        self.clock, self.channel = Clock(), Channel()
        self.producer = self.channel._networkProducer
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.client = socket.create_connection(listener.getsockname())
            self.server, _ = listener.accept()
        self.addCleanup(self.client.close)
        self.addCleanup(self.server.close)
        self.watch = HangupWatch(
            self.channel, Descriptor(self.server.fileno()), TimerWheel(self.clock)
        )

    def test_no_timer_runs_while_the_connection_is_read(self) -> None:
        self.channel._networkProducer.resumeProducing()
        self.channel._networkProducer.unregisterProducer()
        self.assertEqual(self.producer.told, ["resume", "unregister"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_connection_that_is_already_full_is_checked(self) -> None:
        self.watch.stop()
        self.channel._waitingForTransport = True
        HangupWatch(self.channel, Descriptor(self.server.fileno()), TimerWheel(self.clock))
        self.client.close()
        self.clock.advance(5)
        self.assertEqual(self.producer.told, ["resume"])

    def test_a_connected_client_is_checked_repeatedly(self) -> None:
        self.client.sendall(b"more requests")
        self.channel._networkProducer.pauseProducing()
        self.channel._networkProducer.pauseProducing()
        self.clock.pump([5] * 10)
        self.assertEqual(self.producer.told, ["pause", "pause"])
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)

    def test_a_disconnected_client_is_read_to_the_end(self) -> None:
        self.client.sendall(b"more requests")
        self.channel._networkProducer.pauseProducing()
        self.client.close()
        self.clock.advance(5)
        self.channel._networkProducer.pauseProducing()
        self.assertEqual(self.producer.told, ["pause", "resume"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_resuming_stops_the_timer(self) -> None:
        self.channel._networkProducer.pauseProducing()
        self.channel._networkProducer.resumeProducing()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop_restores_the_channel(self) -> None:
        self.channel._networkProducer.pauseProducing()
        self.watch.stop()
        self.assertIs(self.channel._networkProducer, self.producer)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class PipeliningTests(StreamTest):
    """
    A server that has stopped reading, because a client has sent too many requests at once.
    """

    def test_it_notices_that_the_client_has_disconnected(self) -> None:
        async def silent(ctx: Context) -> None:
            contexts.append(ctx)
            ctx.write("start")
            await ctx.flush()
            await ctx.done()

        for close in (Client.disconnect, Client.reset, Client.half_close):
            contexts: list[Context] = []
            client = self.get(silent, tcp=True)
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 3000)
            client.take()
            self.assertEqual(client.response.chunks, [b"start"])
            close(client)
            client.poll()
            self.assertIsNone(contexts[0].err)
            client.clock.advance(5)
            client.poll()
            self.assertIsInstance(contexts[0].err, ClientDisconnected)
            self.assertEqual(len(contexts), 1)
