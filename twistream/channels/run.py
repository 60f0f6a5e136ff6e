"""
Run: work that outlives the client that started it.

Layer: channels, below `runs`.
"""

from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred

from twistream.channels.run_core import RunCore
from twistream.channels.run_end import END
from twistream.channels.run_state import RunState
from twistream.channels.subscription import Subscription
from twistream.scheduling.threads import call_in_reactor, check_thread
from twistream.server.outlet import Outlet, Source, SubscribeOptions
from twistream.wire.messages import check_event, encoded
from twistream.wire.render import encode_text


class Run:
    """
    One call of a producer, and the messages that it publishes. ``Hub.run`` starts it.

    Streams subscribe to it like to a channel: ``await ctx.sse().subscribe(run)``. A client without
    an id receives all messages from the first on, a client with an id those after it. The last
    message is an event named ``end``, with the data ``{"state": ...}`` and, if there is one,
    ``"result"``, ``"reason"`` or ``"error"``. Then the stream ends. A client that reconnects with the
    id of the end receives a 204.
    """

    def __init__(self, core: RunCore) -> None:
        self._core = core

    def __repr__(self) -> str:
        return f"<Run {self.name!r} {self.state.name}>"

    @property
    def name(self) -> str:
        """
        The name.
        """
        return self._core.name

    @property
    def state(self) -> RunState:
        """
        The state. It changes before the end is sent to clients.
        """
        return self._core.state

    @property
    def result(self) -> Any:
        """
        What the producer returned. None until then, and if the run has another final state.
        """
        return self._core.result

    @property
    def error(self) -> BaseException | None:
        """
        The exception of a producer that failed in this process, without its traceback.
        """
        return self._core.error

    @property
    def stop_reason(self) -> str | None:
        """
        The reason that was passed to `stop`; None if it was not called.
        """
        return self._core.stop_reason

    @property
    def published(self) -> int:
        """
        The number of messages that have been published. The end is one, too.
        """
        return self._core.channel.log.published

    @property
    def subscriptions(self) -> Sequence[Subscription]:
        """
        The subscriptions, each with its ``context`` and ``statistics()``.
        """
        return tuple(self._core.channel.followers)

    @property
    def subscriber_count(self) -> int:
        """
        The number of subscribers.
        """
        return len(self._core.channel.followers)

    def publish(self, data: object, event: str | None = None) -> Deferred[str]:
        """
        Send a message to all subscribers, and keep it in the history. The producer calls it.

        Subscribers receive it at the end of this turn of the reactor. Await the result: it fires
        in a later turn if the producer has used its share of this one, so that others go on. With
        ``on_full="wait"``, it also fires late if the history is full. If it is cancelled
        meanwhile, the message is not published.

        Args:
            data: A str is sent as text; in an event, each line end in it arrives as LF. Any
                other value is sent as compact JSON, except bytes: decode them first.
            event: The name of the event. A browser handles an event without a name as
                ``message``.

        Returns:
            Fires with the id of the message when the message is kept. Fails with `RunEnded` if
            the run ends while the message waits.

        Raises:
            EncodeError: JSON or UTF-8 cannot represent the data, or UTF-8 the event.
            RunEnded: The run has ended.
            RunOverflow: The history is full, and ``on_full="error"``. The message alone is larger
                than ``history_bytes``. Or a thousand messages wait already.
            RuntimeError: The calling thread is not the reactor's; see `publish_from_thread`. Or
                the producer runs in another process.
            TypeError: The data is bytes-like. The event is not a str.
            ValueError: The event contains CR, LF or NUL, or is ``gap`` or ``end``.
        """
        check_thread("publish()", "call publish_from_thread() or reactor.callFromThread")
        if event is not None:
            event = check_event(event)
            if event == END:
                msg = f"the event {END!r} is reserved for the end of a run; choose another name"
                raise ValueError(msg)
        return self._core.publish(event, encoded(data))

    def publish_from_thread(self, data: object, event: str | None = None) -> str:
        """
        Publish a message from another thread, and wait until it is kept.

        Args:
            data: See `publish`.
            event: See `publish`.

        Returns:
            The id of the message.

        Raises:
            EncodeError: See `publish`. So for `RunOverflow`, `TypeError` and `ValueError`.
            RunEnded: The run has ended. A thread cannot be cancelled, so this is how it learns
                that the run was stopped.
            RuntimeError: The calling thread is the reactor's; call `publish` there. Or no
                reactor runs, or it stops meanwhile.
        """
        return cast("str", call_in_reactor("publish_from_thread()", self.publish, data, event))

    def stop(self, reason: str = "") -> Deferred[RunState]:
        """
        Stop the run: cancel the producer.

        The producer may publish last messages before it ends, for the ``grace`` that was passed to
        ``Hub.run``. Then the run ends, whatever the producer does. A run that is stopping, or
        has ended, stays as it is.

        Args:
            reason: Becomes `stop_reason`, and the ``"reason"`` that clients receive, at most
                1000 characters of it.

        Returns:
            The Deferred of `done`.

        Raises:
            EncodeError: UTF-8 cannot encode the reason.
            RuntimeError: The calling thread is not the reactor's.
            TypeError: The reason is not a str.
        """
        check_thread("stop()")
        if not isinstance(reason, str):
            msg = f"reason must be a str, not {type(reason).__name__}"
            raise TypeError(msg)
        encode_text(reason, "reason")
        self._core.stop(reason)
        return self._core.done()

    def done(self) -> Deferred[RunState]:
        """
        Wait for the end of the run.

        Returns:
            A new Deferred for each call. It fires with the final state, at once if the run has
            ended. It never fails, except by its own cancellation.

        Raises:
            RuntimeError: The calling thread is not the reactor's.
        """
        check_thread("done()")
        return self._core.done()

    def attach(
        self, outlet: Outlet, sources: Sequence[Source], options: SubscribeOptions
    ) -> Subscription:
        """
        Subscribe a stream. It implements `twistream.server.outlet.Source` for the server layer.
        """
        if len(sources) > 1:
            msg = "subscribe() takes one run and nothing else: the stream ends with the run"
            raise TypeError(msg)
        if options.topics is not None or options.may_see is not None:
            msg = "topics and may_see select messages of channels; the messages of a run have no topics"
            raise ValueError(msg)
        if options.presence is not None or options.announce:
            msg = "presence and announce are for channels, not for runs"
            raise ValueError(msg)
        if options.on_slow == "drop":
            msg = 'on_slow="drop" could drop the end of a run; choose another policy'
            raise ValueError(msg)
        return self._core.followers.attach(outlet, options)
