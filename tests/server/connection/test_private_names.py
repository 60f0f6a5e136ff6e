"""
The private names of Twisted that this library uses exist, and are of the expected kind.

If a new Twisted renames one, a test fails here, and no stream of a user.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from twisted.internet.abstract import FileDescriptor
from twisted.internet.defer import DebugInfo, Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import CertificateOptions
from twisted.internet.task import Clock
from twisted.internet.tcp import Connection, Server
from twisted.internet.testing import StringTransport
from twisted.protocols import tls
from twisted.scripts import twistd
from twisted.trial.unittest import SynchronousTestCase
from twisted.web._http2 import H2Connection, H2Stream
from twisted.web._newclient import TransportProxyProducer
from twisted.web.http import HTTPChannel
from twisted.web.http_headers import Headers
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

import twistream


def http_channel() -> HTTPChannel:
    protocol: Any = Site(Resource(), reactor=Clock()).buildProtocol(None)
    protocol.makeConnection(StringTransport())
    channel: HTTPChannel = protocol._channel
    return channel


def tls_transport() -> Any:
    factory: Any = tls.TLSMemoryBIOFactory(
        CertificateOptions(), True, Factory.forProtocol(Protocol), Clock()
    )
    protocol = factory.buildProtocol(None)
    protocol.makeConnection(StringTransport())
    return protocol


def h2_connection() -> Any:
    connection: Any = H2Connection(reactor=Clock())
    connection.requestFactory = Request
    connection.makeConnection(StringTransport())
    return connection


def h2_stream() -> Any:
    connection = h2_connection()
    stream = H2Stream(1, connection, [], Request, Site(Resource(), reactor=Clock()), None)
    stream._request.content.close()  # A file, because the length of the body is not known.
    return stream


def upstream_transport() -> TransportProxyProducer:
    return TransportProxyProducer(StringTransport())


def request() -> Request:
    return Request(http_channel(), False)


# The name, where it is found, and what it is there.
NAMES: dict[
    str, tuple[Callable[[], object], type | tuple[type, ...] | Callable[[object], bool]]
] = {
    "_cleanup": (request, callable),
    "_disconnected": (request, bool),
    "_encoder": (request, type(None)),
    "_inFakeHead": (request, bool),
    "_rawHeaders": (Headers, dict),
    "_waitingForTransport": (http_channel, bool),
    "_networkProducer": (http_channel, IPushProducer.providedBy),
    "_conn": (h2_stream, H2Connection),
    "_consumerBlocked": (h2_connection, type(None)),
    "_bufferedControlFrames": (h2_connection, lambda found: not found and hasattr(found, "append")),
    "_tryToWriteControlData": (h2_connection, callable),
    "_requestDone": (h2_connection, callable),
    "_tempDataBuffer": (lambda: FileDescriptor(Clock()), list),  # type: ignore[arg-type]  # any clock
    "_tempDataLen": (lambda: FileDescriptor(Clock()), int),  # type: ignore[arg-type]  # any clock
    "_writeDisconnected": (lambda: Server, bool),
    "_aborting": (lambda: Connection, bool),
    "_lostTLSConnection": (tls_transport, bool),
    "_appSendBuffer": (tls_transport, list),
    "_aggregator": (tls_transport, tls._AggregateSmallWrites),
    "_buffer": (lambda: tls_transport()._aggregator, list),
    "_AggregateSmallWrites": (lambda: tls, type),
    "_producer": (upstream_transport, IPushProducer.providedBy),
    "_debugInfo": (Deferred, (DebugInfo, type(None))),
    "_SomeApplicationRunner": (lambda: twistd, type),
    "_getLogObserver": (lambda: vars(twistd)["_SomeApplicationRunner"].loggerFactory, callable),
}


def source() -> Iterator[tuple[Path, ast.Module]]:
    folder = Path(twistream.__file__).parent
    for path in folder.rglob("*.py"):
        yield path.relative_to(folder), ast.parse(path.read_text())


def foreign_private_names(tree: ast.Module) -> set[str]:
    """
    The private names that are used of anything but ``self`` and ``cls``, or imported.
    """
    own = {
        node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)
    } | {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id in ("self", "cls")
    }
    found = set()
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name):
                found.add(name)
            case ast.ImportFrom(module=module, names=names) if (module or "").startswith(
                "twisted."
            ):
                found |= {alias.name for alias in names}
            case ast.Subscript(slice=ast.Constant(value=str() as name)):
                found.add(name)
    return {name for name in found - own if name.startswith("_") and not name.startswith("__")}


class PrivateNameTests(SynchronousTestCase):
    """
    The table of names, against Twisted and against the code.
    """

    def test_each_name_exists_and_is_of_the_expected_kind(self) -> None:
        for name, (where, kind) in NAMES.items():
            holder = where()
            self.assertTrue(hasattr(holder, name), name)
            found = getattr(holder, name)
            if isinstance(kind, type | tuple):
                self.assertIsInstance(found, kind, name)
            else:
                self.assertTrue(kind(found), (name, found))

    def test_the_code_uses_only_these_names_in_few_places(self) -> None:
        used: dict[str, set[str]] = {}
        for path, tree in source():
            for name in foreign_private_names(tree):
                used.setdefault(name, set()).add(str(path.parent))
        self.assertEqual(sorted(set(used) - set(NAMES)), [])
        self.assertEqual(sorted(set(NAMES) - set(used)), [])
        folders = {folder for name in used for folder in used[name]}
        self.assertEqual(folders, {"server/connection", "scheduling", "service"})

    def test_no_name_is_looked_up_with_a_default(self) -> None:
        for path, tree in source():
            for node in ast.walk(tree):
                match node:
                    case ast.Call(
                        func=ast.Name(id="getattr"), args=[_, ast.Constant(value=name), _]
                    ):
                        private = str(name).startswith("_") and not str(name).startswith("__")
                        self.assertFalse(private, (path, name))
