"""
The service that twistd runs: what it serves, and what it logs.
"""

import gc
import sys
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.application.app import ServerOptions
from twisted.application.service import Application, IService, IServiceMaker
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import (
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    Logger,
    globalLogPublisher,
)
from twisted.plugin import IPlugin, getPlugins
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from tests.harness import Client, MemoryWire, Response
from twistream import service
from twistream.service import Options, makeService
from twistream.service.maker import without_debug


def handler(ctx: object) -> str:
    return "hello"


class Serving(SynchronousTestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name, "access.log")
        self.patch(sys, "path", [*sys.path])
        self.addCleanup(gc.set_threshold, *gc.get_threshold())
        self.reactor = MemoryReactorClock()

    def service(self, *arguments: str) -> Any:
        self.options = Options(self.reactor)
        self.options.parseOptions(["--app", f"{__name__}:handler", *arguments])
        return makeService(self.options)

    def get(self) -> Response:
        """
        The response of the site that the service listens with.
        """
        site: Any = self.reactor.tcpServers[-1][1]
        # As a port does when it starts.
        site.doStart()
        self.addCleanup(site.doStop)
        client = Client(site, self.reactor, MemoryWire(site))
        client.request(path="/path", headers={"Connection": "close"})
        return client.receive()


class ServiceTests(Serving):
    def test_it_is_a_service(self) -> None:
        verifyObject(IService, self.service())

    def test_making_it_starts_nothing(self) -> None:
        self.service()
        self.assertEqual(self.reactor.tcpServers, [])

    def test_the_application_is_served(self) -> None:
        self.service().startService()
        response = self.get()
        self.assertEqual((response.body, response.complete), (b"hello", True))

    def test_what_was_imported_is_frozen_once_the_reactor_runs(self) -> None:
        calls: list[str] = []
        self.patch(gc, "collect", lambda: calls.append("collect"))
        self.patch(gc, "freeze", lambda: calls.append("freeze"))
        self.service().startService()
        self.assertEqual(calls, [])
        self.reactor.run()
        self.assertEqual(calls, ["collect", "freeze"])

    def test_full_collections_are_rarer_once_the_reactor_runs(self) -> None:
        self.patch(gc, "freeze", lambda: None)
        before = gc.get_threshold()
        self.service().startService()
        self.assertEqual(gc.get_threshold(), before)
        self.reactor.run()
        young, middle, old = gc.get_threshold()
        # The defaults depend on the version of Python.
        self.assertGreater(young * middle * old, 2 * before[0] * before[1] * max(1, before[2]))

    def test_thresholds_of_the_application_are_kept(self) -> None:
        self.patch(gc, "freeze", lambda: None)
        for own in ((0, 10, 10), (900, 10, 10)):
            gc.set_threshold(*own)
            self.service().startService()
            self.reactor.run()
            self.assertEqual(gc.get_threshold(), own)

    def test_requests_are_not_logged_by_default(self) -> None:
        events: list[LogEvent] = []
        self.service().startService()
        observer: Any = events.append
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        self.get()
        self.assertEqual(events, [])

    def test_requests_are_logged_to_the_file(self) -> None:
        self.service("--access-log", str(self.path)).startService()
        self.get()
        [line] = self.path.read_text().splitlines()
        self.assertRegex(line, r'^"192\.168\.1\.1" - - \[.*\] "GET /path HTTP/1.1" 200 5 "-" "-"$')

    def test_the_access_log_is_reopened_after_a_stop(self) -> None:
        self.service("--access-log", str(self.path)).startService()
        [(_, site, _, _)] = self.reactor.tcpServers
        site.doStart()
        site.doStop()
        self.get()
        self.assertEqual(len(self.path.read_text().splitlines()), 1)

    def test_the_access_log_stays_the_file_that_was_opened_first(self) -> None:
        """
        twistd may have changed the root, the user or the mask since.
        """
        self.service("--access-log", str(self.path)).startService()
        moved = self.path.with_name("moved")
        self.path.rename(moved)
        self.get()
        self.assertEqual(len(moved.read_text().splitlines()), 1)


class LogTests(Serving):
    def logged(self, *arguments: str, program: Any) -> str:
        """
        The output for one debug and one info event.
        """
        output = StringIO()
        self.patch(sys, "stdout", output)
        service = self.service(*arguments)
        self.options.parent = program
        application: Any = Application("twistream")
        service.setServiceParent(application)
        observer = application.getComponent(ILogObserver, None)
        if observer is None:
            return "twistd's own"
        log = Logger(observer=observer)
        log.debug("a debug line")
        log.info("an info line")
        observer({"log_format": "a line of the older log"})
        return output.getvalue()

    def program(self, **options: object) -> ServerOptions:
        program = ServerOptions()
        program.update(nodaemon=True, **options)
        return program

    def test_debug_lines_are_hidden(self) -> None:
        logged = self.logged(program=self.program())
        self.assertNotIn("a debug line", logged)
        self.assertIn("an info line", logged)
        self.assertIn("a line of the older log", logged)

    def test_messages_go_to_the_log_file_of_twistd(self) -> None:
        self.logged(program=self.program(logfile=str(self.path)))
        self.assertIn("an info line", self.path.read_text())

    def test_nothing_is_changed_with_verbose(self) -> None:
        self.assertEqual(self.logged("--verbose", program=self.program()), "twistd's own")

    def test_a_custom_logger_receives_everything(self) -> None:
        program = self.program(logger=lambda: None)
        self.assertEqual(self.logged(program=program), "twistd's own")

    def test_other_programs_keep_their_own_log_levels(self) -> None:
        """
        ``twist`` has an option for it.
        """
        self.assertEqual(self.logged(program=None), "twistd's own")

    def test_the_predicate_provides_its_interface(self) -> None:
        verifyObject(ILogFilterPredicate, without_debug)


class PluginTests(SynchronousTestCase):
    def test_twistd_finds_it(self) -> None:
        [plugin] = [p for p in getPlugins(IServiceMaker) if p.tapname == "twistream"]
        verifyObject(IServiceMaker, plugin)
        verifyObject(IPlugin, plugin)
        self.assertIs(plugin.options, service.Options)
        self.assertIs(plugin.makeService, service.makeService)
