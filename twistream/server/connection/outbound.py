"""
Outbound: the way of one response's bytes to its connection.

An outbound is the only place that touches the transport. It knows the framing, holds
what is framed until it is pushed, tells whether the connection is full, and ends a
response in good order or so that the client sees it is incomplete. It does not know what
a handler is, and it keeps no time: whoever owns it decides when to push, and watches for
clients that take nothing.

Here is what the protocols have in common; each has a module of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import Protocol

from twisted.internet.interfaces import IPushProducer
from twisted.web.http import Request
from zope.interface import implementer

from twistream.scheduling.turn import Turn
from twistream.server.connection.sockets import descriptor
from twistream.wire.frames import Batch


def refuse_write(*_args: object) -> None:
    """
    Stands in for ``request.write`` and ``request.finish`` while a handler has the request.

    Raises:
        RuntimeError: Always. Bytes that go past the context would break the framing.
    """
    msg = "use the context's write() and flush(); the request belongs to the stream"
    raise RuntimeError(msg)


class Owner(Protocol):
    """
    Whose outbound it is.
    """

    def took_data(self) -> None:
        """
        The connection was full, and takes more now.
        """


@implementer(IPushProducer)
class Outbound(ABC):
    """
    What the protocols have in common.

    Attributes:
        started: The head is framed, held or sent, and can no longer change.
        full: The connection takes no more for now.
        handed: How many bytes were handed to the connection so far.
        held: How many bytes are framed and wait to be pushed.
        joins: The end of a turn comes with the reactor of the connection. Not so on a clock
            that somebody has put in the place of that.
    """

    __slots__ = (
        "_kind",
        "_owner",
        "_request",
        "_resumes",
        "_turn",
        "full",
        "handed",
        "held",
        "joins",
        "started",
    )

    def __init__(self, request: Request, transport: object, turn: Turn, owner: Owner) -> None:
        self._request = request
        self._turn = turn
        self._owner: Owner | None = owner
        self._resumes = 0
        self.started = False
        self.full = False
        self.handed = 0
        self.held = 0
        socket = descriptor(transport)
        reactor: object = turn.clock if socket is None else socket.reactor
        self.joins = reactor is turn.clock
        # Sealed already, if a handler has handed it to another resource.
        self._kind = getattr(request, "unsealed", type(request))
        request.__class__ = _sealed(self._kind)  # type: ignore[arg-type]  # it has a hash

    @abstractmethod
    def put(self, data: bytes, *, last: bool = False) -> None:
        """
        Hold `data` as one frame of the body, after the head if that is not there yet.

        Args:
            last: Nothing will follow; after a `push`, `finish` is called.
        """

    @abstractmethod
    def push(self) -> bool:
        """
        Send what is held in one piece, and return whether some of it waits.

        It is on the socket when this returns, where nothing can be overtaken.
        """

    def may_send(self) -> bool:
        """
        Whether bytes may pass Twisted's buffer by, straight to the socket.
        """
        return False

    @abstractmethod
    def send_batch(self, batch: Batch) -> bool:
        """
        As `put` for each message of `batch` and a `push`. Nothing may be held.
        """

    def attend(self) -> None:  # noqa: B027 - not for every protocol
        """
        The response goes on when the reactor does: see to it that its client is missed.
        """

    def has_unsent(self) -> bool:
        """
        Whether something waits for the client. Asked now and then, not for each message.
        """
        return self.full or self.backlog() > 0

    @abstractmethod
    def backlog(self) -> int:
        """
        How many bytes wait in this process, held or handed over.

        Where that cannot be seen it is an upper bound.
        """

    @abstractmethod
    def progress(self) -> tuple[int, int]:
        """
        A mark that becomes larger whenever the client has taken some of what was sent.
        """

    @abstractmethod
    def abort(self) -> bool:
        """
        End the connection or the stream so that the client sees it is incomplete.

        What was sent is let through first. Returns whether this is done. Where it is
        not, call again after a while, or `cut` to stop waiting.
        """

    @abstractmethod
    def cut(self) -> None:
        """
        As `abort`, but at once: what the client has not taken yet is lost.
        """

    @property
    def closes(self) -> bool:
        """
        The connection closes after this response, and Twisted will not watch over it.
        """
        return False

    def close_when_idle(self, still_moving: Callable[[], bool], seconds: float) -> None:
        """
        Watch over the connection, where it `closes` and everything has been sent.

        Args:
            still_moving: Asked every `seconds`. If it says no, the connection is cut.
        """
        raise NotImplementedError

    def finish(self) -> None:
        """
        The response is complete: give the connection back to Twisted.

        This may run the handler of the next request on this connection.
        """
        request = self._request
        request.__class__ = self._kind
        request.unregisterProducer()
        request.finish()

    def release(self) -> None:
        """
        The response is over: give back what was taken from the connection.
        """
        self._owner = None  # So that no cycle is left to collect.

    def pauseProducing(self) -> None:  # noqa: N802 - IPushProducer
        """
        See `twisted.internet.interfaces.IPushProducer`.
        """
        self.full = True

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        """
        See `twisted.internet.interfaces.IPushProducer`.
        """
        self._resumes += 1
        if self.full:
            self.full = False
            if self._owner is not None:
                self._owner.took_data()

    def stopProducing(self) -> None:  # noqa: B027, N802 - IPushProducer; not for subclasses
        """
        See `twisted.internet.interfaces.IPushProducer`.
        """
        # The end of the request follows, and says it all.

    def _write_head(self) -> None:
        """
        Let Twisted write the head, with all that it knows about heads.
        """
        self.started = True
        request = self._request
        self._kind.write(request, b"")
        # Twisted has set a `write` of its own where no body may be, which breaks the seal.
        vars(request).pop("write", None)


@cache
def _sealed(kind: type[Request]) -> type[Request]:
    """
    As `kind`, but its ``write`` and ``finish`` refuse.

    A class, because two more attributes on a request may cost a kilobyte: where others
    have not got them, its attributes can no longer share their names with those.
    """
    own = {"write": refuse_write, "finish": refuse_write, "unsealed": kind}
    return type(kind.__name__, (kind,), own)
