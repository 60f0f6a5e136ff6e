"""
A client that reads Server-Sent Events, and comes again as a browser does.

Run it with ``python follow_events.py http://127.0.0.1:8080/``, while ``events.py`` is
served there. It ends when the server says that the stream has ended for good. Needs
``pip install treq``.
"""

import sys

import treq
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater, react
from twisted.web.client import ResponseFailed
from twisted.web.http_headers import Headers

from twistream import EventDecoder, ServerSentEvent


def show(event: ServerSentEvent):
    print(event.id, event.event, event.data, flush=True)


async def follow(reactor, url):
    last_event_id, retry = "", 3.0
    while True:
        decoder = EventDecoder()

        def take(data, decoder=decoder):
            for event in decoder.feed(data):
                show(event)

        headers = Headers({"Accept": ["text/event-stream"]})
        if last_event_id:
            headers.setRawHeaders("Last-Event-ID", [last_event_id])
        try:
            response = await treq.get(url, headers=headers, unbuffered=True)
            if response.code != 200:
                return response.code
            await treq.collect(response, take)
        except (ConnectError, ResponseFailed) as err:
            print(f"it broke off: {err}", file=sys.stderr)
        # A stream that gave none leaves those of the stream before it in force.
        last_event_id = decoder.last_event_id or last_event_id
        if decoder.retry_ms is not None:
            retry = decoder.retry_ms / 1000
        await deferLater(reactor, retry)


async def main(reactor, url="http://127.0.0.1:8080/"):
    code = await follow(reactor, url)
    print(f"it has ended: {code}")


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
