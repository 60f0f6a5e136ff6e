"""
The start of a body that is not wanted, for the message of an error.

Layer: client, above `items`.
"""

from typing import Final

from twisted.internet.interfaces import IReactorTime
from twisted.web.iweb import IResponse

from twistream.client.items import iter_bytes
from twistream.errors import StreamError

_EXCERPT: Final = 1000
"""
Bytes of an unexpected body that its error shows.
"""

_EXCERPT_SECONDS: Final = 5.0
"""
How long to wait for them.
"""


async def excerpt_of(response: IResponse, clock: IReactorTime) -> bytes:
    """
    Read the start of a body that is not wanted, and close its connection.
    """
    body = iter_bytes(response, allow_close_delimited=True, clock=clock)
    timer = clock.callLater(_EXCERPT_SECONDS, body.aclose)
    excerpt = b""
    try:
        async for piece in body:
            excerpt += piece
            if len(excerpt) >= _EXCERPT:
                break
    except StreamError:
        pass  # What was received must do.
    finally:
        body.aclose()
        if timer.active():
            timer.cancel()
    return excerpt[:_EXCERPT]
