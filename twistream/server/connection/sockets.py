"""
What can be seen of the bytes that a transport has taken and the client has not.
"""

import struct

from twisted.internet.abstract import FileDescriptor
from twisted.protocols.policies import ProtocolWrapper

try:
    from fcntl import ioctl
    from termios import TIOCOUTQ
except ImportError:  # pragma: no cover - Windows does not tell how much the kernel holds
    ioctl = None  # type: ignore[assignment]  # told apart where it is used


def descriptor(transport: object) -> FileDescriptor | None:
    """
    The socket under `transport`, below TLS and other wrappers, if it is one of Twisted's.
    """
    while isinstance(transport, ProtocolWrapper):
        transport = transport.transport
    return transport if isinstance(transport, FileDescriptor) else None


def said_goodbye(transport: object) -> bool:
    """
    Whether the client has ended TLS. What is written after that is thrown away.

    Twisted then waits for the producer to be done, which an endless stream never is.
    """
    while isinstance(transport, ProtocolWrapper):
        if getattr(transport, "_lostTLSConnection", False):
            return True
        transport = transport.transport
    return False


def queued(transport: object) -> int:
    """
    How many bytes wait in user space, in all layers of `transport`.
    """
    size = 0
    while isinstance(transport, ProtocolWrapper):
        # What TLS cannot take while a handshake is under way.
        size += sum(map(len, getattr(transport, "_appSendBuffer", ())))
        aggregator = getattr(transport, "_aggregator", None)
        size += sum(map(len, getattr(aggregator, "_buffer", ())))
        transport = transport.transport
    if isinstance(transport, FileDescriptor):
        size += len(transport.dataBuffer) - transport.offset + transport._tempDataLen  # noqa: SLF001 - no public name
    return size


def in_kernel(socket: FileDescriptor) -> int:
    """
    How many bytes the kernel has not delivered to the client's kernel yet.

    Zero where it cannot say.
    """
    if ioctl is None:  # pragma: no cover - Windows
        return 0
    try:
        answer = ioctl(socket.fileno(), TIOCOUTQ, b"\0\0\0\0")
    except (OSError, ValueError):
        return 0
    size: int = struct.unpack("i", answer)[0]
    return size
