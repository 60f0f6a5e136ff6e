"""
ExecutionContext: the context variables (PEP 567) of one handler call.

The handler, the steps of its loops, its generators and their closing, and its callbacks all run in
one context. What one of them sets is visible to the others, and to no other request.

Layer: scheduling, at the bottom.
"""

from collections.abc import Callable
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

    __slots__ = ("_entered", "_variables")

    def __init__(self) -> None:
        self._variables = copy_context()
        self._entered = False

    def run(self, function: Callable[[*Args], T], *args: *Args) -> T:
        """
        Call `function` with these variables.
        """
        global _current  # noqa: PLW0603 - the one place that sets and restores it
        outer = _current
        if outer is self:
            return function(*args)
        _current = self
        try:
            if self._entered:
                # It is already on the stack, below another request. Python does not allow to
                # enter it again, so this call gets a copy.
                return self._variables.copy().run(function, *args)
            self._entered = True
            try:
                return self._variables.run(function, *args)
            finally:
                self._entered = False
        finally:
            _current = outer

    def is_current(self) -> bool:
        """
        Whether the code that calls this runs with these variables, and not with a copy.

        Coroutines that are started with `Deferred.fromCoroutine` or ``inlineCallbacks`` run with
        a copy, and what is set in a copy cannot be seen here.
        """
        mark = object()
        token = _probe.set(mark)
        try:
            return self._variables.get(_probe) is mark
        finally:
            _probe.reset(token)
