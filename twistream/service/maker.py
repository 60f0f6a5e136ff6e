"""
Create the service that ``twistd twistream`` runs.
"""

import gc
from typing import Any

from twisted.application.app import ServerOptions
from twisted.application.service import IService, MultiService
from twisted.internet.interfaces import IReactorTime
from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevel,
    PredicateResult,
)
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile
from twisted.scripts import twistd
from twisted.web.http import Request
from twisted.web.resource import IResource
from twisted.web.server import Site
from zope.interface import implementer, provider

from twistream.service.listening import ListeningService
from twistream.service.options import Options

_DEFAULT_THRESHOLDS = gc.get_threshold()
"""
Those of Python: this module is imported before the application, which may choose its own.
"""

_THRESHOLDS = 5_000, 10, 20
"""
Containers before a young collection, and collections of each generation before one of the next. The
defaults of Python 3.11 make a full collection of every 70,000 containers that remain, and those of 3.13
of every 200,000. 70,000 are the parts of a thousand streams, so clients that connect in a crowd hold up all others again and again.
"""


def makeService(options: Options) -> IService:  # noqa: N802 - IServiceMaker
    """
    Create the service from parsed options. Nothing is started yet.
    """
    site = _Site(options.root, options.access_log, options.reactor)
    service = _Service(options)
    ListeningService(site, options.addresses, options.reactor).setServiceParent(service)
    return service


class _Site(Site):
    """
    Logs requests to the access log only, and does not log its own start and stop.

    Without a file, Twisted's `Site` logs every request to the program's log. That costs
    more than a small response.
    """

    noisy = False

    def __init__(self, root: IResource, access_log: LogFile | None, reactor: IReactorTime) -> None:
        path = access_log.path if access_log else None
        super().__init__(root, logPath=path, reactor=reactor)
        self._access_log = access_log

    def logPrefix(self) -> str:  # noqa: N802 - Site
        return "twistream"

    def log(self, request: Request) -> None:
        if self._access_log is not None:
            super().log(request)

    def _openLogFile(self, path: str | bytes) -> LogFile:  # noqa: N802 - Site
        if self._access_log is None or self._access_log.closed:
            self._access_log = LogFile.fromFullPath(path)
        return self._access_log


@implementer(IService)
class _Service(MultiService):
    """
    The whole program. It hides debug messages in its log, unless ``--verbose`` is given.
    """

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._options = options

    def setServiceParent(self, parent: Any) -> None:  # noqa: N802 - IService
        """
        Set the log observer of the application, which twistd reads after this call.
        """
        program = self._options.parent
        if (
            not self._options["verbose"]
            and isinstance(program, ServerOptions)
            and program["logger"] is None
            and isinstance(parent, Componentized)
        ):
            parent.setComponent(
                ILogObserver, FilteringLogObserver(_observer_of(program), [without_debug])
            )
        super().setServiceParent(parent)

    def startService(self) -> None:  # noqa: N802 - IService
        super().startService()
        self._options.reactor.callWhenRunning(_tune_collector)


def _tune_collector() -> None:
    """
    Exempt everything that exists now from garbage collection, and make full collections rare.

    Most of what exists was imported and lives as long as the process, and a full collection that
    visits it delays all responses by some 15 milliseconds.
    """
    gc.collect()
    gc.freeze()
    if gc.get_threshold() == _DEFAULT_THRESHOLDS:
        gc.set_threshold(*_THRESHOLDS)


def _observer_of(program: ServerOptions) -> ILogObserver:
    """
    The observer that twistd uses by default: for the terminal, a file or syslog.
    """
    # Twisted has no public name for this.
    runner: Any = vars(twistd)["_SomeApplicationRunner"]
    observer: ILogObserver = runner.loggerFactory(program)._getLogObserver()  # noqa: SLF001 - no public name
    return observer


@provider(ILogFilterPredicate)
def without_debug(event: LogEvent) -> Any:
    """
    Hide debug events. Events without a level come from Twisted's older log, and pass.
    """
    if event.get("log_level") is LogLevel.debug:
        return PredicateResult.no
    return PredicateResult.maybe
