"""
What --listen accepts, and the messages for what it does not.
"""

import os
import socket
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import endpoints
from twisted.internet.interfaces import IStreamServerEndpointStringParser
from twisted.internet.testing import MemoryReactorClock
from twisted.plugin import getPlugins
from twisted.python.systemd import ListenFDs
from twisted.python.usage import UsageError
from twisted.trial.unittest import SynchronousTestCase

from tests.e2e.net import pem
from tests.service.folder import InFolder
from twistream.service.endpoints import parse_address

EXAMPLE = "(use an endpoint such as tcp:8080:interface=127.0.0.1)"
UNIX = "(use an endpoint such as unix:/run/app.sock:mode=660)"
COLON = r"write each colon within a value as \:, in quotes, as in 'tcp6:8080:interface=\:\:1'"
TCP = "; the parameters of tcp are port, interface, backlog"

DH = """-----BEGIN DH PARAMETERS-----
nonsense
-----END DH PARAMETERS-----
"""


def internals(message: str) -> list[str]:
    """
    Words of Python that mean nothing to the person at the command line.
    """
    words = (
        *("argument", "NoneType", "object", "index out of range", "attribute", "StopIteration"),
        *("literal", "self", "_parse", "C int", "Traceback", "Error:", "module", "[("),
    )
    return [word for word in words if word in message]


class EndpointTests(InFolder):
    """
    The current folder of each test has certificates.
    """

    def setUp(self) -> None:
        super().setUp()
        self.key, self.certificate = pem()
        for name, content in (
            ("key.pem", self.key),
            ("cert.pem", self.certificate),
            ("both.pem", self.key + self.certificate),
            ("bad.pem", b"nonsense"),
            ("binary.pem", b"\xff\x00"),
            ("dh.pem", DH.encode()),
        ):
            Path(name).write_bytes(content)
        Path("folder").mkdir()

    def error(self, text: str) -> str:
        """
        Why an address is refused, in one line.
        """
        error = self.assertRaises(UsageError, parse_address, MemoryReactorClock(), text)
        start, message = f"--listen {text}: ", str(error)
        self.assertTrue(message.startswith(start), message)
        self.assertNotIn("\n", message)
        reason = message.removeprefix(start)
        self.assertEqual(internals(reason), [], message)
        return reason

    def assert_refused(self, *table: tuple[str, str]) -> None:
        for text, reason in table:
            self.assertEqual(self.error(text), reason, text)

    def test_right_addresses(self) -> None:
        for text in (
            *("tcp:80", "tcp:80:interface=127.0.0.1", "tcp:port=80:backlog=5", "tcp:80::5"),
            *("tcp6:80", r"tcp6:80:interface=\:\:1", "unix:new.sock", r"unix:a\:b:mode=660"),
            *("ssl:443:privateKey=both.pem", "ssl:443:privateKey=key.pem:certKey=cert.pem"),
            *("ssl:443:key.pem:cert.pem", "ssl:443:privateKey=both.pem:extraCertChain=cert.pem"),
            *("haproxy:tcp:80", "HAProxy:ssl:443:privateKey=both.pem", "stdio"),
        ):
            self.assertEqual(parse_address(MemoryReactorClock(), text).text, text)

    def test_an_address_of_no_known_type(self) -> None:
        known = ", ".join(
            sorted(
                {"tcp", "unix", "ssl"}
                | {parser.prefix for parser in getPlugins(IStreamServerEndpointStringParser)}
            )
        )
        for text, kind in (
            *(("", ""), (":", ""), ("=", "="), ("fd:3", "fd"), ("onion:80", "onion")),
            *(("tcp=80", "tcp=80"), ("haproxy:fd:3", "fd"), ("a=b:c", "a=b")),
        ):
            reason = f"unknown endpoint type {kind!r}; known are {known}"
            self.assertEqual(self.error(text), reason)

    def test_an_address_in_another_form(self) -> None:
        for text, meant in (
            ("8080", "tcp:8080:interface=127.0.0.1"),
            (":8080", "tcp:8080:interface=127.0.0.1"),
            ("localhost:8080", "tcp:8080:interface=127.0.0.1"),
            ("127.0.0.1:8080", "tcp:8080:interface=127.0.0.1"),
            ("http://localhost:8080/", "tcp:8080:interface=127.0.0.1"),
            ("http://192.0.2.1", "tcp:80:interface=192.0.2.1"),
            ("0.0.0.0:80", "tcp:80"),
            ("*:80", "tcp:80"),
            ("[::1]:80", r"'tcp6:80:interface=\:\:1'"),
            ("https://localhost", "ssl:443:privateKey=key.pem:certKey=cert.pem"),
            ("https:8443", "ssl:8443"),
            ("http:80", "tcp:80"),
            ("TCP:80", "tcp:80"),
            ("tcpp:80:backlog=5", "tcp:80:backlog=5"),
            ("/run/app.sock", "unix:/run/app.sock"),
            ("haproxy:tpc:80", "haproxy:tcp:80"),
            ("./app.sock", "unix:./app.sock"),
        ):
            reason = self.error(text)
            self.assertRegex(reason, "^unknown endpoint type '.*'; did you mean ")
            self.assertEqual(reason.partition("did you mean ")[2], f"{meant}?", text)

    def test_wrong_parameters(self) -> None:
        self.assert_refused(
            ("tcp", f"the port is missing {EXAMPLE}"),
            ("tcp:", "the port is missing"),
            ("tcp6:", "the port is missing"),
            ("ssl::key.pem", "the port is missing"),
            ("unix", f"the address is missing {UNIX}"),
            ("haproxy", "the endpoint behind it is missing, as in haproxy:tcp:8080"),
            ("haproxy:", "the endpoint behind it is missing, as in haproxy:tcp:8080"),
            ("haproxy:tcp", f"the port is missing {EXAMPLE}"),
            ("tcp:http", f"'http' is not a number {EXAMPLE}"),
            (
                "tcp6:80:backlog=x",
                r"'x' is not a number (use an endpoint such as 'tcp6:8080:interface=\:\:1')",
            ),
            (
                "ssl:x:privateKey=both.pem",
                (
                    "'x' is not a number (use an endpoint such as "
                    "ssl:8443:privateKey=key.pem:certKey=cert.pem)"
                ),
            ),
            ("unix:x:mode=99", f"'99' is not an octal number {UNIX}"),
            ("tcp:80:interfce=x", f"unknown parameter 'interfce'{TCP}"),
            ("tcp:80:factory=x", f"unknown parameter 'factory'{TCP}"),
            ("tcp:=80", f"unknown parameter ''{TCP}"),
            ("tcp:80:a:5:b", f"too many parameters{TCP}"),
            ("tcp:80:port=80", r"port is given twice (write a colon within a value as \:)"),
            ("tcp:80:interface=::1", COLON),
            ("ssl:443:privateKey=both.pem:interface=::1", COLON),
            ("tcp\\", r"it ends with a backslash; write \\ for a backslash"),
        )

    def test_numbers_out_of_range(self) -> None:
        for port in (-1, 65536):
            for form in (
                *("tcp:{}", "tcp6:{}", "haproxy:tcp:{}", "tcp:port={}"),
                "ssl:{}:privateKey=both.pem",
            ):
                reason = f"the port must be from 0 to 65535, not {port}"
                self.assertEqual(self.error(form.format(port)), reason)
        for backlog in (-1, 2**31):
            for form in ("tcp:80:backlog={}", "unix:x:backlog={}"):
                reason = f"the backlog must be from 0 to 2147483647, not {backlog}"
                self.assertEqual(self.error(form.format(backlog)), reason)
        self.assert_refused(("unix:x:mode=1000", "the mode must be from 000 to 777, not 1000"))

    def test_a_unix_socket_that_cannot_be_made_leaves_no_lock_file(self) -> None:
        before = sorted(self.folder.iterdir())
        self.assert_refused(
            ("unix:", "the path of the socket is missing, as in unix:/run/app.sock"),
            ("unix:bad.pem", "bad.pem exists and is not a socket"),
            ("unix:folder", "folder exists and is not a socket"),
        )
        self.assertRegex(self.error(f"unix:{'x' * 108}"), r"^the path of a socket has at most \d+ ")
        self.assertEqual(sorted(self.folder.iterdir()), before)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("old.sock")
        parse_address(MemoryReactorClock(), "unix:old.sock")

    def test_certificates_that_cannot_be_used(self) -> None:
        here = self.folder
        missing = "no such file or directory"
        self.assert_refused(
            (
                "ssl:443",
                f"{here}/server.pem: {missing}; name the files with privateKey= and certKey=",
            ),
            ("ssl:443:privateKey=no.pem", f"{here}/no.pem: {missing}"),
            ("ssl:443:privateKey=key.pem:certKey=no.pem", f"{here}/no.pem: {missing}"),
            ("ssl:443:privateKey=both.pem:extraCertChain=no.pem", f"{here}/no.pem: {missing}"),
            ("ssl:443:privateKey=both.pem:dhParameters=no.pem", f"{here}/no.pem: {missing}"),
            ("ssl:443:privateKey=folder", f"{here}/folder: is a directory"),
            ("ssl:443:privateKey=bad.pem", "bad.pem contains no private key in PEM format"),
            ("ssl:443:privateKey=binary.pem", "binary.pem contains no private key in PEM format"),
            ("ssl:443:privateKey=cert.pem", "cert.pem contains no private key in PEM format"),
            ("ssl:443:privateKey=key.pem", "key.pem contains no certificate in PEM format"),
            (
                "ssl:443:privateKey=both.pem:dhParameters=bad.pem",
                "bad.pem contains no Diffie-Hellman parameters in PEM format",
            ),
            ("ssl:443:privateKey=both.pem:sslmethod=NOPE", "unknown sslmethod 'NOPE'; omit it"),
            (
                "ssl:443:privateKey=both.pem:sslmethod=Context",
                "unknown sslmethod 'Context'; omit it",
            ),
        )

    def test_certificates_that_openssl_refuses(self) -> None:
        Path("torn.pem").write_bytes(self.key[:200] + b"\n-----END PRIVATE KEY-----\n")
        torn = Path("torn.pem").read_bytes()
        Path("locked.pem").write_bytes(torn.replace(b"PRIVATE", b"ENCRYPTED PRIVATE"))
        openssl = "^OpenSSL cannot use the key and certificate: [a-z ]+$"
        self.assertRegex(self.error("ssl:443:privateKey=torn.pem:certKey=cert.pem"), openssl)
        # Twisted reads these at the first connection.
        self.assertRegex(self.error("ssl:443:privateKey=both.pem:dhParameters=dh.pem"), openssl)
        self.assertEqual(
            self.error("ssl:443:privateKey=locked.pem:certKey=cert.pem"),
            "the passphrase of the private key is missing or wrong",
        )

    def test_a_folder_of_certificates(self) -> None:
        text = "tls:folder"
        if any(parser.prefix == "tls" for parser in getPlugins(IStreamServerEndpointStringParser)):
            parse_address(MemoryReactorClock(), text)
            self.assert_refused(
                ("tls:", "'' is not a folder of certificates in PEM files"),
                ("tls:both.pem", "'both.pem' is not a folder of certificates in PEM files"),
                ("tls:folder:99999", "the port must be from 0 to 65535, not 99999"),
            )
        else:
            self.assertRegex(self.error(text), "^unknown endpoint type 'tls'")

    def test_a_plugin_that_fails(self) -> None:
        for error, reason in (
            (IndexError("list index out of range"), "the parameters are not valid"),
            (TypeError("int() argument must be a string"), "the parameters are not valid"),
            (ValueError("no such onion"), f"no such onion {EXAMPLE}"),
        ):

            def parse(*_: object, error: Exception = error) -> None:
                raise error

            self.patch(endpoints, "_parseServer", parse)
            self.assertEqual(self.error("stdio"), reason)

    def test_any_wrong_address_is_a_message_without_python(self) -> None:
        words = st.sampled_from(
            [
                *":=\\[]/-0",
                "tcp",
                "tcp6",
                "unix",
                "ssl",
                "systemd",
                "haproxy",
                "tls",
                "INET",
                "80",
                "x",
                "privateKey=both.pem",
                "index=0",
                "name=",
                "mode=",
                "interface=",
                "backlog=",
                "99999",
            ]
        )

        @settings(database=None, max_examples=300)
        @given(st.lists(st.one_of(words, st.just(":")), max_size=8))
        def check(words: list[str]) -> None:
            text = "".join(words)
            try:
                parse_address(MemoryReactorClock(), text)
            except UsageError as err:
                self.assertEqual(internals(str(err)), [])

        check()


class SystemdTests(SynchronousTestCase):
    """
    Sockets that systemd passes
    """

    def error(self, text: str, environ: dict[str, str]) -> str:
        for name in ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES"):
            self.patch(os, "environ", {k: v for k, v in os.environ.items() if k != name})
        os.environ.update(environ)
        passed = ListenFDs.fromEnvironment(os.environ)
        parser: Any = next(
            parser
            for parser in getPlugins(IStreamServerEndpointStringParser)
            if parser.prefix == "systemd"
        )
        self.patch(type(parser), "_sddaemon", passed)
        error = self.assertRaises(UsageError, parse_address, MemoryReactorClock(), text)
        return str(error).removeprefix(f"--listen {text}: ")

    def test_outside_systemd(self) -> None:
        for text in ("systemd:INET:index=0", "systemd:UNIX:name=web", "haproxy:systemd:INET:0"):
            self.assertEqual(
                self.error(text, {}),
                "the socket must be passed by systemd, but LISTEN_FDS is not set",
            )

    def test_in_a_child_of_the_process_that_systemd_started(self) -> None:
        self.assertEqual(
            self.error("systemd:INET:index=0", {"LISTEN_FDS": "1", "LISTEN_PID": "1"}),
            "systemd passed its sockets to another process: LISTEN_PID is not this one's",
        )

    def test_a_socket_that_was_not_passed(self) -> None:
        passed = {
            "LISTEN_FDS": "2",
            "LISTEN_PID": str(os.getpid()),
            "LISTEN_FDNAMES": "web:admin",
        }
        for text in ("systemd:INET:index=2", "systemd:INET:name=wbe"):
            self.assertEqual(
                self.error(text, passed), "systemd passed no such socket; it passed web, admin"
            )

    def test_a_wrong_description(self) -> None:
        one = "it needs either an index or a name, as in systemd:INET:index=0"
        for text, reason in (
            ("systemd", one),
            ("systemd:INET", one),
            ("systemd:INET:index=0:name=web", one),
            ("systemd:TCP:index=0", "the domain of a socket is INET, INET6 or UNIX, not 'TCP'"),
            (
                "systemd:INET:index=x",
                "'x' is not a number (use an endpoint such as systemd:INET:index=0)",
            ),
        ):
            self.assertEqual(self.error(text, {}), reason)
