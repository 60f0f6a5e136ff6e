"""
Stream HTTP responses from Twisted programs.
"""

from twistream._version import __version__
from twistream.channels import Channel, Hub, MemoryEngine, Run, RunState, Subscription
from twistream.errors import (
    BufferOverflow,
    ChannelClosed,
    ClientDisconnected,
    ContentLengthMismatch,
    DecodeError,
    EncodeError,
    HeadersSent,
    HTTPError,
    LimitExceeded,
    ResponseComplete,
    RunEnded,
    RunOverflow,
    SendTimeout,
    SlowConsumer,
    StopStream,
    StreamAborted,
    StreamClosed,
    StreamError,
    StreamFinished,
    StreamTruncated,
)
from twistream.server.context import Context
from twistream.server.events import EventStream
from twistream.server.exchange import Handler
from twistream.server.resource import StreamResource
from twistream.wire.messages import Message
from twistream.wire.sse import EventDecoder, ServerSentEvent

__all__ = (
    "BufferOverflow",
    "Channel",
    "ChannelClosed",
    "ClientDisconnected",
    "ContentLengthMismatch",
    "Context",
    "DecodeError",
    "EncodeError",
    "EventDecoder",
    "EventStream",
    "HTTPError",
    "Handler",
    "HeadersSent",
    "Hub",
    "LimitExceeded",
    "MemoryEngine",
    "Message",
    "ResponseComplete",
    "Run",
    "RunEnded",
    "RunOverflow",
    "RunState",
    "SendTimeout",
    "ServerSentEvent",
    "SlowConsumer",
    "StopStream",
    "StreamAborted",
    "StreamClosed",
    "StreamError",
    "StreamFinished",
    "StreamResource",
    "StreamTruncated",
    "Subscription",
    "__version__",
)
