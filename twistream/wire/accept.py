"""
What a client accepts: media types (RFC 9110 12.5.1) and content codings (RFC 9110 12.5.3).

Pure functions.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

_QUALITY = rb"[ \t]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?)[ \t]*"
"""
A weight (RFC 9110 12.4.2).
"""

_WEIGHT = re.compile(_QUALITY)

_CODING = re.compile(rb"[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)[ \t]*(?:;" + _QUALITY + rb")?")
"""
A member of ``Accept-Encoding``: a coding, and perhaps its weight.
"""

_ALIASES = {b"x-gzip": b"gzip"}
"""
Names that mean the same (RFC 9110 8.4.1.3).
"""


def preferred_type(accepted: bytes, media_types: Iterable[str]) -> str | None:
    """
    Return the media type that the client prefers among those that it names.

    Of types with the same weight, the one that comes first counts: clients write them in that order.
    A wildcard names no type.

    Args:
        accepted: The value of the header ``Accept``.
        media_types: Media types in lower case.

    Returns:
        One of `media_types`; None if the client names none of them, or refuses them by ``q=0``.
    """
    known = frozenset(media_types)
    best, best_weight = None, 0.0
    for member in accepted.split(b","):
        name, *parameters = member.split(b";")
        media_type = name.strip().lower().decode("latin-1")
        weight = next((float(q[1]) for each in parameters if (q := _WEIGHT.fullmatch(each))), 1.0)
        if media_type in known and weight > best_weight:
            best, best_weight = media_type, weight
    return best


class Choice(NamedTuple):
    """
    How a body is sent to a client.

    Attributes:
        coding: The coding, or None to send the body as it is.
        identity: Whether the client also accepts the body as it is.
    """

    coding: str | None
    identity: bool


AS_IT_IS: Final = Choice(None, identity=True)


@lru_cache(maxsize=64)  # Most clients are one of a few browsers.
def choose_coding(accepted: bytes | None, offered: tuple[str, ...]) -> Choice | None:
    """
    Choose a content coding by the ``Accept-Encoding`` of a client.

    Malformed members are ignored. If a coding is listed twice, the larger weight counts.

    Args:
        accepted: The value, or None if the client has not sent the header. Such a client would
            accept anything, but it is safer to send the body as it is.
        offered: The codings of the server. Among codings with the same weight, the first one is
            chosen.

    Returns:
        None if the client accepts neither a coding nor the body as it is.
    """
    if accepted is None:
        return AS_IT_IS
    weights = _weights(accepted)
    others = weights.get(b"*")
    # If the client does not list `identity`, the body as it is remains acceptable, as a last choice.
    plain = weights.get(b"identity", others)
    identity = plain is None or plain > 0
    best, best_weight = None, plain or 0.0
    for coding in offered:
        weight = weights.get(coding.encode(), others or 0.0)
        if weight > best_weight or (weight == best_weight > 0 and best is None):
            best, best_weight = coding, weight
    return Choice(best, identity) if best is not None or identity else None


def _weights(accepted: bytes) -> dict[bytes, float]:
    weights: dict[bytes, float] = {}
    for member in accepted.split(b","):
        if found := _CODING.fullmatch(member):
            name = found[1].lower()
            name = _ALIASES.get(name, name)
            weights[name] = max(weights.get(name, 0.0), float(found[2] or 1))
    return weights
