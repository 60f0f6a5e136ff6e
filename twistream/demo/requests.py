"""
What the handlers of the demo read from a request: a short body.
"""

from typing import BinaryIO, cast

from twistream import Context


def body_of(ctx: Context, limit: int) -> bytes:
    """
    The body of the request, up to one byte more than `limit`: then it is too long.
    """
    content = cast("BinaryIO", ctx.request.content)  # It is None only before the handler is called.
    return content.read(limit + 1)
