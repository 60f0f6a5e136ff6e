"""
PublishGate: lets a producer publish as fast as the history and the followers of its run allow.

Layer: channels, below `run_core`.
"""

from collections.abc import Callable
from typing import Any, NoReturn, TypeAlias

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from twistream.channels.feed import ChannelCore
from twistream.channels.ownership import RunLog
from twistream.channels.run_end import END_ROOM
from twistream.channels.run_options import RunOptions
from twistream.errors import RunEnded, RunOverflow
from twistream.scheduling.turn import Share, Turn
from twistream.scheduling.waits import fail_quietly
from twistream.wire.messages import Payload, text_size

MAX_WAITING = 1_000
"""
Calls of `publish` that may wait at the same time: far more than the tasks of one producer. A producer
that does not await them would fill the memory.
"""

_Waiting: TypeAlias = tuple[str | None, Payload, int]
"""
The event, the payload and the size of a message that waits.
"""


class PublishGate:
    """
    The way into the history of one run.
    """

    __slots__ = (
        "_append",
        "_core",
        "_flushed",
        "_look_is_due",
        "_options",
        "_run_log",
        "_share",
        "_turn",
        "_waiting",
        "_warned",
    )

    _log = Logger()

    def __init__(
        self,
        core: ChannelCore[Any],
        log: RunLog,
        options: RunOptions,
        turn: Turn,
        append: Callable[[str | None, Payload], Deferred[str]],
    ) -> None:
        """
        Args:
            append: Appends a message to the log.
        """
        self._core = core
        self._run_log = log
        self._options = options
        self._turn = turn
        self._share = Share(turn)
        self._append = append
        self._waiting: dict[Deferred[str], _Waiting] = {}
        self._look_is_due = False
        # Followers have been sent everything up to this id, or have it in their mailbox.
        self._flushed = log.last
        self._warned = False

    def publish(self, event: str | None, payload: Payload) -> Deferred[str]:
        """
        Append a message when there is room for it.

        Returns:
            Fires with its id, in a later turn if the producer has used its share of this one.

        Raises:
            RunOverflow: There is no room, or too many messages wait for it.
        """
        size = text_size(payload) + (text_size(event) if event else 0)
        limit = self._options.history_bytes
        if limit is not None and size > limit and self._options.on_full != "trim":
            self._overflow()  # However long it waits, it fits into no history.
        if self._waiting or self._must_wait(size):
            if len(self._waiting) >= MAX_WAITING:
                why = f"{MAX_WAITING} messages wait for it; await each publish()"
                raise RunOverflow(self._core.name, why)
            wait: Deferred[str] = Deferred(self._forget)
            self._waiting[wait] = (event, payload, size)
            return wait
        appended = self._append(event, payload)
        return appended if self._may_go_on() else self._in_next_turn(appended)

    def moved(self) -> None:
        """
        A follower has read from the history, or has left: there may be room.
        """
        if self._waiting:
            self._look_soon()

    def close(self) -> None:
        """
        The run has ended: fail everything that waits.
        """
        waiting, self._waiting = self._waiting, {}
        for wait in waiting:
            if not wait.called:
                fail_quietly(wait, RunEnded(self._core.name))

    def _must_wait(self, size: int) -> bool:
        """
        Whether a message of this size has to wait until followers have read more.
        """
        options = self._options
        if options.on_full == "trim":
            return False
        drops = self._run_log.drops(2, size + END_ROOM)
        if not drops:
            return False
        if options.on_full == "error":
            self._overflow()
        kept = self._run_log.history - drops
        if self._run_log.behind(self._flushed) > kept:
            # Those that it does not reach read the history from here.
            last = self._run_log.last
            if not self._core.flush():
                self._look_soon()
                return True
            self._flushed = last
        if any(follower.unread > kept for follower in self._core.followers):
            return True
        if not self._warned:
            self._warned = True
            self._log.warn(
                "the run {name!r} drops its oldest messages, so clients that connect later miss "
                "them: its limits are {bounds}",
                name=self._core.name,
                bounds=str(self._options.bounds),
            )
        return False

    def _overflow(self) -> NoReturn:
        why = f"the limits are {self._options.bounds}; pass larger ones, or another on_full"
        raise RunOverflow(self._core.name, why)

    def _look_soon(self) -> None:
        # Not at once, because the producer must not run within the code of a follower.
        if not self._look_is_due:
            self._look_is_due = True
            self._turn.soon(self._look)

    def _look(self) -> None:
        self._look_is_due = False
        while self._waiting:
            wait, (event, payload, size) = next(iter(self._waiting.items()))
            if self._must_wait(size):
                return
            if self._waiting.pop(wait, None) is None:
                continue  # A follower that received messages meanwhile has stopped the run.
            maybeDeferred(self._append, event, payload).chainDeferred(wait)
            if not self._may_go_on():
                self._look_soon()
                return

    def _may_go_on(self) -> bool:
        now = self._turn.seconds()
        self._share.enter(now)
        return self._share.may_go_on(now)

    def _in_next_turn(self, appended: Deferred[str]) -> Deferred[str]:
        later: Deferred[str] = Deferred()  # If it is cancelled, it ignores the result.
        self._turn.soon(lambda: appended.chainDeferred(later))
        return later

    def _forget(self, wait: Deferred[str]) -> None:
        self._waiting.pop(wait, None)
