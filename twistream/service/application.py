"""
Load the application that ``--app package.module:name`` names.
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
    Import the object that `name` names, and return it as a resource.

    The object can be

    - an `IResource`,
    - a factory: a function or class that takes no arguments and returns an `IResource`,
    - a handler: a function of one argument, which is wrapped in a `StreamResource`.

    Args:
        name: ``package.module:name``; the name may contain dots. The module is searched
            for in the current folder first, which twistd does not do by itself, and then
            on the Python path.

    Raises:
        UsageError: The object does not exist, or is none of these. The message is one
            line.
    """
    module, _, attribute = name.partition(":")
    if not all(part.isidentifier() for part in f"{module}.{attribute}".split(".")):
        msg = f"--app must have the form package.module:name, such as app:root, not {name!r}"
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
        # Distinguish a missing module from one that fails to import another module.
        missing = err.name if isinstance(err, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):
            without = module.removesuffix(".py")
            hint = "" if without == module else f"; omit the .py: --app {without}:{attribute}"
            msg = f"no module {missing} in the current folder or on the Python path{hint}"
        else:
            msg = f"cannot import module {module}: {what_and_where(err)}"
        raise UsageError(msg) from err
    for part in attribute.split("."):
        try:
            found = getattr(found, part)
        except AttributeError as err:
            msg = f"module {module} has no attribute {attribute}"
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
                f"{_described(found)} cannot be served; name a resource, a handler (a function of "
                "one argument), or a factory (a function without arguments that returns a resource)"
            )
            raise UsageError(msg)


def _made_by(factory: Callable[[], object]) -> IResource:
    try:
        made = factory()
    except (Exception, SystemExit) as err:
        msg = f"the factory raised {what_and_where(err)}"
        raise UsageError(msg) from err
    if IResource.providedBy(made):
        return made
    if iscoroutine(made):
        # Otherwise Python prints a warning on a separate line.
        made.close()
    msg = f"the factory returned {_described(made)}, not a resource"
    raise UsageError(msg)


def _required(found: object) -> int | None:
    """
    Count the arguments that a call must pass; None if it cannot be called or is unknown.
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
