"""
RunState: the life of a run, and the one table of its transitions.

Layer: channels, at the bottom.
"""

from enum import Enum

from twistream.transitions import Transitions


class RunState(Enum):
    """
    The state of a run. Its value is the text that clients receive.

    Attributes:
        RUNNING: The producer runs.
        STOPPING: `Run.stop` was called, and the producer has not ended yet.
        DONE: The producer returned.
        FAILED: The producer raised an exception.
        STOPPED: The run was stopped.
        LOST: The process that ran the producer ended or lost contact.
    """

    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"

    __hash__ = object.__hash__  # The one of Enum is written in Python, and slow.

    @property
    def is_final(self) -> bool:
        """
        Whether the run has ended.
        """
        return self not in (RunState.RUNNING, RunState.STOPPING)


class RunCause(Enum):
    """
    What moves a run from one state to the next.
    """

    RETURN = "the producer returned"
    FAIL = "the producer failed"
    STOP = "stop() was called"
    END = "the producer ended after stop(), or its grace is over"
    LOSE = "the process shuts down, or its lease expired"

    __hash__ = object.__hash__


_TARGETS = {
    RunCause.RETURN: RunState.DONE,
    RunCause.FAIL: RunState.FAILED,
    RunCause.STOP: RunState.STOPPING,
    RunCause.END: RunState.STOPPED,
    RunCause.LOSE: RunState.LOST,
}

CAUSES = {state: cause for cause, state in _TARGETS.items()}
"""
The cause that leads to a state.
"""

_ALLOWED = {
    RunState.RUNNING: (RunCause.RETURN, RunCause.FAIL, RunCause.STOP, RunCause.LOSE),
    RunState.STOPPING: (RunCause.END, RunCause.LOSE),
    RunState.DONE: (),
    RunState.FAILED: (),
    RunState.STOPPED: (),
    RunState.LOST: (),
}

TRANSITIONS = Transitions(_TARGETS, _ALLOWED)
"""
Every transition: the state that follows a state and a cause.
"""
