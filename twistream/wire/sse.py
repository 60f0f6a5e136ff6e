"""
Server-Sent Events: the event, its encoder, and a decoder (WHATWG HTML 9.2).

Pure: bytes in, bytes out. When to send, to reconnect or to give up is the concern of the
server and the client layer.
"""

from attrs import frozen

from twistream.errors import LimitExceeded
from twistream.wire.lines import LineSplitter
from twistream.wire.render import encode_text

MAX_RETRY_MS = 2**63 - 1
"""
The longest time to wait before a reconnection, in milliseconds: what 64 bits hold. A stream
may ask for one of any number of digits.
"""

_BOM = b"\xef\xbb\xbf"
_FORBIDDEN = frozenset("\r\n\0")
_NOTHING = (None,) * 5


@frozen(init=False)
class ServerSentEvent:
    """
    One event, as it is sent or as it was received. At least one field has a value.

    Args:
        data: The data. CRLF, CR and LF are ends of lines in it, and all arrive as LF.
            None sends no data, which a reader does not show as an event.
        event: The name of the event. A reader takes ``message`` where it has none.
        id: What a reader that reconnects sends as ``Last-Event-ID``; an empty one unsets it.
            In a received event it is the last id of the stream, None before the first.
        retry_ms: How long a reader waits before it reconnects, in milliseconds.
        comment: Text that a reader passes over.

    Raises:
        TypeError: A field has a value of the wrong type.
        ValueError: All are None; `event` or `id` has CR, LF or NUL; or `retry_ms` is
            negative or more than `MAX_RETRY_MS`.
    """

    data: str | None
    event: str | None
    id: str | None
    retry_ms: int | None
    comment: str | None

    def __init__(
        self,
        data: str | None = None,
        *,
        event: str | None = None,
        id: str | None = None,
        retry_ms: int | None = None,
        comment: str | None = None,
    ) -> None:
        _check_text("data", data)
        _check_text("comment", comment)
        _check_line("event", event)
        _check_line("id", id)
        _check_retry(retry_ms)
        if (data, event, id, retry_ms, comment) == _NOTHING:
            msg = "an event has at least one field"
            raise ValueError(msg)
        self.__attrs_init__(data, event, id, retry_ms, comment)

    def encode(self) -> bytes:
        """
        The event as it goes on the wire: a line for each field, and the blank line.

        Raises:
            EncodeError: A field has a lone surrogate, which UTF-8 cannot hold.
        """
        parts: list[str] = []
        if self.comment is not None:
            parts += (": ", _lines(self.comment, "\n: "), "\n")
        if self.event is not None:
            parts += ("event: ", self.event, "\n")
        if self.id is not None:
            parts += ("id: ", self.id, "\n")
        if self.retry_ms is not None:
            parts += ("retry: ", str(int(self.retry_ms)), "\n")
        if self.data is not None:
            parts += ("data: ", _lines(self.data, "\ndata: "), "\n")
        parts.append("\n")
        return encode_text("".join(parts))


class EventDecoder:
    """
    Reads an event stream, to the letter of WHATWG HTML 9.2.6.

    It is fed pieces of any size, and what it returns does not depend on where they were cut.
    What it keeps is at most a line, an event, and the last id, which is within a line.

    Args:
        max_line: How many bytes a line may have. By default 1 MiB, so that an event may be
            one line.
        max_event: How many bytes the data of an event, with an end of a byte for each line,
            and its name may have together. By default 1 MiB, far more than events are made
            of.

    Attributes:
        last_event_id: What to send as ``Last-Event-ID`` when reconnecting: the last id of
            a block of lines that has ended. Empty if there is none.
        retry_ms: How long to wait before reconnecting, in milliseconds, or None if the
            stream has not said.
    """

    __slots__ = (
        "_data",
        "_event",
        "_id",
        "_in_block",
        "_lines",
        "_max_event",
        "_retry_ms",
        "_too_big_at",
        "last_event_id",
        "retry_ms",
    )

    def __init__(self, *, max_line: int = 2**20, max_event: int = 2**20) -> None:
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self._lines = LineSplitter(max_line)
        self._max_event = max_event
        self._data = bytearray()
        self._event: bytes | None = None
        self._id: str | None = None
        self._retry_ms: int | None = None
        self._in_block = False
        self._too_big_at: int | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> list[ServerSentEvent]:
        """
        Take the next piece of the stream, of any size.

        Returns:
            The events that are complete. Their `data` is a str; `retry_ms` is of this event
            only, and there are no comments.

        Raises:
            LimitExceeded: A line or an event is larger than it may be; for an event, the
                offset is that of the line with which it is. Events that were complete before
                are returned first, and the next call raises it, as do all after that.
            TypeError: `data` is not bytes-like.
        """
        self._check()
        events: list[ServerSentEvent] = []
        for start, line in self._lines.feed(data):
            text = line if start else line.removeprefix(_BOM)
            if not text:
                self._end_block(events)
                continue
            self._take_field(text)
            if len(self._data) + len(self._event or b"") > self._max_event:
                self._too_big_at = start
                self._drop_block()
                break
        if not events:
            self._check()
        return events

    def finish(self) -> bool:
        """
        The stream has ended.

        Returns:
            Whether it ended in the middle of an event, which is dropped, as the standard has
            it.

        Raises:
            LimitExceeded: As `feed`.
        """
        self._check()
        return self._in_block or self._lines.finish() not in (b"", _BOM)

    def _check(self) -> None:
        if self._too_big_at is not None:
            raise LimitExceeded(self._too_big_at, self._max_event, "bytes of an event")
        self._lines.check()

    def _take_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not name:
            return
        self._in_block = True
        if name == b"data":
            self._data += value
            self._data += b"\n"
        elif name == b"event":
            self._event = value
        elif name == b"id":
            if b"\0" not in value:
                self._id = _decode(value)
        elif name == b"retry" and value.isdigit():
            # Twenty digits without a zero before them are more than MAX_RETRY_MS, and int()
            # refuses thousands.
            digits = value.lstrip(b"0")[:20]
            self.retry_ms = self._retry_ms = min(int(digits or b"0"), MAX_RETRY_MS)

    def _end_block(self, events: list[ServerSentEvent]) -> None:
        self.last_event_id = self._id or ""
        if self._data:
            event = ServerSentEvent.__new__(ServerSentEvent)
            # Not by __init__: a received name may have a NUL.
            event.__attrs_init__(
                _decode(self._data[:-1]),
                None if self._event is None else _decode(self._event),
                self._id,
                self._retry_ms,
                None,
            )
            events.append(event)
        self._drop_block()

    def _drop_block(self) -> None:
        self._data.clear()
        self._event = None
        self._retry_ms = None
        self._in_block = False


def _decode(text: bytes | bytearray) -> str:
    # Python replaces what is no UTF-8 in just the way of the Encoding standard.
    return text.decode("utf-8", "replace")


def _lines(text: str, end: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", end)


def _check_text(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        msg = f"{name} is a str or None, not {type(value).__name__}"
        raise TypeError(msg)


def _check_line(name: str, value: str | None) -> None:
    _check_text(name, value)
    if value is not None and not _FORBIDDEN.isdisjoint(value):
        msg = f"{name} must not have CR, LF or NUL: {value!r}"
        raise ValueError(msg)


def _check_retry(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"retry_ms is an int or None, not {type(value).__name__}"
        raise TypeError(msg)
    if not 0 <= value <= MAX_RETRY_MS:
        msg = f"retry_ms is from 0 to {MAX_RETRY_MS}"
        raise ValueError(msg)
