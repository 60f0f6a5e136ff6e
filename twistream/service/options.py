"""
The options of ``twistd twistream``.

A wrong option ends the program with a short message and status 1, before anything is
started. By default, twistd would print the whole help text first.
"""

import platform
import re
from collections.abc import Sequence
from typing import Any

from twisted.copyright import version as twisted_version
from twisted.python import usage
from twisted.python.logfile import LogFile
from twisted.scripts import twistd
from twisted.web.resource import IResource

from twistream._version import __version__
from twistream.service.application import hint_for_form, load_application
from twistream.service.endpoints import Address, parse_address
from twistream.service.reasons import why_not

_DEFAULT_ADDRESS = "tcp:8080:interface=127.0.0.1"

_INTRODUCTION = """
Serve a web application whose responses are streams: your own, or the demo of twistream.
With -n, twistd runs in the foreground and logs to the terminal; press Ctrl-C to stop it.
Without -n, it runs as a daemon and logs to the file twistd.log.
"""

_EXAMPLES = """\
--app names an object in a Python module. Modules in the current folder are found first.
The object can be
  a handler     a function of one argument, such as: async def hello(ctx): ...
  a resource    anything that a twisted.web Site can serve
  a Klein       app = Klein(), or another object with a method resource() that returns one
  a factory     a function or class that takes no arguments and returns a resource or a Klein

Examples:
  twistd -n twistream
      Serve the demo on http://127.0.0.1:8080/.
  twistd -n twistream --app app:root
      Serve the object named root in the file app.py, on the same address.
  twistd -n twistream --app app:root --listen tcp:80 --listen tcp6:80
      Accept connections from other machines, over IPv4 and IPv6.
  twistd -n twistream --listen ssl:8443:privateKey=key.pem:certKey=cert.pem
      Use TLS, with HTTP/2 for clients that support it.
  twistd -n twistream --listen unix:/run/app.sock
      Listen on a Unix socket, for a proxy that speaks HTTP/1.1.
  twistd --pidfile app.pid --logfile app.log twistream --app app:root
      Run as a daemon. To stop it: kill $(cat app.pid)
"""


_TLS = "ssl:8443:privateKey=key.pem:certKey=cert.pem"

# What the options of other servers are called, and the address that does the same.
_ADDRESS_OPTIONS = {
    **dict.fromkeys(
        ("-p", "--port", "--host", "-b", "--bind", "--address", "--http"), _DEFAULT_ADDRESS
    ),
    **dict.fromkeys(
        ("--https", "--certfile", "--keyfile", "--ssl-certfile", "--ssl-keyfile"), _TLS
    ),
    **dict.fromkeys(("--unix", "--uds"), "unix:/run/app.sock"),
}


def _hint_for_option(message: str) -> str:
    """
    The end of a message about an option, which is Twisted's own.
    """
    found = re.match(r"option (-\S+) (not recognized|requires|must not)", message)
    if found is None:
        return ""
    option, known = found[1], _options_of_twistd()
    name = option.lstrip("-")
    if found[2] == "not recognized":
        if option in _ADDRESS_OPTIONS:
            return f"; use --listen, as in --listen {_ADDRESS_OPTIONS[option]}"
        if name in known.shortOpt.replace(":", "") or name in map(_long_name, known.longOpt):
            return "; it is an option of twistd, so put it before twistream"
    return "; see twistd twistream --help"


def _options_of_twistd() -> usage.Options:
    # Twisted's module has it for one platform or another, and does not declare it.
    options: usage.Options = vars(twistd)["ServerOptions"]()
    return options


def _long_name(option: str) -> str:
    return option.removesuffix("=")


class Options(usage.Options):
    """
    The options of the command.

    Attributes:
        reactor: The reactor that listens.
        root: The resource to serve.
        addresses: The addresses to listen on.
        access_log: The open access log, or None. It is opened here because twistd may
            change the folder and drop privileges later.
    """

    synopsis = "[options]"
    # Twisted would wrap it as one paragraph, including the examples. See `getUsage`.
    longdesc = ""

    optParameters = (  # noqa: N815 - as this and the next are called in Twisted
        [
            "app",
            None,
            "twistream.demo:make_root",
            "Serve this object, given as package.module:name; see below.",
        ],
        [
            "access-log",
            None,
            None,
            "Log each finished request to this file, in the combined log format. The file is rotated at 1 MB.",
        ],
    )
    optFlags = (  # noqa: N815 - as above
        [
            "verbose",
            "v",
            "Log debug messages too, such as one for each client that disconnects early.",
        ],
    )
    compData = usage.Completions(  # noqa: N815 - as above
        descriptions={"listen": "address to listen on", "app": "application to serve"},
        multiUse=["listen"],
        optActions={
            "access-log": usage.CompleteFiles("*.log", descr="access log"),
            "app": usage.Completer(descr="package.module\\:name"),
            "listen": usage.Completer(descr="endpoint"),
        },
    )

    reactor: Any
    root: IResource
    addresses: Sequence[Address]
    access_log: LogFile | None

    def __init__(self, reactor: Any = None) -> None:
        """
        Args:
            reactor: The reactor that listens. None is the one that twistd has installed.
        """
        super().__init__()
        self.reactor = reactor
        self["listen"] = []

    # Twisted shows the docstrings of opt_ methods in the help text.

    def opt_listen(self, endpoint: str) -> None:
        """
        Listen on this Twisted endpoint. Repeat the option to listen on several. [default: tcp:8080:interface=127.0.0.1]
        """
        self["listen"].append(endpoint)

    def opt_version(self) -> None:
        """
        Display the versions of twistream, Twisted and Python, and exit.
        """
        print(  # noqa: T201 - the purpose of the option
            f"twistream {__version__} (Twisted {twisted_version}, "
            f"Python {platform.python_version()})"
        )
        raise SystemExit(0)

    def parseArgs(self, *args: str) -> None:  # noqa: N802 - Options
        if args:
            [first, *_] = args
            use = f"; to serve it, use --app {first}"
            hint = use if ":" in first else f"; use --app package.module:name{hint_for_form(first)}"
            msg = f"unexpected argument {first}{hint}"
            raise usage.UsageError(msg)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:  # noqa: N802 - Options
        """
        See `twisted.python.usage.Options`.

        Raises:
            SystemExit: An option is wrong. Python prints the message and exits with status 1.
        """
        try:
            super().parseOptions(options)
        except usage.UsageError as err:
            msg = f"twistream: {err}{_hint_for_option(str(err))}"
            raise SystemExit(msg) from err

    def postOptions(self) -> None:  # noqa: N802 - Options
        if self.reactor is None:
            # twistd has installed the reactor of its --reactor option by now, not earlier.
            from twisted.internet import reactor  # noqa: PLC0415 - see above

            self.reactor = reactor
        addresses = self["listen"] or [_DEFAULT_ADDRESS]
        self.addresses = [parse_address(self.reactor, text) for text in addresses]
        self.root = load_application(self["app"])
        self.access_log = self._open_access_log(self["access-log"])

    def _open_access_log(self, path: str | None) -> LogFile | None:
        if path is None:
            return None
        if not path:
            msg = "--access-log must name a file"
            raise usage.UsageError(msg)
        try:
            log: LogFile = LogFile.fromFullPath(path)
        except OSError as err:
            msg = f"--access-log {path}: {why_not(err)}"
            raise usage.UsageError(msg) from err
        return log

    def getUsage(self, width: int | None = None) -> str:  # noqa: N802 - Options
        return f"{_INTRODUCTION}\n{super().getUsage(width)}\n{_EXAMPLES}"
