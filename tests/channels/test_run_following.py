"""
Clients that follow a run: from the start, after an id, and until its end.
"""

from typing import Any

from twisted.internet.defer import Deferred

from tests.channels.runs import Follower, RunTest
from twistream import (
    ClientDisconnected,
    Context,
    HTTPError,
    Hub,
    Message,
    Run,
    RunState,
    StreamResource,
)


class FollowTests(RunTest):
    def test_who_comes_without_an_id_gets_everything(self) -> None:
        run = self.run_work()
        self.work.publish("a", "b")
        first = self.follow_run(run)
        self.assertEqual(first.data, ["a", "b"])
        self.work.publish("c")
        second = self.follow_run(run)
        self.assertEqual(first.read().data, ["a", "b", "c"])
        self.assertEqual(second.data, ["a", "b", "c"])
        self.assertEqual(run.subscriber_count, 2)
        self.assertEqual(len(run.subscriptions), 2)
        self.work.finish()
        for follower in (first, second):
            self.assertEqual(follower.read().end, {"state": "done"})
            self.assertTrue(follower.response.complete)
        self.assertEqual(self.ends, [None, None])

    def test_a_client_that_returns_goes_on_in_each_state(self) -> None:
        def running(run: Run) -> None:
            self.work.publish("c")

        def stopping(run: Run) -> None:
            self.work.stubborn = True
            run.stop()
            self.work.publish("c")

        def done(run: Run) -> None:
            self.work.publish("c")
            self.work.finish()

        def failed(run: Run) -> None:
            self.work.publish("c")
            self.work.fail(ZeroDivisionError())
            self.logged(ZeroDivisionError)

        def stopped(run: Run) -> None:
            self.work.publish("c")
            run.stop()

        def lost(run: Run) -> None:
            self.work.publish("c")
            run._core.lose()

        for meanwhile in (running, stopping, done, failed, stopped, lost):
            with self.subTest(meanwhile=meanwhile.__name__):
                self.work = type(self.work)()
                run = self.hub.run(meanwhile.__name__, self.work)
                self.work.publish("a", "b")
                first = self.follow_run(run)
                first.client.disconnect()
                self.assertIsInstance(self.ends[-1], ClientDisconnected)
                meanwhile(run)
                again = self.follow_run(run, first.last_event_id)
                self.assertEqual(again.data, ["c"])
                if run.state.is_final:
                    assert again.end is not None
                    self.assertEqual(again.end["state"], meanwhile.__name__)
                else:
                    self.assertIsNone(again.end)
                    self.work.stubborn = False
                    self.work.finish()
                    self.assertIsNotNone(again.read().end)

    def test_after_the_end_the_last_id_gets_a_204_and_an_older_one_the_rest(self) -> None:
        run = self.run_work()
        self.work.publish("a", "b")
        follower = self.follow_run(run)
        middle = follower.last_event_id
        self.work.finish()
        follower.read()
        for _ in range(2):
            self.assertEqual(self.follow_run(run, follower.last_event_id).response.status, 204)
        late = self.follow_run(run, middle)
        self.assertEqual((late.response.status, late.data, late.end), (200, [], {"state": "done"}))
        new = self.follow_run(run)
        self.assertEqual((new.data, new.end), (["a", "b"], {"state": "done"}))

    def test_an_id_of_an_earlier_run_gets_a_gap_and_everything(self) -> None:
        run = self.run_work()
        self.work.publish("a")
        follower = self.follow_run(run)
        self.work.finish()
        run = self.run_work(restart=True)
        self.work.publish("b")
        again = self.follow_run(run, follower.last_event_id)
        self.assertEqual([name for name, _ in again.events], ["gap", "message"])
        self.assertEqual(again.data, ["b"])

    def test_a_handler_may_say_where_to_start(self) -> None:
        run = self.run_work()
        self.work.publish("a", "b")
        last = self.follow_run(run).last_event_id
        self.work.publish("c")
        self.assertEqual(self.follow_run(run, after=last).data, ["c"])

    def test_a_filter_never_drops_the_end(self) -> None:
        run = self.run_work()
        seen: list[str] = []

        def passes(message: Message) -> bool:
            seen.append(message.data)
            return bool(message.data == "b")

        live = self.follow_run(run, filter=passes)
        self.work.publish("a", "b")
        self.work.finish()
        for follower in (live.read(), self.follow_run(run, filter=passes)):
            self.assertEqual((follower.data, follower.end), (["b"], {"state": "done"}))
        self.assertEqual(seen, ["a", "b"] * 2)

    def test_a_slow_client_catches_up_from_the_history(self) -> None:
        run = self.run_work()
        follower = self.follow_run(run, max_queued=100)
        follower.client.pause()
        texts = [f"{number:050}" for number in range(500)]
        for text in texts:
            self.work.publish(text)
            self.settle()
        self.work.finish()
        self.assertIs(run.state, RunState.DONE)
        follower.client.resume()
        self.settle()
        self.assertEqual(follower.read().data, texts)
        self.assertEqual(follower.end, {"state": "done"})

    def test_a_client_that_wants_only_the_newest_message_gets_the_end(self) -> None:
        run = self.run_work()
        follower = self.follow_run(run, on_slow="latest", max_queued=100)
        follower.client.pause()
        for number in range(3000):
            self.work.publish(f"{number:050}")
            self.clock.advance(0.001)
        self.work.finish("x" * 60_000)
        self.settle()
        follower.client.resume()
        self.settle()
        self.assertEqual(follower.read().end, {"state": "done", "result": "x" * 60_000})
        self.assertLess(len(follower.data), 2000)

    def test_json_lines(self) -> None:
        run = self.run_work()

        async def lines(ctx: Context) -> None:
            await ctx.subscribe(run)

        self.work.publish("a")
        client = self.client(lines)
        self.assertEqual([line["data"] for line in client.read_values()], ["a"])
        self.work.finish({"b": 1})
        [end] = client.read_values()
        self.assertEqual((end["event"], end["data"]["result"]), ("end", {"b": 1}))
        self.assertTrue(client.response.complete)
        client = self.client(lines, path=f"/?last_event_id={end['id']}")
        self.assertEqual(client.receive().status, 204)

    def test_head_is_answered_without_a_subscription(self) -> None:
        run = self.run_work(idle_timeout=8.0)

        async def feed(ctx: Context) -> None:
            await ctx.sse().subscribe(run)

        response = self.client(feed, method="HEAD").receive()
        self.assert_complete(response, b"")
        self.assertEqual(response.header("Content-Type"), "text/event-stream; charset=utf-8")
        self.assertEqual(run.subscriber_count, 0)

    def test_a_run_is_subscribed_to_alone(self) -> None:
        run = self.run_work()
        news = self.hub.channel("news")
        other = self.hub.run("other", type(self.work)())
        for sources, words in (
            ((run, news), "one run and nothing else"),
            ((news, run), "channels only, not Run"),
            ((run, other), "one run and nothing else"),
            ((run, run), "one run and nothing else"),
        ):

            async def feed(ctx: Context, sources: Any = sources, words: str = words) -> str:
                with self.assertRaisesRegex(TypeError, words):
                    await ctx.sse(ping=None).subscribe(*sources)
                return "refused"

            self.assertIn(b"refused", self.client(feed).receive().body)
        self.assertEqual((run.subscriber_count, news.subscriber_count), (0, 0))

    def test_what_only_channels_have_is_refused(self) -> None:
        run = self.run_work()
        refused: list[tuple[dict[str, Any], str]] = [
            ({"on_slow": "drop"}, "could drop the end"),
            ({"topics": ["a"]}, "of a run have no topics"),
            ({"may_see": lambda topic: True}, "of a run have no topics"),
            ({"presence": {"name": "a"}}, "for channels, not for runs"),
            ({"announce": True}, "for channels, not for runs"),
        ]
        for options, words in refused:
            self.ends.clear()
            self.follow_run(run, **options)
            self.logged(ValueError)
            [end] = self.ends
            self.assertRegex(str(end), words)
        self.assertEqual(run.subscriber_count, 0)

    def test_the_producer_goes_on_without_clients(self) -> None:
        run = self.run_work()
        follower = self.follow_run(run)
        follower.client.reset()
        self.work.publish("a")
        self.work.finish()
        self.assertIs(run.state, RunState.DONE)

    def test_one_handler_starts_and_follows(self) -> None:
        async def answer(ctx: Context) -> None:
            await ctx.sse(ping=None).subscribe(self.hub.run("work", self.work))

        resource = StreamResource(answer, clock=self.clock)
        first = Follower(self.connect(resource, clock=self.clock), None).read()
        self.work.publish("a")
        first.read()
        first.client.disconnect()
        self.work.publish("b")
        again = Follower(self.connect(resource, clock=self.clock), first.last_event_id).read()
        self.assertEqual((first.data, again.data, self.work.starts), (["a"], ["b"], 1))


class FirstEventTests(RunTest):
    """
    A run that fails: a real status, if the head was held back.
    """

    def follow_held(self, run: Run, last: str | None = None, **sse: Any) -> Follower:
        return self.follow_run(run, last, sse={"open": "first_event", **sse})

    def test_a_failure_before_the_first_output_is_an_error_page(self) -> None:
        for error, status, body in (
            (HTTPError(502, "The model is down."), 502, b"502 Bad Gateway\nThe model is down.\n"),
            (ZeroDivisionError(), 500, b"500 Internal Server Error\n"),
        ):
            self.work = type(self.work)()
            run = self.run_work(restart=True)
            early = [self.follow_held(run), self.follow_held(run)]
            self.assertEqual(early[0].client.writes, [])
            self.work.fail(error)
            late = self.follow_held(run)
            self.assertEqual(len(self.flushLoggedErrors()), 0 if status == 502 else 1)
            for follower in (*early, late):
                self.assertEqual(follower.client.receive().status, status)
                self.assertEqual(follower.response.body, body)
            self.assertEqual(run.subscriber_count, 0)

    def test_a_status_that_is_none_becomes_a_500(self) -> None:
        error = HTTPError(502)
        error.status = 7
        run = self.run_work()
        follower = self.follow_held(run)
        self.work.fail(error)
        self.assertEqual(follower.client.receive().status, 500)

    def test_an_error_in_the_call_itself_is_an_error_page(self) -> None:
        def producer(run: Run) -> None:
            raise HTTPError(429, "Too many questions.")

        async def answer(ctx: Context) -> None:
            run = self.hub.run("work", producer)
            await ctx.sse(ping=None, open="first_event").subscribe(run)

        self.assertEqual(self.client(answer).receive().status, 429)

    def test_with_at_once_the_end_says_that_it_failed(self) -> None:
        run = self.run_work()
        follower = self.follow_run(run)
        self.work.fail(HTTPError(502))
        self.assertEqual(follower.read().end, {"state": "failed"})
        self.assertEqual(follower.response.status, 200)
        self.assertEqual(self.follow_run(run).end, {"state": "failed"})

    def test_after_the_first_output_the_end_says_that_it_failed(self) -> None:
        run = self.run_work()
        follower = self.follow_held(run)
        self.work.publish("a")
        self.work.fail(HTTPError(502))
        self.logged(HTTPError)
        for each in (follower.read(), self.follow_held(run)):
            self.assertEqual((each.response.status, each.data), (200, ["a"]))
            self.assertEqual(each.end, {"state": "failed"})

    def test_after_a_ping_the_end_says_that_it_failed(self) -> None:
        run = self.run_work()
        follower = self.follow_held(run, ping=8.0)
        self.clock.advance(10)
        self.assertEqual(follower.client.receive().status, 200)
        self.work.fail(HTTPError(502))
        self.assertEqual(follower.read().end, {"state": "failed"})

    def test_a_good_end_without_output_is_a_200(self) -> None:
        run = self.run_work()
        follower = self.follow_held(run)
        self.work.finish()
        self.assertEqual(follower.read().end, {"state": "done"})
        self.assertEqual(follower.response.status, 200)

    def test_the_last_id_of_a_run_that_failed_gets_a_204(self) -> None:
        run = self.run_work()
        follower = self.follow_run(run)
        self.work.fail(HTTPError(502))
        follower.read()
        again = self.follow_held(run, follower.last_event_id)
        self.assertEqual(again.response.status, 204)

    def test_a_client_that_left_without_a_head_is_forgotten(self) -> None:
        run = self.run_work()
        followers = [self.follow_held(run) for _ in range(3)]
        followers[0].client.disconnect()
        followers[1].client.disconnect()
        self.follow_held(run)
        self.assertEqual(len(run._core.followers._held), 2)
        other = self.hub.run("other", type(self.work)())
        self.follow_held(other)
        other.publish("a")
        self.assertEqual(other._core.followers._held, [])
        self.work.fail(HTTPError(502))
        self.assertEqual(followers[2].client.receive().status, 502)

    def test_lines_are_held_back_too(self) -> None:
        run = self.run_work()

        async def lines(ctx: Context) -> None:
            await ctx.subscribe(run, open="first_event")

        client = self.client(lines)
        self.work.fail(HTTPError(503))
        self.assertEqual(client.receive().status, 503)


class ClashTests(RunTest):
    def test_a_hub_whose_engine_cannot_hold_runs_says_so(self) -> None:
        class Engine:
            def open(self, *_: object) -> Any:
                raise AssertionError

        hub = Hub(Engine())
        with self.assertRaisesRegex(TypeError, r"\(Engine\) cannot hold runs"):
            hub.run("work", self.work)

    def test_a_producer_that_waits_for_a_client_is_no_trap(self) -> None:
        # A handler may wait for its own run before it subscribes.
        async def answer(ctx: Context) -> str:
            run = self.hub.run("work", self.work)
            return (await run.done()).value

        client = self.client(answer)
        wait: Deferred[RunState] = self.hub.runs["work"].done()
        self.work.finish()
        self.assertIs(self.successResultOf(wait), RunState.DONE)
        self.assertEqual(client.receive().body, b"done")
