"""
How the exceptions of this library are pickled and copied, those that programs derive from them, too.

This is the lowest layer. It imports nothing from the library.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

_E = TypeVar("_E", bound=BaseException)

_NOTHING: Mapping[str, object] = {}


def _native(cls: type[_E]) -> type[_E]:
    """
    Return the built-in exception class that `cls` derives from, such as `OSError`.
    """
    return next(each for each in cls.__mro__ if each.__module__ == "builtins")


def reduced(error: BaseException) -> str | tuple[Any, ...]:
    """
    Return how to make a copy of an exception. See `object.__reduce_ex__`.
    """
    native = _native(type(error))
    if type(error).__reduce__ is not native.__reduce__:
        return error.__reduce__()  # A subclass has its own.
    args = native.__reduce__(error)[1]
    state = error.__getstate__()
    # The state of an attrs class contains only the fields of that class.
    is_partial = hasattr(error, "__attrs_attrs__") and isinstance(state, dict)
    rest = (error.__dict__,) if is_partial else ()
    return _restore, (type(error), args, *rest), state


def _restore(cls: type[_E], args: tuple[Any, ...], rest: Mapping[str, object] = _NOTHING) -> _E:
    """
    Make an exception without its own ``__init__``.
    """
    native = _native(cls)
    error = native.__new__(cls, *args)
    native.__init__(error, *args)
    error.__dict__.update(rest)
    return error


def restore_attributes(error: BaseException, state: Any) -> None:
    """
    Set the attributes of a copy. See `object.__setstate__`.

    Args:
        state: A dict, or a pair of one and the values of ``__slots__``.
    """
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    error.__dict__.update(attributes or {})
    for name, value in (slots or {}).items():
        object.__setattr__(error, name, value)
