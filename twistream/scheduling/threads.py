"""
The error for calls from a thread that is not the reactor's.

The check itself stands where it is needed, because a call would cost more than the check:
``threadable.ioThread not in (None, get_ident())``.

Layer: scheduling, at the bottom.
"""

from typing import NoReturn


def refuse_thread(call: str, remedy: str) -> NoReturn:
    """
    Raise the error.

    Args:
        call: The method that was called.
        remedy: What to call instead.
    """
    msg = f"{call} was called in a thread that is not the reactor's; {remedy}"
    raise RuntimeError(msg)
