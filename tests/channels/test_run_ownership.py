"""
Two processes share the runs of one engine: one owns a run, and the other follows it.

Two hubs with one engine stand for the processes. `LeaseEngine` adds what memory does not need: leases
that expire, and answers that come later.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from tests.channels.runs import RunTest, Work
from twistream import Hub, MemoryEngine, Message, Run, RunState
from twistream.channels.engine import Bounds
from twistream.channels.memory_run import MemoryRunLog
from twistream.channels.ownership import Lease, RunLog, RunObserver, StaleLease
from twistream.channels.run_owner import LEASE
from twistream.wire.messages import Payload


class LeaseLog(MemoryRunLog):
    """
    The log of a run, whose owner has to renew its lease.

    Attributes:
        broken: The engine cannot be reached: every call fails.
        later: Calls are answered when the test runs `answer`.
    """

    def __init__(self, name: str, bounds: Bounds, clock: Callable[[], IReactorTime]) -> None:
        super().__init__(name, bounds, clock)
        self._time = clock()
        self._expires = 0.0
        self.broken = False
        self.later = False
        self.pending: list[Callable[[], object]] = []
        self.renewals = 0

    def _answer(self, result: Callable[[], Deferred[Any]]) -> Deferred[Any]:
        if self.broken:
            return fail(ConnectionError("the engine cannot be reached"))
        if not self.later:
            return result()
        deferred: Deferred[Any] = Deferred()
        self.pending.append(lambda: result().chainDeferred(deferred))
        return deferred

    def answer(self) -> None:
        pending, self.pending = self.pending, []
        for call in pending:
            call()

    def acquire(self, observer: RunObserver, seconds: float) -> Deferred[Lease | None]:
        def acquire() -> Deferred[Lease | None]:
            if self.end is not None or (self._token and not self.is_expired):
                return super(LeaseLog, self).acquire(observer, seconds)
            taken_over = self._token > 0
            self._expires = self._time.seconds() + seconds
            lease = self._lease(taken_over=taken_over, seconds=seconds)
            done: Deferred[Lease | None] = Deferred()
            done.callback(lease)
            return done

        return self._answer(acquire)

    @property
    def is_expired(self) -> bool:
        return self._time.seconds() >= self._expires

    def renew(self, token: int) -> Deferred[bool]:
        def renew() -> Deferred[bool]:
            self.renewals += 1
            valid = token == self._token and not self.is_expired
            if valid:
                self._expires = self._time.seconds() + LEASE
            done: Deferred[bool] = Deferred()
            done.callback(valid)
            return done

        return self._answer(renew)

    def append_as(
        self, token: int, event: str | None, payload: Payload, *, last: bool = False
    ) -> Deferred[str]:
        append = super().append_as
        return self._answer(lambda: append(token, event, payload, last=last))

    def notice(self) -> None:
        """
        Notify the observers of a lease that has expired.
        """
        assert self.is_expired
        for observer in list(self._observers.counts):
            observer.owner_lost()


class LeaseEngine(MemoryEngine):
    """
    An engine with leases.

    Attributes:
        log: The newest log of a run.
    """

    log: LeaseLog
    later = False

    def open_run(
        self,
        name: str,
        bounds: Bounds,
        clock: Callable[[], IReactorTime],
        observer: RunObserver,
        *,
        restart: bool,
    ) -> MemoryRunLog:
        if name not in self._runs:
            self.log = self._runs[name] = LeaseLog(name, bounds, clock)
            self.log.later = self.later
        return super().open_run(name, bounds, clock, observer, restart=restart)


class SharedTest(RunTest):
    engine_class: type[MemoryEngine] = MemoryEngine

    def setUp(self) -> None:
        super().setUp()
        self.engine: Any = self.engine_class()
        self.hub = Hub(self.engine, clock=self.clock)
        self.other_hub = Hub(self.engine, clock=self.clock)
        self.other_work = Work()

    def run_both(self, **options: Any) -> tuple[Run, Run]:
        """
        The run in the process that owns it, and in the other.
        """
        owned = self.run_work(**options)
        return owned, self.other_hub.run("work", self.other_work, **options)


class TwoHubsTests(SharedTest):
    def test_one_producer_runs_and_clients_of_both_follow(self) -> None:
        owned, other = self.run_both()
        self.assertEqual((self.work.starts, self.other_work.starts), (1, 0))
        followers = [self.follow_run(owned), self.follow_run(other)]
        self.work.publish("a")
        self.work.finish({"b": 1})
        for run, follower in zip((owned, other), followers, strict=True):
            self.assert_ended(run, RunState.DONE)
            self.assertEqual(run.result, {"b": 1})
            self.assertEqual(follower.read().data, ["a"])
            self.assertEqual(follower.end, {"state": "done", "result": {"b": 1}})

    def test_ids_are_the_same_in_both(self) -> None:
        owned, other = self.run_both()
        self.work.publish("a")
        last = self.follow_run(owned).last_event_id
        self.work.publish("b")
        self.assertEqual(self.follow_run(other, last).data, ["b"])

    def test_only_the_owner_publishes(self) -> None:
        _, other = self.run_both()
        with self.assertRaisesRegex(RuntimeError, "runs in another process; publish there"):
            other.publish("a")

    def test_a_stop_request_reaches_the_owner(self) -> None:
        owned, other = self.run_both()
        stopped = other.stop("by the other")
        self.assertIs(self.successResultOf(stopped), RunState.STOPPED)
        self.assertEqual(len(self.work.errors), 1)
        for run in (owned, other):
            self.assert_ended(run, RunState.STOPPED)
            self.assertEqual(run.stop_reason, "by the other")

    def test_a_stop_request_waits_for_the_owner(self) -> None:
        self.work.stubborn = True
        owned, other = self.run_both(grace=4.0)
        stopped = other.stop("enough")
        self.assertNoResult(stopped)
        self.assertIs(owned.state, RunState.STOPPING)
        self.clock.advance(5)
        self.assertIs(self.successResultOf(stopped), RunState.STOPPED)

    def test_every_end_reaches_the_other(self) -> None:
        for state in (RunState.DONE, RunState.FAILED, RunState.STOPPED, RunState.LOST):
            self.work, self.other_work = Work(), Work()
            owned = self.hub.run(state.value, self.work)
            other = self.other_hub.run(state.value, self.other_work)
            ends: dict[RunState, Callable[[], object]] = {
                RunState.DONE: self.work.finish,
                RunState.FAILED: partial(self.work.fail, ZeroDivisionError()),
                RunState.STOPPED: owned.stop,
                RunState.LOST: owned._core.lose,
            }
            ends[state]()
            self.assert_ended(other, state)
            self.flushLoggedErrors(ZeroDivisionError)

    def test_a_process_that_joins_after_the_end_replays_it(self) -> None:
        owned = self.run_work()
        self.work.publish("a")
        self.work.finish(5)
        other = self.other_hub.run("work", self.other_work)
        self.assert_ended(other, RunState.DONE)
        self.assertEqual((other.result, self.other_work.starts), (5, 0))
        follower = self.follow_run(other)
        self.assertEqual((follower.data, follower.end), (["a"], {"state": "done", "result": 5}))
        self.assertIs(owned.state, RunState.DONE)
        last = follower.last_event_id
        self.assertEqual(self.follow_run(other, last).response.status, 204)

    def test_a_restart_is_shared_too(self) -> None:
        owned, other = self.run_both()
        self.work.finish()
        again = self.run_work(restart=True)
        self.assertEqual(self.work.starts, 2)
        joined = self.other_hub.run("work", self.other_work, restart=True)
        self.assertEqual((again.state, joined.state), (RunState.RUNNING, RunState.RUNNING))
        self.assertEqual(self.other_work.starts, 0)
        self.assertEqual((owned.state, other.state), (RunState.DONE, RunState.DONE))

    def test_a_run_is_kept_while_one_process_keeps_it(self) -> None:
        self.run_work(ttl=8.0)
        self.other_hub.run("work", self.other_work, ttl=64.0)
        self.work.finish(5)
        self.clock.advance(10)
        self.assertIsNone(self.hub.get_run("work"))
        self.assertEqual(self.run_work().result, 5)
        self.clock.advance(1000)
        self.assertEqual(self.engine._runs, {})

    def test_followers_of_another_process_keep_a_run_from_being_idle(self) -> None:
        owned, other = self.run_both(idle_timeout=8.0)
        follower = self.follow_run(other)
        self.clock.advance(100)
        self.assertIs(owned.state, RunState.RUNNING)
        follower.client.disconnect()
        self.clock.advance(10)
        self.assert_ended(other, RunState.STOPPED)
        self.assertEqual(other.stop_reason, "idle")

    def test_a_failure_without_output_is_an_error_page_everywhere(self) -> None:
        _, other = self.run_both()
        held = self.follow_run(other, sse={"open": "first_event"})
        self.work.fail(ZeroDivisionError())
        self.logged(ZeroDivisionError)
        self.assertEqual(held.client.receive().status, 500)

    def test_memory_needs_no_timers_for_leases(self) -> None:
        self.run_work()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LeaseTests(SharedTest):
    engine_class = LeaseEngine

    def test_the_owner_renews_its_lease(self) -> None:
        owned, other = self.run_both()
        self.clock.pump([1.0] * 100)
        self.assertFalse(self.engine.log.is_expired)
        self.assertGreater(self.engine.log.renewals, 10)
        self.work.finish()
        self.assert_ended(other, RunState.DONE)
        renewals = self.engine.log.renewals
        self.clock.pump([1.0] * 100)
        self.assertEqual(self.engine.log.renewals, renewals)
        self.assertIs(owned.state, RunState.DONE)

    def test_a_run_that_has_ended_has_no_timer(self) -> None:
        self.run_work(ttl=0)
        self.work.finish()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def freeze(self) -> None:
        """
        The owner's process stands still until its lease has expired.
        """
        self.hub.runs["work"]._core._timers.cancel("renew")
        self.clock.advance(LEASE + 1)

    def test_a_run_whose_owner_vanished_is_lost_for_its_followers(self) -> None:
        owned, other = self.run_both()
        follower = self.follow_run(other)
        self.work.publish("a")
        owner = owned._core
        self.freeze()
        self.engine.log._observers.counts.pop(owner)  # It is gone.
        self.engine.log.notice()
        self.assert_ended(other, RunState.LOST)
        self.assertEqual(follower.read().data, ["a"])
        self.assertEqual(follower.end, {"state": "lost"})
        self.assertEqual(self.other_work.starts, 0)

    def test_an_owner_that_comes_back_is_refused_and_its_producer_cancelled(self) -> None:
        owned, other = self.run_both()
        followers = [self.follow_run(owned), self.follow_run(other)]
        owner = owned._core
        self.freeze()
        counts = self.engine.log._observers.counts
        number = counts.pop(owner)
        self.engine.log.notice()
        counts[owner] = number
        self.assert_ended(other, RunState.LOST)
        self.assertIs(owned.state, RunState.RUNNING)
        self.work.publish("too late")
        self.assertIsNone(owned._core._production)
        self.assert_ended(owned, RunState.LOST)
        for follower in followers:
            self.assertEqual(follower.read().data, [])
            self.assertEqual(follower.end, {"state": "lost"})

    def test_an_owner_that_notices_itself_appends_the_end(self) -> None:
        owned, other = self.run_both()
        followers = [self.follow_run(owned), self.follow_run(other)]
        self.freeze()
        self.engine.log.notice()
        self.assertEqual([type(err) for err in self.work.errors], [CancelledError])
        for run, follower in zip((owned, other), followers, strict=True):
            self.assert_ended(run, RunState.LOST)
            self.assertEqual(follower.read().end, {"state": "lost"})

    def test_a_renewal_that_is_refused_is_a_loss(self) -> None:
        owned, other = self.run_both()
        self.engine.log._expires = 0.0
        self.clock.pump([1.0] * 10)
        self.assert_ended(owned, RunState.LOST)
        self.assert_ended(other, RunState.LOST)
        self.assertEqual(len(self.work.errors), 1)

    def test_a_renewal_that_fails_is_tried_again(self) -> None:
        owned = self.run_work()
        self.engine.log.broken = True
        self.clock.pump([1.0] * 7)
        self.assertGreater(len(self.flushLoggedErrors(ConnectionError)), 0)
        self.engine.log.broken = False
        self.clock.pump([1.0] * 60)
        self.assertIs(owned.state, RunState.RUNNING)
        self.assertFalse(self.engine.log.is_expired)

    def test_a_name_whose_owner_is_gone_is_lost_and_not_started_again(self) -> None:
        self.run_work()
        self.freeze()
        self.engine.log._observers.counts.clear()
        other = self.other_hub.run("work", self.other_work)
        self.assert_ended(other, RunState.LOST)
        self.assertEqual(self.other_work.starts, 0)
        again = self.other_hub.run("work", self.other_work, restart=True)
        self.assertIs(again.state, RunState.RUNNING)
        self.assertEqual(self.other_work.starts, 1)

    def test_a_stale_token_is_refused(self) -> None:
        self.run_work()
        log = self.engine.log
        self.failureResultOf(log.append_as(2, None, "a"), StaleLease)
        self.successResultOf(log.append_as(1, None, "a"))
        self.work.finish()
        self.failureResultOf(log.append_as(1, None, "a"), StaleLease)

    def test_an_engine_that_cannot_be_reached_fails_the_run(self) -> None:
        class Broken(LeaseEngine):
            def open_run(self, *args: Any, **options: Any) -> MemoryRunLog:
                log = super().open_run(*args, **options)
                self.log.broken = True
                return log

        self.hub = Hub(Broken(), clock=self.clock)
        run = self.run_work()
        self.logged(ConnectionError)
        self.assert_ended(run, RunState.FAILED)
        self.assertEqual(self.work.starts, 0)
        for open in ("first_event", "at_once"):
            follower = self.follow_run(run, sse={"open": open})
            self.assertEqual(follower.response.status, 500)

    def test_an_end_that_cannot_be_appended_ends_the_streams_all_the_same(self) -> None:
        run = self.run_work()
        follower = self.follow_run(run)
        self.engine.log.broken = True
        self.work.finish()
        self.logged(ConnectionError)
        self.assert_ended(run, RunState.DONE)
        self.assertTrue(follower.read().response.complete)
        self.assertIsNone(follower.end)


class LaterTests(SharedTest):
    """
    The engine answers later, as one over a network does.
    """

    engine_class = LeaseEngine

    def setUp(self) -> None:
        super().setUp()
        self.engine.later = True

    def answer_all(self) -> None:
        for _ in range(5):
            self.engine.log.answer()
            self.settle()

    def test_a_run_starts_when_the_lease_is_there(self) -> None:
        run = self.run_work()
        self.assertEqual((run.state, self.work.starts), (RunState.RUNNING, 0))
        follower = self.follow_run(run)
        self.answer_all()
        self.assertEqual(self.work.starts, 1)
        self.work.publish("a")
        self.answer_all()
        self.work.finish(5)
        self.assertIs(run.state, RunState.DONE)
        done = run.done()
        self.assertNoResult(done)
        self.answer_all()
        self.assertIs(self.successResultOf(done), RunState.DONE)
        self.assertEqual(
            (follower.read().data, follower.end), (["a"], {"state": "done", "result": 5})
        )

    def test_a_run_that_is_stopped_before_never_starts(self) -> None:
        for grace in (5.0, 0):
            self.work = Work()
            run = self.hub.run(f"grace {grace}", self.work, grace=grace)
            stopped = run.stop("too soon")
            self.answer_all()
            self.assertIs(self.successResultOf(stopped), RunState.STOPPED)
            self.assertEqual((self.work.starts, run.stop_reason), (0, "too soon"))

    def test_a_stop_before_another_owner_is_known_reaches_it(self) -> None:
        owned = self.run_work()
        self.answer_all()
        other = self.other_hub.run("work", self.other_work)
        other.stop("early")
        self.answer_all()
        self.assert_ended(owned, RunState.STOPPED)
        self.assert_ended(other, RunState.STOPPED)

    def test_a_renewal_that_is_answered_after_the_end_changes_nothing(self) -> None:
        run = self.run_work(ttl=0)
        self.answer_all()
        self.clock.pump([1.0] * 6)
        self.assertEqual(len(self.engine.log.pending), 1)
        self.engine.log.later = False
        self.work.finish()
        self.assert_ended(run, RunState.DONE)
        self.engine.log.answer()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assert_ended(run, RunState.DONE)

    def test_a_shutdown_waits_until_the_end_is_appended(self) -> None:
        for answered in (True, False):
            self.work = Work()
            run = self.hub.run(f"answered: {answered}", self.work, grace=4.0)
            self.answer_all()
            wait = run._core.lose()
            self.assertEqual(len(self.work.errors), 1)
            self.assertNoResult(wait)
            if answered:
                self.answer_all()
            else:
                self.clock.advance(4)
            self.successResultOf(wait)

    def test_a_run_that_ends_while_it_is_joined(self) -> None:
        self.run_work()
        self.answer_all()
        other = self.other_hub.run("work", self.other_work)
        self.work.finish()
        self.answer_all()
        self.assert_ended(other, RunState.DONE)


class ProtocolTests(RunTest):
    def test_the_log_in_memory_is_one(self) -> None:
        log: RunLog = MemoryRunLog("work", Bounds(history=3), Clock)
        self.assertEqual(log.beginning, log.last)

    def test_the_newest_message_is_there_when_observers_are_notified(self) -> None:
        seen: list[tuple[str, str]] = []

        class Observer:
            def received(self, message: Message) -> None:
                seen.append((message.id, log.last))

            def stop_requested(self, reason: str) -> None:
                raise AssertionError(reason)

            def owner_lost(self) -> None:
                raise AssertionError

            def followed(self, count: int) -> None:
                seen.append(("followed", str(count)))

        engine = MemoryEngine()
        observer = Observer()
        log = engine.open_run("work", Bounds(history=3), Clock, observer, restart=False)
        lease = self.successResultOf(log.acquire(observer, 5.0))
        assert lease is not None
        self.assertEqual((lease.taken_over, lease.seconds), (False, None))
        self.assertIs(self.successResultOf(log.renew(lease.token)), True)
        self.assertIs(self.successResultOf(log.renew(7)), False)
        self.assertIsNone(self.successResultOf(log.acquire(observer, 5.0)))
        id_ = self.successResultOf(log.append_as(lease.token, None, "a"))
        log.following(observer, 2)
        self.assertEqual(seen, [(id_, id_), ("followed", "2")])
        log.leave(observer)
        log.following(observer, 3)
        log.leave(observer)
        self.assertEqual(len(seen), 2)
        self.assertEqual(engine._runs, {})
