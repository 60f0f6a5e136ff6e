"""
Reads which of several media types a client prefers (RFC 9110 12.5.1).

Pure functions.
"""

import re
from collections.abc import Iterable

_QUALITY = re.compile(r"[ \t]*q[ \t]*=[ \t]*([01](?:\.[0-9]{0,3})?)[ \t]*", re.IGNORECASE)


def preferred(accept: str, media_types: Iterable[str]) -> str | None:
    """
    Return the media type that the client prefers among those that it names.

    Of types with the same weight, the one that comes first counts: clients write them in that order.
    A wildcard names no type.

    Args:
        accept: The value of the header ``Accept``.
        media_types: Media types in lower case.

    Returns:
        One of `media_types`; None if the client names none of them, or refuses them by ``q=0``.
    """
    known = frozenset(media_types)
    best, most = None, 0.0
    for part in accept.split(","):
        name, *parameters = part.split(";")
        media_type = name.strip().lower()
        weight = _weight(parameters)
        if media_type in known and weight > most:
            best, most = media_type, weight
    return best


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        match = _QUALITY.fullmatch(parameter)
        if match:
            return min(float(match[1]), 1.0)
    return 1.0
