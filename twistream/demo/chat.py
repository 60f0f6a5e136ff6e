"""
The handlers of /chat: a room where everybody reads what anybody says.
"""

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

from twisted.internet.defer import DeferredQueue, QueueOverflow

from twistream import Context, HTTPError, Hub, ServerSentEvent

KEPT = 200
"""
Messages that those who come later, or again, are shown.
"""

LONGEST = 4096
"""
Bytes that a message may have as it is posted.
"""

# A terminal would obey them. Tabs and ends of lines are harmless.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Room:
    """
    What was said, and how many are present.
    """

    def __init__(self, hub: Hub) -> None:
        self._messages = hub.channel("chat", history=KEPT)
        self._messages.on_presence(self._presence_changed)
        self._changes: set[DeferredQueue[None]] = set()

    async def listen(self, ctx: Context) -> None:
        """
        What was said and is said, as events, and in between ``presence`` with a number.

        It goes on after ``Last-Event-ID``, and starts with the oldest message without that.
        """
        # A second, so that a page is soon back when the server was started again.
        events = ctx.sse(retry=1.0)
        after = events.last_event_id or self._messages.oldest
        messages = events.subscribe(self._messages, after=after)
        ctx.stream(self._presence())  # Beside the messages, and it ends with the response.
        await messages

    async def say(self, ctx: Context) -> None:
        """
        Take the body of the request as a message, and answer 204.

        Raises:
            HTTPError: 400, if it is none.
        """
        body = ctx.request.content.read(LONGEST + 1)  # type: ignore[union-attr]  # it is there
        text = message_text(body)
        await self._messages.publish({"time": datetime.now(UTC), "text": text})
        ctx.status_code(204)

    async def _presence(self) -> AsyncIterator[bytes]:
        """
        How many are present, each time that it changes.

        Without an id, so that a client goes on after the last message. One that reads slowly
        has one such event waiting for it, and then gets the newest number.
        """
        # A loop for each client, in place of a message to all: it waits for its own client.
        changes: DeferredQueue[None] = DeferredQueue(size=1)
        self._changes.add(changes)
        told = 0
        try:
            while True:
                present = self._messages.subscriber_count
                if present != told:
                    told = present
                    yield ServerSentEvent(str(present), event="presence").encode()
                await changes.get()
        finally:
            self._changes.remove(changes)

    def _presence_changed(self, *_: object) -> None:
        for changes in list(self._changes):
            with suppress(QueueOverflow):  # It has yet to see that there was a change.
                changes.put(None)


def message_text(body: bytes) -> str:
    """
    The message that was posted, without white space around it.

    Raises:
        HTTPError: 400, if it is empty, too long, not UTF-8, or has control characters.
    """
    if len(body) > LONGEST:
        raise HTTPError(400, f"A message has at most {LONGEST} bytes of UTF-8; this one has more.")
    try:
        text = body.decode().strip()
    except UnicodeDecodeError as err:
        raise HTTPError(400, f"A message is UTF-8; byte {err.start} of this one is not.") from err
    if not text:
        raise HTTPError(400, "A message has at least one character that is not white space.")
    if control := _CONTROL.search(text):
        raise HTTPError(400, f"A message has no control characters; this one has {control[0]!r}.")
    return text
