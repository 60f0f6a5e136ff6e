"""
A client that reads Server-Sent Events and reconnects as a browser does.

Serve ``events.py``, and run ``python follow_events.py http://127.0.0.1:8080/``. The client
exits when the server ends the stream for good. It needs ``pip install treq``.
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

        def receive(data, decoder=decoder):
            for event in decoder.feed(data):
                show(event)

        headers = Headers({"Accept": ["text/event-stream"]})
        if last_event_id:
            headers.setRawHeaders("Last-Event-ID", [last_event_id])
        try:
            response = await treq.get(url, headers=headers, unbuffered=True)
            if response.code != 200:
                return response.code
            await treq.collect(response, receive)
        except (ConnectError, ResponseFailed) as err:
            print(f"connection lost: {err}", file=sys.stderr)
        # If this stream set no id or retry, those of the previous stream remain valid.
        last_event_id = decoder.last_event_id or last_event_id
        if decoder.retry_ms is not None:
            retry = decoder.retry_ms / 1000
        await deferLater(reactor, retry)


async def main(reactor, url="http://127.0.0.1:8080/"):
    code = await follow(reactor, url)
    print(f"the stream has ended: {code}")


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
