"""
Show where the code of an application failed, in a few lines.

A traceback would begin with twistd, twistream and importlib, and end in some library. What
helps is the line in the user's own file.
"""

import os
import sysconfig
import traceback
from collections.abc import Iterator
from pathlib import Path

import twistream
from twistream.service.reasons import what

_MOST_LINES = 5
_WIDTH = 160  # characters of one line; code that is generated can have thousands

_PYTHON = Path(os.path.realpath(sysconfig.get_path("stdlib")))
_INSTALLED = [Path(os.path.realpath(sysconfig.get_path(name))) for name in ("purelib", "platlib")]
_SITE = {"site-packages", "dist-packages"}
_TWISTREAM = Path(os.path.realpath(twistream.__file__)).parent


def failure_in_code(error: BaseException) -> str:
    """
    Describe an exception that an application raised.

    The first line has its type and text. The lines below it, which are indented, have the rest
    of a long text, the errors that caused it, and the innermost line of the user's own code. For
    a `SyntaxError` they have the line that is not valid.
    """
    first, *more = _text(error)
    return "\n".join([first, *(f"  {_cut(line)}" for line in (*more, *_places(error)))])


def _text(error: BaseException) -> list[str]:
    """
    The type and text of the error, and its notes.
    """
    text = error.msg if isinstance(error, SyntaxError) and error.filename else None
    said = what(error, text)
    own = (line for line in [*said.splitlines(), _suggestion(error, said)] if line.strip())
    notes = (str(note) for note in getattr(error, "__notes__", ()))
    first, *more = [*own, *notes, *_inner(error)]
    cut = ["..."] if len(more) > _MOST_LINES else []
    return [_cut(first), *more[:_MOST_LINES], *cut]


def _suggestion(error: BaseException, said: str) -> str:
    """
    What Python adds in a traceback, such as a similar name.
    """
    if not isinstance(error, NameError | AttributeError | ImportError):
        return ""
    _, _, text = said.partition(": ")
    shown = traceback.TracebackException.from_exception(error).format_exception_only()
    _, _, added = "".join(shown).partition(text)
    # It has its own line, because a long text is cut.
    return added.partition("\n")[0].removeprefix(". ") if text else ""


def _inner(error: BaseException) -> Iterator[str]:
    """
    The errors in a group, and those that an error was explicitly raised from.
    """
    for each in error.exceptions if isinstance(error, BaseExceptionGroup) else ():
        yield what(each).partition("\n")[0]
    seen = {id(error)}
    cause = error.__cause__
    while cause is not None and id(cause) not in seen:
        yield f"because of {what(cause)}".partition("\n")[0]
        seen.add(id(cause))
        cause = cause.__cause__


def _places(error: BaseException) -> Iterator[str]:
    if isinstance(error, SyntaxError) and error.filename:
        yield from _of_syntax(error)
        if _is_own(error.filename):
            return
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if _is_own(frame.filename)]
    for frame in (own or [frame for frame in frames if _is_installed(frame.filename)])[-1:]:
        yield f'File "{_shown(frame.filename)}", line {frame.lineno}, in {frame.name}'
        if frame.line:
            yield f"  {frame.line}"


def _of_syntax(error: SyntaxError) -> Iterator[str]:
    # An unknown encoding is an error of the whole file.
    line = f", line {error.lineno}" if error.lineno else ""
    yield f'File "{_shown(error.filename or "")}"{line}'
    # The line and the marks below it, between the file and the message.
    _, *lines = "".join(
        traceback.TracebackException.from_exception(error).format_exception_only()
    ).splitlines()
    for line in lines[: 2 if error.text else 0]:
        if not line.startswith(type(error).__name__):
            yield line.removeprefix("  ")


def _is_file(name: str) -> bool:
    # Code without a file has a name such as <string>.
    return not name.startswith("<")


def _is_own(name: str) -> bool:
    path = Path(os.path.realpath(name))
    return (
        _is_file(name)
        and not any(path.is_relative_to(folder) for folder in (_PYTHON, _TWISTREAM, *_INSTALLED))
        and _SITE.isdisjoint(path.parts)
    )


def _is_installed(name: str) -> bool:
    """
    Whether it is a file of an application that is installed as a package, or of the demo.
    """
    path = Path(os.path.realpath(name))
    return (
        _is_file(name)
        and not (path.is_relative_to(_PYTHON) and _SITE.isdisjoint(path.parts))
        and not path.is_relative_to(_TWISTREAM / "service")
    )


def _shown(name: str) -> str:
    if not _is_file(name):
        return name
    path = Path(os.path.realpath(name))
    here = Path(os.path.realpath(os.curdir))
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _cut(line: str) -> str:
    return line if len(line) <= _WIDTH else f"{line[:_WIDTH]}..."
