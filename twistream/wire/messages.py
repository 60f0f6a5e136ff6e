"""
Messages of channels, and their formats: Server-Sent Events and JSON Lines.

Pure. A format encodes a message, a gap or a position as bytes that a stream sends as they are.
"""

import re
from collections.abc import Iterable
from typing import Any, Literal, Protocol, TypeAlias

import msgspec

from twistream.wire import render
from twistream.wire.frames import Frame
from twistream.wire.sse import ServerSentEvent

Payload: TypeAlias = str | bytes
"""
The data of a message: a str for text, or bytes for JSON on one line.
"""

Reason: TypeAlias = Literal["trimmed", "rewound", "unknown", "dropped"]
"""
Why messages are missing.

- ``trimmed``: the history no longer contains them.
- ``rewound``: the id is newer than the newest message.
- ``unknown``: the id belongs to another channel, was issued before a restart, or is malformed.
- ``dropped``: the client was too slow.
"""

GAP = "gap"
"""
The name of the event that reports a gap.
"""

SUBSCRIPTION = "subscription"
"""
The name of the event that tells a client the id of its subscription.
"""

SEPARATOR = ","
"""
Separates the ids in the id of a stream that follows several channels.
"""

_BLANK_LINES = (b"\n\n", b"\n\r\n", b"\r\r", b"\r\r\n")
"""
The ends of an event, after which a message may follow. After LF and CR, the LF of a CRLF is still
missing: behind a message, it would be one more blank line.
"""

_BETWEEN = re.compile(rb"(?:(?::|retry:)[^\r\n]*\r?\n)*")
"""
Matches lines that may share a block with any event.
"""


class _NotDecoded:
    """
    Stands for data that nobody has asked for yet. A class, because copies of a message share it.
    """


def compound_id(ids: Iterable[str]) -> str:
    """
    Join the ids of several channels, in the order of the channels, to the id of a stream.
    """
    return SEPARATOR.join(ids)


class Gap(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """
    Reports that messages are missing from a stream.

    Attributes:
        requested: The id after which messages are missing, as the client sent it.
        resumed_from: The id that precedes the next message of the stream.
        reason: Why messages are missing. With several channels, the reason for the first of them.
        channels: With several channels, the reason for each channel that has a gap, by name.
    """

    requested: str
    resumed_from: str
    reason: Reason
    channels: dict[str, Reason] | None = None


class Format(Protocol):
    """
    Encodes messages.

    Attributes:
        media_type: The media type of a stream in this format.
    """

    media_type: bytes

    def message(
        self, id: str, payload: Payload, event: str | None, topic: str | None = None
    ) -> bytes:
        """
        Encode a message.

        Args:
            id: The id from which a client resumes after the message.
            topic: The topic. Not all formats send it.

        Raises:
            EncodeError: UTF-8 cannot encode an argument.
            ValueError: The format cannot represent the id or the event.
        """

    def ends(self, text: bytes) -> bool:
        """
        Whether the last message of `text` has ended, and no other has begun.
        """

    def gap(self, gap: Gap) -> bytes:
        """
        Encode a gap.
        """

    def position(self, id: str) -> bytes:
        """
        Encode an id from which to resume, without a message. Empty if the format has no such form.
        """

    def subscription(self, id: str) -> bytes:
        """
        Encode the id of a subscription, which a client uses to change it.
        """


class Events:
    """
    Server-Sent Events (WHATWG HTML 9.2).
    """

    media_type = b"text/event-stream; charset=utf-8"

    def message(
        self,
        id: str,
        payload: Payload,
        event: str | None,
        topic: str | None = None,  # noqa: ARG002 - an event has no field for it
    ) -> bytes:
        """
        Encode a message as an event, without the topic.
        """
        data = payload if isinstance(payload, str) else payload.decode()
        # A fast path for data of one line. It is safe: a line end or NUL in any field, and
        # text that UTF-8 cannot encode, take the other path, which splits or refuses them.
        name = () if event is None else ("event: ", event, "\n")
        text = "".join((*name, "id: ", id, "\ndata: ", data, "\n\n"))
        lines = 3 if event is None else 4
        if text.count("\n") == lines and "\r" not in text and "\0" not in text:
            try:
                return text.encode()
            except UnicodeEncodeError:
                pass
        return ServerSentEvent(data, event=event, id=id).encode()

    def ends(self, text: bytes) -> bool:
        """
        Whether nothing but comments and ``retry`` follows the last blank line (WHATWG HTML 9.2.5).
        """
        ends = [text.rfind(blank) + len(blank) for blank in _BLANK_LINES if blank in text]
        return bool(ends) and _BETWEEN.fullmatch(text, max(ends)) is not None

    def gap(self, gap: Gap) -> bytes:
        """
        Encode a gap as an event named ``gap``. Its id is `Gap.resumed_from`.
        """
        return self.message(gap.resumed_from, render.json(gap)[1], GAP)

    def position(self, id: str) -> bytes:
        """
        Encode an id. A client stores it, and does not dispatch an event without data.
        """
        return ServerSentEvent(id=id).encode()

    def subscription(self, id: str) -> bytes:
        """
        Encode the id as an event named ``subscription``. It has no id of its own.
        """
        return ServerSentEvent(render.json({"id": id})[1].decode(), event=SUBSCRIPTION).encode()


class JSONLines:
    """
    JSON Lines: ``{"id": ..., "event": ..., "topic": ..., "data": ...}`` and ``{"gap": {...}}``.
    """

    media_type = b"application/jsonl"

    def message(
        self, id: str, payload: Payload, event: str | None, topic: str | None = None
    ) -> bytes:
        """
        Encode a message as a line. The keys ``event`` and ``topic`` are omitted if they are None.
        """
        line: dict[str, object] = {"id": id}
        if event is not None:
            line["event"] = event
        if topic is not None:
            line["topic"] = topic
        # A payload in JSON was validated when it was published.
        line["data"] = payload if isinstance(payload, str) else msgspec.Raw(payload)
        return msgspec.json.encode(line) + b"\n"

    def ends(self, text: bytes) -> bool:
        """
        Whether the text ends with a line end.
        """
        return text.endswith(b"\n")

    def gap(self, gap: Gap) -> bytes:
        """
        Encode a gap as a line.
        """
        return render.json_line({"gap": gap})[1]

    def position(self, id: str) -> bytes:  # noqa: ARG002 - there is no such line
        """
        Return no bytes: every line is a message, a gap or a subscription.
        """
        return b""

    def subscription(self, id: str) -> bytes:
        """
        Encode the id as a line, ``{"subscription": {"id": ...}}``.
        """
        return render.json_line({"subscription": {"id": id}})[1]


EVENTS, JSON_LINES = Events(), JSONLines()


class Message:
    """
    One message of a channel. Filters are called with it.

    Attributes:
        channel: The name of the channel.
        id: The id that ``publish`` returned.
        event: The name of the event, or None.
        payload: The data as it is sent: a str for text, or bytes for JSON.
        previous: The id of the previous message of the channel.
        topic: The topic, or None.
    """

    __slots__ = ("_data", "_encoded", "channel", "event", "id", "payload", "previous", "topic")

    def __init__(  # noqa: PLR0913 - each part is a keyword
        self,
        *,
        channel: str,
        id: str,
        previous: str,
        event: str | None,
        payload: Payload,
        topic: str | None = None,
    ) -> None:
        self.channel = channel
        self.id = id
        self.previous = previous
        self.event = event
        self.payload = payload
        self.topic = topic
        self._data: Any = _NotDecoded
        # There are one or two formats, and a history has many messages: a dict would be larger.
        self._encoded: tuple[tuple[Format, bytes], ...] = ()

    def __repr__(self) -> str:
        return f"<Message {self.id} of {self.channel}>"

    @property
    def data(self) -> Any:
        """
        The published data: text, or a value decoded from JSON. Do not change it: all share it.
        """
        if self._data is _NotDecoded:
            text = isinstance(self.payload, str)
            self._data = self.payload if text else msgspec.json.decode(self.payload)
        return self._data

    @property
    def size(self) -> int:
        """
        The size of the payload, the name of the event and the topic, in bytes.
        """
        size = text_size(self.payload) + (text_size(self.event) if self.event else 0)
        return size + text_size(self.topic) if self.topic else size

    def encoded(self, format: Format, id: str) -> bytes:
        """
        Return the message in a format.

        With the message's own id, which streams of one channel use, it is encoded only once.

        Args:
            id: The id from which a client resumes after the message.

        Raises:
            EncodeError: See `Format.message`.
            ValueError: See `Format.message`.
        """
        if id != self.id:
            return format.message(id, self.payload, self.event, self.topic)
        for known, encoded in self._encoded:
            if known is format:
                return encoded
        encoded = format.message(id, self.payload, self.event, self.topic)
        self._encoded += ((format, encoded),)
        return encoded


class Delivery(Frame):
    """
    A message that is sent to all streams that follow the same channels in the same format.

    Attributes:
        before: The id from which a client resumes if it has not received the message.
        id: The id from which a client resumes after the message.
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
    Return the payload for published data: text as a plain str, and any other value as JSON.

    Raises:
        EncodeError: JSON or UTF-8 cannot represent the data.
        TypeError: The data is bytes-like.
    """
    if isinstance(data, str):
        if not data.isascii():
            render.encode_text(data, "data")
        return data if type(data) is str else _plain(data)
    render.refuse_bytes(data)
    return render.encode_json(data)


def check_event(name: str) -> str:
    """
    Check the name of an event that a program publishes, and return it as a plain str.

    Raises:
        EncodeError: UTF-8 cannot encode it.
        TypeError: It is not a str.
        ValueError: It contains CR, LF or NUL, or is reserved for gaps.
    """
    ServerSentEvent(event=name).encode()
    if name == GAP:
        msg = f"the event {GAP!r} is reserved for gaps; choose another name"
        raise ValueError(msg)
    return _plain(name)


def check_message(data: object, event: str | None) -> None:
    """
    Check a message that is not published, as if it were.

    Raises:
        EncodeError: JSON or UTF-8 cannot represent the data, or UTF-8 the event.
        TypeError: The data is bytes-like, or the event is not a str.
        ValueError: The event contains CR, LF or NUL, or is reserved for gaps.
    """
    if event is not None:
        check_event(event)
    encoded(data)


def _plain(text: str) -> str:
    # msgspec encodes no subclass of str, such as the markup of a template.
    return str.__str__(text)


def text_size(text: Payload) -> int:
    """
    The size of text in bytes of UTF-8.
    """
    return len(text) if isinstance(text, bytes) or text.isascii() else len(text.encode())
