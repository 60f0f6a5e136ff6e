"""
MemoryRunLog: keeps the messages of one run in this process.

Layer: channels, above `memory`.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IReactorTime

from twistream.channels.engine import Bounds
from twistream.channels.memory import MemoryLog
from twistream.channels.ownership import Lease, RunObserver, StaleLease
from twistream.wire.messages import Message, Payload


class MemoryRunLog(MemoryLog):
    """
    The messages of one run. See `twistream.channels.ownership.RunLog`.

    Its owner is in this process, so a lease does not expire.

    Attributes:
        end: The last message, once the run has ended.
        on_unused: Called when the last observer has left.
    """

    def __init__(self, name: str, bounds: Bounds, clock: Callable[[], IReactorTime]) -> None:
        self._observers = _Observers()
        super().__init__(name, bounds, clock, self._observers)
        self.beginning = self.last
        self.end: Message | None = None
        self.on_unused: Callable[[], object] | None = None
        self._token = 0

    def drops(self, count: int, size: int) -> int:
        """
        Return how many messages `count` new ones of together `size` bytes would drop.
        """
        self._expire()
        return self._history.drops(count, size)

    def acquire(self, observer: RunObserver, seconds: float) -> Deferred[Lease | None]:  # noqa: ARG002 - it does not expire
        """
        Become the owner, if there never was one.
        """
        if self.end is not None:
            observer.received(self.end)
        if self._token:
            return succeed(None)
        return succeed(self._lease(taken_over=False))

    def renew(self, token: int) -> Deferred[bool]:
        """
        Return whether the token is that of the owner. The returned Deferred has fired.
        """
        return succeed(token == self._token)

    def append_as(
        self, token: int, event: str | None, payload: Payload, *, last: bool = False
    ) -> Deferred[str]:
        """
        Append a message as the owner. The returned Deferred has fired.
        """
        if token != self._token or self.end is not None:
            return fail(StaleLease(f"token {token} of the run {self._name!r} is not valid"))
        if last:
            self._observers.keep_next = self._keep_end
        return self.append(event, payload)

    def request_stop(self, reason: str) -> Deferred[None]:
        """
        Ask the owner to stop.
        """
        for observer in list(self._observers.counts):
            observer.stop_requested(reason)
        return succeed(None)

    def join(self, observer: RunObserver) -> None:
        """
        Notify `observer` from now on.
        """
        self._observers.counts[observer] = 0

    def following(self, observer: RunObserver, count: int) -> None:
        """
        Set the number of followers of this observer.
        """
        counts = self._observers.counts
        if observer not in counts:
            return  # It has left.
        counts[observer] = count
        total = sum(counts.values())
        for each in list(counts):
            each.followed(total)

    def leave(self, observer: RunObserver) -> None:
        """
        Notify `observer` no more.
        """
        self._observers.counts.pop(observer, None)
        if not self._observers.counts and self.on_unused is not None:
            on_unused, self.on_unused = self.on_unused, None
            on_unused()

    def _lease(self, *, taken_over: bool, seconds: float | None = None) -> Lease:
        self._token += 1
        return Lease(token=self._token, taken_over=taken_over, seconds=seconds)

    def _keep_end(self, message: Message) -> None:
        self.end = message

    def _expire(self) -> None:
        if self.end is None:
            super()._expire()


class _Observers:
    """
    The observers of a run, each with the number of its followers.
    """

    def __init__(self) -> None:
        self.counts: dict[RunObserver, int] = {}
        self.keep_next: Callable[[Message], object] | None = None

    def __call__(self, message: Message) -> None:
        """
        A message was appended.
        """
        if self.keep_next is not None:
            keep, self.keep_next = self.keep_next, None
            keep(message)
        for observer in list(self.counts):
            observer.received(message)
