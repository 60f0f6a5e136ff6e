"""
The handlers of /chat: a room where everyone reads every message.
"""

import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime

from twisted.internet.defer import DeferredQueue, QueueOverflow

from twistream import Context, HTTPError, Hub, ServerSentEvent
from twistream.demo.requests import body_of

KEPT = 200
"""
How many messages the history keeps, for clients that join later or reconnect.
"""

LONGEST = 4096
"""
The maximum size of a posted message in bytes.
"""

LONGEST_NAME = 40
"""
The maximum length of a name in characters.
"""

# A terminal would interpret them. Tabs and line endings are harmless.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Room:
    """
    The messages of the room, and the number of clients in it.
    """

    def __init__(self, hub: Hub) -> None:
        self._messages = hub.channel("chat", history=KEPT)
        self._messages.on_presence(self._presence_changed)
        self._changes: set[DeferredQueue[None]] = set()

    async def listen(self, ctx: Context) -> None:
        """
        Send messages as events, and who is there as events named ``presence`` and ``members``.

        Messages start after ``Last-Event-ID``, or with the oldest one if there is no id.
        """
        # One second: pages are back soon after a restart.
        events = ctx.sse(retry=1.0)
        after = events.last_event_id or self._messages.oldest
        name = name_of(ctx)
        member = {"name": name} if name else None
        messages = events.subscribe(self._messages, after=after, presence=member)
        ctx.stream(self._presence(), detached=True)  # Runs alongside.
        await messages

    async def say(self, ctx: Context) -> str:
        """
        Publish the body of the request as a message from ``?name=``, and answer with its id.

        Raises:
            HTTPError: 400, if the body is not a valid message, or the name is not a valid name.
        """
        text = message_text(body_of(ctx, LONGEST))
        name = name_text(ctx.query("name", ""))
        ctx.content_type("text/plain")
        message = {"time": datetime.now(UTC), "name": name, "text": text}
        return await self._messages.publish(message) + "\n"

    async def _presence(self) -> AsyncIterator[bytes]:
        """
        Yield the number of clients, and the names of those who have one, whenever they change.

        These events have no id, so a client resumes after its last message. At most one
        change is queued for a slow client, which then receives the current number.
        """
        # Each client has a loop of its own, so that only this loop waits for a slow client.
        changes: DeferredQueue[None] = DeferredQueue(size=1)
        self._changes.add(changes)
        sent, sent_names = 0, "[]"
        try:
            while True:
                present = self._messages.subscriber_count
                names = json.dumps([member["name"] for member in self._messages.presence()])
                if present != sent:
                    sent = present
                    yield ServerSentEvent(str(present), event="presence").encode()
                if names != sent_names:
                    sent_names = names
                    yield ServerSentEvent(names, event="members").encode()
                await changes.get()
        finally:
            self._changes.remove(changes)

    def _presence_changed(self, *_: object) -> None:
        for changes in list(self._changes):
            with suppress(QueueOverflow):  # A change is queued already.
                changes.put(None)


def name_of(ctx: Context) -> str:
    """
    The name of a reader, from ``?name=``. A name that is not valid is none: reading needs no name.
    """
    try:
        return name_text(ctx.query("name", ""))
    except HTTPError:
        return ""


def name_text(value: str) -> str:
    """
    Strip white space from the name of a sender. It may be empty.

    Raises:
        HTTPError: 400, if it is too long, or contains control characters.
    """
    name = value.strip()
    if len(name) > LONGEST_NAME:
        raise HTTPError(400, f"The name is longer than {LONGEST_NAME} characters.")
    if control := re.search(r"[\t\r\n]", name) or _CONTROL.search(name):
        raise HTTPError(400, f"The name contains a control character, {control[0]!r}.")
    return name


def message_text(body: bytes) -> str:
    """
    Decode a posted message, and strip white space.

    Raises:
        HTTPError: 400, if it is empty, too long, not UTF-8, or contains control characters.
    """
    if len(body) > LONGEST:
        raise HTTPError(400, f"The message is longer than {LONGEST} bytes of UTF-8.")
    try:
        text = body.decode().strip()
    except UnicodeDecodeError as err:
        raise HTTPError(400, f"The message is not valid UTF-8 at byte {err.start}.") from err
    if not text:
        raise HTTPError(400, "The message is empty.")
    if control := _CONTROL.search(text):
        raise HTTPError(400, f"The message contains a control character, {control[0]!r}.")
    return text
