"""
How many bytes a transport has accepted and the client has not, as far as that can be seen.

Layer: connection, at the bottom.
"""

import struct

from twisted.internet.abstract import FileDescriptor
from twisted.protocols.policies import ProtocolWrapper
from twisted.protocols.tls import (
    BufferingTLSTransport,
    TLSMemoryBIOProtocol,
    _AggregateSmallWrites,
)

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ
except ImportError:  # pragma: no cover - Windows does not show how much the kernel holds
    ioctl = None  # type: ignore[assignment]  # checked where it is used


def descriptor(transport: object) -> FileDescriptor | None:
    """
    The socket under `transport`, below TLS and other wrappers, if it is one of Twisted's.
    """
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport if isinstance(transport, FileDescriptor) else None


def got_close_notify(transport: object) -> bool:
    """
    Whether the client has ended TLS.

    Twisted then drops what is written, and waits for the producer to end before it closes the
    connection. An endless stream never ends.
    """
    while isinstance(transport, ProtocolWrapper):
        if isinstance(transport, TLSMemoryBIOProtocol) and transport._lostTLSConnection:  # noqa: SLF001 - no public name
            return True
        transport = transport.transport
    return False


def queued(transport: object) -> int:
    """
    The number of bytes that wait in user space, in all layers of `transport`.
    """
    size = 0
    while isinstance(transport, ProtocolWrapper):
        if isinstance(transport, TLSMemoryBIOProtocol):
            size += _queued_by_tls(transport)
        transport = transport.transport
    if isinstance(transport, FileDescriptor):
        size += len(transport.dataBuffer) - transport.offset + transport._tempDataLen  # noqa: SLF001 - no public name
    return size


def in_kernel(socket: FileDescriptor) -> int:
    """
    The number of bytes that the kernel has not delivered to the client's kernel yet.

    Zero where the kernel does not show it.
    """
    if ioctl is None:  # pragma: no cover - Windows
        return 0
    try:
        answer = ioctl(socket.fileno(), TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError):
        return 0
    size: int = struct.unpack("i", answer)[0]
    return size


def _queued_by_tls(protocol: TLSMemoryBIOProtocol) -> int:
    """
    The number of bytes that TLS holds back, during a handshake or to aggregate small writes.
    """
    size = sum(map(len, protocol._appSendBuffer))  # noqa: SLF001 - no public name
    if isinstance(protocol, BufferingTLSTransport):
        aggregator = protocol._aggregator  # noqa: SLF001 - no public name
        # It has another class once the connection is lost.
        if isinstance(aggregator, _AggregateSmallWrites):
            size += sum(map(len, aggregator._buffer))  # noqa: SLF001 - no public name
    return size
