"""
UpstreamBody: the body of a response of another server, read with backpressure.

Works with the responses of `twisted.web.client` and of treq, and with any other `IResponse`.

Layer: connection, at the bottom.
"""

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


def check_unbuffered(response: object) -> None:
    """
    Refuse a response of treq that keeps its whole body in memory.

    Raises:
        ValueError: It was requested without ``unbuffered=True``.
    """
    while response is not None:
        if type(response).__name__ == "_BufferedResponse":
            msg = "treq keeps the body of this response in memory; request it with unbuffered=True"
            raise ValueError(msg)
        # The wrappers of treq and of `ContentDecoderAgent` have it.
        response = getattr(response, "original", None)


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
    try:
        response.deliverBody(body)
    except RuntimeError as err:
        msg = "the body of this response has been read already"
        raise RuntimeError(msg) from err
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
        complete = (
            (ResponseDone, PotentialDataLoss) if self._allow_close_delimited else ResponseDone
        )
        if isinstance(reason.value, complete):
            self._consumer.unregisterProducer()
            self.ended.callback(None)
        else:
            self.ended.errback(Failure(StreamTruncated(self._received, reason.value)))

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
        Close the connection at once, even if it is silent. After a complete body there is none to
        close.
        """
        transport = self.transport
        if isinstance(transport, TransportProxyProducer):
            transport = transport._producer  # noqa: SLF001 - the proxy cannot abort
        if has_methods(transport, "abortConnection"):
            transport.abortConnection()
        elif transport is not None:
            transport.stopProducing()
