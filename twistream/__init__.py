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
from twistream.server.threaded import BlockingHandler
from twistream.server.values import PartStream, ValueStream
from twistream.wire.compression import Compression
from twistream.wire.messages import Message
from twistream.wire.sse import EventDecoder, ServerSentEvent

__all__ = (
    "BlockingHandler",
    "BufferOverflow",
    "Channel",
    "ChannelClosed",
    "ClientDisconnected",
    "Compression",
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
    "PartStream",
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
    "ValueStream",
    "__version__",
)
