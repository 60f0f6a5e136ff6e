"""
Packages that content codings need, and that may not be installed.

Pure.
"""

from functools import cache
from importlib import import_module
from types import ModuleType


@cache
def found(name: str) -> ModuleType | None:
    """
    Import a module, if it is there.
    """
    try:
        return import_module(name)
    except ImportError:
        return None


def required(name: str) -> ModuleType:
    """
    Import a module that is there, because the caller has checked that.
    """
    module = found(name)
    assert module is not None, name  # noqa: S101 - see above
    return module
