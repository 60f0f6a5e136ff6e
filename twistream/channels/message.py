"""
Message: what was published, once for all who get it.
"""

from typing import Any

import msgspec

from twistream.wire.frames import Frame
from twistream.wire.messages import Format, Payload

_UNREAD = object()


class Message:
    """
    One message of a channel.

    Attributes:
        channel: The name of its channel.
        id: Its id, which ``publish`` returned.
        event: The name of its event, or None.
        payload: What it says: text, or bytes of JSON.
        previous: The id of the message before it in the channel.
    """

    __slots__ = ("_data", "_encoded", "channel", "event", "id", "payload", "previous")

    def __init__(
        self,
        *,
        channel: str,
        id: str,
        previous: str,
        event: str | None,
        payload: Payload,
    ) -> None:
        self.channel = channel
        self.id = id
        self.previous = previous
        self.event = event
        self.payload = payload
        self._data: Any = _UNREAD
        self._encoded: tuple[tuple[Format, bytes], ...] = ()

    def __repr__(self) -> str:
        return f"<Message {self.id} of {self.channel}>"

    @property
    def data(self) -> Any:
        """
        What was published: text, or a value as JSON has it.
        """
        if self._data is _UNREAD:
            text = isinstance(self.payload, str)
            self._data = self.payload if text else msgspec.json.decode(self.payload)
        return self._data

    @property
    def size(self) -> int:
        """
        Bytes of what it says, with its name.
        """
        payload, event = self.payload, self.event
        length = len(payload.encode()) if isinstance(payload, str) else len(payload)
        return length + (len(event.encode()) if event else 0)

    def encoded(self, form: Format, id: str) -> bytes:
        """
        It, in a format, with the id that a stream goes on from.

        With its own id, as for streams that follow its channel alone, it is encoded once.
        """
        if id != self.id:
            return form.message(id, self.payload, self.event)
        for known, encoded in self._encoded:
            if known is form:
                return encoded
        encoded = form.message(id, self.payload, self.event)
        self._encoded += ((form, encoded),)
        return encoded


class Delivery(Frame):
    """
    A message on its way to streams that follow the same channels in the same format.

    Attributes:
        before: The id that a client goes on from if it has not got this message.
        id: The id that it goes on from if it has.
        message: The message.
    """

    __slots__ = ("before", "id", "message")

    def __init__(self, message: Message, form: Format, before: str, id: str) -> None:
        super().__init__(message.encoded(form, id))
        self.message = message
        self.before = before
        self.id = id
