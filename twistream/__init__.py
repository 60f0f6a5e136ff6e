"""
Stream HTTP responses from Twisted programs.
"""

from twistream._version import __version__
from twistream.errors import (
    BufferOverflow,
    ClientDisconnected,
    ContentLengthMismatch,
    EncodeError,
    HeadersSent,
    HTTPError,
    ResponseComplete,
    SendTimeout,
    SlowConsumer,
    StopStream,
    StreamAborted,
    StreamClosed,
    StreamError,
    StreamFinished,
)
from twistream.server.context import Context
from twistream.server.resource import Handler, StreamResource

__all__ = (
    "BufferOverflow",
    "ClientDisconnected",
    "ContentLengthMismatch",
    "Context",
    "EncodeError",
    "HTTPError",
    "Handler",
    "HeadersSent",
    "ResponseComplete",
    "SendTimeout",
    "SlowConsumer",
    "StopStream",
    "StreamAborted",
    "StreamClosed",
    "StreamError",
    "StreamFinished",
    "StreamResource",
    "__version__",
)
