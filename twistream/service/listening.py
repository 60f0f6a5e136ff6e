"""
Listen on the addresses of ``--listen``, as one Twisted service.
"""

from collections.abc import Sequence
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.interfaces import IListeningPort, IReactorCore
from twisted.internet.stdio import PipeAddress
from twisted.internet.tcp import Port
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.web.server import Site

from twistream.service.endpoints import Address
from twistream.service.reasons import why_not

_log = Logger(namespace="twistream")

_ACCEPTS = 10
"""
Connections that a port accepts in one turn of the reactor. Twisted starts with 100, and accepts 20 more
each time. The requests of these connections then arrive in one turn, which holds up all other streams.
"""


class CannotListen(SystemExit, Exception):
    """
    Listening on an address failed; the program exits with status 1.

    twistd catches `Exception` to remove its pid file and to notify the waiting parent of a
    daemon, so this is an `Exception`. It is also a `SystemExit`, because Python exits on
    that without a traceback.
    """

    def __init__(self, address: Address, error: BaseException | None) -> None:
        message = f"twistream: cannot listen on {address.text}: {why_not(error)} (see --listen)"
        super().__init__(message)
        # Python would print a str, but the message is already in the log.
        self.code = 1
        # The parent of a daemon prints the first 100 bytes of the last line of the formatted
        # exception. A note puts the message on that line, without the name of this class.
        self.add_note(message)


class ListeningService(Service):
    """
    Listens on all addresses, or on none if one of them fails.
    """

    def __init__(self, site: Site, addresses: Sequence[Address], reactor: IReactorCore) -> None:
        self._site = site
        self._addresses = addresses
        self._reactor = reactor
        self._ports: list[Deferred[IListeningPort | None]] = []
        self._error: CannotListen | None = None

    def privilegedStartService(self) -> None:  # noqa: N802 - IService
        """
        Start listening, while the process still has the privileges that low ports require.

        Raises:
            CannotListen: Listening on an address failed. The other addresses are closed.
        """
        super().privilegedStartService()
        self._error = None
        for address in self._addresses:
            port: Deferred[Any] = maybeDeferred(address.endpoint.listen, self._site)
            port.addCallback(limit_accepts)
            self._ports.append(port.addErrback(self._failed, address))
            if self._error is not None:
                self._stop_listening()
                raise self._error

    def startService(self) -> None:  # noqa: N802 - IService
        """
        Log each address as soon as it accepts connections.

        Raises:
            CannotListen: Listening on an address failed. Only if `privilegedStartService`
                was not called before.
        """
        if not self._ports:
            self.privilegedStartService()
        super().startService()
        for port in self._ports:
            port.addCallback(self._announce)

    def stopService(self) -> Deferred[None]:  # noqa: N802 - IService
        """
        Stop listening. Open connections stay open.
        """
        super().stopService()
        return self._stop_listening()

    def _failed(self, failure: Failure, address: Address) -> None:
        if failure.check(CancelledError):
            return
        error = CannotListen(address, failure.value)
        _log.critical("{error}", error=str(error))
        if self.running:
            # Only endpoints from plugins fail this late. The program exits with status 0,
            # because twistd offers no way to change it once the reactor runs.
            self._reactor.callWhenRunning(self._reactor.stop)
        else:
            self._error = error

    def _announce(self, port: IListeningPort | None) -> IListeningPort | None:
        if port is not None:
            _log.info("twistream: serving on {url}", url=url_of(port))
        return port

    def _stop_listening(self) -> Deferred[None]:
        ports, self._ports = self._ports, []
        for waiting in ports:
            waiting.cancel()
            waiting.addCallback(
                lambda port: port.stopListening() if IListeningPort.providedBy(port) else None
            )
        return DeferredList(ports).addCallback(lambda _: None)


def limit_accepts(port: Any) -> Any:
    """
    Let a TCP or Unix port accept few connections in one turn. Returns the port; others do not change.
    """
    if isinstance(port, Port):
        do_read = port.doRead

        def read() -> object:
            # Twisted adapts the number after each turn.
            port.numberAccepts = _ACCEPTS
            return do_read()

        port.doRead = read  # type: ignore[method-assign]  # the reactor calls that of the object
    return port


def url_of(port: IListeningPort) -> str:
    """
    The URL at which a client on this machine reaches `port`.
    """
    host = port.getHost()
    if isinstance(host, UNIXAddress):
        return f"the Unix socket {(host.name or b'').decode(errors='replace')}"
    if isinstance(host, PipeAddress):
        return "standard input and output"
    if not isinstance(host, IPv4Address | IPv6Address):
        return str(host)
    scheme = "https" if _is_tls(port) else "http"
    # Not every system can connect to the wildcard address by that name.
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.host, host.host)  # noqa: S104 - shown, not bound
    shown = f"[{name}]" if ":" in name else name
    more = "" if name == host.host else " and all other addresses of this machine"
    return f"{scheme}://{shown}:{host.port}/{more}"


def _is_tls(port: IListeningPort) -> bool:
    factory = getattr(port, "factory", None)
    while isinstance(factory, WrappingFactory):
        if isinstance(factory, TLSMemoryBIOFactory):
            return True
        factory = cast("object", factory.wrappedFactory)
    return False
