"""
The application that ``--app package.module:name`` names, as a resource.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from inspect import Parameter, isclass, iscoroutine, signature
from pathlib import Path
from typing import cast

from twisted.python.usage import UsageError
from twisted.web.resource import IResource

from twistream.server.exchange import Handler
from twistream.server.resource import StreamResource
from twistream.service.reasons import what_and_where

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


def load_application(name: str) -> IResource:
    """
    Find what `name` names, and make a resource of it.

    It is an `IResource`; or anything that is called without arguments and returns one,
    such as a function or a subclass of ``Resource``; or a handler: a function of one
    argument, which becomes a `StreamResource`.

    Args:
        name: ``package.module:name``; the name may have dots too. The module is looked
            for in the current folder, which twistd does not do, and then as usual.

    Raises:
        UsageError: There is no such thing, or it is none of these, in one line.
    """
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in f"{module}.{attribute}".split(".")):
        msg = f"--app takes package.module:name, not {name!r}"
        raise UsageError(msg)
    try:
        return _resource(_find(module, attribute))
    except UsageError as err:
        msg = f"--app {name}: {err}"
        raise UsageError(msg) from err


def _find(module: str, attribute: str) -> object:
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        found: object = import_module(module)
    except (Exception, SystemExit) as err:
        # A module that is not there is told from one that misses another.
        missing = err.name if isinstance(err, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):
            hint = "; a module is named without .py" if module.endswith(".py") else ""
            msg = f"there is no module {missing}{hint}"
        else:
            msg = f"module {module} failed on import: {what_and_where(err)}"
        raise UsageError(msg) from err
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as err:
            msg = f"module {module} has no {attribute}"
            raise UsageError(msg) from err
    return found


def _resource(found: object) -> IResource:
    if IResource.providedBy(found):
        return found
    match _required(found):
        case 0:
            return _made_by(cast("Callable[[], object]", found))
        case 1 if not isclass(found):
            return StreamResource(cast("Handler", found))
        case _:
            msg = (
                f"{_described(found)} is neither a resource, nor a handler (a function of one "
                "argument), nor a factory of a resource (one of no argument)"
            )
            raise UsageError(msg)


def _made_by(factory: Callable[[], object]) -> IResource:
    try:
        made = factory()
    except (Exception, SystemExit) as err:
        msg = f"the factory failed: {what_and_where(err)}"
        raise UsageError(msg) from err
    if IResource.providedBy(made):
        return made
    if iscoroutine(made):
        # Python would warn of it, on a line of its own.
        made.close()
    msg = f"the factory returned {_described(made)}, not a resource"
    raise UsageError(msg)


def _required(found: object) -> int | None:
    """
    How many arguments it has to be called with, or None if that cannot be done or known.
    """
    if not callable(found):
        return None
    try:
        parameters = signature(found).parameters.values()
    except (TypeError, ValueError):
        return None
    required = [
        p.kind
        for p in parameters
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    return len(required) if all(kind in _POSITIONAL for kind in required) else None


def _described(value: object) -> str:
    if value is None:
        return "None"
    if isclass(value):
        return f"class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"
