"""
What ``--app`` can serve, and why it cannot serve anything else.
"""

import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any, cast

from twisted.application.service import IService
from twisted.internet.defer import Deferred
from twisted.python.components import Componentized
from twisted.python.usage import UsageError
from twisted.web.resource import IResource
from twisted.web.server import Site

from twistream.server.exchange import Handler
from twistream.server.resource import StreamResource
from twistream.service.failures import failure_in_code

_POSITIONAL = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)
_MANY = (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)

_ONE_ARGUMENT = "a handler takes one argument, the context"
_WHAT_TO_NAME = (
    "name a resource, a handler (a function of one argument), or a factory (a function without "
    "arguments that returns a resource)"
)

# These are callable too, but with arguments that do not tell what they are.
_OTHER_SERVERS = {"aiohttp": "an aiohttp", "tornado": "a Tornado"}


def resource_of(found: object) -> IResource:
    """
    The resource that an object is, makes or handles requests for.

    Raises:
        UsageError: It cannot be served, or its code failed.
    """
    if _is_resource(found):
        return cast("IResource", found)
    if _has_resource(found):
        return _made_by(cast("Any", found).resource, "its resource()", is_factory=False)
    reason = _foreign(found)
    if reason is None:
        required = _required(found)
        if _is_handler(found, required):
            return StreamResource(cast("Handler", found))
        if required == [] and not _is_lazy(found):
            factory = cast("Callable[[], object]", found)
            return _made_by(factory, "the factory", is_factory=True)
        reason = _mismatch(found, required)
    raise UsageError(reason)


def can_be_served(found: object) -> bool:
    """
    Whether an object looks like one that can be served. Nothing is called.
    """
    if _is_resource(found) or _has_resource(found):
        return True
    required = _required(found)
    if inspect.isclass(found):
        makes_resource = IResource.implementedBy(found) or hasattr(found, "resource")
        return makes_resource and required == []
    is_factory = required == [] and not _is_lazy(found)
    return _foreign(found) is None and (is_factory or _is_handler(found, required))


def described(value: object) -> str:
    """
    An object as the subject of a sentence: ``an int``, ``class Shop``, ``function hello``.
    """
    if value is None:
        return "None"
    if inspect.isclass(value):
        return f"class {value.__name__}"
    if inspect.isroutine(value):
        return f"function {getattr(value, '__name__', '')}".rstrip()
    name = type(value).__name__
    return f"{'an' if name[0].lower() in 'aeiou' else 'a'} {name}"


def _provides(interface: Any, found: object) -> bool:
    try:
        return bool(interface.providedBy(found))
    except Exception:  # noqa: BLE001 - a proxy that cannot reach its object may raise anything
        return False


def _is_resource(found: object) -> bool:
    return _provides(IResource, found)


def _has_resource(found: object) -> bool:
    """
    Whether it is an object such as Klein's, which makes a resource by its method `resource`.
    """
    try:
        return not inspect.isclass(found) and callable(getattr(found, "resource", None))
    except Exception:  # noqa: BLE001 - as in _provides
        return False


def _made_by(make: Callable[[], object], name: str, *, is_factory: bool) -> IResource:
    """
    Call `make`, and return the resource that it returns.

    Only a factory may return an object with a method `resource`: such methods that return one
    another, as those of a mock do, would never end.
    """
    try:
        made = make()
    except KeyboardInterrupt:
        raise
    except BaseException as err:
        msg = f"{name} raised {failure_in_code(err)}"
        raise UsageError(msg) from err
    if _is_resource(made):
        return cast("IResource", made)
    result = f"{name} returned {described(made)}"
    if is_factory and _has_resource(made):
        return _made_by(cast("Any", made).resource, f"{result}; resource()", is_factory=False)
    _discard(made)
    msg = f"{result}{_no_resource(made, make)}"
    raise UsageError(msg)


def _no_resource(made: object, make: Callable[[], object]) -> str:
    """
    The end of the message that `make` returned `made`.
    """
    if foreign := _foreign(made):
        return f"; {foreign}"
    if inspect.isclass(made):
        return ", not an instance of it"
    if _is_handler(made, _required(made)):
        advice = "name an instance" if inspect.isclass(make) else "return a StreamResource of it"
        return f", which is a handler; {advice}"
    return f", not a resource{f' ({_ONE_ARGUMENT})' if inspect.isfunction(make) else ''}"


def _discard(made: object) -> None:
    """
    Prevent warnings on further lines.
    """
    if inspect.iscoroutine(made):
        made.close()
    elif isinstance(made, Deferred):
        made.addErrback(lambda _: None)


def _is_called(found: object) -> bool:
    """
    Whether it is what a call of a handler returns.
    """
    return (
        isinstance(found, Deferred)
        or inspect.iscoroutine(found)
        or inspect.isgenerator(found)
        or inspect.isasyncgen(found)
    )


def _is_handler(found: object, required: list[Parameter] | None) -> bool:
    if inspect.isclass(found) or required is None:
        return False
    if len(required) == 1:
        # A function with only `self` was meant to be the method of an instance.
        return required[0].kind in _POSITIONAL and required[0].name != "self"
    # A coroutine or generator cannot be a resource, so this is no factory. A decorator
    # often returns a function of *args.
    return not required and _is_lazy(found) and _accepts_one(found)


def _is_lazy(found: object) -> bool:
    """
    Whether a call returns a coroutine or a generator and runs nothing yet.
    """
    return (
        inspect.iscoroutinefunction(found)
        or inspect.isgeneratorfunction(found)
        or inspect.isasyncgenfunction(found)
    )


def _accepts_one(found: object) -> bool:
    try:
        inspect.signature(cast("Any", found)).bind(None)
    except TypeError:
        return False
    return True


def _required(found: object) -> list[Parameter] | None:
    """
    The arguments that a call must pass; None if it cannot be called or is unknown.
    """
    try:
        if not callable(found):
            return None
        parameters = inspect.signature(found).parameters.values()
    except Exception:  # noqa: BLE001 - as in _provides; signature() fails for some builtins
        return None
    return [p for p in parameters if p.default is p.empty and p.kind not in _MANY]


def _foreign(found: object) -> str | None:
    """
    Explain what to do with an object that is for another kind of server, if it is one.
    """
    names = [p.name for p in _required(found) or ()]
    origins = {str(cls.__dict__.get("__module__")).partition(".")[0] for cls in type(found).__mro__}
    for package in origins & set(_OTHER_SERVERS):
        return f"it is {_OTHER_SERVERS[package]} application; run it with {package}'s own server"
    if names == ["scope", "receive", "send"]:
        return "it is an ASGI application; an ASGI server such as uvicorn serves it"
    if len(names) == 2 and (names[0] in ("environ", "env") or names[1] == "start_response"):
        return (
            "it is a WSGI application; make a resource of it with twisted.web.wsgi.WSGIResource, "
            "or serve it with twistd web --wsgi"
        )
    if isinstance(found, Site):
        return "it is a Site; name the resource that it serves"
    if isinstance(found, Componentized) or _provides(IService, found):
        return "it is a service; run it with twistd -y, or name the resource that it serves"
    return None


def _held(found: object) -> str | None:
    """
    The first attribute that can be served, as in a class with ``app = Klein()``.
    """
    try:
        names = [name for name in dir(found) if not name.startswith("_")]
        values = [inspect.getattr_static(found, name, None) for name in names]
    except Exception:  # noqa: BLE001 - as in _provides
        return None
    held = (n for n, v in zip(names, values, strict=True) if _is_resource(v) or _has_resource(v))
    return next(held, None)


def _mismatch(found: object, required: list[Parameter] | None) -> str:
    name = described(found)
    if _is_called(found):
        _discard(found)
        return f"{name} cannot be served; name the function itself, without calling it"
    if required is None:
        held = _held(found)
        advice = f"did you mean its attribute {held}?" if held else _WHAT_TO_NAME
        return f"{name} cannot be served; {advice}"
    names = ", ".join(p.name for p in required)
    keywords = [p.name for p in required if p.kind not in _POSITIONAL]
    count = "an argument" if len(required) == 1 else f"{len(required)} arguments"
    if inspect.isclass(found):
        reason = f"requires {count} ({names}), but a factory takes none"
    elif not required:
        factory = ", and a factory is not async" if inspect.iscoroutinefunction(found) else ""
        reason = f"takes no arguments; {_ONE_ARGUMENT}{factory}"
    elif required[0].name == "self":
        reason = "is a method; name the method of an instance"
    elif keywords:
        count = "a keyword argument" if len(keywords) == 1 else "keyword arguments"
        reason = f"requires {count} ({', '.join(keywords)}); {_ONE_ARGUMENT}"
    else:
        reason = f"requires {count} ({names}), but {_ONE_ARGUMENT}, and a factory takes none"
    return f"{name} {reason}"
