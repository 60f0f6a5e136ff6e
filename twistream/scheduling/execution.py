"""
ExecutionContext: the context variables (PEP 567) of one handler call.

The handler, the steps of its loops, its generators and their closing, and its callbacks all run in
one context. What one of them sets is visible to the others, and to no other request.

Layer: scheduling, at the bottom.
"""

from collections.abc import Callable
from contextvars import Context as PythonContext
from contextvars import ContextVar, copy_context
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Args = TypeVarTuple("Args")

_current: "ExecutionContext | None" = None
"""
The context that the running code has entered, the innermost if there are several.
"""

_probe: ContextVar[object] = ContextVar("twistream-probe")


class ExecutionContext:
    """
    A copy of the variables that were set when it was created.
    """

    __slots__ = ("_active", "_origin", "_variables")

    def __init__(self) -> None:
        self._origin = copy_context()
        self._variables = self._origin.copy()
        # What its code runs with now: the variables, or a copy of them.
        self._active: PythonContext | None = None

    def run(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """
        Call `function` with these variables.
        """
        global _current
        outer, outer_active = _current, self._active
        if outer is self:
            return function(*args)
        # If it is already on the stack, below another request, this call gets a copy: Python does
        # not allow to enter it again.
        active = self._variables if outer_active is None else self._variables.copy()
        _current, self._active = self, active
        try:
            return active.run(function, *args)
        finally:
            _current, self._active = outer, outer_active

    def run_outside(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """
        Call `function` with the variables as they were when this was created. Call it once.

        Use it for calls that may run the code of another request.
        """
        global _current  # noqa: PLW0603 - what runs here has its own context
        outer, _current = _current, None
        try:
            return self._origin.run(function, *args)
        finally:
            _current = outer

    def run_from_anywhere(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """
        Like `run`, for a caller that may be a coroutine of its own, which runs with a copy.
        """
        if _current is not self or self.is_current():
            return self.run(function, *args)
        outer_active, self._active = self._active, self._variables.copy()
        try:
            return self._active.run(function, *args)
        finally:
            self._active = outer_active

    def is_current(self) -> bool:
        """
        Whether the code that calls this runs with what was entered last.

        Coroutines that are started with `Deferred.fromCoroutine` or ``inlineCallbacks`` run with
        a copy of that, and what is set in a copy cannot be seen here.
        """
        mark = object()
        token = _probe.set(mark)
        try:
            return self._active is not None and self._active.get(_probe) is mark
        finally:
            _probe.reset(token)
