"""
aiohttp's own server, where publishing waits for each subscriber in turn.

Shorter than the fan-out that it is compared to, and not for production: one subscriber that
reads nothing holds up whoever publishes, and so all others.
"""

import sys

from benchmarks.servers.aiohttp_ import FanOut, serve


class OneLoop(FanOut):
    """
    A fan-out that looks at nobody's buffer.
    """

    async def send(self, message: bytes) -> None:
        """
        Write a message to every subscriber.
        """
        for response in list(self.subscribers):
            try:
                await response.write(message)
            except ConnectionError:
                continue  # It has left, and its handler is about to be cancelled.


if __name__ == "__main__":
    serve(OneLoop(), int(sys.argv[1]))
