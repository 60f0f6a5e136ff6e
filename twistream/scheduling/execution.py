"""
ExecutionContext: the context variables (PEP 567) of one handler call.

The handler, the steps of its loops, its generators and their closing, and its callbacks all run in
it. What one of them sets, the others see, and no other request does.

Layer: scheduling, at the bottom.
"""

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import TypeVar, TypeVarTuple

T = TypeVar("T")
Args = TypeVarTuple("Args")

_current: "ExecutionContext | None" = None
"""
The one that was entered last and not left yet.
"""

_probe: ContextVar[object] = ContextVar("twistream-probe")


class ExecutionContext:
    """
    A copy of the variables that were set when it was made.
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
                # Further out on the stack, with another request in between. Python does not
                # allow a second entry, so this call gets a copy.
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
