"""
RunTest: the base of tests that start runs and follow them.
"""

import json
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred

from tests.channels.case import ChannelTest
from tests.harness import Client
from twistream import Context, EventDecoder, Hub, Run, RunState


class Follower:
    """
    A client of a run, as a browser would be.

    Attributes:
        client: Its connection.
        events: The names and data of the events that it has received.
        last_event_id: What it would send to reconnect.
    """

    def __init__(self, client: Client, last_event_id: str | None, path: str = "/") -> None:
        self.client = client
        self.events: list[tuple[str, str]] = []
        self.last_event_id = last_event_id
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        self.response = client.request("GET", path, headers)
        self._decoder = EventDecoder()

    def read(self) -> "Follower":
        """
        Read all that was sent.
        """
        for chunk in self.client.read_chunks():
            for event in self._decoder.feed(chunk):
                self.events.append((event.event or "message", event.data or ""))
            self.last_event_id = self._decoder.last_event_id or self.last_event_id
        return self

    @property
    def data(self) -> list[str]:
        """
        The data of the messages, without the end.
        """
        return [data for name, data in self.events if name == "message"]

    @property
    def end(self) -> dict[str, Any] | None:
        """
        The end of the run, which is the last event; None if it was not received.
        """
        ends = [data for name, data in self.events if name == "end"]
        assert len(ends) < 2, "more than one end"
        if not ends:
            return None
        assert self.events[-1][0] == "end", "a message after the end"
        end: dict[str, Any] = json.loads(ends[0])
        return end


class Work:
    """
    A producer that a test steps by hand: each call waits until the test says what to do.

    Attributes:
        run: The run, once it has started.
        starts: How often it was started.
        errors: What was raised in it.
    """

    def __init__(self) -> None:
        self.run: Run | None = None
        self.starts = 0
        self.errors: list[BaseException] = []
        self.stubborn = False
        self.wait: Deferred[Any] = Deferred()

    async def __call__(self, run: Run) -> Any:
        self.run = run
        self.starts += 1
        while True:
            try:
                step = await self.wait
            except Exception as err:
                self.errors.append(err)
                if not self.stubborn:
                    raise
                self.wait = Deferred()
                continue
            self.wait = Deferred()
            done, value = await step()
            if done:
                return value

    def do(self, step: Callable[[], Any]) -> None:
        """
        Run an async function in the producer.
        """

        async def one() -> tuple[bool, Any]:
            return False, await step()

        self.wait.callback(one)

    def publish(self, *texts: str) -> None:
        """
        Publish messages.
        """

        async def publish() -> None:
            assert self.run is not None
            for text in texts:
                await self.run.publish(text)

        self.do(publish)

    def finish(self, value: Any = None) -> None:
        """
        Return.
        """

        async def one() -> tuple[bool, Any]:
            return True, value

        self.wait.callback(one)

    def fail(self, error: Exception) -> None:
        """
        Raise.
        """

        async def one() -> None:
            raise error

        self.do(one)


class RunTest(ChannelTest):
    """
    The base: a run named ``work`` that a test steps by hand.
    """

    def setUp(self) -> None:
        super().setUp()
        self.work = Work()

    def run_work(self, hub: Hub | None = None, **options: Any) -> Run:
        return (hub or self.hub).run("work", self.work, **options)

    def follow_run(
        self,
        run: Run,
        last_event_id: str | None = None,
        *,
        sse: dict[str, Any] | None = None,
        **options: Any,
    ) -> Follower:
        """
        A client that follows a run, and has read what is there.
        """

        async def feed(ctx: Context) -> None:
            self.contexts.append(ctx)
            try:
                await ctx.sse(**{"ping": None, **(sse or {})}).subscribe(run, **options)
            except BaseException as err:
                self.ends.append(err)
                raise
            self.ends.append(None)

        follower = Follower(self.connect(feed, clock=self.clock), last_event_id)
        return follower.read()

    def assert_ended(self, run: Run, state: RunState) -> None:
        self.assertIs(run.state, state)
        self.assertIs(self.successResultOf(run.done()), state)
