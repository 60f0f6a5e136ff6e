"""
The messages of channels on the wire: as Server-Sent Events, and as lines of JSON.

Pure. A format turns a message, a gap or a position into bytes that a stream can carry.
"""

from collections.abc import Iterable
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from twistream.wire import render
from twistream.wire.frames import Frame
from twistream.wire.sse import ServerSentEvent

Payload: TypeAlias = str | bytes
"""
What a message says: text, or bytes of JSON on one line.
"""

Reason: TypeAlias = Literal["trimmed", "rewound", "unknown", "dropped"]
"""
Why messages are missing: the history no longer holds them; the client asks for what is yet
to come; the id belongs to another channel, to an earlier life of this one, or is none; the
client was too slow.
"""

_UNREAD = object()

GAP = "gap"
"""
The name of the event that tells of a gap.
"""


SEPARATOR = ","
"""
Between the ids of several channels, where they are one id for a stream.
"""


def compound_id(ids: Iterable[str]) -> str:
    """
    The id of a stream that has got everything up to these, each of another channel.
    """
    return SEPARATOR.join(ids)


class Gap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Messages that a client asked for, or was to get, and does not get.

    Attributes:
        requested: The id after which messages are missing, as it was asked for.
        resumed_from: The id before the first message that is delivered next.
        reason: Why; where there are several channels, that of the first of them.
        channels: Where there are several: the names of those that have a gap, and why.
    """

    requested: str
    resumed_from: str
    reason: Reason
    channels: dict[str, Reason] | None = None


class Format(Protocol):
    """
    How messages are written.

    Attributes:
        media_type: The type of a stream of them.
    """

    media_type: bytes

    def message(self, id: str, payload: Payload, event: str | None) -> bytes:
        """
        A message, and the id that a client goes on from when it has got it.
        """

    def gap(self, gap: Gap) -> bytes:
        """
        Messages are missing here.
        """

    def position(self, id: str) -> bytes:
        """
        The id that a client goes on from, without a message. Empty if that cannot be said.
        """


class Events:
    """
    Server-Sent Events (WHATWG HTML 9.2).
    """

    media_type = b"text/event-stream; charset=utf-8"

    def message(self, id: str, payload: Payload, event: str | None) -> bytes:
        data = payload if isinstance(payload, str) else payload.decode()
        return ServerSentEvent(data, event=event, id=id).encode()

    def gap(self, gap: Gap) -> bytes:
        return self.message(gap.resumed_from, render.json(gap)[1], GAP)

    def position(self, id: str) -> bytes:
        # An event without data is not dispatched, but its id is kept.
        return ServerSentEvent(id=id).encode()


class JSONLines:
    """
    JSON Lines: ``{"id": ..., "event": ..., "data": ...}`` and ``{"gap": {...}}``.
    """

    media_type = b"application/jsonl"

    def message(self, id: str, payload: Payload, event: str | None) -> bytes:
        # JSON that was checked when it was made, and is put in as it is.
        data = payload if isinstance(payload, str) else msgspec.Raw(payload)
        line = (
            {"id": id, "data": data} if event is None else {"id": id, "event": event, "data": data}
        )
        return msgspec.json.encode(line) + b"\n"

    def gap(self, gap: Gap) -> bytes:
        return render.json_line({"gap": gap})[1]

    def position(self, id: str) -> bytes:  # noqa: ARG002 - no line says it
        return b""


EVENTS, JSON_LINES = Events(), JSONLines()


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

    def encoded(self, format: Format, id: str) -> bytes:
        """
        It, in a format, with the id that a stream goes on from.

        With its own id, as for streams that follow its channel alone, it is encoded once.
        """
        if id != self.id:
            return format.message(id, self.payload, self.event)
        for known, encoded in self._encoded:
            if known is format:
                return encoded
        encoded = format.message(id, self.payload, self.event)
        self._encoded += ((format, encoded),)
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

    def __init__(self, message: Message, format: Format, before: str, id: str) -> None:
        super().__init__(message.encoded(format, id))
        self.message = message
        self.before = before
        self.id = id


def encoded(data: object) -> Payload:
    """
    What a message says of `data`: a str as it is, anything else as JSON.

    Raises:
        EncodeError: JSON, or UTF-8, cannot hold it.
    """
    if isinstance(data, str):
        render.encode_text(data)
        return data
    return render.json(data)[1]


def check_event(name: str) -> None:
    """
    Check the name of an event that is to be published.

    Raises:
        EncodeError: UTF-8 cannot hold it.
        TypeError: It is no str.
        ValueError: It has CR, LF or NUL, or is that of a gap.
    """
    if name == GAP:
        msg = f"{GAP!r} is the event that tells of a gap; take another name"
        raise ValueError(msg)
    ServerSentEvent(event=name).encode()
