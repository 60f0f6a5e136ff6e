"""
Producers that write, clients that stop reading and go on, and turns that end, in any order.
"""

from itertools import groupby
from typing import Any

from hypothesis import given
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer

from tests import strategies
from tests.harness import Client, StreamTest
from tests.server.producers import Push
from twistream import Context


class StepTests(StreamTest):
    """
    A context and a pipe, with the same steps.
    """

    def take(self, client: Client, producer: Push, steps: list[tuple[str, int]]) -> list[bytes]:
        """
        Take all steps, unregister, and return what was written.
        """
        written: list[bytes] = []
        for step, size in steps:
            if step == "write":
                written.append(b"%d" % (len(written) % 10) * size)
                producer.write(written[-1])
            elif step == "pause":
                client.pause()
            elif step == "resume":
                client.resume()
            elif step == "turn":
                client.clock.advance(1e-9)
            else:
                producer.consumer.unregisterProducer()
                producer.calls = []  # It counts as another producer from here.
                producer.register()
            self.check_calls(producer.calls)
        producer.consumer.unregisterProducer()
        client.resume()
        return written

    def check_calls(self, calls: list[str]) -> None:
        """
        It is resumed only after it was paused, and each only once in a row.
        """
        alternating = [call for call, _ in groupby(calls)]
        self.assertEqual(calls, alternating)
        self.assertNotEqual(calls[:1], ["resume"])

    @given(strategies.PRODUCER_STEPS)
    def test_everything_arrives_in_order_by_a_context(self, steps: Any) -> None:
        def handler(ctx: Context) -> Deferred[None]:
            producers.append(Push(ctx))
            producers[0].register()
            return done

        done: Deferred[None] = Deferred()
        producers: list[Push] = []
        client = self.get(handler)
        written = self.take(client, producers[0], steps)
        done.callback(None)
        for _ in range(20):
            client.clock.advance(1)
        self.assert_complete(client.receive(), b"".join(written))

    @given(strategies.PRODUCER_STEPS)
    def test_everything_arrives_in_order_by_a_pipe(self, steps: Any) -> None:
        def start(consumer: IConsumer) -> Deferred[None]:
            producers.append(Push(consumer))
            producers[0].register()
            return done

        done: Deferred[None] = Deferred()
        producers: list[Push] = []
        client = self.get(lambda ctx: ctx.pipe(start))
        written = self.take(client, producers[0], steps)
        done.callback(None)
        for _ in range(20):
            client.clock.advance(1)
        self.assert_complete(client.receive(), b"".join(written))
