"""
Ownership: which process runs the producer of a run, and how the others notice its end.

An engine that can hold runs is a `RunEngine`. Each process opens the `RunLog` of a run. One of
them acquires it, by a lease with a fencing token, and runs the producer. The others follow the log. All
of it works between processes, and `twistream.channels.memory_run` implements it within one.

Layer: channels, above `engine`.
"""

from collections.abc import Callable
from typing import Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from twistream.channels.engine import Bounds, Log
from twistream.wire.messages import Message, Payload


class StaleLease(Exception):
    """
    A message was appended with a token that is no longer valid: the lease expired.
    """


@frozen(kw_only=True)
class Lease:
    """
    The right to append to a run.

    Attributes:
        token: The fencing token: larger than each one before it.
        taken_over: The lease of another owner expired. The new owner appends the end, and does
            not start a producer.
        seconds: It must be renewed within this time. None if it does not expire.
    """

    token: int
    taken_over: bool
    seconds: float | None


class RunObserver(Protocol):
    """
    What a process has to know of a run. Calls may come before a Deferred of the log fires.
    """

    def received(self, message: Message) -> object:
        """
        A message was appended, by any process. Called in order, when `RunLog.last` is its id.
        """

    def stop_requested(self, reason: str) -> object:
        """
        A process called `RunLog.request_stop`. Every process is notified, and the owner acts.
        """

    def owner_lost(self) -> object:
        """
        The lease of the owner expired, or is no longer valid. Any process may acquire the run.
        """

    def followed(self, count: int) -> object:
        """
        The number of followers in all processes has changed.
        """


class RunLog(Log, Protocol):
    """
    The messages of one run, and its owner.
    """

    @property
    def beginning(self) -> str:
        """
        The id that precedes the first message.
        """

    def drops(self, count: int, size: int) -> int:
        """
        Return how many messages `count` new ones of together `size` bytes would drop.
        """

    def acquire(self, observer: RunObserver, seconds: float) -> Deferred[Lease | None]:
        """
        Become the owner.

        Args:
            seconds: The time after which the lease expires if it is not renewed.

        Returns:
            Fires with a lease; with None if another process owns the run, or it has ended. If it
            has ended, `observer` receives the end first.
        """

    def renew(self, token: int) -> Deferred[bool]:
        """
        Extend the lease. Fires with False if it is no longer valid.
        """

    def append_as(
        self, token: int, event: str | None, payload: Payload, *, last: bool = False
    ) -> Deferred[str]:
        """
        Append a message as the owner.

        Args:
            last: It is the end. Nobody can acquire the run, or append to it, after that.

        Returns:
            Fires with the id. Fails with `StaleLease` if the token is not that of the owner.
        """

    def request_stop(self, reason: str) -> Deferred[None]:
        """
        Ask the owner to stop. Fires when the request is on its way.
        """

    def following(self, observer: RunObserver, count: int) -> None:
        """
        Report the number of followers in this process.
        """

    def leave(self, observer: RunObserver) -> None:
        """
        Notify `observer` no more. An engine may drop a run that has ended and has no observers.
        """


class RunEngine(Protocol):
    """
    An engine that can hold runs.
    """

    def open_run(
        self,
        name: str,
        bounds: Bounds,
        clock: Callable[[], IReactorTime],
        observer: RunObserver,
        *,
        restart: bool,
    ) -> RunLog:
        """
        Open the log of the run of this name, and create it if it does not exist.

        The observer is not called before this returns.

        Args:
            name: The name of the run. Runs and channels may have the same names.
            bounds: The limits of its history. They end with the run: what is in the history
                then is kept until all observers have left.
            clock: Returns the clock.
            observer: Notified from now on.
            restart: If the run has ended, create a new one.
        """
