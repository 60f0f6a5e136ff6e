"""
Responses of other servers: how they end, and how their connections are closed.

UpstreamBody: the body of such a response, as the producer of another response.

Works with the responses of `twisted.web.client` and of treq, and with any other `IResponse`. The
client reads them with the same functions.

Layer: connection, at the bottom.
"""

from collections.abc import Iterator
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web._newclient import ResponseDone, TransportProxyProducer
from twisted.web.http import PotentialDataLoss
from twisted.web.iweb import IResponse
from zope.interface import implementer

from twistream.checks import has_methods
from twistream.errors import StreamTruncated


def unwrapped(response: Any) -> Iterator[Any]:
    """
    Return a response and those that it wraps, from the outside.

    Raises:
        ValueError: treq keeps its whole body in memory: it was requested without
            ``unbuffered=True``.
    """
    while response is not None:
        if type(response).__name__ == "_BufferedResponse":
            msg = "treq keeps the body of this response in memory; request it with unbuffered=True"
            raise ValueError(msg)
        yield response
        # The wrappers of treq and of `ContentDecoderAgent` have it.
        response = getattr(response, "original", None)


def check_unbuffered(response: object) -> None:
    """
    Refuse a response of treq that keeps its whole body in memory.

    Raises:
        ValueError: It was requested without ``unbuffered=True``.
    """
    for _ in unwrapped(response):
        pass


def deliver(response: IResponse, body: Protocol) -> None:
    """
    Deliver the body of a response to a protocol.

    Raises:
        RuntimeError: The body has been read.
    """
    try:
        response.deliverBody(body)
    except RuntimeError as err:
        msg = "the body of this response has been read already; each body can be read once"
        raise RuntimeError(msg) from err


def truncation(
    reason: Failure, received: int, *, allow_close_delimited: bool
) -> StreamTruncated | None:
    """
    The error of a body that broke off; None if it is complete.

    Args:
        reason: Why its connection was lost.
        received: The number of bytes that were received.
        allow_close_delimited: A body that ends with its connection counts as complete.
    """
    complete = (ResponseDone, PotentialDataLoss) if allow_close_delimited else ResponseDone
    return None if isinstance(reason.value, complete) else StreamTruncated(received, reason.value)


def abort(transport: Any) -> None:
    """
    Close the connection of a body at once, even if it is silent.

    Args:
        transport: That of the protocol which receives the body. After a complete body it is None.
    """
    if isinstance(transport, TransportProxyProducer):
        transport = transport._producer  # noqa: SLF001 - the proxy cannot abort, and a TLS peer may not answer
    if has_methods(transport, "abortConnection"):
        transport.abortConnection()
    elif has_methods(transport, "loseConnection"):
        transport.loseConnection()
    elif transport is not None:
        transport.stopProducing()


def read_into(
    consumer: IConsumer, response: IResponse, *, allow_close_delimited: bool
) -> Deferred[None]:
    """
    Write the body of `response` into `consumer`. Pauses its connection when the consumer asks.

    Returns:
        Succeeds when the body is complete. Fails with `StreamTruncated` if it ends before.

    Raises:
        RuntimeError: The body has been read.
    """
    body = UpstreamBody(consumer, allow_close_delimited=allow_close_delimited)
    deliver(response, body)
    body.keep_pause()
    return body.ended


@implementer(IPushProducer)
class UpstreamBody(Protocol):
    """
    Receives a body, and is the producer of it.

    Attributes:
        ended: Fires when the body has ended.
    """

    transport: Any  # A proxy that Twisted's annotations do not describe.

    def __init__(self, consumer: IConsumer, *, allow_close_delimited: bool) -> None:
        """
        Args:
            allow_close_delimited: A body that ends with its connection counts as complete.
        """
        self.ended: Deferred[None] = Deferred()
        self._consumer: IConsumer = consumer
        self._allow_close_delimited = allow_close_delimited
        self._received = 0
        self._paused = False

    def connectionMade(self) -> None:  # noqa: N802 - IProtocol
        """
        See `twisted.internet.interfaces.IProtocol`.
        """
        self._consumer.registerProducer(self, streaming=True)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 - IProtocol
        """
        See `twisted.internet.interfaces.IProtocol`.
        """
        self._received += len(data)
        self._consumer.write(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802 - IProtocol
        """
        See `twisted.internet.interfaces.IProtocol`.
        """
        error = truncation(
            reason, self._received, allow_close_delimited=self._allow_close_delimited
        )
        if error is None:
            self._consumer.unregisterProducer()
            self.ended.callback(None)
        else:
            self.ended.errback(Failure(error))

    def keep_pause(self) -> None:
        """
        Pause again: after the delivery of its first bytes, Twisted resumes the connection.
        """
        if self._paused:
            self.transport.pauseProducing()

    def pauseProducing(self) -> None:  # noqa: N802 - IPushProducer
        """
        See `twisted.internet.interfaces.IPushProducer`.
        """
        self._paused = True
        self.transport.pauseProducing()

    def resumeProducing(self) -> None:  # noqa: N802 - IPushProducer
        """
        See `twisted.internet.interfaces.IPushProducer`.
        """
        self._paused = False
        self.transport.resumeProducing()

    def stopProducing(self) -> None:  # noqa: N802 - IPushProducer
        """
        Close the connection at once, even if it is silent.
        """
        abort(self.transport)
