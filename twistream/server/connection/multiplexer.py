"""
Multiplexer: shares one HTTP/2 connection fairly among its streams.

Layer: connection, below `http2`. It knows streams only as a `Sender`.
"""

from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from twisted.web._http2 import H2Connection

from twistream.scheduling.turn import Turn
from twistream.server.connection.sockets import got_close_notify
from twistream.wire.frames import SEND_SIZE

T = TypeVar("T")


class FairQueue(Generic[T]):
    """
    Members that take turns. Each member is in the queue at most once.
    """

    __slots__ = ("_members",)

    def __init__(self) -> None:
        self._members: OrderedDict[T, None] = OrderedDict()

    def __len__(self) -> int:
        """
        The number of members.
        """
        return len(self._members)

    def __contains__(self, member: T) -> bool:
        """
        Whether it is in the queue.
        """
        return member in self._members

    def __iter__(self) -> Iterator[T]:
        """
        The members, next first.
        """
        return iter(self._members)

    def add(self, member: T) -> None:
        """
        Add a member at the end. If it is in the queue, it keeps its place.
        """
        self._members.setdefault(member)

    def pop(self) -> T:
        """
        Remove and return the next member.
        """
        return self._members.popitem(last=False)[0]

    def discard(self, member: T) -> None:
        """
        Remove a member, if it is in the queue.
        """
        self._members.pop(member, None)


class Sender(Protocol):
    """
    A stream of the connection.
    """

    def send_frame(self) -> int:
        """
        Give one DATA frame to the connection, and return its size in bytes.
        """

    def has_window(self) -> bool:
        """
        Whether the stream's own window is open.
        """

    def wait_for_window(self) -> None:
        """
        Report that the stream is full, until a window opens.
        """


class Multiplexer:
    """
    What the streams of one connection share: the order in which they send, and the idle timeout.

    While a stream is open, its connection does not time out, as on HTTP/1.1.

    Attributes:
        blocked: The streams that have something to send, and wait for their own window.
        queue: The streams that have something to send, and room in their own window.
        handed: The number of bytes that all of them have handed to the connection.
    """

    __slots__ = (
        "_connection",
        "_open",
        "_pump_due",
        "_timeout",
        "_turn",
        "blocked",
        "handed",
        "queue",
    )

    # One for each connection with open streams.
    _of: ClassVar[dict[Any, "Multiplexer"]] = {}

    def __init__(self, connection: Any, turn: Turn) -> None:
        self.queue: FairQueue[Sender] = FairQueue()
        self.blocked: set[Sender] = set()
        self.handed = 0
        self._connection = connection
        self._turn = turn
        self._open = 0
        self._timeout: int | None = connection.timeOut
        self._pump_due = False
        connection.setTimeout(None)
        # Twisted calls this after all data that it has received. It is the only sign of a window
        # that SETTINGS has opened, which Twisted does not report.
        connection._tryToWriteControlData = self._data_received  # noqa: SLF001 - no public name

    @classmethod
    def opened(cls, connection: Any, turn: Turn) -> "Multiplexer":
        """
        Return the multiplexer of this connection, and count one more open stream.
        """
        found = cls._of.get(connection)
        if found is None:
            found = cls._of[connection] = cls(connection, turn)
        found._open += 1
        return found

    def closed(self) -> None:
        """
        One of the streams has ended.
        """
        self._open -= 1
        if not self._open:
            connection = self._connection
            del self._of[connection]
            del connection._tryToWriteControlData  # noqa: SLF001 - no public name
            if connection.transport.connected:
                connection.setTimeout(self._timeout)

    def enqueue(self, stream: Sender) -> None:
        """
        Let a stream send when it is its turn.
        """
        self.blocked.discard(stream)
        self.queue.add(stream)

    def discard(self, stream: Sender) -> None:
        """
        A stream has nothing to send.
        """
        self.blocked.discard(stream)
        self.queue.discard(stream)

    def pump(self) -> None:
        """
        Let the streams send one frame each, in turn, while the connection accepts more.
        """
        queue, conn = self.queue, self._connection.conn
        unwritten = 0
        while queue and not self._is_full() and conn.outbound_flow_control_window > 0:
            unwritten += queue.pop().send_frame()
            if unwritten > SEND_SIZE:
                self._write()
                unwritten = 0
        if unwritten:
            self._write()
        for stream in queue:
            stream.wait_for_window()
        if queue and self._is_full():
            self._pump_when_drained()

    def pump_soon(self) -> None:
        """
        Pump in the next turn.
        """
        # Not now: Twisted may be iterating over its streams.
        if not self._pump_due:
            self._pump_due = True
            self._turn.soon(self._pump_now)

    def _data_received(self) -> object:
        result = H2Connection._tryToWriteControlData(self._connection)  # noqa: SLF001 - no public name
        opened = [stream for stream in self.blocked if stream.has_window()]
        for stream in opened:
            self.enqueue(stream)
        # The queue may have waited for the window of the connection. Twisted reports that it has
        # opened only to streams with an open window of their own.
        if opened or (self.queue and self._connection.conn.outbound_flow_control_window > 0):
            self.pump_soon()
        return result

    def _pump_now(self) -> None:
        self._pump_due = False
        self.pump()

    def _write(self) -> None:
        connection = self._connection
        connection.transport.write(connection.conn.data_to_send())
        if got_close_notify(connection.transport):
            connection.transport.unregisterProducer()

    def _is_full(self) -> bool:
        connection = self._connection
        # Queued control frames may include the HEADERS of a stream.
        return bool(
            connection._consumerBlocked is not None  # noqa: SLF001 - no public name
            or connection._bufferedControlFrames  # noqa: SLF001 - no public name
        )

    def _pump_when_drained(self) -> None:
        blocked = self._connection._consumerBlocked  # noqa: SLF001 - no public name
        if blocked is None:
            self.pump_soon()
        elif not self._pump_due:
            self._pump_due = True
            blocked.addCallback(self._drained)

    def _drained(self, result: object) -> object:
        self._pump_due = False
        transport = self._connection.transport
        if got_close_notify(transport):
            transport.unregisterProducer()
        self.pump_soon()
        return result
