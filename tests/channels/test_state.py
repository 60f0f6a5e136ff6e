"""
The states of a subscription: the table, and every way through it.
"""

from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from tests.channels.case import ChannelTest
from tests.harness.reader import Reader
from twistream.channels.memory import MemoryLog
from twistream.channels.state import TRANSITIONS, Cause, State
from twistream.channels.subscription import Subscription

Row = tuple[State, Cause]


class TableTests(SynchronousTestCase):
    def test_every_row_leads_to_its_state_and_anything_else_is_a_bug(self) -> None:
        for state in State:
            for cause in Cause:
                target = TRANSITIONS.get((state, cause))
                if target is not None:
                    self.assertIs(TRANSITIONS[state, cause], target)
                    continue
                with self.assertRaisesRegex(AssertionError, f"from {state.name} to [A-Z]+: "):
                    TRANSITIONS[state, cause]

    def test_an_illegal_transition_names_both_states(self) -> None:
        with self.assertRaisesRegex(AssertionError, "from ENDED to DRAINING: the connection is"):
            TRANSITIONS[State.ENDED, Cause.FULL]

    def test_every_state_is_reached_and_every_cause_has_one_target(self) -> None:
        self.assertEqual(set(TRANSITIONS.values()), set(State) - {State.NEW})
        for cause in Cause:
            targets = {target for (_, each), target in TRANSITIONS.items() if each is cause}
            self.assertEqual(len(targets), 1, cause)

    def test_the_end_is_reached_from_everywhere_and_final(self) -> None:
        for state in set(State) - {State.ENDED}:
            self.assertIs(TRANSITIONS[state, Cause.DETACH], State.ENDED)
        self.assertNotIn(State.ENDED, {state for state, _ in TRANSITIONS})


class WalkTests(ChannelTest):
    """
    Every row, by what a client and a program do.
    """

    def setUp(self) -> None:
        super().setUp()
        self.rows: list[Row] = []
        move = Subscription._move

        def recorded(subscription: Subscription, cause: Cause) -> None:
            self.rows.append((subscription._state, cause))
            move(subscription, cause)

        self.patch(Subscription, "_move", recorded)
        self.news = self.hub.channel("news", history=100)

    def state(self) -> State:
        [subscription] = self.news.subscriptions
        return subscription._state

    def live(self) -> Reader:
        reader = self.join(self.news, max_queued=500)
        self.assertIs(self.state(), State.LIVE)
        return reader

    def draining(self) -> Reader:
        reader = self.live()
        reader.client.pause()
        self.publish(self.news)
        self.clock.advance(0)
        self.assertIs(self.state(), State.DRAINING)
        return reader

    def replaying(self) -> Reader:
        reader = self.draining()
        for _ in range(20):
            self.publish(self.news, size=50)
            self.clock.advance(0)
        self.assertIs(self.state(), State.REPLAYING)
        return reader

    def closing(self) -> Reader:
        reader = self.draining()
        self.news.close()
        self.clock.advance(0)
        self.assertIs(self.state(), State.CLOSING)
        return reader

    def drain(self, reader: Reader) -> None:
        reader.client.resume()
        self.settle()
        reader.read()

    def close(self, _: Reader) -> None:
        self.news.close()
        self.settle()

    def leave(self, reader: Reader) -> None:
        reader.client.disconnect()

    def test_every_row_is_walked(self) -> None:
        walks: dict[Row, Callable[[], object]] = {
            (State.NEW, Cause.FOLLOW): self.live,
            (State.NEW, Cause.RESUME): lambda: self.join(self.news, after=self.news.oldest),
            (State.NEW, Cause.FINISH): self.join_closed,
            (State.NEW, Cause.DETACH): self.fail_to_start,
            (State.LIVE, Cause.FULL): self.draining,
            (State.LIVE, Cause.FINISH): lambda: self.close(self.live()),
            (State.LIVE, Cause.DETACH): lambda: self.leave(self.live()),
            (State.DRAINING, Cause.DRAINED): lambda: self.drain(self.draining()),
            (State.DRAINING, Cause.OVERFLOW): self.replaying,
            (State.DRAINING, Cause.CLOSE): self.closing,
            (State.DRAINING, Cause.DETACH): lambda: self.leave(self.draining()),
            (State.REPLAYING, Cause.CAUGHT_UP): lambda: self.drain(self.replaying()),
            (State.REPLAYING, Cause.FINISH): self.close_and_drain,
            (State.REPLAYING, Cause.DETACH): lambda: self.leave(self.replaying()),
            (State.CLOSING, Cause.FINISH): lambda: self.drain(self.closing()),
            (State.CLOSING, Cause.DETACH): lambda: self.leave(self.closing()),
        }
        self.assertEqual(set(walks), set(TRANSITIONS))
        for row, walk in walks.items():
            with self.subTest(row):
                self.news = self.hub.channel("news", history=100)
                self.rows.clear()
                walk()
                self.assertIn(row, self.rows)
                for subscription in self.news.subscriptions:
                    subscription.context.abort()
                self.news.close()
                self.settle()

    def join_closed(self) -> None:
        self.news.close()
        self.assertTrue(self.join(self.news).response.complete)

    def fail_to_start(self) -> None:
        patch = self.patch(MemoryLog, "owns", lambda *_: 1 / 0)
        self.join(self.news, after="1")
        patch.restore()
        self.logged(ZeroDivisionError)

    def close_and_drain(self) -> None:
        reader = self.replaying()
        self.close(reader)
        self.assertIs(self.state(), State.REPLAYING)
        self.drain(reader)
        self.assertTrue(reader.is_at(self.news))


class ReprTests(ChannelTest):
    def test_it_shows_the_state(self) -> None:
        red, blue = self.hub.channel("red"), self.hub.channel("blue")
        reader = self.join(red, blue)
        [subscription] = red.subscriptions
        context = repr(subscription.context)
        self.assertEqual(repr(subscription), f"<Subscription LIVE of {context} to red, blue>")
        reader.client.disconnect()
        self.assertIn("<Subscription ENDED of ", repr(subscription))
