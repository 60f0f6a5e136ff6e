"""
A producer that is faster than the history of its run, or than its followers.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred

from tests.channels.runs import Follower, RunTest
from tests.harness.wires import MemoryWire
from twistream import Hub, Message, Run, RunEnded, RunOverflow, RunState
from twistream.channels.engine import Bounds
from twistream.channels.memory import MemoryLog

TEXT = "x" * 50


class FullTest(RunTest):
    def produce(self, count: int, **options: Any) -> Run:
        """
        A run whose producer publishes so many numbered messages, as fast as it may.
        """

        async def producer(run: Run) -> None:
            await self.work.wait
            for number in range(count):
                await run.publish(f"{number} {TEXT}")

        return self.hub.run("work", producer, restart=True, **options)

    def go(self) -> None:
        self.work.wait.callback(None)
        self.settle()

    def numbers(self, data: list[str]) -> list[int]:
        return [int(text.split()[0]) for text in data]


class WaitTests(FullTest):
    def test_a_connected_client_that_reads_late_misses_nothing(self) -> None:
        for limits in ({"history": 10}, {"history_bytes": 600}):
            with self.subTest(limits):
                self.work = type(self.work)()
                run = self.produce(500, **limits)
                follower = self.follow_run(run, max_queued=100)
                follower.client.pause()
                self.go()
                self.assertIs(run.state, RunState.RUNNING)
                self.assertLess(run.published, 100)
                before = run.published
                [subscription] = run.subscriptions
                self.assertEqual(subscription.unread, limits.get("history", 11))
                self.clock.advance(30)
                self.assertEqual(run.published, before)
                follower.client.resume()
                for _ in range(100):
                    self.settle()
                    follower.read()
                self.assertIs(run.state, RunState.DONE)
                self.assertEqual(self.numbers(follower.data), list(range(500)))
                self.assertEqual(follower.end, {"state": "done"})

    def test_a_client_that_keeps_up_is_not_waited_for(self) -> None:
        run = self.produce(5000, history=10)
        follower = self.follow_run(run)
        self.go()
        self.assertIs(run.state, RunState.DONE)
        # A send for each time that the history is full, and not for each message.
        self.assertLess(len(follower.client.writes), 700)
        self.assertEqual(self.numbers(follower.read().data), list(range(5000)))

    def test_a_burst_that_is_larger_than_the_history_reaches_a_slow_client(self) -> None:
        # All of it is published before the end of the turn, when it is sent.
        run = self.produce(200, history=10)
        follower = self.follow_run(run, max_queued=100)
        follower.client.pause(after=0)
        self.work.wait.callback(None)
        follower.client.resume()
        for _ in range(50):
            self.settle()
            follower.read()
        self.assertEqual(self.numbers(follower.data), list(range(200)))

    def test_without_a_client_the_oldest_messages_are_dropped_with_one_warning(self) -> None:
        events = self.log_events()
        run = self.produce(100, history=10)
        self.go()
        self.assertIs(run.state, RunState.DONE)
        follower = self.follow_run(run)
        self.assertEqual(follower.events[0][0], "gap")
        self.assertEqual(self.numbers(follower.data), list(range(90, 100)))
        self.assertEqual(follower.end, {"state": "done"})
        warnings = [e for e in events if "drops its oldest" in str(e["log_format"])]
        self.assertEqual(len(warnings), 1)
        self.assertEqual(warnings[0]["bounds"], "history=10, history_bytes=16777216")

    def test_a_client_that_leaves_is_no_longer_waited_for(self) -> None:
        run = self.produce(500, history=10)
        follower = self.follow_run(run, max_queued=100)
        follower.client.pause()
        self.go()
        self.assertIs(run.state, RunState.RUNNING)
        follower.client.disconnect()
        self.settle()
        self.assertIs(run.state, RunState.DONE)

    def test_a_client_that_accepts_nothing_is_cut_and_no_longer_waited_for(self) -> None:
        run = self.produce(500, history=10)
        follower = self.follow_run(run, max_queued=100)
        follower.client.pause(after=1)
        self.go()
        self.clock.pump([1.0] * 40)
        self.assertIs(run.state, RunState.RUNNING)
        self.clock.pump([1.0] * 40)  # More than send_timeout.
        self.assertIs(run.state, RunState.DONE)
        self.assertEqual(run.subscriber_count, 0)

    def test_a_producer_that_waits_can_be_stopped(self) -> None:
        run = self.produce(500, history=10)
        follower = self.follow_run(run, max_queued=100)
        follower.client.pause()
        self.go()
        published = run.published
        run.stop()
        self.assert_ended(run, RunState.STOPPED)
        self.assertEqual(run.published, published + 1)
        follower.client.resume()
        self.settle()
        follower.read()
        self.assertEqual(self.numbers(follower.data), list(range(published)))
        self.assertEqual(follower.end, {"state": "stopped"})

    def waiting(self) -> Run:
        run = self.hub.run("work", lambda run: Deferred(), history=3, restart=True)
        follower = self.follow_run(run, max_queued=100)
        follower.client.pause()
        for _ in range(10):
            run.publish(TEXT)
            self.settle()
        self.follower = follower
        return run

    def test_calls_that_are_not_awaited_keep_their_order(self) -> None:
        run = self.waiting()
        results = [run.publish(f"late {number}") for number in range(5)]
        self.assertNoResult(results[0])
        results[2].addErrback(lambda _: None)
        results[2].cancel()
        self.follower.client.resume()
        for _ in range(5):
            self.settle()
        ids = [self.successResultOf(result) for result in results if result is not results[2]]
        self.assertEqual(ids, sorted(ids, key=lambda id_: int(id_.split("-")[1])))
        late = [text for text in self.follower.read().data if text.startswith("late")]
        self.assertEqual(late, ["late 0", "late 1", "late 3", "late 4"])

    def test_a_message_that_would_fit_waits_behind_one_that_does_not(self) -> None:
        run = self.hub.run("work", lambda run: Deferred(), history_bytes=500)
        follower = self.follow_run(run, max_queued=100)
        follower.client.pause()
        for _ in range(12):
            run.publish("x" * 40)
            self.settle()
        waits = [run.publish("x" * 300), run.publish("y")]
        self.assertNoResult(waits[0])
        self.assertNoResult(waits[1])
        follower.client.resume()
        self.settle()
        self.assertEqual([len(text) for text in follower.read().data][-2:], [300, 1])

    def test_what_waits_is_published_only_as_far_as_there_is_room(self) -> None:
        run = self.waiting()
        results = [run.publish(f"late {number}") for number in range(50)]
        self.take_one(self.follower)
        self.settle()
        self.assertLess(sum(result.called for result in results), 10)
        for _ in range(200):
            self.take_one(self.follower)
            self.settle()
        self.follower.client.resume()
        self.settle()
        self.successResultOf(results[-1])
        late = [text for text in self.follower.read().data if text.startswith("late")]
        self.assertEqual(late, [f"late {number}" for number in range(50)])

    def take_one(self, follower: Follower) -> None:
        """
        The connection takes one write, and is full again.
        """
        wire = follower.client.wire
        assert isinstance(wire, MemoryWire)
        assert wire.producer is not None
        wire.fill(after=1)
        wire.producer.resumeProducing()

    def test_many_that_wait_are_published_in_several_turns(self) -> None:
        run = self.hub.run("work", lambda run: Deferred(), history=900)
        follower = self.follow_run(run, max_queued=100)
        follower.client.pause()
        for _ in range(910):
            run.publish("a")
            self.clock.advance(0)
        results = [run.publish("late") for _ in range(800)]
        self.assertNoResult(results[0])
        follower.client.resume()
        self.settle()
        self.successResultOf(results[-1])

    def test_there_is_a_limit_for_calls_that_are_not_awaited(self) -> None:
        run = self.waiting()
        with self.assertRaisesRegex(RunOverflow, "1000 messages wait for it; await each"):
            for _ in range(2000):
                run.publish("late")

    def test_what_waits_fails_when_the_run_ends(self) -> None:
        run = self.waiting()
        waits = [run.publish("late") for _ in range(3)]
        run.stop()
        for wait in waits[:2]:
            self.failureResultOf(wait, RunEnded)
        # Nothing is logged for the one that nobody looks at.

    def test_the_code_of_a_follower_may_let_the_producer_go_on(self) -> None:
        # The producer runs while messages are being sent: what it publishes comes after them.
        go_on: Deferred[None] = Deferred()

        async def producer(run: Run) -> None:
            await self.work.wait
            for number in range(60):
                if number == 5:
                    await go_on
                await run.publish(f"{number} {TEXT}")

        def passes(message: Message) -> bool:
            if message.event is None and message.data.startswith("2 "):
                go_on.callback(None)
            return True

        run = self.hub.run("work", producer, history=10)
        followers = [self.follow_run(run, filter=passes), self.follow_run(run)]
        self.go()
        for follower in followers:
            self.settle()
            self.assertEqual(self.numbers(follower.read().data), list(range(60)))
            self.assertEqual(follower.end, {"state": "done"})

    def test_the_code_of_a_follower_may_stop_the_run_while_messages_wait(self) -> None:
        def passes(message: Message) -> bool:
            if message.data == "late 2":
                run.stop()
            return True

        for grace in (0, 5):
            run = self.hub.run("work", lambda run: Deferred(), history=3, grace=grace, restart=True)
            slow = self.follow_run(run, max_queued=1)
            watching = self.follow_run(run, filter=passes)
            slow.client.pause()
            for _ in range(5):
                run.publish("early")
                self.settle()
            waits = [run.publish(f"late {number}") for number in range(20)]
            slow.client.resume()
            for follower in (slow, watching):
                self.settle()
                self.assertEqual(follower.read().end, {"state": "stopped"})
                self.assertEqual(follower.data[4:8], ["early", "late 0", "late 1", "late 2"])
            for wait in waits[6:]:
                self.failureResultOf(wait, RunEnded)

    def test_a_message_that_fits_into_no_history_is_refused(self) -> None:
        async def producer(run: Run) -> None:
            with self.assertRaisesRegex(RunOverflow, "'work' has no room: the limits are"):
                await run.publish("x" * 601)
            await run.publish("x" * 600)

        run = self.hub.run("work", producer, history_bytes=600)
        self.assertIs(run.state, RunState.DONE)
        self.assertEqual(len(self.follow_run(run).data), 1)

    def test_a_message_that_fits_into_no_history_does_not_wait_behind_others(self) -> None:
        run = self.hub.run("work", lambda run: Deferred(), history_bytes=500)
        follower = self.follow_run(run, max_queued=100)
        follower.client.pause()
        for _ in range(12):
            run.publish("x" * 40)
            self.settle()
        wait = run.publish("x" * 300)
        self.assertNoResult(wait)
        self.assertRaisesRegex(RunOverflow, "the limits are", run.publish, "x" * 501)
        last = run.publish("y")
        follower.client.resume()
        self.settle()
        self.successResultOf(wait)
        self.successResultOf(last)
        self.assertEqual([len(text) for text in follower.read().data][-2:], [300, 1])


class ErrorTests(FullTest):
    def test_a_run_that_exceeds_its_history_fails(self) -> None:
        for limits, count in (({"history": 10}, 10), ({"history_bytes": 520}, 10)):
            self.work = type(self.work)()
            run = self.produce(500, on_full="error", **limits)
            self.go()
            self.assertIs(run.state, RunState.FAILED)
            self.logged(RunOverflow)
            follower = self.follow_run(run)
            self.assertEqual(self.numbers(follower.data), list(range(count)))
            self.assertEqual(follower.end, {"state": "failed"})

    def test_what_is_too_old_takes_no_room(self) -> None:
        run = self.hub.run(
            "work", lambda run: Deferred(), on_full="error", history=3, history_ttl=9.9
        )
        for _ in range(3):
            run.publish("a")
        self.clock.advance(9.95)  # Before the timer that frees what is too old.
        run.publish("b")
        self.assertEqual(self.follow_run(run).data, ["b"])

    def test_a_run_that_just_fits_is_complete(self) -> None:
        run = self.produce(10, on_full="error", history=10, history_bytes=520)
        self.go()
        follower = self.follow_run(run)
        self.assertEqual(self.numbers(follower.data), list(range(10)))
        self.assertEqual(follower.end, {"state": "done"})


class TrimTests(FullTest):
    def test_the_oldest_messages_are_dropped_and_a_slow_client_gets_a_gap(self) -> None:
        events = self.log_events()
        run = self.produce(500, on_full="trim", history=10)
        follower = self.follow_run(run, max_queued=100)
        follower.client.pause()
        self.go()
        self.assertIs(run.state, RunState.DONE)
        follower.client.resume()
        self.settle()
        follower.read()
        self.assertEqual(follower.events[1][0], "gap")
        self.assertEqual(self.numbers(follower.data)[-9:], list(range(491, 500)))
        self.assertEqual(follower.end, {"state": "done"})
        self.assertFalse([e for e in events if "drops its oldest" in str(e["log_format"])])

    def test_the_default_limits_hold_a_long_answer(self) -> None:
        run = self.hub.run("work", self.work)
        self.assertEqual(
            run._core.channel.bounds, Bounds(history=50_001, history_bytes=2**24 + 2**16)
        )


class DropsTests(FullTest):
    @settings(max_examples=200, deadline=None)
    @given(
        history=st.integers(1, 6),
        size=st.none() | st.integers(0, 30),
        sizes=st.lists(st.integers(0, 9), max_size=12),
        new=st.lists(st.integers(0, 9), max_size=4),
    )
    def test_what_would_be_dropped_is_dropped(
        self, history: int, size: int | None, sizes: list[int], new: list[int]
    ) -> None:
        limit = 10**6 if size is None else size
        log = MemoryLog(
            "news",
            Bounds(history=history, history_bytes=size),
            lambda: self.clock,
            lambda message: None,
        )
        kept: list[int] = []
        for each in sizes:
            log.append(None, "x" * each)
            kept.append(each)
            while len(kept) > history or sum(kept) > limit:
                del kept[0]
        before = len(kept)
        drops = log._history.drops(len(new), sum(new))
        while kept and (len(kept) + len(new) > history or sum(kept) + sum(new) > limit):
            del kept[0]
        assert drops == before - len(kept)


class ManyFollowersTests(FullTest):
    def test_the_slowest_follower_counts(self) -> None:
        self.hub = Hub(clock=self.clock)
        run = self.produce(300, history=10)
        fast, slow = self.follow_run(run, max_queued=100), self.follow_run(run, max_queued=100)
        slow.client.pause()
        self.go()
        self.assertIs(run.state, RunState.RUNNING)
        fast.read()
        self.assertEqual(len(fast.data), run.published)
        slow.client.resume()
        for _ in range(100):
            self.settle()
            slow.read()
            fast.read()
        for follower in (slow, fast):
            self.assertEqual(self.numbers(follower.data), list(range(300)))
