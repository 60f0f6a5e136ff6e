"""
Turn exceptions into one-line messages for the person at the command line.
"""

import re
import traceback
from pathlib import Path

from twisted.internet.error import CannotListenError

_NO_NUMBER = re.compile(r"invalid literal for int\(\) with base \d+: ('.*')")


def what(error: BaseException) -> str:
    """
    The type and text of an error: ``ValueError: no such colour``.
    """
    text = " ".join(str(error).split())
    name = type(error).__name__
    return f"{name}: {text}" if text else name


def what_and_where(error: BaseException) -> str:
    """
    The type and text of an error, and the line of code that raised it.
    """
    frames = traceback.extract_tb(error.__traceback__)
    if not frames or isinstance(error, SyntaxError):
        # The text of a SyntaxError already ends with the file and line.
        return what(error)
    return f"{what(error)} ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"


def why_not(error: BaseException | None) -> str:
    """
    The reason alone, for errors whose type means nothing to users: ``address already in use``.
    """
    cause = error.socketError if isinstance(error, CannotListenError) else error
    text = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
    line = " ".join(text.split())
    if not line:
        return type(cause).__name__
    line = _NO_NUMBER.sub(r"\1 is not a number", line)
    # The reason continues a sentence, so it starts in lower case; "SSL" stays upper case.
    return line if line[1:2].isupper() else line[:1].lower() + line[1:]
