"""
Phase: the phases of a response, and the one table of its transitions.

Life: the phase that a response is in, and why it ended.

Layer: response, at the bottom.
"""

from enum import Enum
from typing import NoReturn

from twistream.errors import ResponseComplete, StreamAborted, StreamClosed, StreamFinished
from twistream.scheduling.execution import ExecutionContext
from twistream.scheduling.tasks import notify_running_task
from twistream.transitions import Transitions


class Phase(Enum):
    """
    One phase of a response.
    """

    HEAD = "status and headers can change"
    BODY = "the head is framed, and the body follows"
    FINISHING = "the body is complete, and its last bytes are on their way"
    ABORTING = "the response is incomplete, and its last bytes are on their way"
    OVER = "nothing more is sent"

    __hash__ = object.__hash__  # Enum's own is written in Python, and slow.


class Cause(Enum):
    """
    What moves a response from one phase to the next.
    """

    EMIT = "emit"
    END = "end"
    NO_BODY = "no body"
    ABORT = "abort"
    DRAINED = "drained"
    LOST = "lost"
    CUT = "cut"

    __hash__ = object.__hash__


_GOALS = {
    Cause.EMIT: Phase.BODY,
    Cause.END: Phase.FINISHING,
    Cause.NO_BODY: Phase.FINISHING,
    Cause.ABORT: Phase.ABORTING,
    Cause.DRAINED: Phase.OVER,
    Cause.LOST: Phase.OVER,
    Cause.CUT: Phase.OVER,
}

_ALLOWED = {
    Phase.HEAD: (Cause.EMIT, Cause.END, Cause.NO_BODY, Cause.ABORT, Cause.LOST, Cause.CUT),
    Phase.BODY: (Cause.END, Cause.ABORT, Cause.LOST, Cause.CUT),
    Phase.FINISHING: (Cause.DRAINED, Cause.LOST, Cause.CUT),
    Phase.ABORTING: (Cause.DRAINED, Cause.LOST, Cause.CUT),
    Phase.OVER: (),
}

TRANSITIONS = Transitions(_GOALS, _ALLOWED)
"""
Every transition: the phase that follows a phase and a cause.
"""

_SENDS_HEAD = (Cause.EMIT, Cause.END, Cause.NO_BODY)


class Life(ExecutionContext):
    """
    The life of one response: its phase, why it ended, and the context in which its code runs.

    It is the `twistream.scheduling.tasks.Scope` of the response's tasks.

    Attributes:
        err: Why the response ended early; None before the end, and after a normal end.
        head_sent: The head is framed or sent, and can no longer change.
        notifying: The response has ended, and the Deferreds that wait for it are firing.
        phase: The phase.
    """

    __slots__ = ("err", "head_sent", "notifying", "phase")

    def __init__(self) -> None:
        super().__init__()
        self.err: StreamClosed | None = None
        self.head_sent = False
        self.notifying = False
        self.phase = Phase.HEAD

    def move(self, cause: Cause) -> None:
        """
        Go on to the next phase.

        Raises:
            AssertionError: The table has no such transition: a bug of this library.
        """
        self.phase = TRANSITIONS[self.phase, cause]
        if cause in _SENDS_HEAD:
            self.head_sent = True

    @property
    def ended(self) -> bool:
        """
        Whether nothing more can be written.
        """
        return self.phase is not Phase.BODY and self.phase is not Phase.HEAD

    @property
    def ended_from_within(self) -> bool:
        """
        Whether its own code ended it early. That code is probably still running.
        """
        return isinstance(self.err, StreamAborted | ResponseComplete)

    def error(self) -> Exception:
        """
        The error for code that uses the response after its end.
        """
        return StreamFinished() if self.err is None else self.err.with_traceback(None)

    def raise_error(self) -> NoReturn:
        """
        Raise `error`, and record that the running task has been notified.
        """
        notify_running_task()
        raise self.error()
