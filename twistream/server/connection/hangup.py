"""
HangupWatch: notices a client that left while nothing is read from it.

Twisted stops reading a connection when more than 16 KiB of further requests have come
behind the one that is answered, and what is not read never ends. A client could leave so
many bytes and go, and its stream would stay, with its socket, for ever.
"""

import select
from typing import Any

from twisted.internet.abstract import FileDescriptor

from twistream.scheduling.wheel import Timer, TimerWheel

_BETWEEN_LOOKS = 5.0
"""
Seconds. Nobody waits for it, and it costs a system call only where reading has stopped.
"""

_HANGUP = getattr(select, "POLLRDHUP", 0)  # Linux; elsewhere nobody can say.


class HangupWatch:
    """
    Stands before the producer that an `HTTPChannel` pauses when it wants to read no more.

    It has a timer only while the producer is paused.
    """

    __slots__ = ("_channel", "_gone", "_producer", "_socket", "_timer", "_timers")

    def __init__(self, channel: Any, socket: FileDescriptor, timers: TimerWheel) -> None:
        self._channel = channel
        self._socket = socket
        self._timers = timers
        self._timer: Timer | None = None
        self._gone = False
        self._producer = channel._networkProducer  # noqa: SLF001 - no public name
        channel._networkProducer = self  # noqa: SLF001 - as above
        if channel._waitingForTransport:  # noqa: SLF001 - as above
            # An earlier response has filled the connection, and may have stopped reading.
            self._look_later()

    def stop(self) -> None:
        """
        Stand aside.
        """
        self._forget_timer()
        self._channel._networkProducer = self._producer  # noqa: SLF001 - as above

    def __getattr__(self, name: str) -> Any:
        return getattr(self._producer, name)

    def pauseProducing(self) -> None:  # noqa: N802 - IPushProducer
        """
        See `twisted.internet.interfaces.IPushProducer`.
        """
        if self._gone:
            return  # Read on to the end, which is near: the kernel holds no more.
        self._producer.pauseProducing()
        self._look_later()

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        """
        See `twisted.internet.interfaces.IPushProducer`.
        """
        self._forget_timer()
        self._producer.resumeProducing()

    def _look_later(self) -> None:
        if self._timer is None and _HANGUP:
            self._timer = self._timers.later(_BETWEEN_LOOKS, self._look)

    def _look(self) -> None:
        self._timer = None
        poll = select.poll()
        poll.register(self._socket.fileno(), _HANGUP)
        if poll.poll(0):
            self._gone = True
            self._producer.resumeProducing()
        else:
            self._look_later()

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
