"""
HangupWatch: notices a client that disconnects while nothing is read from it.

Twisted stops reading a connection when more than 16 KiB of further requests have arrived
behind the one that it answers, and without reading it does not notice a disconnect. A client
could send that many bytes and disconnect, and its stream would never end.

Layer: connection, at the bottom.
"""

import select
from typing import Any

from twisted.internet.abstract import FileDescriptor

from twistream.scheduling.wheel import Timer, TimerWheel

_BETWEEN_CHECKS = 5.0
"""
Seconds. A check costs a system call, only where reading has stopped, and nobody waits for its
result.
"""

_HANGUP = getattr(select, "POLLRDHUP", 0)  # Linux only.


class HangupWatch:
    """
    Wraps the producer that an `HTTPChannel` pauses to stop reading.

    It has a timer only while that producer is paused.

    Attributes:
        wrapped: That producer.
    """

    __slots__ = ("_channel", "_gone", "_socket", "_timer", "_timers", "wrapped")

    def __init__(self, channel: Any, socket: FileDescriptor, timers: TimerWheel) -> None:
        self._channel = channel
        self._socket = socket
        self._timers = timers
        self._timer: Timer | None = None
        self._gone = False
        self.wrapped = channel._networkProducer  # noqa: SLF001 - no public name
        channel._networkProducer = self  # noqa: SLF001 - no public name
        if channel._waitingForTransport:  # noqa: SLF001 - no public name
            # An earlier response has filled the connection, and may have stopped reading.
            self._check_later()

    def stop(self) -> None:
        """
        Give the producer back to the channel.
        """
        self._cancel_timer()
        watch = self._channel._networkProducer  # noqa: SLF001 - no public name
        if watch is self:
            self._channel._networkProducer = self.wrapped  # noqa: SLF001 - no public name
        # If the request has been passed on to another resource, two watches are nested.
        while isinstance(watch, HangupWatch):
            if watch.wrapped is self:
                watch.wrapped = self.wrapped
            watch = watch.wrapped

    def __getattr__(self, name: str) -> Any:
        return getattr(self.wrapped, name)

    def pauseProducing(self) -> None:  # noqa: N802 - IPushProducer
        """
        See `twisted.internet.interfaces.IPushProducer`.
        """
        if self._gone:
            return  # Keep reading, until Twisted reports the disconnect.
        self.wrapped.pauseProducing()
        self._check_later()

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        """
        See `twisted.internet.interfaces.IPushProducer`.
        """
        self._cancel_timer()
        self.wrapped.resumeProducing()

    def _check_later(self) -> None:
        if self._timer is None and _HANGUP:
            self._timer = self._timers.later(_BETWEEN_CHECKS, self._check)

    def _check(self) -> None:
        self._timer = None
        poll = select.poll()
        poll.register(self._socket.fileno(), _HANGUP)
        if poll.poll(0):
            self._gone = True
            self.wrapped.resumeProducing()
        else:
            self._check_later()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
