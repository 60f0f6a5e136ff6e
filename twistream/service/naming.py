"""
Suggest the right name for a misspelt ``package.module:name``.
"""

import ast
import inspect
import os
import sys
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from types import ModuleType

from twistream.service.served import can_be_served

_PROPERTIES = (property, cached_property)
_MOST_NAMES = 5
_MOST_FILES = 100  # which are searched for a name; a folder of programs has fewer


def is_dotted(name: str) -> bool:
    """
    Whether Python can import it: identifiers between dots.
    """
    return all(part.isidentifier() for part in name.split("."))


def closest(word: str, possible: Iterable[str], cutoff: float = 0.6) -> str | None:
    """
    The name that `word` is most likely a misspelling of, if there is any.

    Args:
        word: The name that does not exist.
        possible: Those that do.
        cutoff: How similar they must be, from 0 to 1; see `difflib.get_close_matches`.
    """
    names = {name: name for name in possible}
    folded = {name.casefold(): name for name in names}
    found = get_close_matches(word, names, 1, cutoff)
    found = found or get_close_matches(word.casefold(), folded, 1, cutoff)
    return names.get(found[0]) or folded[found[0]] if found else None


def is_module(name: str, folder: Path) -> bool:
    """
    Whether a module or package has this name in a folder. Nothing is imported.
    """
    path = folder.joinpath(*name.split("."))
    return _is_source(Path(f"{path}.py")) or bool(_modules(path))


def closest_module(name: str, folder: Path, cutoff: float = 0.6) -> str | None:
    """
    The module in a folder that a dotted name is most likely a misspelling of.
    """
    *packages, last = name.split(".")
    found: list[str] = []
    for part in (*packages, last):
        match = closest(part, _modules(folder.joinpath(*found)), cutoff)
        if match is None:
            return None
        found.append(match)
    return ".".join(found)


def _modules(folder: Path) -> set[str]:
    """
    The modules of a folder, and its folders that contain modules.
    """
    try:
        entries = list(folder.iterdir())
    except OSError:
        return set()
    return {
        entry.stem
        for entry in entries
        if entry.stem.isidentifier()
        and (entry.suffix == ".py" or _has_modules(entry))
        and not entry.stem.startswith("__")
    }


def _is_source(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long for a file
        return False


def _has_modules(folder: Path) -> bool:
    try:
        return any(entry.suffix == ".py" for entry in folder.iterdir())
    except OSError:
        return False


def names_in(holder: object) -> list[str]:
    """
    The public names that could be served, of a module or another object.

    Of a module, names that it imports come last.
    """
    if not isinstance(holder, ModuleType):
        # Nothing may run, so properties and the like stay unread. Methods are not bound.
        members = {name: inspect.getattr_static(holder, name, None) for name in dir(holder)}
        return [
            name
            for name, value in members.items()
            if not name.startswith("_")
            and (callable(value) or isinstance(value, _PROPERTIES) or can_be_served(value))
        ]
    own: list[str] = []
    imported: list[str] = []
    for name, value in list(vars(holder).items()):
        if name.startswith("_") or not can_be_served(value):
            continue
        is_code = inspect.isroutine(value) or inspect.isclass(value)
        origin = getattr(value, "__module__", None) if is_code else None
        (own if origin in (None, holder.__name__) else imported).append(name)
    return own or imported


def choice(module: str, names: list[str]) -> str | None:
    """
    The names to choose from, such as ``app:hello or app:root``.
    """
    shown = [f"{module}:{name}" for name in names[:_MOST_NAMES]]
    return " or ".join([", ".join(shown[:-1]), shown[-1]] if shown[1:] else shown) or None


def did_you_mean(name: str | None) -> str:
    """
    The end of a message, with a suggestion if there is any.
    """
    return "" if name is None else f"; did you mean {name}?"


def hint_for_module(module: str, attribute: str, folder: Path) -> str:
    """
    The end of the message that a module does not exist.
    """
    plain = module.removesuffix(".py")
    meant = plain if is_module(plain, folder) else closest_module(plain, folder)
    if meant is not None:
        return did_you_mean(f"{meant}:{attribute}")
    package, _, last = plain.rpartition(".")
    for entry in getattr(sys.modules.get(package), "__path__", ()):
        if found := closest(last, _modules(Path(entry))):
            return did_you_mean(f"{package}.{found}:{attribute}")
    if last in _names_of(folder.joinpath(*package.split(".")).with_suffix(".py")):
        return did_you_mean(f"{package}:{last}.{attribute}")
    # The two names may be in the wrong order.
    file = next(files_with(module, folder), None)
    return did_you_mean(file and f"{file}:{module}")


def hint_for_attribute(holder: object, name: str, path: str, folder: Path) -> str:
    """
    The end of the message that a module or object has no attribute `name`.

    Args:
        holder: The module or object.
        name: The missing attribute.
        path: How the holder is written in ``--app``, up to the name.
        folder: The current folder.
    """
    if isinstance(holder, ModuleType):
        other = _hint_for_module(holder, name, folder)
        if other is not None:
            return other
    names = names_in(holder)
    match = closest(name, names)
    if match is not None or not isinstance(holder, ModuleType):
        return did_you_mean(match and f"{path}{match}")
    found = ", ".join(f"{path}{each}" for each in names[:_MOST_NAMES])
    return f"; it has {found}" if found else ""


def hint_for_contents(module: ModuleType, folder: Path) -> str:
    """
    The end of the message that a module itself cannot be served.
    """
    file = getattr(module, "__file__", None)
    own = file is not None and Path(file).is_relative_to(folder)
    return did_you_mean(choice(module.__name__, names_in(module)) if own else None)


def _hint_for_module(holder: ModuleType, name: str, folder: Path) -> str | None:
    module = holder.__name__
    file = getattr(holder, "__file__", None)
    places = [file] if file else list(getattr(holder, "__path__", ()))
    if is_module(module, folder) and not any(Path(p).is_relative_to(folder) for p in places):
        return (
            f"; Python found another module of this name ({', '.join(places) or 'built in'}) "
            "first, so rename yours"
        )
    if file and name in _names_of_program(Path(file)):
        return f"; {name} is defined below if __name__ == '__main__': only; define it before that"
    if hasattr(holder, "__path__"):
        return _hint_for_package(holder, name, folder)
    return None


def _hint_for_package(holder: ModuleType, name: str, folder: Path) -> str | None:
    package = holder.__name__
    twin = folder.joinpath(*package.split(".")).with_suffix(".py")
    if name in _names_of(twin):
        return f"; Python found the folder {twin.stem} before {twin.name}, so rename one of them"
    for entry in holder.__path__:
        if is_module(name, Path(entry)):
            return f"; {name} is a module in it, so name an object in {package}.{name}"
        found = next(files_with(name, Path(entry)), None)
        if found is not None:
            return did_you_mean(f"{package}.{found}:{name}")
    if getattr(holder, "__file__", None) is None:
        return f"; {package} is a folder without an __init__.py, so name a module in it"
    return None


def module_of(path: str, folder: Path) -> str | None:
    """
    The dotted name for the path of a module, which may be absolute or relative.
    """
    file = _file_of(path, folder)
    if file == folder or not file.is_relative_to(folder):
        return None
    module = ".".join(file.relative_to(folder).parts)
    return module if is_dotted(module) else None


def obstacle(path: str, folder: Path) -> str:
    """
    The end of a message, with the reason why an existing file cannot be named in ``--app``.
    """
    file = _file_of(path, folder)
    source = Path(f"{file}.py")
    if not _is_source(source):
        return ""
    if not file.is_relative_to(folder):
        return f"; {source.name} is in another folder, so run twistd in {file.parent}"
    return f"; Python can only import names of letters, digits and _, so rename {source.name}"


def _file_of(path: str, folder: Path) -> Path:
    given = path.strip().partition("(")[0].removesuffix(".py")
    return Path(os.path.normpath(folder / given))


def files_with(name: str, folder: Path) -> Iterator[str]:
    """
    The modules in a folder that define a name. Nothing is imported.
    """
    for path in sorted(folder.glob("*.py"))[:_MOST_FILES]:
        if path.stem.isidentifier() and name in _names_of(path):
            yield path.stem


def _names_of(path: Path) -> set[str]:
    return set(_defined(_statements(path)))


def _names_of_program(path: Path) -> set[str]:
    """
    The names that a module defines only if it is run as a program.
    """
    return {
        name
        for statement in _statements(path)
        if isinstance(statement, ast.If) and "__main__" in ast.unparse(statement.test)
        for name in _defined(statement.body)
    }


def _statements(path: Path) -> list[ast.stmt]:
    try:
        return ast.parse(path.read_bytes()).body
    except (OSError, SyntaxError, ValueError):
        return []


def _defined(body: list[ast.stmt]) -> Iterator[str]:
    for statement in body:
        match statement:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name) | ast.AnnAssign(target=ast.Name(id=name)):
                yield name
            case ast.Assign(targets=targets):
                yield from (target.id for target in targets if isinstance(target, ast.Name))
