"""
Relay another server's JSON Lines, and change each value on its way.

Serve ``json_numbers.py`` at port 8080 and this at another port:

    twistd -n --pidfile= twistream --app relay_values:root --listen tcp:8081:interface=127.0.0.1

and run ``curl -N http://127.0.0.1:8081/``. A slow client slows down the other server: while
``json_line`` waits for it, nothing is read. If the client disconnects, the connection to the other
server is closed; if the other server breaks off, so does this response.
"""

import os

import treq

from twistream import StreamResource
from twistream.client import iter_json

SOURCE = os.environ.get("SOURCE", "http://127.0.0.1:8080/")


async def squares(ctx):
    response = await treq.get(SOURCE, unbuffered=True)
    async with iter_json(response) as values:
        async for value in values:
            await ctx.json_line({"square": value["number"] ** 2})


root = StreamResource(squares)
