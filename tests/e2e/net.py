"""
Real servers and clients on loopback, for the tests that need sockets.

A server stands in the test's own process and reactor; a client sees raw bytes and how
the connection ended. Every wait has a limit, so that a broken test fails and does not
hang.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from ipaddress import ip_address
from typing import Any
from weakref import WeakSet

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    SSL4ServerEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    wrapClientTLS,
)
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    PrivateCertificate,
    optionsForClientTLS,
)
from twisted.python.failure import Failure
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site

from tests.harness import Response, Responses
from twistream import Context, StreamResource

reactor: Any = _reactor

LIMIT = 20.0
"""
Seconds that anything here may take, on a machine that others use too.
"""


class Server:
    """
    A site on a free port of 127.0.0.1.

    Attributes:
        contexts: The contexts of the requests so far.
        protocols: What serves the connections so far.
    """

    def __init__(self, site: Site, port: Any, tls: bool) -> None:
        self.site = site
        self.port = port
        self.tls = tls
        self.number: int = port.getHost().port
        self.contexts: list[Context] = []
        self.protocols: WeakSet[Any] = WeakSet()

    def url(self, path: str = "/") -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.number}{path}"

    async def connect(self, alpn: bytes | None = None) -> "Client":
        """
        A new connection to this server.
        """
        endpoint: Any = TCP4ClientEndpoint(reactor, "127.0.0.1", self.number)
        if self.tls:
            authority = Certificate.loadPEM(pem()[1])
            options = optionsForClientTLS(
                "localhost",
                trustRoot=authority,
                acceptableProtocols=[alpn] if alpn else None,
            )
            endpoint = wrapClientTLS(options, endpoint)
        client: Client = await endpoint.connect(Factory.forProtocol(Client))
        return client

    async def get(self, request: bytes) -> "Client":
        """
        A new connection on which `request` was sent.
        """
        client = await self.connect()
        client.send(request)
        return client


@asynccontextmanager
async def serving(
    handler: Callable[[Context], Any] | IResource, *, tls: bool = False, **options: Any
) -> AsyncIterator[Server]:
    """
    Serve a handler, or a resource, at every path.
    """
    if IResource.providedBy(handler):
        root = handler
    else:
        stream = StreamResource(_remembering(handler, lambda: server), **options)
        root = Resource()
        root.getChild = lambda path, request: stream  # type: ignore[method-assign]  # only this root
    site = Site(root)
    if tls:
        certificate = PrivateCertificate.loadPEM(b"".join(pem()))
        context = CertificateOptions(
            privateKey=certificate.privateKey.original,
            certificate=certificate.original,
        )
        endpoint: Any = SSL4ServerEndpoint(reactor, 0, context, interface="127.0.0.1")
    else:
        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    build = site.buildProtocol

    def remember(address: Any) -> Any:
        protocol = build(address)
        server.protocols.add(protocol)
        return protocol

    site.buildProtocol = remember  # type: ignore[method-assign]  # only this site
    port = await endpoint.listen(site)
    server = Server(site, port, tls)
    try:
        yield server
    finally:
        await port.stopListening()
        for protocol in list(server.protocols):
            transport = protocol._channel.transport
            if transport is not None and transport.connected:
                transport.abortConnection()
        await pause(0)
        await pause(0)


def _remembering(handler: Any, server: Callable[[], Server]) -> Callable[[Context], Any]:
    def remembering(ctx: Context) -> Any:
        server().contexts.append(ctx)
        return handler(ctx)

    return remembering


class Client(Protocol):
    """
    Collects what it receives, and how the connection ended.

    Attributes:
        data: All bytes so far.
        reason: Why the connection ended, or None.
    """

    def __init__(self) -> None:
        self.data = b""
        self.reason: Failure | None = None
        self._waiting: list[tuple[Callable[[], bool], Deferred[None]]] = []

    def send(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def dataReceived(self, data: bytes) -> None:
        self.data += data
        self._look()

    def connectionLost(self, reason: Failure = None) -> None:  # type: ignore[assignment]  # always called with a reason
        self.reason = reason
        self._look()

    def _look(self) -> None:
        waiting, self._waiting = self._waiting, []
        for ready, deferred in waiting:
            if ready() or self.reason is not None:
                deferred.callback(None)
            else:
                self._waiting.append((ready, deferred))

    async def until(self, ready: Callable[[], bool]) -> bytes:
        """
        All data, once `ready` says so or the connection has ended.
        """
        if not ready() and self.reason is None:
            deferred: Deferred[None] = Deferred()
            self._waiting.append((ready, deferred))
            await deferred.addTimeout(LIMIT, reactor)
        return self.data

    async def holds(self, part: bytes) -> bytes:
        """
        All data, once `part` is in it.
        """
        data = await self.until(lambda: part in self.data)
        assert part in data, data
        return data

    def responses(self, *methods: str) -> list[Response]:
        """
        The data so far, as responses to requests of these methods.

        A connection that has ended in good order counts as closed, another one as reset.
        """
        received = Responses()
        for method in methods:
            received.expect(method)
        received.feed(self.data)
        if self.reason is not None:
            received.end(reset=not self.reason.check(ConnectionDone))
        return received.all

    def response(self, method: str = "GET") -> Response:
        """
        The data so far, as one response.
        """
        (response,) = self.responses(method)
        return response

    async def end(self) -> bytes:
        """
        All data, once the connection has ended.
        """
        data = await self.until(lambda: False)
        assert self.reason is not None
        return data

    def leave(self) -> None:
        """
        Close in good order.
        """
        assert self.transport is not None
        self.transport.loseConnection()

    def reset(self) -> None:
        """
        Close with RST.
        """
        self.transport.abortConnection()  # type: ignore[union-attr]  # a connected TCP transport has it

    def half_close(self) -> None:
        """
        Send no more, but go on reading.
        """
        self.transport.loseWriteConnection()  # type: ignore[union-attr]  # a connected TCP transport has it


def pause(seconds: float) -> Deferred[None]:
    """
    Let the reactor work.
    """
    deferred: Deferred[None] = Deferred()
    reactor.callLater(seconds, deferred.callback, None)
    return deferred


async def eventually(true: Callable[[], object]) -> None:
    """
    Wait until `true` says so.
    """
    limit = reactor.seconds() + LIMIT
    while not true():
        assert reactor.seconds() < limit, "it did not come true"
        await pause(0.002)


@cache
def pem() -> tuple[bytes, bytes]:
    """
    A key and a self-signed certificate for localhost, made for this run.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=24))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        certificate.public_bytes(serialization.Encoding.PEM),
    )
