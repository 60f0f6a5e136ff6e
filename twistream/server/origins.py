"""
Origins: the pages of other origins that may read a response (Fetch standard, 3.3).

Layer: server, at the bottom.
"""

import re
from collections.abc import Collection, Iterable

from twisted.web.server import Request

_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#\s,]+")


def checked_origins(allow_origin: str | Collection[str] | None) -> Collection[str]:
    """
    Check the argument `allow_origin`, and return its origins.

    Raises:
        TypeError: It is neither a str nor an iterable of str.
        ValueError: An origin has the wrong form.
    """
    if allow_origin is None:
        return ()
    if isinstance(allow_origin, bytes) or not isinstance(allow_origin, Iterable):
        msg = f"allow_origin must be a str or an iterable of str, not {type(allow_origin).__name__}"
        raise TypeError(msg)
    # A tuple, because an iterator would be used up here.
    origins = (allow_origin,) if isinstance(allow_origin, str) else tuple(allow_origin)
    for origin in origins:
        if not isinstance(origin, str):
            msg = f"an origin must be a str, not {type(origin).__name__}"
            raise TypeError(msg)
        if not _ORIGIN.fullmatch(origin):
            msg = f'an origin must be "*" or have the form https://example.org, not {origin!r}'
            raise ValueError(msg)
    return origins


def allow_origins(request: Request, origins: Collection[str]) -> None:
    """
    Let pages of `origins` read the response (Fetch standard, 3.3).
    """
    headers = request.responseHeaders
    if "*" in origins:
        headers.setRawHeaders(b"Access-Control-Allow-Origin", [b"*"])
        return
    # Tell caches that the answer depends on the origin.
    headers.addRawHeader(b"Vary", b"Origin")
    origin: bytes = request.getHeader(b"Origin") or b""
    if origin.decode("latin-1") in origins:
        headers.setRawHeaders(b"Access-Control-Allow-Origin", [origin])
