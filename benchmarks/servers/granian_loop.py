"""
granian, where publishing waits for each subscriber in turn.

Shorter and faster than the fan-out that it is compared to, and not for production: one
subscriber that reads nothing holds up whoever publishes, and so all others.
"""

import sys

import uvloop

from benchmarks.message import MESSAGE
from benchmarks.servers.granian_ import (
    Message,
    Receive,
    Send,
    answer,
    application,
    body,
    send_on,
    serve,
    start,
    until_left,
)

_subscribers: dict[Send, None] = {}


async def subscribe(_: Message, receive: Receive, send: Send) -> None:
    """
    All that is published.
    """
    await start(send)
    _subscribers[send] = None
    try:
        await send_on(send, MESSAGE)
        await until_left(receive)
    finally:
        del _subscribers[send]


async def publish(_: Message, receive: Receive, send: Send) -> None:
    """
    Send the body of the request to every subscriber.
    """
    message = await body(receive)
    for subscriber in list(_subscribers):
        await send_on(subscriber, message)
    await answer(send, 204)


_ROUTES = {("GET", "/subscribe"): subscribe, ("POST", "/publish"): publish}

if __name__ == "__main__":
    uvloop.run(serve(application(_ROUTES), int(sys.argv[1])))
