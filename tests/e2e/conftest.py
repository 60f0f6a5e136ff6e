"""
What end-to-end tests have in common: a watch over the log, and programs to run.
"""

import gc
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import expect
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from tests.e2e.browser import SECONDS, launched
from tests.e2e.live import PATIENT, Service, Visit, close_all


def program(*names: str) -> str:
    """
    The path of the first of these programs that is installed.

    Without any the test is skipped, or fails where nothing may be skipped.
    """
    for name in names:
        path = shutil.which(name)
        if path:
            return path
    complaint = f"needs {names[0]}: `make system-deps` installs it"
    if os.environ.get("CI") == "true":
        pytest.fail(complaint)
    pytest.skip(complaint)


@pytest.fixture(scope="session")
def chromium() -> str:
    """
    The path of the browser.
    """
    return program("chromium", "chromium-browser", "google-chrome")


@implementer(ILogObserver)
class Log:
    """
    The log events of one test.

    Attributes:
        events: All of them.
    """

    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        self._failures: list[BaseException] = []

    def __call__(self, event: LogEvent) -> None:
        self.events.append(event)
        if "log_failure" in event:
            self._failures.append(event["log_failure"].value)

    def failures(self, kind: type[BaseException]) -> int:
        """
        How many failures of this kind were logged since this was asked last.
        """
        count = len(self._failures)
        self._failures = [failure for failure in self._failures if not isinstance(failure, kind)]
        return count - len(self._failures)

    def rest(self) -> list[BaseException]:
        """
        The failures that nobody asked for.
        """
        return self._failures


@pytest.fixture(autouse=True)
def log() -> Iterator[Log]:
    """
    The log of this test, which fails if a failure was logged that it did not ask for.
    """
    log = Log()
    globalLogPublisher.addObserver(log)
    yield log
    gc.collect(0)
    globalLogPublisher.removeObserver(log)
    assert not log.rest()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    """
    The demo, which runs until the test ends.
    """
    service = Service(tmp_path)
    yield service
    service.stop()


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Service]:
    """
    The demo, with texts that do not end before the test does.
    """
    (tmp_path / "patient.py").write_text(PATIENT)
    service = Service(tmp_path, "--app", "patient:root")
    yield service
    service.stop()


@pytest.fixture(scope="module")
def visit(chromium: str) -> Iterator[Callable[[Visit], None]]:
    """
    Runs a function in the thread of the browser.
    """
    expect.set_options(timeout=SECONDS * 1000)
    browser_of_all = launched(chromium)
    with ThreadPoolExecutor(1) as thread:
        browser = thread.submit(browser_of_all.__enter__).result()

        def run(script: Visit) -> None:
            try:
                thread.submit(script, browser).result()
            finally:
                thread.submit(close_all, browser).result()

        yield run
        thread.submit(browser_of_all.__exit__, None, None, None).result()
