"""
The states of a run: the table, and every way through it.
"""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.internet.interfaces import IReactorCore
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import alsoProvides

from tests.channels.runs import Follower, RunTest, Work
from twistream import Hub, Run, RunEnded, RunState
from twistream.channels import run_core
from twistream.channels.run_state import TRANSITIONS, RunCause


class TableTests(SynchronousTestCase):
    def test_every_row_leads_to_its_state_and_anything_else_is_a_bug(self) -> None:
        for state in RunState:
            for cause in RunCause:
                target = TRANSITIONS.get((state, cause))
                if target is not None:
                    self.assertIs(TRANSITIONS[state, cause], target)
                    continue
                with self.assertRaisesRegex(AssertionError, f"from {state.name} to [A-Z]+: "):
                    TRANSITIONS[state, cause]

    def test_a_final_state_has_no_way_out_and_the_others_have_one(self) -> None:
        for state in RunState:
            ways = [row for row in TRANSITIONS if row[0] is state]
            self.assertEqual(state.is_final, not ways, state)

    def test_every_state_but_the_first_is_reached(self) -> None:
        self.assertEqual(set(TRANSITIONS.values()), set(RunState) - {RunState.RUNNING})

    def test_values_are_what_clients_receive(self) -> None:
        self.assertEqual([state.value for state in RunState], [s.name.lower() for s in RunState])


STEPS = st.sampled_from(
    ["publish", "finish", "fail", "stop", "swallow", "wait", "lose", "follow", "leave", "restart"]
)


class WalkTests(RunTest):
    """
    Whatever happens in whatever order: a run ends at most once, and its end is its last message.
    """

    @settings(max_examples=60, deadline=None)
    @given(st.lists(STEPS, max_size=12))
    def test_any_walk(self, steps: list[str]) -> None:
        self.clock = type(self.clock)()
        self.hub = Hub(clock=self.clock)
        self.work = Work()
        run = self.run_work(grace=4.0, idle_timeout=64.0, ttl=1000.0)
        followers = [self.follow_run(run)]
        ends: list[RunState] = []
        run.done().addCallback(ends.append)
        for step in steps:
            was_final = run.state.is_final
            before = run.state
            self.step(step, run, followers)
            self.clock.advance(0)
            if was_final:
                assert run.state is before
            assert len(ends) == run.state.is_final
        self.work.stubborn = False
        run.stop()
        self.clock.advance(8)
        self.assert_ended(run, run.state)
        assert ends == [run.state]
        for follower in followers:
            if follower.client.connected:
                end = follower.read().end
                assert end is not None
                assert end["state"] == run.state.value
                assert follower.response.complete
        last = self.follow_run(run)
        assert last.end is not None
        assert last.end["state"] == run.state.value
        with self.assertRaises(RunEnded):
            run.publish("a")
        self.flushLoggedErrors(ZeroDivisionError)

    def step(self, step: str, run: Run, followers: list[Follower]) -> None:
        waiting = not self.work.wait.called
        core = run._core
        if step == "publish" and waiting:
            self.work.publish("a")
        elif step == "finish" and waiting:
            self.work.finish(1)
        elif step == "fail" and waiting:
            self.work.fail(ZeroDivisionError())
        elif step == "stop":
            run.stop("stop")
        elif step == "swallow":
            self.work.stubborn = True
        elif step == "wait":
            self.clock.advance(3)
        elif step == "lose":
            core.lose()
        elif step == "follow":
            followers.append(self.follow_run(run))
        elif step == "leave" and followers:
            followers[0].client.disconnect()
        elif step == "restart" and not run.state.is_final:
            assert self.run_work(restart=True) is run


class RowTests(RunTest):
    """
    Every row, by what a program and its clients do.
    """

    def test_every_row_is_walked(self) -> None:
        rows: list[tuple[RunState, RunCause]] = []

        class Recorded(dict[tuple[RunState, RunCause], RunState]):
            def __getitem__(self, row: tuple[RunState, RunCause]) -> RunState:
                rows.append(row)
                return TRANSITIONS[row]

        self.patch(run_core, "TRANSITIONS", Recorded())
        for walk in (
            self.returns,
            self.fails,
            self.stops,
            self.is_lost,
            self.is_lost_while_it_stops,
        ):
            self.work = Work()
            walk(self.run_work(restart=True))
        self.assertEqual(set(rows), set(TRANSITIONS))
        self.flushLoggedErrors(ZeroDivisionError)

    def returns(self, _: Run) -> None:
        self.work.finish()

    def fails(self, _: Run) -> None:
        self.work.fail(ZeroDivisionError())

    def stops(self, run: Run) -> None:
        run.stop()

    def is_lost(self, run: Run) -> None:
        run._core.lose()

    def is_lost_while_it_stops(self, run: Run) -> None:
        self.work.stubborn = True
        run.stop()
        run._core.lose()
        self.work.stubborn = False


class LossTests(RunTest):
    """
    The process shuts down.
    """

    def test_the_producer_is_cancelled_and_clients_get_the_last_word(self) -> None:
        run = self.run_work()
        follower = self.follow_run(run)
        self.work.publish("a")
        wait = run._core.lose()
        self.assert_ended(run, RunState.LOST)
        self.successResultOf(wait)
        self.assertEqual([type(err) for err in self.work.errors], [CancelledError])
        self.assertEqual(follower.read().data, ["a"])
        self.assertEqual(follower.end, {"state": "lost"})

    def test_a_producer_that_cleans_up_is_waited_for(self) -> None:
        self.work.stubborn = True
        run = self.run_work()
        wait = run._core.lose()
        self.assertIs(run.state, RunState.LOST)
        self.assertNoResult(wait)
        self.work.finish()
        self.successResultOf(wait)

    def test_a_producer_that_never_ends_is_waited_for_during_its_grace(self) -> None:
        self.work.stubborn = True
        run = self.run_work(grace=4.0)
        wait = run._core.lose()
        self.clock.advance(3.9)
        self.assertNoResult(wait)
        self.clock.advance(0.1)
        self.successResultOf(wait)
        self.work.finish()

    def test_without_grace_nothing_is_waited_for(self) -> None:
        self.work.stubborn = True
        run = self.run_work(grace=0)
        self.successResultOf(run._core.lose())
        self.assertEqual(len(self.work.errors), 1)

    def test_a_run_that_has_ended_is_not_lost(self) -> None:
        run = self.run_work()
        self.work.finish()
        self.successResultOf(run._core.lose())
        self.assertIs(run.state, RunState.DONE)


class Reactor(Clock):
    """
    A clock that has the triggers of a reactor.

    Attributes:
        triggers: Those that are set.
    """

    def __init__(self) -> None:
        super().__init__()
        alsoProvides(self, IReactorCore)
        self.triggers: list[tuple[Any, ...]] = []

    def addSystemEventTrigger(self, *trigger: Any) -> object:
        self.triggers.append(trigger)
        return trigger

    def removeSystemEventTrigger(self, trigger: Any) -> None:
        self.triggers.remove(trigger)


class ShutdownTests(RunTest):
    """
    The reactor stops while runs run.
    """

    def setUp(self) -> None:
        super().setUp()
        self.reactor = Reactor()
        self.hub = Hub(clock=self.reactor)

    def test_there_is_a_trigger_exactly_while_there_are_runs(self) -> None:
        self.assertEqual(self.reactor.triggers, [])
        works = [Work() for _ in range(3)]
        for work in works:
            self.hub.run(str(id(work)), work)
        self.assertEqual(
            [trigger[:2] for trigger in self.reactor.triggers], [("before", "shutdown")]
        )
        for work in works:
            self.assertEqual(len(self.reactor.triggers), 1)
            work.finish()
        self.assertEqual(self.reactor.triggers, [])
        self.run_work()
        self.assertEqual(len(self.reactor.triggers), 1)

    def test_the_reactor_waits_for_producers_and_until_the_end_is_sent(self) -> None:
        self.work.stubborn = True
        run, other = self.run_work(), self.hub.run("other", Work())
        [(_, _, lose)] = self.reactor.triggers
        self.reactor.triggers.clear()  # A reactor removes a trigger before it calls it.
        wait = lose()
        self.assertEqual((run.state, other.state), (RunState.LOST, RunState.LOST))
        self.reactor.advance(1)
        self.assertNoResult(wait)
        self.work.finish()
        self.assertNoResult(wait)
        self.reactor.pump([0.001] * 5)
        self.successResultOf(wait)
        self.assertEqual(self.reactor.triggers, [])
