"""
Tornado, on the loop of asyncio: uvloop makes its fan-out no faster.
"""

import asyncio
import sys
from contextlib import suppress
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream, StreamBufferFullError, StreamClosedError
from tornado.web import Application, RequestHandler

from benchmarks.message import MEDIA_TYPE, MESSAGE
from benchmarks.servers import BACKLOG, BEHIND, HOST

_subscribers: dict["Subscribe", None] = {}


class _Stream(RequestHandler):
    def set_default_headers(self) -> None:
        self.set_header("Content-Type", MEDIA_TYPE)

    async def send(self, message: bytes) -> None:
        """
        Write one message, and wait until more may be written.
        """
        self.write(message)
        await self.flush()

    async def send_messages(self, number: int) -> None:
        """
        Write the message `number` times.
        """
        with suppress(StreamClosedError):  # The client may leave in between.
            for _ in range(number):
                await self.send(MESSAGE)


class Twelve(_Stream):
    """
    Twelve messages.
    """

    async def get(self) -> None:
        await self.send_messages(12)


class Many(_Stream):
    """
    As many messages as are asked for, as fast as the client takes them.
    """

    async def get(self) -> None:
        await self.send_messages(int(self.get_query_argument("n")))


class Ticks(_Stream):
    """
    One message each second.
    """

    async def get(self) -> None:
        with suppress(StreamClosedError):
            while True:
                await self.send(MESSAGE)
                await asyncio.sleep(1.0)


class Subscribe(_Stream):
    """
    All that is published.
    """

    def initialize(self) -> None:
        self._left = asyncio.Event()

    async def get(self) -> None:
        _subscribers[self] = None
        with suppress(StreamClosedError):
            await self.send(MESSAGE)
        await self._left.wait()

    def on_connection_close(self) -> None:
        _subscribers.pop(self, None)
        self._left.set()

    def cut(self) -> None:
        """
        Close the connection with what it still has to send.
        """
        self.on_connection_close()
        self.detach().close()


class Publish(RequestHandler):
    """
    Send the body of the request to every subscriber.
    """

    async def post(self) -> None:
        message = self.request.body
        # Nothing is waited for here, so nobody holds up the others; what a subscriber does
        # not take is in its stream's buffer, which has a limit.
        for subscriber in list(_subscribers):
            subscriber.write(message)
            try:
                subscriber.flush()
            except StreamBufferFullError:
                subscriber.cut()
        self.set_status(204)


class Limited(HTTPServer):
    """
    A server whose connections have no more than `BEHIND` bytes to send. Unless told so, they
    take whatever is written.
    """

    def handle_stream(self, stream: IOStream, address: tuple[Any, ...]) -> None:
        stream.max_write_buffer_size = BEHIND
        super().handle_stream(stream, address)


async def serve(port: int) -> None:
    """
    Serve on `port` for ever.
    """
    app = Application(
        [
            ("/twelve", Twelve),
            ("/many", Many),
            ("/ticks", Ticks),
            ("/subscribe", Subscribe),
            ("/publish", Publish),
        ],
        log_function=lambda _: None,
    )
    Limited(app).listen(port, HOST, backlog=BACKLOG)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
