"""
Stream HTTP responses from Twisted programs.
"""

from twistream.errors import (
    BufferOverflow,
    ClientDisconnected,
    ContentLengthMismatch,
    EncodeError,
    HeadersSent,
    HTTPError,
    ResponseComplete,
    SendTimeout,
    StopStream,
    StreamAborted,
    StreamClosed,
    StreamError,
    StreamFinished,
)
from twistream.server.context import Context
from twistream.server.resource import StreamResource

__all__ = (
    "BufferOverflow",
    "ClientDisconnected",
    "ContentLengthMismatch",
    "Context",
    "EncodeError",
    "HTTPError",
    "HeadersSent",
    "ResponseComplete",
    "SendTimeout",
    "StopStream",
    "StreamAborted",
    "StreamClosed",
    "StreamError",
    "StreamFinished",
    "StreamResource",
)
