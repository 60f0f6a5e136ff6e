"""
A client that reads Server-Sent Events and reconnects as a browser does.

Serve ``events.py``, and run ``python follow_events.py http://127.0.0.1:8080/``. The client exits when
the server ends the stream for good.
"""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from twistream.client import EventSource


async def main(reactor, url="http://127.0.0.1:8080/"):
    async with EventSource(url, idle_timeout=60.0, reactor=reactor) as source:
        async for event in source:
            print(event.id, event.event, event.data, flush=True)
    print("the stream has ended")


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
