"""
A test kit: a real server and its clients in one process, stepped by hand.

Nothing here waits for a reactor. A clock stands still until a test moves it, bytes are on a
wire in memory or on a socket until a test reads them, and h11 parses them as a client.
"""

from tests.harness.case import StreamTest
from tests.harness.client import Client, Headers, Server
from tests.harness.response import Ending, Response, Responses
from tests.harness.threads import SteppedPool, ThreadSteps, ThreadTest, end
from tests.harness.wires import MemoryWire, Steps, TCPWire

__all__ = (
    "Client",
    "Ending",
    "Headers",
    "MemoryWire",
    "Response",
    "Responses",
    "Server",
    "SteppedPool",
    "Steps",
    "StreamTest",
    "TCPWire",
    "ThreadSteps",
    "ThreadTest",
    "end",
)
