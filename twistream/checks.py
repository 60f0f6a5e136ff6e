"""
Validation of the numbers and objects that programs pass as arguments. Each error names its argument.
"""

from collections.abc import Callable, Iterable
from functools import partial
from inspect import isasyncgenfunction, iscoroutinefunction, isgeneratorfunction
from typing import Any

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


def check_clock(name: str, value: object) -> None:
    """
    Check that the argument `name` is None or has the methods of a clock.

    Raises:
        TypeError: It lacks one of the methods.
    """
    if value is not None and not has_methods(value, "seconds", "callLater"):
        msg = f"{name} must be a clock, such as the reactor, or None, not {kind(value)}"
        raise TypeError(msg)


def check_callback(name: str, value: object) -> None:
    """
    Check that the argument `name` can be called, and does something when it is called.

    Raises:
        TypeError: It is not callable, or it is a generator function.
    """
    if not callable(value):
        msg = f"{name} must be callable, not {kind(value)}"
        raise TypeError(msg)
    if makes_generator(value):
        msg = f"{name} must not be a generator function: a call runs nothing of it; "
        msg += "did you forget @inlineCallbacks?"
        raise TypeError(msg)


def makes_generator(function: object) -> bool:
    """
    Whether a call of this function, or of this object, makes a generator.
    """
    return _is(isgeneratorfunction, function) or _is(isasyncgenfunction, function)


def is_coroutine_function(function: object) -> bool:
    """
    Whether it is ``async def``, or an object with such a ``__call__``.
    """
    return _is(iscoroutinefunction, function)


def is_asynchronous(function: object) -> bool:
    """
    Whether a call of this function, or of this object, makes a coroutine or an async generator.
    """
    return is_coroutine_function(function) or _is(isasyncgenfunction, function)


def _is(predicate: Callable[[object], bool], function: object) -> bool:
    return predicate(function) or predicate(getattr(function, "__call__", None))  # noqa: B004 - an object may define it


def has_methods(value: object, *names: str) -> bool:
    """
    Whether a value is an instance with these methods. A class is not: its methods need an instance.
    """
    methods = (getattr(value, name, None) for name in names)
    return not isinstance(value, type) and all(map(callable, methods))


def is_iterable(value: object) -> bool:
    """
    Whether ``iter`` accepts a value.
    """
    # The old sequence protocol, which `Iterable` does not detect, counts, too.
    return isinstance(value, Iterable) or hasattr(type(value), "__getitem__")


def checked_names(name: str, value: object, example: str) -> tuple[Any, ...]:
    """
    Check that the argument `name` is an iterable of names, and return them. The caller checks each one.

    Args:
        example: A correct value as Python code.

    Raises:
        TypeError: It is not iterable, or is itself a name.
    """
    if isinstance(value, str | bytes) or not is_iterable(value):
        given = repr(value) if isinstance(value, str | bytes) else kind(value)
        msg = f"{name} must be an iterable of names, such as {example}, not {given}"
        raise TypeError(msg)
    return tuple(value)  # type: ignore[arg-type]  # checked


def kind(value: object) -> str:
    """
    What a value is, for the message of an error.
    """
    return f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__


def name_of(value: object) -> str:
    """
    The name of a function or a generator, or of the type of any other value, for messages.
    """
    while isinstance(value, partial):
        value = value.func
    return getattr(value, "__qualname__", type(value).__name__)


def shown(value: float) -> str:
    """
    A number as text, for the message of an error. It never fails.
    """
    try:
        return str(value)
    except ValueError:  # An int of thousands of digits.
        return f"a number of {int(value).bit_length()} bits"
