"""
Runs with followers of any speed, whose own code changes the run: no message is missing or doubled.
"""

import contextlib

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from tests.channels.case import Busy
from tests.channels.runs import Follower, RunTest
from twistream import Hub, Message, RunEnded

STEPS = (
    "publish_one",
    "burst",
    "burst",
    "join_slow",
    "join_slow",
    "watch",
    "watch",
    "leave",
    "pause",
    "resume",
    "wait",
)
DEEDS = ("burst", "publish_one", "burst", "leave", "burst", "pause", "burst", "stop")


class InterleavingTests(RunTest):
    @settings(max_examples=80, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.lists(st.tuples(st.sampled_from(STEPS), st.integers(0, 30)), max_size=30),
        st.integers(1, 6),
    )
    def test_followers_that_stay_receive_everything_once(
        self, steps: list[tuple[str, int]], history: int
    ) -> None:
        self.clock = Busy()
        self.hub = Hub(clock=self.clock)
        self.target = self.hub.run("work", lambda _: Deferred(), history=history, ttl=1, grace=0)
        self.count = 0
        self.kept: dict[int, str] = {}
        self.is_over = False
        self.staying: list[Follower] = []
        for step, number in steps:
            getattr(self, step)(number)
        self.settle()
        self.is_over = True
        self.stop(0)
        for follower in self.staying:
            follower.client.resume()
        self.settle()
        for follower in self.staying:
            self.check(follower.read())
            follower.client.disconnect()
        self.clock.pump([0.5] * 8)
        self.assertEqual((self.target.subscriber_count, self.hub.runs), (0, {}))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.flushLoggedErrors(), [])

    def check(self, follower: Follower) -> None:
        """
        It has received all messages from its start on, and the end. Only its start may be a gap.
        """
        self.assertEqual(follower.end, {"state": "stopped"})
        names = [name for name, _ in follower.events]
        self.assertNotIn("gap", names[1:])
        # In the order of their ids: code of a follower may publish within another publish().
        kept = [text for _, text in sorted(self.kept.items())]
        missing = len(kept) - len(follower.data) if "gap" in names else 0
        self.assertEqual(follower.data, kept[missing:])

    # The steps.

    def publish_one(self, _: int) -> None:
        text, self.count = str(self.count), self.count + 1

        def keep(id_: str) -> None:
            self.kept[int(id_.partition("-")[2])] = text

        with contextlib.suppress(RunEnded):
            published = self.target.publish(text)
            published.addCallbacks(keep, lambda failure: failure.trap(RunEnded))

    def burst(self, number: int) -> None:
        for _ in range(number):
            self.publish_one(0)

    def join_slow(self, number: int) -> None:
        self.staying.append(self.follow_run(self.target, max_queued=1 + number))

    def watch(self, number: int) -> None:
        deeds = iter(DEEDS[number % len(DEEDS) :])

        def passes(message: Message) -> bool:
            if int(message.data) % 5 == number % 5 and not self.is_over:
                getattr(self, next(deeds, "stop"))(number)
            return True

        self.staying.append(self.follow_run(self.target, filter=passes, max_queued=1 + number))

    def leave(self, number: int) -> None:
        if self.staying:
            self.staying.pop(number % len(self.staying)).client.disconnect()

    def pause(self, number: int) -> None:
        if self.staying:
            self.staying[number % len(self.staying)].client.pause(number % 3)

    def resume(self, number: int) -> None:
        if self.staying:
            self.staying[number % len(self.staying)].client.resume()

    def wait(self, number: int) -> None:
        self.clock.advance(number / 1000)

    def stop(self, _: int) -> None:
        self.target.stop()
