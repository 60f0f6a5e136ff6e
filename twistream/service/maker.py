"""
The service that the options of ``twistd twistream`` describe.
"""

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


def makeService(options: Options) -> IService:  # noqa: N802 - IServiceMaker
    """
    Make a service of options that have been parsed. It starts nothing yet.
    """
    site = _Site(options.root, options.access_log, options.reactor)
    service = _Service(options)
    ListeningService(site, options.addresses, options.reactor).setServiceParent(service)
    return service


class _Site(Site):
    """
    Logs requests to one file or not at all, and says less about itself.

    That of Twisted writes them to the program's log if it has no file, at the cost of a
    log event for each, which is more than that of a small response.
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
    Sees to the log of the program that it becomes a part of.
    """

    def __init__(self, options: Options) -> None:
        super().__init__()
        self._options = options

    def setServiceParent(self, parent: Any) -> None:  # noqa: N802 - IService
        """
        Called with the application, which twistd asks for its log observer after this.
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


def _observer_of(program: ServerOptions) -> ILogObserver:
    """
    What twistd logs to where no application says otherwise: terminal, file or syslog.
    """
    # Twisted has no public name for what knows it.
    runner: Any = vars(twistd)["_SomeApplicationRunner"]
    observer: ILogObserver = runner.loggerFactory(program)._getLogObserver()  # noqa: SLF001 - as above
    return observer


@provider(ILogFilterPredicate)
def without_debug(event: LogEvent) -> Any:
    """
    Hides debug events. Those without a level come from the older log, and stay.
    """
    if event.get("log_level") is LogLevel.debug:
        return PredicateResult.no
    return PredicateResult.maybe
