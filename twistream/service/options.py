"""
The options of ``twistd twistream``.

What is wrong with one ends the program with one line and status 1, before anything is
started. twistd by itself would print all of the help first.
"""

import platform
from collections.abc import Sequence
from typing import Any

from twisted.copyright import version as twisted_version
from twisted.python import usage
from twisted.python.logfile import LogFile
from twisted.web.resource import IResource

from twistream._version import __version__
from twistream.service.application import load_application
from twistream.service.listening import Address, parse_address
from twistream.service.reasons import why_not

_DEFAULT_ADDRESS = "tcp:8080:interface=127.0.0.1"

_INTRODUCTION = """\
Serves a twisted.web application whose responses are streams: the demo of twistream, or
one of your own. Everything is logged to the terminal with twistd's -n, and without it,
as a daemon, to the file twistd.log. Ctrl-C ends it.
"""

_EXAMPLES = """\
An application is a name in a Python module, package.module:name. It can be
  a handler           async def app(ctx): ..., or any other function of one argument
  a resource          anything that a twisted.web Site can serve
  a factory           a function or class that is called without arguments and gives
                      a resource

Examples:
  twistd -n twistream
      the demo, on http://127.0.0.1:8080/
  twistd -n twistream --app app:root
      what is called root in the file app.py of this folder, at the same address
  twistd -n twistream --app app:root --listen tcp:80 --listen tcp6:80
      to everybody, over IPv4 and IPv6
  twistd -n twistream --listen ssl:8443:privateKey=key.pem:certKey=cert.pem
      over TLS, with HTTP/2 for clients that know it
  twistd -n twistream --listen unix:/run/app.sock
      behind a proxy on the same machine, which speaks HTTP/1.1 with it
  twistd --pidfile app.pid --logfile app.log twistream --app app:root
      as a daemon; kill $(cat app.pid) ends it
"""


class Options(usage.Options):
    """
    What can be asked for.

    Attributes:
        reactor: What it is served with.
        root: What is served.
        addresses: Where it is served.
        access_log: The open log of requests, if there is one. It is opened here, in the
            folder and with the rights that the command was given in; twistd may change
            both later.
    """

    synopsis = "[options]"
    # Twisted would fill it into one paragraph, examples and all: see `getUsage`.
    longdesc = ""

    optParameters = (  # noqa: N815 - as this and the next are called in Twisted
        ["app", None, "twistream.demo:make_root", "What to serve; see below."],
        [
            "access-log",
            None,
            None,
            "Log each request to this file when it has ended, in the combined format; rotated at 1 MB.",
        ],
    )
    optFlags = (  # noqa: N815 - as above
        ["verbose", "v", "Log debug lines too, such as one for each client that left early."],
    )
    compData = usage.Completions(  # noqa: N815 - as above
        descriptions={"listen": "address to serve on", "app": "application to serve"},
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
            reactor: What to listen with; if None the one that twistd has installed.
        """
        super().__init__()
        self.reactor = reactor
        self["listen"] = []

    # Twisted shows the docstrings of opt_ methods to users.

    def opt_listen(self, endpoint: str) -> None:
        """
        Serve on this endpoint of Twisted; can be given more than once. [default: tcp:8080:interface=127.0.0.1]
        """
        self["listen"].append(endpoint)

    def opt_version(self) -> None:
        """
        Display the versions of twistream, Twisted and Python, and exit.
        """
        print(  # noqa: T201 - what it is for
            f"twistream {__version__} (Twisted {twisted_version}, "
            f"Python {platform.python_version()})"
        )
        raise SystemExit(0)

    def parseArgs(self, *args: str) -> None:  # noqa: N802 - Options
        if args:
            msg = f"unexpected argument {args[0]}; an application is named with --app"
            raise usage.UsageError(msg)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:  # noqa: N802 - Options
        """
        See `twisted.python.usage.Options`.

        Raises:
            SystemExit: Something is wrong; with a message of one line, so that Python
                prints it and ends with status 1.
        """
        try:
            super().parseOptions(options)
        except usage.UsageError as err:
            msg = f"twistream: {err}"
            raise SystemExit(msg) from err

    def postOptions(self) -> None:  # noqa: N802 - Options
        if self.reactor is None:
            # Not earlier: twistd has installed the one of its --reactor by now.
            from twisted.internet import reactor  # noqa: PLC0415 - see above

            self.reactor = reactor
        addresses = self["listen"] or [_DEFAULT_ADDRESS]
        self.addresses = [parse_address(self.reactor, text) for text in addresses]
        self.root = load_application(self["app"])
        self.access_log = self._open_access_log(self["access-log"])

    def _open_access_log(self, path: str | None) -> LogFile | None:
        if path is None:
            return None
        try:
            log: LogFile = LogFile.fromFullPath(path)
        except OSError as err:
            msg = f"--access-log {path}: {why_not(err)}"
            raise usage.UsageError(msg) from err
        return log

    def getUsage(self, width: int | None = None) -> str:  # noqa: N802 - Options
        return f"{_INTRODUCTION}\n{super().getUsage(width)}\n{_EXAMPLES}"
