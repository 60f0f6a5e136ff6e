"""
Wires: the connections between a client and a server in one process.

Nothing happens on them by itself. A test decides when bytes are delivered, when the client
reads, and when the connection is full or lost.
"""

import socket
import struct
from collections.abc import Sequence
from select import select
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.task import Clock
from twisted.internet.tcp import Server as TCPServer
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.web.server import Site

_PATIENCE = 5.0
"""
Seconds that a packet may take over loopback. In practice it is there at once.
"""


class Steps(Clock):
    """
    A clock that is also a reactor for sockets: it remembers who wants to read and to write.

    Attributes:
        readers: The transports that want to read.
        writers: The transports that want to write.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: set[Any] = set()
        self.writers: set[Any] = set()

    def addReader(self, reader: object) -> None:
        self.readers.add(reader)

    def removeReader(self, reader: object) -> None:
        self.readers.discard(reader)

    def addWriter(self, writer: object) -> None:
        self.writers.add(writer)

    def removeWriter(self, writer: object) -> None:
        self.writers.discard(writer)


class MemoryWire(StringTransport):
    """
    A connection in memory. It is the server's transport.

    Attributes:
        writes: What the server has written, one item for each write.
        closed: The server has closed the connection.
        aborted: The server has reset the connection.
    """

    aborted = False

    def __init__(self, site: Site) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self._unread = bytearray()
        self._fills_after = 0
        self.protocol: Any = site.buildProtocol(self.getPeer())
        self.protocol.makeConnection(self)

    @property
    def transport(self) -> "MemoryWire":
        return self

    @property
    def closed(self) -> bool:
        return self.disconnecting

    def deliver(self, data: bytes) -> None:
        """
        Deliver bytes to the server, even if it has stopped reading.
        """
        self.protocol.dataReceived(data)

    def take(self, limit: int | None = None) -> bytes:
        """
        Read what the server has written.
        """
        data = bytes(self._unread[:limit])
        del self._unread[:limit]
        return data

    def fill(self, after: int = 0) -> None:
        """
        Make the connection full, `after` so many further writes.
        """
        self._fills_after = after
        if not after and self.producer is not None:
            self.producer.pauseProducing()

    def drain(self) -> None:
        """
        Let the connection take more.
        """
        self._fills_after = 0
        if self.producer is not None:
            self.producer.resumeProducing()

    def lose(self, *, reset: bool = False) -> None:
        """
        The client closes the connection, with FIN or with RST.
        """
        if not self.connected:
            return
        self.connected, self.disconnected = False, True
        producer, self.producer = self.producer, None
        if producer is not None:
            producer.stopProducing()
        self.protocol.connectionLost(Failure(ConnectionLost() if reset else ConnectionDone()))

    def half_close(self) -> None:
        """
        The client sends FIN, and still reads.
        """
        half_closeable = IHalfCloseableProtocol(self.protocol, None)
        if half_closeable is None:
            self.lose()
        else:
            half_closeable.readConnectionLost()

    def write(self, data: bytes) -> None:
        assert isinstance(data, bytes), data
        self.writes.append(data)
        self._unread += data
        if self._fills_after:
            self._fills_after -= 1
            if not self._fills_after:
                self.fill()

    def writeSequence(self, data: Sequence[bytes]) -> None:
        self.write(b"".join(data))

    def abortConnection(self) -> None:
        self.aborted = True
        super().abortConnection()

    def unregisterProducer(self) -> None:
        self.producer = self.streaming = None


class TCPWire:
    """
    A connection over loopback, with a real socket at each end.

    Attributes:
        socket: The client's socket.
        transport: The server's transport, one of Twisted's own.
        closed: The client has read that the server closed the connection.
        aborted: The client has read that the server reset the connection.
    """

    def __init__(self, site: Site, clock: Steps, kind: type[TCPServer] = TCPServer) -> None:
        self.closed = False
        self.aborted = False
        self._clock = clock
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.socket = socket.create_connection(listener.getsockname())
            accepted, address = listener.accept()
        for each in (self.socket, accepted):
            each.setblocking(False)
            # So that the kernel holds little, and sends come back incomplete.
            each.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
            each.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.protocol: Any = site.buildProtocol(address)
        arguments: tuple[Any, ...] = (accepted, self.protocol, address, None, 0, clock)
        self.transport: Any = kind(*arguments)
        self.protocol.makeConnection(self.transport)

    def deliver(self, data: bytes) -> None:
        """
        Deliver bytes to the server. They bypass the sockets.
        """
        self.protocol.dataReceived(data)

    def take(self, limit: int | None = None) -> bytes:
        """
        Read what has arrived.
        """
        data = b""
        try:
            while not self.closed and (limit is None or len(data) < limit):
                part = self.socket.recv(65536 if limit is None else limit - len(data))
                self.closed = not part
                data += part
        except BlockingIOError:
            pass
        except ConnectionResetError:
            self.closed = self.aborted = True
        return data

    def wait(self) -> bool:
        """
        Wait for a packet, and return whether there is something to read.
        """
        return bool(select([self.socket], [], [], _PATIENCE)[0])

    @property
    def queued(self) -> int:
        """
        How many bytes Twisted has queued.
        """
        size: int = len(self.transport.dataBuffer) + self.transport._tempDataLen
        return size

    def poll(self) -> None:
        """
        Do what a reactor does: read the server's socket and write to it, as far as it goes.
        """
        if self.transport in self._clock.writers:
            self._report(self.transport.doWrite())
        if self._is_readable(0):
            self._report(self.transport.doRead())

    def fill(self, after: int = 0) -> None:
        raise NotImplementedError("over TCP, make a client slow by not reading")

    drain = fill

    def lose(self, *, reset: bool = False) -> None:
        """
        Close the client's socket, with FIN or with RST. A server that reads notices at once.
        """
        if reset:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
        self._notice()

    def half_close(self) -> None:
        """
        Send FIN, and still read. A server that reads notices at once.
        """
        self.socket.shutdown(socket.SHUT_WR)
        self._notice()

    def _notice(self) -> None:
        if self._is_readable(_PATIENCE):
            self._report(self.transport.doRead())

    def _is_readable(self, seconds: float) -> bool:
        reads = self.transport in self._clock.readers
        return reads and bool(select([self.transport.socket], [], [], seconds)[0])

    def _report(self, reason: Exception | None) -> None:
        if reason is not None:
            self._clock.removeReader(self.transport)
            self._clock.removeWriter(self.transport)
            self.transport.connectionLost(Failure(reason))

    def close(self) -> None:
        """
        Close both sockets.
        """
        self.socket.close()
        self.transport.abortConnection()
        for _ in range(2):
            self._clock.advance(0)
