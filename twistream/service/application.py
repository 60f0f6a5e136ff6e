"""
Load the application that ``--app package.module:name`` names.
"""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from twisted.internet.error import ReactorAlreadyInstalledError
from twisted.python.usage import UsageError
from twisted.web.resource import IResource

from twistream.service import naming
from twistream.service.failures import failure_in_code
from twistream.service.served import resource_of


def load_application(name: str) -> IResource:
    """
    Import the object that `name` names, and return it as a resource.

    The object can be

    - an `IResource`,
    - an object with a method `resource` that returns one, such as a ``Klein()``,
    - a factory: a function or class that takes no arguments and returns one of these,
    - a handler: a function of one argument, which is wrapped in a `StreamResource`.

    Args:
        name: ``package.module:name``; the name may contain dots. The module is searched
            for in the current folder first, which twistd does not do by itself, and then
            on the Python path.

    Raises:
        UsageError: The object does not exist, or is none of these. The message is one
            line, or a few if the code of the application failed.
    """
    module, colon, attribute = name.partition(":")
    if not (colon and naming.is_dotted(module) and naming.is_dotted(attribute)):
        form = f"the form package.module:name, such as app:root, not {name!r}"
        msg = f"--app must have {form}{hint_for_form(name)}"
        raise UsageError(msg)
    try:
        with _reactor_not_run():
            return resource_of(_find(module, attribute))
    except UsageError as err:
        msg = f"--app {name}: {err}"
        raise UsageError(msg) from err


@contextmanager
def _reactor_not_run() -> Iterator[None]:
    """
    Raise an error if the application runs the reactor, as programs without twistd do.

    Otherwise the command would hang, and fail when twistd runs the reactor.
    """
    reactor: Any = sys.modules.get("twisted.internet.reactor")
    if reactor is None:
        yield
        return

    def refuse(**_: object) -> None:
        msg = "twistd runs the reactor; put this call below if __name__ == '__main__':"
        raise RuntimeError(msg)

    run = reactor.run
    reactor.run = refuse
    try:
        yield
    finally:
        reactor.run = run


def hint_for_form(name: str) -> str:
    """
    The end of a message about a value of ``--app`` that has the wrong form.

    It has the right value, if that can be known. The module may be imported, which is what
    the person wanted.
    """
    folder = _folder()
    path, colon, attribute = name.partition(":")
    module = naming.module_of(path, folder)
    attribute = attribute.partition("(")[0].strip()
    if module is None:
        file = next(naming.files_with(attribute, folder), None)
        obstacle = naming.obstacle(path, folder)
        return obstacle or naming.did_you_mean(file and f"{file}:{attribute}")
    meant = None
    package, _, last = module.rpartition(".")
    if naming.is_module(module, folder):
        named = colon and naming.is_dotted(attribute)
        names = [attribute] if named else _names_in(module)
        meant = naming.choice(module, names)
    elif package and naming.is_module(package, folder):
        meant = f"{package}:{last}"
    elif file := next(naming.files_with(module, folder), None):
        meant = f"{file}:{module}"
    return naming.did_you_mean(meant)


def _names_in(module: str) -> list[str]:
    try:
        with _reactor_not_run():
            return naming.names_in(_import(module))
    except UsageError:
        # It fails. That is reported once its name is right.
        return []


def _folder() -> Path:
    try:
        return Path.cwd()
    except OSError as err:
        msg = "the current folder no longer exists"
        raise UsageError(msg) from err


class _CannotImport(UsageError):
    """
    Attributes:
        missing: The module that does not exist, or None if the import failed otherwise.
    """

    def __init__(self, message: str, missing: str | None) -> None:
        super().__init__(message)
        self.missing = missing


def _import(module: str) -> ModuleType:
    folder = str(_folder())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    try:
        return import_module(module)
    except KeyboardInterrupt:
        raise
    except BaseException as err:
        # Distinguish a missing module from one that fails to import another module.
        missing = err.name if isinstance(err, ModuleNotFoundError) else None
        if missing and f"{module}.".startswith(f"{missing}."):
            msg = f"no module {missing} in the current folder or on the Python path"
            raise _CannotImport(msg, missing) from err
        msg = f"cannot import module {module}: {failure_in_code(err)}"
        advice = _advice(err, module)
        raise _CannotImport(f"{msg}\n  {advice}" if advice else msg, None) from err


def _advice(error: BaseException, module: str) -> str | None:
    """
    What to do about an error at import, if it is a common one.
    """
    folder = _folder()
    if isinstance(error, ReactorAlreadyInstalledError):
        return "twistd installs the reactor; choose it as in twistd --reactor=asyncio"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return _advice_on_missing(error.name, folder)
    if file := _imported_by_itself(error):
        return f"{file.name} imports itself; rename it to import another module named {file.stem}"
    if isinstance(error, ImportError) and "no known parent package" in str(error):
        advice = "write the import without a leading dot"
        if folder.name.isidentifier():
            advice += f", or run twistd in {folder.parent} with --app {folder.name}.{module}:..."
        return advice
    return None


def _advice_on_missing(name: str, folder: Path) -> str | None:
    # A program often has the name of a library in its own, such as klein_app.
    meant = naming.closest_module(name, folder, cutoff=0.8)
    if meant == name:
        return f"Python found another module {name.partition('.')[0]} first, so rename yours"
    hint = naming.did_you_mean(meant)
    if "." in name:
        return hint.removeprefix("; ") or None
    # Libraries are often installed into another environment than that of twistd.
    return f"{name} is not in the current folder, nor installed in {sys.prefix}{hint}"


def _imported_by_itself(error: BaseException) -> Path | None:
    """
    The file in which an import failed, if what it imports is this file.
    """
    file = error.path if isinstance(error, ImportError) else None
    if isinstance(error, AttributeError) and isinstance(error.obj, ModuleType):
        file = getattr(error.obj, "__file__", None)  # those built in have none
    frames = traceback.extract_tb(error.__traceback__)
    return Path(file) if file is not None and frames[-1:] and frames[-1].filename == file else None


def _is_about(error: Exception, holder: object, name: str) -> bool:
    """
    Whether an error says that `holder` has no attribute `name`.

    The code of a property can raise the same error about another object.
    """
    if not isinstance(error, AttributeError):
        return False
    return error.name is None or (error.name == name and error.obj is holder)


def _find(module: str, attribute: str) -> object:
    try:
        found: object = _import(module)
    except _CannotImport as err:
        hint = err.missing and naming.hint_for_module(module, attribute, _folder())
        msg = f"{err}{hint or ''}"
        raise UsageError(msg) from err
    path = f"{module}:"
    for part in attribute.split("."):
        try:
            value = getattr(found, part)
        except Exception as err:
            if _is_about(err, found, part):
                hint = naming.hint_for_attribute(found, part, path, _folder())
                msg = f"module {module} has no attribute {attribute}{hint}"
            else:
                msg = f"reading {attribute} raised {failure_in_code(err)}"
            raise UsageError(msg) from err
        found, path = value, f"{path}{part}."
    if isinstance(found, ModuleType):
        hint = naming.hint_for_contents(found, _folder())
        msg = f"it is a module; name an object in it{hint}"
        raise UsageError(msg)
    return found
