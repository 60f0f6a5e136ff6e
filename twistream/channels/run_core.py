"""
RunCore: the life of one run: its producer, its owner, its followers and its end.

It uses an engine only through `twistream.channels.ownership`. `Run` is what programs see of it.

Layer: channels, below `run`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias, cast

from twisted.internet.defer import Deferred, gatherResults, maybeDeferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistream.channels.engine import Bounds
from twistream.channels.feed import ChannelCore
from twistream.channels.ownership import Lease, RunEngine, RunLog
from twistream.channels.production import Production, RunScope
from twistream.channels.publishing import PublishGate
from twistream.channels.run_end import END, RunEnd, error_page, error_text, without_frames
from twistream.channels.run_followers import RunFollowers
from twistream.channels.run_options import RunOptions
from twistream.channels.run_owner import RunOwner
from twistream.channels.run_state import CAUSES, TRANSITIONS, RunCause, RunState
from twistream.channels.subscription import Subscription
from twistream.channels.timers import Timers
from twistream.errors import HTTPError, RunEnded, StopStream
from twistream.scheduling.tasks import is_end
from twistream.scheduling.turn import Turn
from twistream.wire.messages import Message, Payload

IDLE = "idle"
"""
The reason of a run that was stopped because nobody followed it.
"""

Received: TypeAlias = Callable[[Message], object]


class RunCore:
    """
    One run, in one process. It is the `twistream.channels.ownership.RunObserver` of its log.

    Attributes:
        channel: Its messages, and the streams that follow them.
        error: The exception of the producer, if it ran in this process and failed.
        followers: The way to become a follower.
        name: Its name.
        result: What the producer returned.
        closed: It has ended, and its end is appended.
        state: Its state.
        stop_reason: The reason that was passed to `stop`; None before.
    """

    _log = Logger()

    def __init__(  # noqa: PLR0913 - from one caller, mostly by keyword
        self,
        name: str,
        options: RunOptions,
        engine: RunEngine,
        clock: IReactorTime,
        *,
        restart: bool,
        on_end: Callable[["RunCore"], object],
        forget: Callable[["RunCore"], object],
    ) -> None:
        """
        Args:
            restart: Do not join a run that has ended.
            on_end: Called when it has ended.
            forget: Called when it is no longer kept for clients that reconnect.
        """
        self.name = name
        self.state = RunState.RUNNING
        self.result: Any = None
        self.error: BaseException | None = None
        self.stop_reason: str | None = None
        self._options = options
        self._open = partial(engine.open_run, restart=restart)
        self._on_end = on_end
        self._forget = forget
        self._turn = Turn.of(clock)
        # Not started yet, but the context variables are those of now.
        self._production: Production | None = Production(RunScope(), self._turn)
        self.closed = False
        self._timers = Timers(self._turn)
        self._followed = False
        self._done_deferreds: dict[Deferred[RunState], None] = {}
        self._run_log: RunLog
        self._deliver: Received
        bounds = options.bounds_with_end
        self.channel: ChannelCore[Subscription] = ChannelCore(name, bounds, self, lambda: clock)
        self._owner = RunOwner(name, self._run_log, self._timers, self)
        self._gate = PublishGate(
            self.channel, self._run_log, options, self._turn, self._owner.append
        )
        self.followers = RunFollowers(self.channel, self._run_log, self, self._gate.moved)

    def open(
        self,
        name: str,
        bounds: Bounds,
        clock: Callable[[], IReactorTime],
        received: Received,
    ) -> RunLog:
        """
        Open the log. `ChannelCore` calls it: see `twistream.channels.engine.Engine.open`.
        """
        self._deliver = received
        self._run_log = self._open(name, bounds, clock, self)
        return self._run_log

    # What a program does.

    def start(
        self, producer: Callable[[], object], publish: Callable[[object], Deferred[str]]
    ) -> None:
        """
        Start the producer, unless another process owns the run. Called once.

        Args:
            publish: Publishes the items of a generator.
        """
        self._owner.acquire().addCallbacks(
            self._acquired, self._acquire_failed, callbackArgs=(producer, publish)
        )

    def publish(self, event: str | None, payload: Payload) -> Deferred[str]:
        """
        Publish a message. See ``Run.publish``.
        """
        if self.state.is_final:
            raise RunEnded(self.name)
        if self._owner.token is None:
            msg = f"the producer of the run {self.name!r} runs in another process; publish there"
            raise RuntimeError(msg)
        return self._gate.publish(event, payload)

    def stop(self, reason: str) -> None:
        """
        Stop the run. See ``Run.stop``.
        """
        if self.state is not RunState.RUNNING:
            return
        if self._owner.token is None:
            self.stop_reason = reason
            if not self._owner.acquiring:
                self._run_log.request_stop(reason).addErrback(self._log_failure, "a stop request")
            return
        self.state = TRANSITIONS[self.state, RunCause.STOP]
        self.stop_reason = reason
        if self._options.grace:
            self._timers.start("grace", self._options.grace, self._grace_is_over)
        self._cancel_production()
        if not self._options.grace:
            self._grace_is_over()

    def lose(self) -> Deferred[Any]:
        """
        The process shuts down.

        Returns:
            Fires when the producer has cleaned up and the end is appended, at the latest after the
            grace.
        """
        grace = self._options.grace
        if self.state.is_final or self._owner.token is None:
            return succeed(None)
        waits: list[Deferred[Any]] = [self.done()]
        if self._production is not None and grace:
            waits.append(self._production.done())
        self._finish(RunCause.LOSE)
        self._cancel_production()
        lost: Deferred[Any] = gatherResults(waits, consumeErrors=True)
        if grace:
            lost.addTimeout(grace, self._turn.clock, lambda *_: None)
        return lost

    def expire(self) -> None:
        """
        Forget the run, which has ended.
        """
        self._timers.cancel("ttl")
        self._run_log.leave(self)
        self._forget(self)

    def done(self) -> Deferred[RunState]:
        """
        Wait for the end. See ``Run.done``.
        """
        if self.closed:
            return succeed(self.state)
        done: Deferred[RunState] = Deferred(lambda done: self._done_deferreds.pop(done, None))
        self._done_deferreds[done] = None
        return done

    # What the log reports.

    def received(self, message: Message) -> None:
        """
        A message was appended.
        """
        if self.closed:
            return
        self._deliver(message)
        if message.event == END:
            if not self.state.is_final:
                self._adopt(RunEnd.decode(message))
            self._close()

    def stop_requested(self, reason: str) -> None:
        """
        Another process wants to stop the run.
        """
        if self._owner.token is not None:
            self.stop(reason)

    def owner_lost(self) -> None:
        """
        The lease of the owner expired. Whoever acquires the run now appends its end.
        """
        if self.closed:
            return
        if not self.state.is_final:
            self._end(RunCause.LOSE)
            self._cancel_production()
        self._owner.release()
        acquired = self._owner.acquire().addCallback(self._took_over)
        acquired.addErrback(self._log_failure, "taking over")

    def followed(self, count: int) -> None:
        """
        The number of followers in all processes has changed.
        """
        self._followed = count > 0
        self._watch_idle()

    # The owner.

    def _acquired(
        self,
        lease: Lease | None,
        producer: Callable[[], object],
        publish: Callable[[object], Deferred[str]],
    ) -> None:
        production, self._production = self._production, None
        if self.closed or production is None:
            return  # The log has reported the end.
        if lease is None:
            if self.stop_reason is not None:
                self.stop(self.stop_reason)
            return
        if lease.taken_over:
            self._finish(RunCause.LOSE)
        elif self.stop_reason is not None:
            self.stop(self.stop_reason)
            if not self.state.is_final:
                self._finish(RunCause.END)
        else:
            self._watch_idle()
            self._production = production
            production.start(producer, publish).addBoth(self._produced)

    def _acquire_failed(self, failure: Failure) -> None:
        self._production = None
        self._log_failure(failure, "starting")
        if not self.state.is_final:
            self._finish(RunCause.FAIL, error=failure.value)

    def _took_over(self, lease: Lease | None) -> None:
        if lease is not None and not self.closed:
            self._append_end()

    # The end.

    def _produced(self, result: object) -> None:
        """
        The producer has ended.
        """
        self._production = None
        failure = result if isinstance(result, Failure) else None
        if self.state is not RunState.RUNNING:
            if failure is not None and not is_end(failure, RunEnded, StopStream):
                self._log_failure(failure, "stopping")
            if self.state is RunState.STOPPING:
                self._finish(RunCause.END)
        elif failure is None or failure.check(StopStream):
            self._finish(RunCause.RETURN, result=None if failure else result)
        else:
            error = cast("BaseException", failure.value)
            if not (self._run_log.published == 0 and isinstance(error, HTTPError)):
                self._log.failure(
                    "the producer of the run {name!r} failed", failure, name=self.name
                )
            self._finish(RunCause.FAIL, error=without_frames(error))

    def _grace_is_over(self) -> None:
        if self.state is RunState.STOPPING:
            self._log.warn(
                "the producer of the run {name!r} did not end within {grace} seconds after it was "
                "cancelled; it can no longer publish",
                name=self.name,
                grace=self._options.grace,
            )
            self._finish(RunCause.END)

    def _finish(
        self, cause: RunCause, *, result: object = None, error: BaseException | None = None
    ) -> None:
        """
        The run ends in this process: append the end, and close the log.
        """
        self.result, self.error = result, error
        self._end(cause)
        if self._owner.token is None:
            self._close()
        else:
            self._append_end()

    def _end(self, cause: RunCause) -> None:
        self.state = TRANSITIONS[self.state, cause]
        self._timers.cancel("idle", "grace")
        self._gate.close()

    def _append_end(self) -> None:
        error = "" if self.error is None else error_text(self.error)
        payload, complete = RunEnd(
            state=self.state,
            result=self.result,
            reason=(self.stop_reason or "") if self.state is RunState.STOPPED else "",
            error=error if self._options.show_errors else "",
        ).encode()
        if not complete:
            self._log.warn(
                "the result of the run {name!r} is not sent to clients: it is too large, or not JSON",
                name=self.name,
            )
        appended = maybeDeferred(self._owner.append, END, payload, last=True)
        appended.addErrback(self._log_failure, "the end")
        appended.addBoth(lambda _: self._close())

    def _adopt(self, end: RunEnd) -> None:
        """
        Another process has ended the run.
        """
        if end.state is RunState.STOPPED:
            self.state = TRANSITIONS[self.state, RunCause.STOP]
            self.stop_reason = end.reason
        self.result = end.result
        self._end(CAUSES[end.state])

    def _close(self) -> None:
        """
        The end is appended: end the streams of the followers when they have received it.
        """
        if self.closed:
            return
        self.closed = True
        self._owner.release()
        if self.state is RunState.FAILED and self._run_log.published <= 1:
            self.followers.error = error_page(self.error)
        self.followers.close()
        if self._options.ttl:
            self._timers.start("ttl", self._options.ttl, self.expire)
        else:
            self.expire()
        self._on_end(self)
        # From here on, code of the program runs.
        self.followers.refuse()
        deferreds, self._done_deferreds = self._done_deferreds, {}
        for done in deferreds:
            if not done.called:  # The code of another may have cancelled it.
                done.callback(self.state)

    def _cancel_production(self) -> None:
        if self._production is not None:
            self._production.cancel()

    def _watch_idle(self) -> None:
        seconds = self._options.idle_timeout
        if self._followed or seconds is None or self.state is not RunState.RUNNING:
            self._timers.cancel("idle")
        elif self._owner.token is not None:
            self._timers.start("idle", seconds, partial(self.stop, IDLE))

    # Inside.

    def _log_failure(self, failure: Failure, what: str) -> None:
        self._log.failure("{what} of the run {name!r} failed", failure, what=what, name=self.name)
