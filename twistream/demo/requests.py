"""
What the handlers of the demo read from a request: its body, and one parameter of its query.
"""

from typing import BinaryIO, cast
from urllib.parse import parse_qs

from twistream import Context, HTTPError


def body_of(ctx: Context, limit: int) -> bytes:
    """
    The body of the request, up to one byte more than `limit`: then it is too long.
    """
    content = cast("BinaryIO", ctx.request.content)  # It is None only before the handler is called.
    return content.read(limit + 1)


def parameter(ctx: Context, name: str) -> bytes | None:
    """
    The value of a parameter in the query, decoded from its percent-encoding; None without one.

    Raises:
        HTTPError: 400, if it is given more than once.
    """
    # request.args omits parameters without "=", and includes the fields of a form in the body.
    query = ctx.request.uri.decode("latin-1").partition("?")[2]
    given = parse_qs(query, keep_blank_values=True, encoding="latin-1").get(name)
    if given is None:
        return None
    if len(given) > 1:
        raise HTTPError(400, f"{name} must be given once, not {len(given)} times.")
    return given[0].encode("latin-1")
