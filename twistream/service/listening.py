"""
The addresses that a site is served on, as one service of Twisted.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IListeningPort, IReactorCore, IStreamServerEndpoint
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.python.usage import UsageError
from twisted.web.server import Site

from twistream.service.reasons import why_not

_log = Logger(namespace="twistream")


@dataclass(frozen=True)
class Address:
    """
    An endpoint, and the words that it was asked for with.
    """

    text: str
    endpoint: IStreamServerEndpoint


def parse_address(reactor: Any, text: str) -> Address:
    """
    The endpoint that `text` describes, for example ``tcp:8080:interface=127.0.0.1``.

    Raises:
        UsageError: It describes none, in one line.
    """
    try:
        return Address(text, serverFromString(reactor, text))
    except Exception as err:
        # The parsers of Twisted let out whatever int(), open() or a call without an
        # argument raises; a plugin's parser may raise anything.
        reason = why_not(err)
        if isinstance(err, TypeError):
            # Without the name of the private function that was called.
            reason = reason.partition("() ")[2] or reason
        elif isinstance(err, OSError) and err.filename is not None:
            reason = f"{os.fsdecode(err.filename)}: {reason}"
        msg = f"--listen {text}: {reason} (an endpoint is for example tcp:8080:interface=127.0.0.1)"
        raise UsageError(msg) from err


class CannotListen(SystemExit, Exception):
    """
    An address cannot be listened on, so the program ends, with status 1.

    It is an `Exception`, because that is what twistd catches to remove its pid file, and
    to tell the parent of a daemon, which waits for ever if it is not told. And it is a
    `SystemExit`, because Python ends on one without a traceback.
    """

    def __init__(self, address: Address, error: BaseException | None) -> None:
        message = f"twistream: cannot listen on {address.text}: {why_not(error)}"
        super().__init__(message)
        # Printed by Python if it were a str; but it is in the log already.
        self.code = 1
        # The parent of a daemon is told the last line of the formatted exception, and the
        # first 100 bytes of it: room for the message, not for the name of this class too.
        self.add_note(message)


class ListeningService(Service):
    """
    Listens on each of some addresses, or on none.
    """

    def __init__(self, site: Site, addresses: Sequence[Address], reactor: IReactorCore) -> None:
        self._site = site
        self._addresses = addresses
        self._reactor = reactor
        self._ports: list[Deferred[IListeningPort | None]] = []
        self._error: CannotListen | None = None

    def privilegedStartService(self) -> None:  # noqa: N802 - IService
        """
        Listen, while the process may still have the privileges that a low port needs.

        Raises:
            CannotListen: An address cannot be listened on. Nothing is listened on then.
        """
        super().privilegedStartService()
        self._error = None
        for address in self._addresses:
            port: Deferred[Any] = maybeDeferred(address.endpoint.listen, self._site)
            self._ports.append(port.addErrback(self._failed, address))
            if self._error is not None:
                self._stop_listening()
                raise self._error

    def startService(self) -> None:  # noqa: N802 - IService
        """
        Say what is served, once it is.

        Raises:
            CannotListen: As `privilegedStartService`, where that has not been called.
        """
        if not self._ports:
            self.privilegedStartService()
        super().startService()
        for port in self._ports:
            port.addCallback(self._announce)

    def stopService(self) -> Deferred[None]:  # noqa: N802 - IService
        """
        Stop listening. Connections that are open stay so.
        """
        super().stopService()
        return self._stop_listening()

    def _failed(self, failure: Failure, address: Address) -> None:
        if failure.check(CancelledError):
            return
        error = CannotListen(address, failure.value)
        _log.critical("{error}", error=str(error))
        if self.running:
            # Only the endpoints of plugins take so long. The program ends, but with status 0:
            # twistd has no way to be told otherwise once its reactor runs.
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


def url_of(port: IListeningPort) -> str:
    """
    Where a client on this machine finds what is served on `port`.
    """
    host = port.getHost()
    if isinstance(host, UNIXAddress):
        return f"the unix socket {(host.name or b'').decode(errors='replace')}"
    if not isinstance(host, IPv4Address | IPv6Address):
        return str(host)
    scheme = "https" if _is_tls(port) else "http"
    # Nobody can connect to the wildcard address by that name everywhere.
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host.host, host.host)  # noqa: S104 - named, not bound
    shown = f"[{name}]" if ":" in name else name
    more = "" if name == host.host else " and on every other address of this machine"
    return f"{scheme}://{shown}:{host.port}/{more}"


def _is_tls(port: IListeningPort) -> bool:
    factory = getattr(port, "factory", None)
    while isinstance(factory, WrappingFactory):
        if isinstance(factory, TLSMemoryBIOFactory):
            return True
        factory = cast("object", factory.wrappedFactory)
    return False
