"""
Producers that a test steps by hand.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IConsumer, IPullProducer, IPushProducer
from zope.interface import implementer

ENDLESS = 10**9


@implementer(IPushProducer)
class Push:
    """
    A push producer that writes what a test says, or by itself until it is paused.

    Attributes:
        consumer: What it writes to.
        calls: The methods that were called, in order.
        paused: It may not write.
        written: The number of bytes that it has written.
    """

    def __init__(self, consumer: IConsumer, *, size: int = 0, total: int = 0) -> None:
        """
        Args:
            size: The size of each piece that it writes by itself, until it is paused.
            total: The number of bytes that it writes by itself.
        """
        self.consumer = consumer
        self.calls: list[str] = []
        self.paused = False
        self.written = 0
        self._size = size
        self._total = total

    def register(self) -> None:
        self.consumer.registerProducer(self, True)
        self._produce()

    def write(self, data: bytes) -> None:
        self.written += len(data)
        self.consumer.write(data)

    def _produce(self) -> None:
        while self.written < self._total and not self.paused:
            self.write(b"x" * min(self._size, self._total - self.written))
        if self.written == self._total > 0:
            self.consumer.unregisterProducer()

    def pauseProducing(self) -> None:
        self.calls.append("pause")
        self.paused = True

    def resumeProducing(self) -> None:
        self.calls.append("resume")
        self.paused = False
        self._produce()

    def stopProducing(self) -> None:
        self.calls.append("stop")
        self.paused = True


@implementer(IPullProducer)
class Pull:
    """
    A pull producer that calls a function for each step.

    Attributes:
        steps: The number of steps that it was asked for.
        stopped: How often it was stopped.
    """

    def __init__(self, step: Callable[["Pull"], Any]) -> None:
        self.steps = 0
        self.stopped = 0
        self._step = step

    def resumeProducing(self) -> None:
        self.steps += 1
        self._step(self)

    def stopProducing(self) -> None:
        self.stopped += 1
