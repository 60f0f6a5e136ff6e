"""
Runs: a producer, its messages, and its end.
"""

import gc
import weakref
from collections.abc import AsyncIterator, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail, inlineCallbacks, succeed

from tests.channels.runs import RunTest
from twistream import (
    Context,
    HTTPError,
    Hub,
    Run,
    RunEnded,
    RunState,
    StopStream,
)

variable: ContextVar[str] = ContextVar("variable", default="unset")


class StartTests(RunTest):
    def test_a_run_starts_at_once_and_is_found_by_name(self) -> None:
        run = self.run_work()
        self.assertEqual(self.work.starts, 1)
        self.assertIs(self.work.run, run)
        self.assertIs(self.hub.runs["work"], run)
        self.assertIs(self.hub.get_run("work"), run)
        self.assertIsNone(self.hub.get_run("other"))
        self.assertEqual(list(self.hub.runs), ["work"])
        self.assertEqual(repr(run), "<Run 'work' RUNNING>")
        self.assertEqual(self.hub.channels, ())

    def test_the_mapping_of_runs_cannot_be_changed(self) -> None:
        runs: Any = self.hub.runs
        with self.assertRaises(TypeError):
            runs["work"] = self.run_work()

    def test_two_that_start_the_same_name_share_one_producer(self) -> None:
        run = self.run_work()
        self.assertIs(self.run_work(ttl=1), run)
        self.assertIs(self.run_work(restart=True), run)
        self.assertEqual(self.work.starts, 1)

    def test_a_producer_that_asks_for_its_own_run_gets_it(self) -> None:
        found: list[Run] = []

        async def producer(run: Run) -> None:
            found.append(self.hub.run("work", producer))

        run = self.hub.run("work", producer)
        self.assertEqual(found, [run])

    def test_a_run_that_has_ended_is_joined_or_started_again(self) -> None:
        run = self.run_work()
        self.work.finish(1)
        self.assertIs(self.run_work(), run)
        again = self.run_work(restart=True)
        self.assertIsNot(again, run)
        self.assertEqual(self.work.starts, 2)
        self.assertEqual((run.state, again.state), (RunState.DONE, RunState.RUNNING))
        self.assertIs(self.hub.runs["work"], again)
        # The end of the time of the first forgets nothing of the second, and it has no timer left.
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.clock.advance(400)
        self.assertIs(self.hub.get_run("work"), again)

    def test_the_producer_has_a_context_of_its_own(self) -> None:
        seen: list[str] = []

        async def producer(run: Run) -> None:
            seen.append(variable.get())
            variable.set("by the producer")
            await self.work.wait
            seen.append(variable.get())

        async def feed(ctx: Context) -> None:
            variable.set("by the handler")
            run = self.hub.run("work", producer)
            seen.append(variable.get())
            variable.set("later")
            await ctx.sse().subscribe(run)

        client = self.client(feed)
        client.disconnect()
        self.work.wait.callback(None)
        self.assertEqual(seen, ["by the handler", "by the handler", "by the producer"])

        def plain(run: Run) -> None:
            variable.set("by a plain producer")

        self.hub.run("plain", plain)
        self.assertEqual(variable.get(), "unset")


class ProducerTests(RunTest):
    """
    Every kind of producer.
    """

    def ended(self, producer: Any) -> Run:
        run = self.hub.run("work", producer, restart=True)
        self.settle()
        return run

    def texts(self, run: Run) -> list[str]:
        return self.follow_run(run).data

    def test_an_async_function_publishes_and_returns(self) -> None:
        async def producer(run: Run) -> dict[str, int]:
            await run.publish("a")
            await run.publish({"b": 1}, event="step")
            return {"tokens": 2}

        run = self.ended(producer)
        self.assertEqual((run.state, run.result, run.error), (RunState.DONE, {"tokens": 2}, None))
        self.assertEqual(
            self.follow_run(run).events,
            [
                ("message", "a"),
                ("step", '{"b":1}'),
                ("end", '{"state":"done","result":{"tokens":2}}'),
            ],
        )
        self.assertEqual(run.published, 3)

    def test_a_function_that_returns_a_deferred(self) -> None:
        run = self.ended(lambda run: run.publish("a").addCallback(lambda _: 5))
        self.assertEqual((run.state, run.result, self.texts(run)), (RunState.DONE, 5, ["a"]))

    def test_inline_callbacks(self) -> None:
        @inlineCallbacks
        def producer(run: Run) -> Any:
            yield run.publish("a")
            return 5

        run = self.ended(producer)
        self.assertEqual((run.state, run.result, self.texts(run)), (RunState.DONE, 5, ["a"]))

    def test_a_function_that_returns_a_value(self) -> None:
        run = self.ended(lambda run: "all")
        self.assertEqual((run.state, run.result), (RunState.DONE, "all"))

    def test_the_items_of_generators_are_published(self) -> None:
        closed: list[str] = []

        def plain(run: Run) -> Iterator[object]:
            try:
                yield "a"
                yield ["b"]
            finally:
                closed.append("plain")

        async def asynchronous(run: Run) -> AsyncIterator[object]:
            try:
                yield "a"
                await succeed(None)
                yield ["b"]
            finally:
                closed.append("async")

        for producer in (plain, asynchronous, lambda run: iter(["a", ["b"]])):
            run = self.ended(producer)
            self.assertEqual((run.state, run.result), (RunState.DONE, None))
            self.assertEqual(self.texts(run), ["a", '["b"]'])
        self.assertEqual(closed, ["plain", "async"])

    def test_a_generator_that_is_stopped_is_closed(self) -> None:
        closed: list[str] = []

        async def producer(run: Run) -> AsyncIterator[str]:
            try:
                yield "a"
                await Deferred()
            finally:
                closed.append("closed")

        run = self.ended(producer)
        run.stop()
        self.assert_ended(run, RunState.STOPPED)
        self.assertEqual(closed, ["closed"])

    def test_a_generator_is_closed_if_an_item_cannot_be_published(self) -> None:
        closed: list[str] = []

        def plain(run: Run) -> Iterator[object]:
            try:
                yield b"bytes"
            finally:
                closed.append("plain")

        async def asynchronous(run: Run) -> AsyncIterator[object]:
            try:
                yield b"bytes"
            finally:
                closed.append("async")

        for producer in (plain, asynchronous):
            self.assertIs(self.ended(producer).state, RunState.FAILED)
            self.logged(TypeError)
        self.assertEqual(closed, ["plain", "async"])

    def test_a_forgotten_decorator_is_named(self) -> None:
        def producer(run: Run) -> Iterator[object]:
            yield run.publish("a")

        run = self.ended(producer)
        self.logged(TypeError)
        self.assertRegex(str(run.error), "did you forget @inlineCallbacks")

    def test_the_frames_of_a_failure_are_not_kept(self) -> None:
        class Local:
            pass

        found: list[weakref.ref[Local]] = []

        async def producer(run: Run) -> None:
            local = Local()
            found.append(weakref.ref(local))
            try:
                {"a": 1}["b"]
            except KeyError as err:
                raise HTTPError(502) from err  # It is not logged: a log would keep the frames.

        run = self.ended(producer)
        gc.collect()
        self.assertIsNone(found[0]())
        self.assertIsInstance(run.error, HTTPError)

    def test_stop_stream_is_a_good_end(self) -> None:
        async def producer(run: Run) -> None:
            raise StopStream

        run = self.ended(producer)
        self.assertEqual((run.state, run.result, run.error), (RunState.DONE, None, None))

    def test_a_producer_that_raises_fails_and_is_logged(self) -> None:
        async def asynchronous(run: Run) -> None:
            raise ZeroDivisionError

        def synchronous(run: Run) -> None:
            raise ZeroDivisionError

        for producer in (asynchronous, synchronous, lambda run: fail(ZeroDivisionError())):
            run = self.ended(producer)
            self.assert_ended(run, RunState.FAILED)
            self.logged(ZeroDivisionError)
            self.assertIsInstance(run.error, ZeroDivisionError)
            assert run.error is not None
            self.assertIsNone(run.error.__traceback__)
            self.assertEqual(self.follow_run(run).end, {"state": "failed"})

    def test_a_cancellation_that_nobody_asked_for_is_a_failure(self) -> None:
        async def producer(run: Run) -> None:
            raise CancelledError

        self.assertIs(self.ended(producer).state, RunState.FAILED)
        self.logged(CancelledError)

    def test_clients_see_the_text_of_an_error_only_if_it_is_shown(self) -> None:
        for error, text in (
            (ValueError("no\nmodel"), "no model"),
            (ValueError(), "ValueError"),
            (HTTPError(502, "no gateway"), "no gateway"),
        ):

            async def producer(run: Run, error: Exception = error) -> None:
                await run.publish("a")
                raise error

            run = self.hub.run("work", producer, restart=True, show_errors=True)
            self.logged(type(error))
            self.assertEqual(self.follow_run(run).end, {"state": "failed", "error": text})

    def test_a_result_that_cannot_be_sent_is_kept_and_the_run_is_done(self) -> None:
        events = self.log_events()
        for result in (object(), b"bytes", float("nan"), "x" * 70_000, "\ud800"):
            run = self.ended(lambda run, result=result: result)
            self.assertIs(run.state, RunState.DONE)
            self.assertIs(run.result, result)
            self.assertEqual(self.follow_run(run).end, {"state": "done"})
        texts = [event["log_format"] for event in events if event["log_level"].name == "warn"]
        self.assertEqual(len(texts), 5)
        self.assertIn("is not sent", texts[0])

    def test_a_loop_whose_messages_are_always_accepted_lets_others_run(self) -> None:
        turns: list[int] = []

        async def producer(run: Run) -> None:
            while run.published < 3000:
                await run.publish("x")

        run = self.hub.run("work", producer)
        self.assertIs(run.state, RunState.RUNNING)
        while run.state is RunState.RUNNING:
            turns.append(run.published)
            self.clock.advance(0.001)
        self.assertGreater(len(turns), 10)

    def test_what_is_published_is_checked(self) -> None:
        async def producer(run: Run) -> None:
            event: Any
            for data, event, error in (
                (b"a", None, TypeError),
                (object(), None, TypeError),
                ("a", 5, TypeError),
                ("a", "a\nb", ValueError),
                ("a", "gap", ValueError),
                ("a", "end", ValueError),
            ):
                with self.assertRaises(error):
                    await run.publish(data, event)

        self.assertIs(self.ended(producer).state, RunState.DONE)


class StopTests(RunTest):
    def test_stop_cancels_the_producer_and_says_why(self) -> None:
        run = self.run_work()
        self.work.publish("a")
        self.assertIsNone(run.stop_reason)
        stopped = run.stop("enough")
        self.assertIs(self.successResultOf(stopped), RunState.STOPPED)
        self.assertEqual([type(err) for err in self.work.errors], [CancelledError])
        self.assertEqual(run.stop_reason, "enough")
        follower = self.follow_run(run)
        self.assertEqual(follower.end, {"state": "stopped", "reason": "enough"})

    def test_stop_is_idempotent(self) -> None:
        self.work.stubborn = True
        run = self.run_work()
        first, second = run.stop("first"), run.stop("second")
        self.assertIs(run.state, RunState.STOPPING)
        self.assertEqual(len(self.work.errors), 1)
        self.work.finish()
        self.assertIs(self.successResultOf(first), RunState.STOPPED)
        self.assertIs(self.successResultOf(second), RunState.STOPPED)
        self.assertEqual(run.stop_reason, "first")
        self.assertIs(self.successResultOf(run.stop("third")), RunState.STOPPED)

    def test_a_run_that_is_done_stays_so(self) -> None:
        run = self.run_work()
        self.work.finish(1)
        self.assertIs(self.successResultOf(run.stop("late")), RunState.DONE)
        self.assertIsNone(run.stop_reason)

    def test_a_producer_may_publish_last_words_while_it_stops(self) -> None:
        async def producer(run: Run) -> int:
            try:
                await Deferred()
            except CancelledError:
                await run.publish(f"stopped: {run.stop_reason}")
            return 5

        run = self.hub.run("work", producer)
        run.stop("user")
        self.assert_ended(run, RunState.STOPPED)
        self.assertIsNone(run.result)
        self.assertEqual(self.follow_run(run).data, ["stopped: user"])

    def test_a_producer_that_swallows_the_cancellation_has_a_grace(self) -> None:
        events = self.log_events()
        self.work.stubborn = True
        run = self.run_work(grace=4.0)
        follower = self.follow_run(run)
        run.stop("enough")
        self.work.publish("still here")
        self.clock.advance(3.9)
        self.assertIs(run.state, RunState.STOPPING)
        self.clock.advance(0.6)
        self.assert_ended(run, RunState.STOPPED)
        self.assertEqual(follower.read().data, ["still here"])
        self.assertEqual(follower.end, {"state": "stopped", "reason": "enough"})
        self.assertTrue(follower.response.complete)
        self.assertTrue(any("did not end within" in str(e["log_format"]) for e in events))
        # What it does after the end is refused, and is no failure that is logged.
        self.work.publish("too late")
        self.assertEqual(run.published, 2)
        [_, error] = self.work.errors if len(self.work.errors) == 2 else [None, RunEnded("work")]
        self.assertIsInstance(error, RunEnded)

    def test_a_producer_that_fails_after_the_end_is_logged(self) -> None:
        self.work.stubborn = True
        run = self.run_work(grace=0)
        run.stop()
        self.assert_ended(run, RunState.STOPPED)
        self.work.fail(ZeroDivisionError())
        self.logged(ZeroDivisionError)
        self.assert_ended(run, RunState.STOPPED)

    def test_a_producer_that_fails_while_it_stops_is_logged_and_stopped(self) -> None:
        async def producer(run: Run) -> None:
            try:
                await Deferred()
            finally:
                raise ZeroDivisionError

        run = self.hub.run("work", producer)
        run.stop()
        self.assert_ended(run, RunState.STOPPED)
        self.logged(ZeroDivisionError)

    def test_without_grace_the_run_ends_at_once(self) -> None:
        self.work.stubborn = True
        run = self.run_work(grace=0)
        run.stop()
        self.assert_ended(run, RunState.STOPPED)

    def test_a_producer_may_stop_its_own_run(self) -> None:
        steps: list[str] = []

        async def at_once(run: Run) -> None:
            run.stop("by itself")
            steps.append("goes on")
            await run.publish("last")
            await Deferred()

        async def later(run: Run) -> None:
            await self.work.wait
            await at_once(run)

        for producer in (at_once, later):
            run = self.hub.run("work", producer, restart=True)
            if producer is later:
                self.work.wait.callback(None)
            self.assertIs(run.state, RunState.STOPPING)
            self.settle()
            self.assert_ended(run, RunState.STOPPED)
            self.assertEqual(self.follow_run(run).data, ["last"])
        self.assertEqual(steps, ["goes on"] * 2)

    def test_another_request_stops_it(self) -> None:
        run = self.run_work()
        follower = self.follow_run(run)

        async def stop(ctx: Context) -> str:
            state = await self.hub.runs["work"].stop("user pressed stop")
            return state.value

        self.assertEqual(self.client(stop).receive().body, b"stopped")
        end = follower.read().end
        self.assertEqual(end, {"state": "stopped", "reason": "user pressed stop"})

    def test_publishing_after_the_end_raises(self) -> None:
        run = self.run_work()
        self.work.finish()
        with self.assertRaisesRegex(RunEnded, "'work' has ended"):
            run.publish("a")

    def test_a_long_reason_is_shortened_for_clients(self) -> None:
        run = self.run_work()
        run.stop("x" * 5000)
        end = self.follow_run(run).end
        assert end is not None
        self.assertEqual(end["reason"], "x" * 1000)

    def test_reasons_are_checked(self) -> None:
        run = self.run_work()
        reason: Any
        for reason in (5, None, b"a", "\ud800"):
            with self.assertRaises(TypeError):
                run.stop(reason)
        self.assertIs(run.state, RunState.RUNNING)


class DoneTests(RunTest):
    def test_done_fires_for_everybody_with_the_state(self) -> None:
        run = self.run_work()
        waits = [run.done() for _ in range(3)]
        waits[1].cancel()
        self.failureResultOf(waits[1], CancelledError)
        self.assertNoResult(waits[0])
        self.work.finish()
        for wait in (waits[0], waits[2], run.done()):
            self.assertIs(self.successResultOf(wait), RunState.DONE)

    def test_who_is_notified_may_cancel_another(self) -> None:
        run = self.run_work()
        first = run.done()
        second = run.done()
        first.addCallback(lambda _: second.cancel())
        self.work.finish()
        self.failureResultOf(second, CancelledError)

    def test_who_is_notified_may_start_it_again(self) -> None:
        run = self.run_work()
        run.done().addCallback(lambda _: self.run_work(restart=True))
        self.work.finish()
        self.assertIs(self.hub.runs["work"].state, RunState.RUNNING)
        self.clock.advance(400)
        self.assertIs(self.hub.runs["work"].state, RunState.RUNNING)


class LifetimeTests(RunTest):
    def test_a_run_is_kept_for_its_ttl_and_then_forgotten(self) -> None:
        run = self.run_work(ttl=8.0)
        self.clock.advance(1000)
        self.work.finish()
        self.clock.advance(7.9)
        self.assertIs(self.hub.get_run("work"), run)
        self.clock.advance(1.2)
        self.assertIsNone(self.hub.get_run("work"))
        self.assertEqual(dict(self.hub.runs), {})

    def test_without_ttl_it_is_forgotten_at_once_and_followers_get_the_end(self) -> None:
        run = self.run_work(ttl=0)
        follower = self.follow_run(run)
        self.work.publish("a")
        self.work.finish()
        self.assertIsNone(self.hub.get_run("work"))
        self.assertEqual(follower.read().data, ["a"])
        self.assertEqual(follower.end, {"state": "done"})

    def test_a_run_that_has_ended_does_not_keep_the_variables_of_its_start(self) -> None:
        class Value(str):
            __slots__ = ("__weakref__",)

        token = variable.set(Value("a"))
        found = weakref.ref(variable.get())
        run = self.run_work()
        variable.reset(token)
        del token
        self.work.finish()
        self.work = type(self.work)()
        gc.collect()
        self.assertIsNone(found())
        self.assertIs(run.state, RunState.DONE)

    def test_nothing_is_left_of_a_run_that_is_forgotten(self) -> None:
        self.hub = Hub(clock=self.clock)

        class Token:
            pass

        async def producer(run: Run, token: object) -> None:
            await run.publish("a")
            await self.work.wait

        token = Token()
        found = weakref.ref(token)
        self.hub.run("work", partial(producer, token=token), idle_timeout=100)
        run = weakref.ref(self.hub.runs["work"])
        del token
        self.work.wait.callback(None)
        gc.collect()
        self.assertIsNone(found())
        self.clock.advance(400)
        gc.collect()
        self.assertIsNone(run())
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_messages_that_are_left_at_the_end_do_not_expire(self) -> None:
        run = self.run_work(history_ttl=10.0)
        self.work.publish("a")
        self.clock.advance(11)
        self.work.publish("b")
        self.clock.advance(5)
        self.work.finish()
        self.clock.advance(200)
        follower = self.follow_run(run)
        self.assertEqual(follower.data, ["b"])
        self.assertEqual(follower.events[0][0], "gap")
        self.assertEqual(follower.end, {"state": "done"})

    def test_closing_the_hub_stops_its_runs(self) -> None:
        run = self.run_work()
        follower = self.follow_run(run)
        self.hub.close()
        self.assert_ended(run, RunState.STOPPED)
        self.assertEqual(follower.read().end, {"state": "stopped", "reason": "the hub was closed"})


class IdleTests(RunTest):
    def test_a_run_that_nobody_follows_from_the_start_is_stopped(self) -> None:
        run = self.run_work(idle_timeout=8.0)
        self.clock.advance(7.9)
        self.assertIs(run.state, RunState.RUNNING)
        self.clock.advance(1.2)
        self.assert_ended(run, RunState.STOPPED)
        self.assertEqual(run.stop_reason, "idle")

    def test_the_time_starts_when_the_last_follower_has_left(self) -> None:
        run = self.run_work(idle_timeout=8.0)
        followers = [self.follow_run(run), self.follow_run(run)]
        self.clock.advance(100)
        followers[0].client.disconnect()
        self.clock.advance(100)
        followers[1].client.disconnect()
        self.clock.advance(7.9)
        self.assertIs(run.state, RunState.RUNNING)
        self.follow_run(run)
        self.clock.advance(100)
        self.assertIs(run.state, RunState.RUNNING)

    def test_a_follower_of_the_same_instant_keeps_it_or_sees_its_end(self) -> None:
        # Its call is made before that of the run's timer, so it runs before it.
        self.clock.callLater(8.0, lambda: self.follow_run(run))
        run = self.run_work(idle_timeout=8.0)
        self.clock.advance(8.0)
        self.assertIs(run.state, RunState.RUNNING)

        self.work = other = type(self.work)()
        late = self.hub.run("late", other, idle_timeout=8.0)
        followers: list[Any] = []

        def follow(_: object) -> None:
            followers.append(self.follow_run(late))

        late.done().addCallback(follow)
        self.clock.advance(8.0)
        self.assertEqual(followers[0].read().end, {"state": "stopped", "reason": "idle"})

    def test_no_timer_is_left_after_the_end(self) -> None:
        self.run_work(idle_timeout=8.0, ttl=0)
        self.work.finish()
        self.clock.advance(0)
        self.assertEqual(self.clock.getDelayedCalls(), [])
