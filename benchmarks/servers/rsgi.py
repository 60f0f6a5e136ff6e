"""
granian's own interface, RSGI: responses only.
"""

import asyncio
import sys
from typing import Any

from benchmarks.message import MEDIA_TYPE, MESSAGE, VALUE, encode
from benchmarks.servers import TICK
from benchmarks.servers.asgi import on_granian


async def _respond(scope: Any, protocol: Any) -> None:
    number = int(scope.query_string.removeprefix("n=") or 12)
    stream = protocol.response_stream(200, [("content-type", MEDIA_TYPE)])
    if scope.path == "/ticks":
        while True:
            await stream.send_bytes(MESSAGE)
            await asyncio.sleep(TICK)
    elif scope.path == "/json_line":
        for _ in range(number):
            await stream.send_bytes(f"{encode(VALUE)}\n".encode())
    else:
        for _ in range(number):
            await stream.send_bytes(MESSAGE)


if __name__ == "__main__":
    on_granian(_respond, int(sys.argv[1]), "rsgi")
