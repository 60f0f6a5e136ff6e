"""
Turn exceptions into messages for the person at the command line.
"""

import errno
import re
import socket

from twisted.internet.error import CannotListenError

_NO_NUMBER = re.compile(r"invalid literal for int\(\) with base (\d+): ('.*')")
_BASES = {"8": "an octal number"}


def what(error: BaseException, text: str | None = None) -> str:
    """
    The type and text of an error: ``ValueError: no such colour``.

    Args:
        error: Its type is shown.
        text: What to show instead of the error's own text.
    """
    name = type(error).__name__
    try:
        said = str(error) if text is None else text
    except Exception:  # noqa: BLE001 - the __str__ of an application's own error may fail
        said = ""
    return f"{name}: {said.strip()}" if said.strip() else name


def why_not(error: BaseException | None) -> str:
    """
    The reason alone, for errors whose type means nothing to users: ``address already in use``.
    """
    if isinstance(error, OverflowError):
        return "a number is too large"
    cause = error.socketError if isinstance(error, CannotListenError) else error
    text = (cause.strerror if isinstance(cause, OSError) else None) or str(cause)
    line = " ".join(text.split()).removesuffix(".")
    if not line:
        return type(cause).__name__
    if line == "Cannot acquire lock":
        return "another program listens on it, and holds its lock file"
    if isinstance(cause, PermissionError) and _is_low_port(error):
        line += "; ports below 1024 are for root, or need the capability CAP_NET_BIND_SERVICE"
    if isinstance(cause, socket.gaierror):
        line += "; interface takes an IP address of this machine"
    elif isinstance(cause, OSError) and cause.errno == errno.EADDRNOTAVAIL:
        line += "; this machine does not have the address"
    line = _NO_NUMBER.sub(lambda n: f"{n[2]} is not {_BASES.get(n[1], 'a number')}", line)
    # The reason continues a sentence, so it starts in lower case; "SSL" stays upper case.
    return line if line[1:2].isupper() else line[:1].lower() + line[1:]


def _is_low_port(error: BaseException | None) -> bool:
    port = error.port if isinstance(error, CannotListenError) else None
    return isinstance(port, int) and port < 1024
