"""
RunOwner: the lease of one run in this process: to acquire it, to renew it, and to append with it.

Layer: channels, below `run_core`.
"""

from functools import partial

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from twistream.channels.ownership import Lease, RunLog, RunObserver, StaleLease
from twistream.channels.timers import Timers
from twistream.errors import RunEnded
from twistream.wire.messages import Payload

LEASE = 15.0
"""
Seconds after which a process that does not renew its lease loses its runs. It covers the pauses of a
busy process, and clients learn of a lost run before they give up.
"""

_RENEWALS = 3
"""
Renewals in the time of a lease, so that one or two may fail.
"""


class RunOwner:
    """
    The lease of one run.

    Attributes:
        acquiring: The engine has not answered yet.
        token: The fencing token; None if this process is not the owner.
    """

    _log = Logger()

    def __init__(
        self,
        name: str,
        log: RunLog,
        timers: Timers,
        observer: RunObserver,
    ) -> None:
        """
        Args:
            observer: Its `owner_lost` is called when the lease is no longer valid.
        """
        self._name = name
        self._run_log = log
        self._timers = timers
        self._observer = observer
        self.acquiring = False
        self.token: int | None = None

    def acquire(self) -> Deferred[Lease | None]:
        """
        Become the owner. See `RunLog.acquire`.
        """

        def acquired(lease: Lease | None) -> Lease | None:
            self.acquiring = False
            if lease is not None:
                self.token = lease.token
                if lease.seconds is not None:
                    self._renew_in(lease.seconds)
            return lease

        def failed(failure: Failure) -> Failure:
            self.acquiring = False
            return failure

        self.acquiring = True
        acquiring: Deferred[Lease | None] = maybeDeferred(
            self._run_log.acquire, self._observer, LEASE
        )
        return acquiring.addCallbacks(acquired, failed)

    def append(self, event: str | None, payload: Payload, *, last: bool = False) -> Deferred[str]:
        """
        Append a message. See `RunLog.append_as`.

        Returns:
            Fails with `RunEnded` if the lease is no longer valid.
        """
        if self.token is None:
            raise RunEnded(self._name)
        appended = self._run_log.append_as(self.token, event, payload, last=last)
        return appended.addErrback(self._not_appended)

    def release(self) -> None:
        """
        Renew the lease no more.
        """
        self._timers.cancel("renew")
        self.token = None

    def _renew_in(self, lease: float) -> None:
        self._timers.start("renew", lease / _RENEWALS, partial(self._renew, lease))

    def _renew(self, lease: float) -> None:
        token = self.token

        def renewed(valid: object) -> None:
            if token == self.token:
                if valid:
                    self._renew_in(lease)
                else:
                    self._observer.owner_lost()

        def failed(failure: Failure) -> None:
            self._log.failure(
                "the lease of the run {name!r} was not renewed", failure, name=self._name
            )
            if token == self.token:
                self._renew_in(lease)  # If it expires before that, others notice it.

        if token is not None:
            maybeDeferred(self._run_log.renew, token).addCallbacks(renewed, failed)

    def _not_appended(self, failure: Failure) -> Failure:
        if failure.check(StaleLease):
            if self.token is not None:
                self._observer.owner_lost()
            return Failure(RunEnded(self._name))
        return failure
