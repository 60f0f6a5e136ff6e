"""
Presence: who is subscribed to a channel, by the metadata of their subscriptions.

Subscriptions with equal metadata are one member: a person with two tabs is there once. Who joins and
who leaves is published on a companion channel, once for all changes of a turn. A member that comes
back within a grace time has not left.

Layer: channels, below `channel`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from twistream.scheduling.turn import Turn
from twistream.scheduling.wheel import Timer

GRACE = 10.0
"""
Seconds. A browser reconnects after about three, and a page takes a few to load again.
"""

JOINED, LEFT = "joined", "left"
"""
The names of the events on the companion channel.
"""

MAX_ABSENT = 10_000
"""
Members that may be waited for. A client that reconnects with other metadata each time would take
memory without limit; beyond this, the member that left first is reported at once.
"""


class _Member:
    """
    The subscriptions with the same metadata.

    Attributes:
        announced: It was published that the member has joined.
        subscriptions: Their number.
        timer: Runs while there are none, and the member may come back.
    """

    __slots__ = ("announced", "subscriptions", "timer")

    def __init__(self) -> None:
        self.announced = False
        self.subscriptions = 0
        self.timer: Timer | None = None


class Presence:
    """
    The members of one channel. Metadata are JSON, with the keys in one order.
    """

    __slots__ = (
        "_absent",
        "_changed",
        "_grace",
        "_members",
        "_on_change",
        "_publish",
        "_report_is_due",
    )

    def __init__(
        self,
        grace: float,
        publish: Callable[[Any, str], object],
        on_change: Callable[[Turn], object],
    ) -> None:
        """
        Args:
            grace: Seconds for which a member may be away; 0 for none.
            publish: Publishes metadata and the name of an event on the companion channel.
            on_change: Called when `members` has changed, once for all changes of a turn.
        """
        self._grace = grace
        self._publish = publish
        self._on_change = on_change
        self._members: dict[bytes, _Member] = {}
        self._absent: dict[bytes, None] = {}  # Those whose timers run, in order.
        self._changed: dict[bytes, None] = {}
        self._report_is_due = False

    @property
    def members(self) -> list[Any]:
        """
        The metadata of the members whose joining was published, in the order of joining.
        """
        return [
            msgspec.json.decode(metadata)
            for metadata, member in self._members.items()
            if member.announced
        ]

    def join(self, metadata: bytes, turn: Turn) -> None:
        """
        A subscription has started.
        """
        member = self._members.get(metadata)
        if member is None:
            member = self._members[metadata] = _Member()
        member.subscriptions += 1
        self._stop_waiting(metadata, member)
        self._report_soon(metadata, turn)

    def leave(self, metadata: bytes, turn: Turn) -> None:
        """
        A subscription has ended.
        """
        member = self._members[metadata]
        member.subscriptions -= 1
        if member.subscriptions:
            return
        if not self._grace:
            self._report_soon(metadata, turn)
            return
        self._absent[metadata] = None
        member.timer = turn.timers.later(self._grace, lambda: self._expired(metadata, turn))
        if len(self._absent) > MAX_ABSENT:
            self._expired(next(iter(self._absent)), turn)

    def close(self) -> None:
        """
        The channel is closed: publish nothing more, and wait for nobody.
        """
        for metadata in list(self._absent):
            self._stop_waiting(metadata, self._members[metadata])
        self._members.clear()
        self._changed.clear()

    def _expired(self, metadata: bytes, turn: Turn) -> None:
        self._stop_waiting(metadata, self._members[metadata])
        self._report_soon(metadata, turn)

    def _stop_waiting(self, metadata: bytes, member: _Member) -> None:
        if member.timer is not None:
            member.timer.cancel()
            member.timer = None
            del self._absent[metadata]

    def _report_soon(self, metadata: bytes, turn: Turn) -> None:
        self._changed[metadata] = None
        if not self._report_is_due:
            self._report_is_due = True
            turn.at_end(partial(self._report, turn))

    def _report(self, turn: Turn) -> None:
        self._report_is_due = False
        changed, self._changed = self._changed, {}
        for metadata in changed:
            member = self._members[metadata]
            present = member.subscriptions > 0 or member.timer is not None
            if not present:
                del self._members[metadata]
            if present is not member.announced:
                member.announced = present
                self._on_change(turn)
                self._publish(msgspec.json.decode(metadata), JOINED if present else LEFT)
