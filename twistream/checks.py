"""
Validation of the numbers, functions and clocks that programs pass as arguments. Each error names its argument.
"""

from collections.abc import Callable
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction

_MAX_SECONDS = 1e9
"""
Seconds: thirty years. A clock is a float, and loses precision with larger values.
"""

_MIN_TIMER = 1e-3
"""
Seconds. With a shorter timer, the reactor would do little else.
"""


def check_seconds(name: str, value: float) -> float:
    """
    Check that the argument `name` is a number of seconds, and return it.

    Raises:
        TypeError: It is not a number.
        ValueError: It is negative, NaN, infinite, or more than 1e9.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        msg = f"{name} must be a number of seconds, not {type(value).__name__}"
        raise TypeError(msg)
    if not 0 <= value <= _MAX_SECONDS:
        msg = f"{name} must be from 0 to {_MAX_SECONDS:g} seconds, not {shown(value)}"
        raise ValueError(msg)
    return value


def check_timer(name: str, value: float) -> float:
    """
    Check that the argument `name` is a number of seconds for a timer, and return it.

    Raises:
        TypeError: It is not a number.
        ValueError: It is less than a millisecond, NaN, infinite, or more than 1e9.
    """
    if check_seconds(name, value) < _MIN_TIMER:
        msg = f"{name} must be at least {_MIN_TIMER:g} seconds, not {value}"
        raise ValueError(msg)
    return value


def check_count(name: str, value: int, least: int) -> int:
    """
    Check that the argument `name` is an int of at least `least`, and return it.

    Raises:
        TypeError: It is not an int.
        ValueError: It is less than `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        msg = f"{name} must be an int, not {type(value).__name__}"
        raise TypeError(msg)
    if value < least:
        msg = f"{name} must be at least {least}, not {shown(value)}"
        raise ValueError(msg)
    return value


def check_function(name: str, value: object) -> None:
    """
    Check that the argument `name` can be called for its effect or its result.

    Raises:
        TypeError: It is not callable. Or it is a generator function: a call would run nothing.
    """
    if not callable(value):
        msg = f"{name} must be callable, not {type(value).__name__}"
        raise TypeError(msg)
    if _is(isgeneratorfunction, value) or _is(isasyncgenfunction, value):
        msg = f"{name} must not be a generator function: nothing would run the generator"
        raise TypeError(msg)


def is_coroutine_function(value: object) -> bool:
    """
    Whether it is ``async def``, or an object with such a ``__call__``.
    """
    return _is(iscoroutinefunction, value)


def _is(kind: Callable[[object], bool], value: object) -> bool:
    return kind(value) or kind(getattr(value, "__call__", None))  # noqa: B004 - its value is needed


def check_clock(name: str, value: object) -> None:
    """
    Check that the argument `name` is None or has the methods of a clock.

    Raises:
        TypeError: It lacks one of the methods.
    """
    methods = (getattr(value, method, None) for method in ("seconds", "callLater"))
    if value is not None and not all(map(callable, methods)):
        msg = f"{name} must be a clock, such as the reactor, or None, not {type(value).__name__}"
        raise TypeError(msg)


def shown(value: float) -> str:
    """
    A number as text, for the message of an error. It never fails.
    """
    try:
        return str(value)
    except ValueError:  # An int of thousands of digits.
        return f"a number of {int(value).bit_length()} bits"
