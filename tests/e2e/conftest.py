"""
What every end-to-end test has: a watch over the log.
"""

import gc
from collections.abc import Iterator

import pytest
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer


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
