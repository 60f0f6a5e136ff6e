"""
`send_step` does the same as `write` and `flush_step`, and the short way in a burst the same as the
long one.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from tests.harness import Client, StreamTest
from tests.server.responses import response_of
from twistream import BufferOverflow, Context
from twistream.server.response.delivery import MessageWriter
from twistream.server.response.response import Response
from twistream.server.response.writer import Urgency

LIMIT = 4000

steps = st.one_of(
    st.tuples(st.just("send"), st.sampled_from([0, 1, 100, 1500, 20_000, 70_000])),
    st.tuples(st.just("send now"), st.sampled_from([0, 1, 100, 20_000])),
    st.tuples(st.just("write"), st.sampled_from([1, 100, 17_000])),
    st.tuples(st.just("later"), st.sampled_from([0.0, 0.0003, 0.001, 0.02])),
    st.tuples(st.sampled_from(["pause", "resume", "poll", "read"]), st.just(0)),
)


class Thorough(MessageWriter):
    """
    Decides everything for each message, in a burst, too.
    """

    __slots__ = ()

    def _after_put(self, urgency: Urgency) -> Deferred[None] | None:
        now = self._turn.seconds()
        self._push_or_coalesce(now, urgency)
        return self._until_more(now, urgency)


class Way:
    """
    One response, on which messages are sent in one of the two ways.
    """

    def __init__(self, client: Client, response: Response, *, short: bool) -> None:
        self.client = client
        self.response = response
        self._short = short
        if not short:
            response.writer.__class__ = Thorough
        self._waits: list[Deferred[None]] = []

    def do(self, step: str, value: Any) -> object:
        """
        Take a step. Returns everything that can be seen after it.
        """
        seen: object = None
        try:
            seen = self._do(step, value)
        except BufferOverflow as err:
            seen = str(err)
        room, writer = self.response.room, self.response.writer
        fired = [wait.called for wait in self._waits]
        return seen, fired, room.written, room.left, writer.buffered, writer.backlog

    def _do(self, step: str, value: Any) -> object:
        client, writer = self.client, self.response.writer
        match step:
            case "send" | "send now":
                urgency = Urgency.NOW if step == "send now" else Urgency.COALESCE
                wait = self._send(b"x" * value, urgency)
                if wait is not None:
                    self._waits.append(wait)
                return wait is None
            case "write":
                writer.write(b"y" * value)
            case "later":
                client.clock.rightNow += value
                client.clock.advance(0)
            case "pause":
                client.pause()
            case "resume":
                client.resume()
            case "poll":
                client.poll()
            case "read":
                return client.take()
        return None

    def _send(self, data: bytes, urgency: Urgency) -> Deferred[None] | None:
        writer = self.response.writer
        if self._short:
            return writer.send_step(data, urgency)
        writer.write(data)
        return writer.flush_step(urgency)


class SendStepTests(StreamTest):
    """
    Any steps, on two responses at once.
    """

    def ways(self, **options: Any) -> tuple[Way, Way]:
        found = []
        for short in (True, False):
            contexts: list[Context] = []

            async def handler(ctx: Context, contexts: list[Context] = contexts) -> None:
                # Twisted's own may differ, if a second ends between the two responses.
                ctx.header("Date", "Thu, 01 Jan 1970 00:00:00 GMT")
                contexts.append(ctx)
                # The heads are compared, too, and a second may pass between them.
                ctx.header("Date", "Sat, 01 Jan 2000 00:00:00 GMT")
                await ctx.done()

            client = self.connect(handler, **options)
            client.request()
            found.append(Way(client, response_of(contexts[0]), short=short))
        return found[0], found[1]

    def compare(self, taken: list[tuple[str, Any]], **options: Any) -> None:
        short, long = self.ways(**options)
        for step, value in taken:
            self.assertEqual(short.do(step, value), long.do(step, value), (step, value))
        for way in (short, long):
            way.client.clock.advance(1)
        self.assertEqual(short.client.read_raw(), long.client.read_raw())
        for way in (short, long):
            way.client.disconnect()
            way.client.clock.advance(1)

    @settings(max_examples=150)
    @given(st.lists(steps.filter(lambda step: step[0] != "poll"), max_size=20))
    def test_in_memory(self, taken: list[tuple[str, Any]]) -> None:
        self.compare(taken)

    @settings(max_examples=50)
    @given(st.lists(steps.filter(lambda step: step[0] != "poll"), max_size=20))
    def test_with_a_small_limit(self, taken: list[tuple[str, Any]]) -> None:
        self.compare(taken, max_buffered=LIMIT)

    @settings(max_examples=50)
    @given(st.lists(steps.filter(lambda step: step[0] not in ("pause", "resume")), max_size=20))
    def test_over_tcp(self, taken: list[tuple[str, Any]]) -> None:
        self.compare(taken, tcp=True)
