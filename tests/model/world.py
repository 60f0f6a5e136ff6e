"""
World: what the handlers of one case share, and code outside them uses.
"""

import re
from random import Random
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from twistream import ChannelClosed, Hub, StreamClosed, StreamFinished
from twistream.server.broadcast import Broadcast
from twistream.wire.frames import Frame

if TYPE_CHECKING:
    from tests.model.script import Run

FOREIGN = re.compile(
    rb": ping\nid: [^\n]*\n\n|id: [^\n]*\n: ping\n\n|: ping\n"
    rb"|retry: 1000\n|: note \d+\n|id: [^\n]*\n\n"
    rb"|event: gap\nid: [^\n]*\ndata: [^\n]*\n\n"
    rb'|\{"gap":[^\n]*\}\n'
    rb"|id: [^\n]*\ndata: <c\.\d+:x*>\n\n"
    rb'|\{"id":"[^"]*","data":"<c\.\d+:x*>"\}\n'
    rb"|<b\.\d+:x*>\n"
)
"""
What comes between the pieces of a handler: pings, comments, messages of channels and broadcasts.
"""

FOREIGN_START = re.compile(rb":|i|\{|r|<|b\.|e")
"""
How the start of that begins, where it does not have what a piece of a handler begins with.
"""


class Made(Exception):
    """
    Raised by a handler on purpose.
    """


class World:
    """
    What the handlers of one case share.
    """

    def __init__(self, clock: Any, rng: Random, pace: float = 1.0) -> None:
        self.clock = clock
        self.pace = pace
        self.rng = rng
        self.runs: list[Run] = []
        self.gates: list[Deferred[None]] = []
        self.hub = Hub(clock=clock)
        self.channel = self.hub.channel("news", history=rng.choice([None, 1000, 1000, 3]))
        self.broadcast = Broadcast(clock)
        self.published = 0
        self.sent = 0
        self.trace: list[str] = []

    def gate(self) -> Deferred[None]:
        gate: Deferred[None] = Deferred()
        self.gates.append(gate)
        return gate

    def open_gate(self) -> None:
        if self.gates:
            gate = self.gates.pop(self.rng.randrange(len(self.gates)))
            if not gate.called:
                gate.callback(None)

    def publish(self) -> None:
        for _ in range(self.rng.choice([1, 1, 5])):
            size = self.rng.choice([0, 10, 10, 3000, 20_000])
            self._note(b"c", self.published)
            try:
                self.channel.publish(f"<c.{self.published}:{'x' * size}>")
            except ChannelClosed:
                return
            self.published += 1

    def cast(self) -> None:
        for _ in range(self.rng.choice([1, 1, 5])):
            size = self.rng.choice([0, 10, 10, 3000, 20_000, 70_000])
            self._note(b"b", self.sent)
            self.broadcast.send(Frame(b"<b.%d:%b>\n" % (self.sent, b"x" * size)))
            self.sent += 1

    def handle_errors(self) -> None:
        """
        Handle the errors of all Deferreds, so that later tests do not find them in the log.

        The ends of responses stay: nobody has to handle those.
        """
        for run in self.runs:
            for each in run.tracked:
                each.deferred.addErrback(_handle)

    def _note(self, kind: bytes, number: int) -> None:
        for run in self.runs:
            run.sure_before[b"%b%d" % (kind, number)] = run.sure


def _handle(failure: Failure) -> None:
    if failure.check(StreamClosed, StreamFinished):
        failure.raiseException()
