"""
The service listens on all addresses or on none, and logs where it serves.
"""

import socket
from errno import EADDRINUSE
from typing import Any

from twisted.internet import tcp
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.ssl import CertificateOptions
from twisted.internet.stdio import PipeAddress
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site
from zope.interface import implementer

from twistream.service.endpoints import Address, parse_address
from twistream.service.listening import (
    CannotListen,
    ListeningService,
    limit_accepts,
    url_of,
)

IN_USE = CannotListenError("127.0.0.1", 80, OSError(EADDRINUSE, "Address already in use"))


@implementer(IListeningPort)
class Port:
    """
    A fake of an open port.
    """

    def __init__(self, host: Any = None, factory: Any = None) -> None:
        self.host = host or IPv4Address("TCP", "127.0.0.1", 8080)
        self.factory = factory
        self.open = True
        self.closing: Deferred[None] = Deferred()

    def startListening(self) -> None:
        raise NotImplementedError

    def stopListening(self) -> Deferred[None]:
        self.open = False
        return self.closing

    def getHost(self) -> Any:
        return self.host


@implementer(IStreamServerEndpoint)
class Endpoint:
    """
    Returns the given Deferred from `listen`.
    """

    def __init__(self, port: Deferred[Any]) -> None:
        self.port = port
        self.calls = 0

    def listen(self, protocolFactory: Any) -> Deferred[Any]:  # noqa: ARG002, N803 - its interface
        self.calls += 1
        return self.port


class ListeningTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.log: list[LogEvent] = []
        observer: Any = self.log.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def service(self, *ports: Deferred[Any]) -> ListeningService:
        self.endpoints = [Endpoint(port) for port in ports]
        addresses = [Address(f"fake:{n}", endpoint) for n, endpoint in enumerate(self.endpoints)]
        return ListeningService(self.site(), addresses, self.reactor)

    def site(self) -> Site:
        return Site(Resource(), reactor=self.reactor)

    def lines(self, level: str) -> list[str]:
        return [formatEvent(e) for e in self.log if e["log_level"].name == level]

    def test_it_listens_with_privileges_and_logs_the_addresses_once_it_serves(self) -> None:
        service = self.service(succeed(Port()), succeed(Port(IPv4Address("TCP", "10.0.0.1", 81))))
        service.privilegedStartService()
        self.assertEqual([e.calls for e in self.endpoints], [1, 1])
        self.assertEqual(self.lines("info"), [])
        service.startService()
        self.assertEqual([e.calls for e in self.endpoints], [1, 1])
        self.assertEqual(
            self.lines("info"),
            [
                "twistream: serving on http://127.0.0.1:8080/",
                "twistream: serving on http://10.0.0.1:81/",
            ],
        )

    def test_without_privileges_it_listens_when_it_starts(self) -> None:
        service = self.service(succeed(Port()))
        service.startService()
        self.assertEqual(self.endpoints[0].calls, 1)
        self.assertEqual(len(self.lines("info")), 1)

    def test_it_listens_with_the_reactor(self) -> None:
        address = parse_address(self.reactor, "tcp:8080:interface=127.0.0.1")
        site = self.site()
        ListeningService(site, [address], self.reactor).startService()
        [(port, factory, _, interface)] = self.reactor.tcpServers
        self.assertEqual((port, factory, interface), (8080, site, "127.0.0.1"))

    def test_it_stops_when_all_ports_are_closed(self) -> None:
        ports = [Port(), Port()]
        service = self.service(*map(succeed, ports))
        service.startService()
        stopping = service.stopService()
        self.assertEqual([port.open for port in ports], [False, False])
        ports[0].closing.callback(None)
        self.assertNoResult(stopping)
        ports[1].closing.callback(None)
        self.assertIsNone(self.successResultOf(stopping))
        self.assertFalse(service.running)

    def test_it_can_start_again(self) -> None:
        port = Port()
        service = self.service(succeed(port))
        service.startService()
        port.closing.callback(None)
        self.successResultOf(service.stopService())
        self.endpoints[0].port = succeed(Port())
        service.startService()
        self.assertEqual(self.endpoints[0].calls, 2)
        self.assertEqual(len(self.lines("info")), 2)

    def test_one_address_that_fails_closes_the_others(self) -> None:
        first, last = Port(), Port()
        service = self.service(succeed(first), fail(IN_USE), succeed(last))
        error = self.assertRaises(CannotListen, service.privilegedStartService)
        message = "twistream: cannot listen on fake:1: address already in use (see --listen)"
        self.assertEqual(str(error), message)
        self.assertEqual(self.lines("critical"), [message])
        self.assertEqual(self.lines("info"), [])
        self.assertFalse(first.open)
        self.assertEqual(self.endpoints[2].calls, 0)

    def test_it_can_start_after_a_failed_start(self) -> None:
        service = self.service(fail(IN_USE))
        self.assertRaises(CannotListen, service.startService)
        self.endpoints[0].port = succeed(Port())
        service.startService()
        self.assertEqual(len(self.lines("info")), 1)

    def test_an_endpoint_that_raises_fails(self) -> None:
        service = self.service(succeed(Port()))
        self.patch(self.endpoints[0], "listen", lambda _: 1 / 0)
        error = self.assertRaises(CannotListen, service.startService)
        self.assertIn("cannot listen on fake:0: division by zero", str(error))

    def test_its_error_exits_with_status_1_without_a_traceback_and_twistd_sees_it(self) -> None:
        error = CannotListen(Address("fake:0", Endpoint(Deferred())), IN_USE)
        self.assertIsInstance(error, SystemExit)
        self.assertIsInstance(error, Exception)
        self.assertEqual(error.code, 1)

    def test_an_endpoint_may_listen_later(self) -> None:
        waiting: Deferred[Any] = Deferred()
        service = self.service(waiting)
        service.startService()
        self.assertEqual(self.lines("info"), [])
        waiting.callback(Port())
        self.assertEqual(len(self.lines("info")), 1)

    def test_an_endpoint_that_fails_later_ends_the_program(self) -> None:
        waiting: Deferred[Any] = Deferred()
        self.service(waiting).startService()
        self.reactor.running = True
        waiting.errback(IN_USE)
        self.assertEqual(
            self.lines("critical"),
            ["twistream: cannot listen on fake:0: address already in use (see --listen)"],
        )
        self.assertTrue(self.reactor.hasStopped)

    def test_a_stop_cancels_a_pending_endpoint(self) -> None:
        service = self.service(Deferred())
        service.startService()
        self.successResultOf(service.stopService())
        self.assertEqual(self.log, [])

    def test_an_endpoint_without_a_port_can_be_stopped(self) -> None:
        service = self.service(succeed(None))
        service.startService()
        self.successResultOf(service.stopService())


class AcceptTests(SynchronousTestCase):
    """
    With real sockets, and without a reactor: the test calls `doRead` as a reactor does.
    """

    def test_a_crowd_is_accepted_a_few_at_a_time(self) -> None:
        made: list[int] = []

        class Refusing(Factory):
            noisy = False

            def buildProtocol(self, addr: object) -> None:  # noqa: ARG002 - Twisted's signature
                made.append(1)

        reactor: Any = MemoryReactorClock()
        port = tcp.Port(0, Refusing(), interface="127.0.0.1", reactor=reactor)
        self.assertIs(limit_accepts(port), port)
        port.startListening()
        self.addCleanup(port.connectionLost, Failure(ConnectionDone()))
        for _ in range(35):
            self.addCleanup(socket.create_connection(("127.0.0.1", port.getHost().port), 5).close)
        counts = []
        for _ in range(5):
            made.clear()
            port.doRead()
            counts.append(len(made))
        self.assertEqual(counts, [10, 10, 10, 5, 0])

    def test_other_ports_do_not_change(self) -> None:
        for other in (Port(), None):
            self.assertIs(limit_accepts(other), other)

    def test_the_service_does_it_for_its_ports(self) -> None:
        reactor: Any = MemoryReactorClock()
        port = tcp.Port(0, Factory(), interface="127.0.0.1", reactor=reactor)
        usual = port.doRead
        service = ListeningService(
            Site(Resource()), [Address("tcp:0", Endpoint(succeed(port)))], reactor
        )
        service.privilegedStartService()
        self.assertNotEqual(port.doRead, usual)


class URLTests(SynchronousTestCase):
    def test_the_url_is_one_that_a_client_can_use(self) -> None:
        everywhere = " and all other addresses of this machine"
        for host, url in (
            (IPv4Address("TCP", "127.0.0.1", 80), "http://127.0.0.1:80/"),
            (IPv4Address("TCP", "0.0.0.0", 80), f"http://127.0.0.1:80/{everywhere}"),  # noqa: S104 - shown only
            (IPv6Address("TCP", "fe80::1", 80), "http://[fe80::1]:80/"),
            (IPv6Address("TCP", "::", 80), f"http://[::1]:80/{everywhere}"),
            (UNIXAddress(b"/run/a.sock"), "the Unix socket /run/a.sock"),
            (PipeAddress(), "standard input and output"),
            ("somewhere", "somewhere"),
        ):
            self.assertEqual(url_of(Port(host)), url)

    def test_tls_is_https(self) -> None:
        site = Site(Resource(), reactor=MemoryReactorClock())
        self.assertEqual(url_of(Port(factory=site)), "http://127.0.0.1:8080/")
        tls = TLSMemoryBIOFactory(CertificateOptions(), False, site)
        self.assertEqual(url_of(Port(factory=tls)), "https://127.0.0.1:8080/")
