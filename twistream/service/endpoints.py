"""
Parse the addresses of ``--listen``, and say clearly what is wrong with one.

Twisted's parsers pass on whatever `int`, `open` or a call with missing arguments raises.
"""

import os
import re
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from shlex import quote
from typing import Any, NoReturn

from OpenSSL import SSL, crypto
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import (
    IStreamServerEndpoint,
    IStreamServerEndpointStringParser,
)
from twisted.internet.protocol import Factory
from twisted.plugin import getPlugins
from twisted.python.usage import UsageError

from twistream.service.reasons import why_not

_EXAMPLE = "tcp:8080:interface=127.0.0.1"
_EXAMPLES = {
    "tcp6": r"'tcp6:8080:interface=\:\:1'",
    "unix": "unix:/run/app.sock:mode=660",
    "ssl": "ssl:8443:privateKey=key.pem:certKey=cert.pem",
    "tls": "tls:folder:8443",
    "systemd": "systemd:INET:index=0",
}
_PARTS = re.compile(r"(?:^|:)((?:\\.|[^:\\])*)", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

_PARAMETERS = {
    "tcp": ("port", "interface", "backlog"),
    "tcp6": ("port", "backlog", "interface"),
    "unix": ("address", "mode", "backlog", "lockfile"),
    "ssl": (
        *("port", "privateKey", "certKey", "sslmethod", "interface", "backlog"),
        *("extraCertChain", "dhParameters"),
    ),
    "tls": ("path", "port", "backlog", "interface"),
    "systemd": ("domain", "index", "name"),
}
"""
The parameters of Twisted's own endpoints, in the order in which they may be given without names.
"""


_LONGEST_PATH = 107 if sys.platform == "linux" else 103  # sun_path, unix(7)

_BUILT_IN = {"tcp", "unix", "ssl"}  # all others are plugins

# An address in the form of other servers: 8080, :8080, localhost:8080, [::1]:8080, or a URL.
_URL = re.compile(
    r"(?:(?:http|tcp|(?P<tls>https|tls))://)?"
    r"(?P<host>\[[0-9a-fA-F:.]+\]|[\w.*-]*)(?::(?P<port>\d+))?/?"
)
_EVERYWHERE = ("*", "0.0.0.0")  # noqa: S104 - compared with what was given
_HOSTS = {"": "127.0.0.1", "localhost": "127.0.0.1"}


@dataclass(frozen=True)
class Address:
    """
    An endpoint, and the text that describes it on the command line.
    """

    text: str
    endpoint: IStreamServerEndpoint


def parse_address(reactor: Any, text: str) -> Address:
    """
    Parse the description of an endpoint, such as ``tcp:8080:interface=127.0.0.1``.

    Raises:
        UsageError: The description is invalid, or names a file that cannot be used. The
            message is one line.
    """
    description = _Description(text)
    try:
        description.check()
        endpoint = serverFromString(reactor, text)
        description.rehearse()
    except Exception as err:
        # The parser of a plugin may raise anything.
        reason = str(err) if isinstance(err, UsageError) else description.reason(err)
        msg = f"--listen {text}: {reason}"
        raise UsageError(msg) from err
    return Address(text, endpoint)


@dataclass
class _Description:
    """
    The description of one endpoint, taken apart in the way of Twisted.

    Attributes:
        text: All of it.
        kind: The type of the endpoint, below any ``haproxy:``.
        values: Its parameters by name, if it is one of Twisted's own.
    """

    text: str
    kind: str = ""
    values: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._is_encrypted = False
        self._parts: list[str] = _PARTS.findall(self.text)
        self._is_wrapped = self._parts[0].lower() == "haproxy"
        while self._parts[0].lower() == "haproxy" and len(self._parts) > 1:
            del self._parts[0]
        self.kind, *rest = self._parts
        names = iter(_PARAMETERS.get(self.kind.lower(), ()))
        for part in rest:
            name, equals, value = part.partition("=")
            if not equals or name.endswith("\\"):
                # Twisted counts those that are too many.
                name, value = next(names, "port"), part
            self.values.setdefault(name, _ESCAPED.sub(r"\1", value))

    def check(self) -> None:
        """
        Look for the mistakes that Twisted reports badly, or not at all.
        """
        if _ESCAPED.sub("", self.text).endswith("\\"):
            _refuse(r"it ends with a backslash; write \\ for a backslash")
        if self.kind.lower() == "haproxy" or (self._is_wrapped and not self.kind):
            _refuse("the endpoint behind it is missing, as in haproxy:tcp:8080")
        plugins = {p.prefix.lower() for p in getPlugins(IStreamServerEndpointStringParser)}
        if self.kind not in _BUILT_IN and self.kind.lower() not in plugins:
            known = _BUILT_IN | plugins
            meant = self._meant(known)
            hint = (
                f"did you mean {quote(meant)}?"
                if meant
                else f"known are {', '.join(sorted(known))}"
            )
            _refuse(f"unknown endpoint type {self.kind!r}; {hint}")
        named = [i for i, part in enumerate(self._parts) if "=" in part]
        if named and "" in self._parts[named[0] :]:
            _refuse(rf"write each colon within a value as \:, in quotes, as in {_EXAMPLES['tcp6']}")
        names = _PARAMETERS.get(self.kind.lower())
        for name in self.values if names else ():
            if name not in (names or ()):
                _refuse(self._wrong_parameters(f"unexpected keyword argument '{name}'"))
        if names and self.values.get("port") == "":
            _refuse("the port is missing")
        checks: dict[str, Callable[[], None]] = {
            "ssl": self._check_certificates,
            "tls": self._check_folder,
            "systemd": self._check_systemd,
        }
        checks.get(self.kind.lower(), lambda: None)()

    def rehearse(self) -> None:
        """
        Listen without a socket, to check what the endpoint would pass to the reactor.
        """
        # OpenSSL would ask for a passphrase once more.
        if self.kind not in ("tcp", "tcp6", "unix", "ssl", "tls") or self._is_encrypted:
            return
        rehearsal = _Rehearsal()
        with suppress(Exception):
            serverFromString(rehearsal, self.text).listen(Factory()).addErrback(lambda _: None)
        if rehearsal.reason is not None:
            _refuse(rehearsal.reason)

    def reason(self, error: Exception) -> str:
        """
        Say why Twisted refuses it, in terms of the description.
        """
        if isinstance(error, SSL.Error | crypto.Error):
            locked = "the passphrase of the private key is missing or wrong"
            return locked if self._is_encrypted else _openssl_reason(error)
        if isinstance(error, OSError) and error.filename is not None:
            return f"{os.fsdecode(error.filename)}: {why_not(error)}"
        if isinstance(error, LookupError) and self.kind.lower() == "systemd":
            return self._no_socket()
        if isinstance(error, TypeError | LookupError | AttributeError | RuntimeError):
            return self._wrong_parameters(str(error))
        return f"{why_not(error)}{self._example()}"

    def _example(self) -> str:
        return f" (use an endpoint such as {_EXAMPLES.get(self.kind.lower(), _EXAMPLE)})"

    def _no_socket(self) -> str:
        # Twisted removes the other variables once it has taken the sockets.
        names = os.environ.get("LISTEN_FDNAMES")
        if "LISTEN_FDS" in os.environ:
            return "systemd passed its sockets to another process: LISTEN_PID is not this one's"
        if names is None:
            return "the socket must be passed by systemd, but LISTEN_FDS is not set"
        return f"systemd passed no such socket; it passed {names.replace(':', ', ')}"

    def _wrong_parameters(self, message: str) -> str:
        names = _PARAMETERS.get(self.kind.lower(), ())
        listed = f"; the parameters of {self.kind} are {', '.join(names)}" if names else ""
        if found := re.search(r"missing \d+ required .*?: '(\w+)'", message):
            return f"the {found[1]} is missing{self._example()}"
        if found := re.search(r"unexpected keyword argument '(.*?)'", message):
            return f"unknown parameter {found[1]!r}{listed}"
        if found := re.search(r"multiple values for argument '(.*?)'", message):
            if names and found[1] not in names:
                return f"unknown parameter {found[1]!r}{listed}"
            return rf"{found[1]} is given twice (write a colon within a value as \:)"
        if re.search(r"takes .* positional argument", message):
            return f"too many parameters{listed}"
        return f"the parameters are not valid{listed}"

    def _meant(self, known: set[str]) -> str | None:
        """
        The endpoint for an address in another form, or with a misspelt type.
        """
        url = _URL.fullmatch(self.text)
        if url and (found := _meant_by_url(url)):
            return found
        if self.text.startswith(("/", "./", "../")):
            return f"unix:{self.text}"
        kind = {"http": "tcp", "https": "ssl"}.get(self.kind.lower())
        matches = [kind] if kind else get_close_matches(self.kind.lower(), known, n=1)
        if not matches or "=" in self.kind:
            return None
        before, _, rest = self.text.partition(self.kind)
        return f"{before}{matches[0]}{rest}"

    def _check_certificates(self) -> None:
        key = self.values.get("privateKey", "server.pem")
        certificate = self.values.get("certKey", key)
        method = self.values.get("sslmethod")
        if method is not None and not (method.endswith("_METHOD") and hasattr(SSL, method)):
            _refuse(f"unknown sslmethod {method!r}; omit it")
        hint = (
            "" if "privateKey" in self.values else "; name the files with privateKey= and certKey="
        )
        for path, mark, kind in (
            (key, b" PRIVATE KEY-----", "private key"),
            (certificate, b" CERTIFICATE-----", "certificate"),
            (self.values.get("extraCertChain"), b" CERTIFICATE-----", "certificate"),
            (self.values.get("dhParameters"), b" DH PARAMETERS-----", "Diffie-Hellman parameters"),
        ):
            if path is None:
                continue
            content = _content(path, hint)
            if mark not in content:
                _refuse(f"{path} contains no {kind} in PEM format")
            if kind == "private key":
                self._is_encrypted = b"ENCRYPTED" in content

    def _check_folder(self) -> None:
        path = self.values.get("path")
        if path is not None and not (path and Path(path).is_dir()):
            _refuse(f"{path!r} is not a folder of certificates in PEM files")

    def _check_systemd(self) -> None:
        domain = self.values.get("domain", "INET")
        if not hasattr(socket, f"AF_{domain}"):
            _refuse(f"the domain of a socket is INET, INET6 or UNIX, not {domain!r}")
        if ("index" in self.values) == ("name" in self.values):
            _refuse("it needs either an index or a name, as in systemd:INET:index=0")


class _Rehearsal:
    """
    A reactor that only looks at what it should listen on.

    Attributes:
        reason: What is wrong, or None.
    """

    def __init__(self) -> None:
        self.reason: str | None = None

    def listenTCP(self, port: int, _: object, backlog: int = 50, interface: str = "") -> None:  # noqa: ARG002, N802 - IReactorTCP
        if not 0 <= port < 2**16:
            self.reason = f"the port must be from 0 to 65535, not {port}"
        elif not 0 <= backlog < 2**31:
            self.reason = f"the backlog must be from 0 to {2**31 - 1}, not {backlog}"

    def listenSSL(self, port: int, _: object, contextFactory: Any, **others: Any) -> None:  # noqa: N802, N803 - IReactorSSL
        self.listenTCP(port, _, **others)
        try:
            # The reactor does this at the first connection.
            contextFactory.getContext()
        except Exception as err:  # noqa: BLE001 - whatever it is, no client could connect
            self.reason = _openssl_reason(err) if isinstance(err, SSL.Error) else why_not(err)

    def listenUNIX(  # noqa: N802 - IReactorUNIX
        self,
        address: str,
        _: object,
        backlog: int,
        mode: int,
        **wantPID: object,  # noqa: ARG002, N803 - unused
    ) -> None:
        self.listenTCP(0, _, backlog)
        path = Path(address)
        # Twisted would create a lock file before it notices.
        if not address:
            self.reason = "the path of the socket is missing, as in unix:/run/app.sock"
        elif len(os.fsencode(address)) > _LONGEST_PATH:
            self.reason = f"the path of a socket has at most {_LONGEST_PATH} bytes"
        elif path.exists() and not path.is_socket():
            self.reason = f"{address} exists and is not a socket"
        elif not 0 <= mode <= 0o777:
            self.reason = f"the mode must be from 000 to 777, not {mode:o}"


def _meant_by_url(url: re.Match[str]) -> str | None:
    host, port = url["host"].strip("[]"), url["port"]
    if host.isdecimal() and port is None:
        host, port = "", host
    if url["tls"]:
        return f"ssl:{port or 443}:privateKey=key.pem:certKey=cert.pem"
    if ":" in host:
        return f"tcp6:{port or 80}:interface=" + host.replace(":", r"\:")
    if host in _EVERYWHERE:
        return f"tcp:{port or 80}"
    if (port and host in ("", "localhost")) or "." in host:
        return f"tcp:{port or 80}:interface={_HOSTS.get(host, host)}"
    return None


def _refuse(reason: str) -> NoReturn:
    raise UsageError(reason)


def _content(path: str, hint: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as err:
        msg = f"{Path(path).absolute()}: {why_not(err)}{hint}"
        raise UsageError(msg) from err


def _openssl_reason(error: Exception) -> str:
    """
    What OpenSSL says first, such as ``key values mismatch``.
    """
    [errors, *_] = error.args or [[]]
    reasons = [each[-1] for each in errors if each[-1]]
    return f"OpenSSL cannot use the key and certificate: {reasons[0] if reasons else 'unknown'}"
