"""
Server-Sent Events: the event, its encoder, and a decoder (WHATWG HTML 9.2).

Pure: bytes in, bytes out. The server and client layers decide when to send, to reconnect and to
give up.
"""

from attrs import frozen

from twistream.checks import check_count
from twistream.errors import LimitExceeded
from twistream.wire.lines import LineSplitter
from twistream.wire.render import encode_text

MAX_RETRY_MS = 2**63 - 1
"""
The largest ``retry`` in milliseconds: 64 bits with a sign. The standard sets no limit.
"""

_BOM = b"\xef\xbb\xbf"
_FORBIDDEN = frozenset("\r\n\0")
_NOTHING = (None,) * 5


@frozen(init=False)
class ServerSentEvent:
    """
    One event that is sent or was received. At least one field is not None.

    Args:
        data: The data. Each CRLF, CR and LF in it arrives as LF. A client does not dispatch an
            event without data.
        event: The name of the event. A client handles an event without a name as ``message``.
            In a received event, an empty name is None, too.
        id: The ``Last-Event-ID`` with which a client reconnects. The empty string removes it.
            In a received event, it is the last id of the stream; None before the first one.
        retry_ms: The time in milliseconds after which a client reconnects.
        comment: Text that clients ignore.

    Raises:
        TypeError: A field has a value of the wrong type.
        ValueError: All fields are None. `event` or `id` contains CR, LF or NUL. `retry_ms` is
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
            msg = "an event needs data, event, id, retry_ms or comment"
            raise ValueError(msg)
        self.__attrs_init__(data, event, id, retry_ms, comment)

    def encode(self) -> bytes:
        """
        Encode the event: the lines of its fields, and a blank line.

        Raises:
            EncodeError: A field contains a lone surrogate, which UTF-8 cannot encode.
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
        try:
            return "".join(parts).encode()
        except UnicodeEncodeError:
            for name in ("comment", "event", "id", "data"):
                encode_text(getattr(self, name) or "", name)  # One of them raises the error.
            raise


def data_event(data: str | bytes) -> bytes:
    """
    Encode an event that has only data, like `ServerSentEvent.encode`.

    Args:
        data: Text, or bytes that are UTF-8.

    Raises:
        EncodeError: The text contains a lone surrogate, which UTF-8 cannot encode.
    """
    if isinstance(data, bytes):
        data = data.decode()
    if "\n" in data or "\r" in data:
        return ServerSentEvent(data).encode()
    return b"data: %b\n\n" % encode_text(data, "data")


class EventDecoder:
    """
    Decodes an event stream exactly as WHATWG HTML 9.2.6 specifies.

    The pieces may have any size: the events do not depend on where the stream is split. The
    decoder keeps at most one line, one event and the last id.

    Args:
        max_line: The maximum length of a line in bytes. The default is 1 MiB, so that the
            largest event may be one line.
        max_event: The maximum size of an event in bytes: its name, and its data with one byte
            for each line end. The default is 1 MiB, far more than usual events have.
        last_event_id: The last id of the previous connection, if this stream continues it. It is
            the id of events up to the first one with an id of its own.

    Raises:
        TypeError: A limit is not an int, or `last_event_id` is not a str.
        ValueError: A limit is negative.

    Attributes:
        last_event_id: The ``Last-Event-ID`` with which to reconnect: the last id before a blank
            line. Empty if there was none.
        retry_ms: The time in milliseconds after which to reconnect. None if the stream did not
            set it.
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

    def __init__(
        self, *, max_line: int = 2**20, max_event: int = 2**20, last_event_id: str = ""
    ) -> None:
        if not isinstance(last_event_id, str):
            msg = f"last_event_id must be a str, not {type(last_event_id).__name__}"
            raise TypeError(msg)
        self.last_event_id = last_event_id
        self.retry_ms: int | None = None
        self._lines = LineSplitter(check_count("max_line", max_line, 0))
        self._max_event = check_count("max_event", max_event, 0)
        self._data = bytearray()
        self._event: bytes | None = None
        self._id: str | None = last_event_id or None
        self._retry_ms: int | None = None
        self._in_block = False
        self._too_big_at: int | None = None

    def feed(self, data: bytes | bytearray | memoryview) -> list[ServerSentEvent]:
        """
        Take the next piece of the stream. It may have any size.

        Returns:
            The complete events. Their `data` is a str, and their `comment` is None. `retry_ms`
            is set only in the event that contained it.

        Raises:
            LimitExceeded: A line or an event is too large. For an event, the offset is that of
                the line that exceeded the limit. If there are complete events before it, they
                are returned first, and every following call raises the error.
            TypeError: `data` is not bytes-like.
        """
        self._check()
        events: list[ServerSentEvent] = []
        data_of_event = self._data
        for start, line in self._lines.feed(data):
            if not start:
                line = line.removeprefix(_BOM)  # noqa: PLW2901 - only the first line may have it
            if not line:
                self._end_block(events)
                continue
            # Most lines begin like this; the other way costs more.
            if line.startswith(b"data: "):
                self._in_block = True
                data_of_event += line[6:]
                data_of_event += b"\n"
            else:
                self._take_field(line)
            size = len(data_of_event)
            if self._event is not None:
                size += len(self._event)
            if size > self._max_event:
                self._too_big_at = start
                self._drop_block()
                break
        if not events:
            self._check()
        return events

    def finish(self) -> bool:
        """
        End the stream.

        Returns:
            Whether it ended within an event. The standard says to discard this event.

        Raises:
            LimitExceeded: A line or an event is too large.
        """
        self._check()
        return self._in_block or self._lines.finish() not in (b"", _BOM)

    def _check(self) -> None:
        if self._too_big_at is not None:
            raise LimitExceeded(self._too_big_at, self._max_event, "bytes of an event")
        self._lines.check()

    def _take_field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        if value.startswith(b" "):
            value = value[1:]
        # All but `retry` lose their effect if the stream ends within the event.
        if name == b"data":
            self._in_block = True
            self._data += value
            self._data += b"\n"
        elif name == b"event":
            self._in_block = True
            # The standard treats an empty name like none.
            self._event = value or None
        elif name == b"id":
            self._in_block = True
            if b"\0" not in value:
                self._id = _decode(value)
        elif name == b"retry" and value.isdigit():
            # Twenty digits exceed MAX_RETRY_MS. int() refuses a number of thousands of digits.
            digits = value.lstrip(b"0")[:20]
            self.retry_ms = self._retry_ms = min(int(digits or b"0"), MAX_RETRY_MS)

    def _end_block(self, events: list[ServerSentEvent]) -> None:
        self.last_event_id = self._id or ""
        if self._data:
            del self._data[-1:]
            name = self._event
            event = _new_event(ServerSentEvent)
            # Without __init__, because a received name may contain NUL.
            _set_data(event, self._data.decode("utf-8", "replace"))
            _set_event(event, None if name is None else _decode(name))
            _set_id(event, self._id)
            _set_retry_ms(event, self._retry_ms)
            _set_comment(event, None)
            events.append(event)
        self._drop_block()

    def _drop_block(self) -> None:
        self._data.clear()
        self._event = None
        self._retry_ms = None
        self._in_block = False


# The class is frozen: its attributes are set where they are stored, as `object.__setattr__` does.
_new_event = ServerSentEvent.__new__
_set_data, _set_event, _set_id, _set_retry_ms, _set_comment = (
    vars(ServerSentEvent)[name].__set__ for name in ("data", "event", "id", "retry_ms", "comment")
)


def _decode(text: bytes | bytearray) -> str:
    # Python replaces invalid bytes in the same way as the Encoding standard.
    return text.decode("utf-8", "replace")


def _lines(text: str, end: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", end)


def _check_text(name: str, value: object) -> None:
    if value is not None and not isinstance(value, str):
        msg = f"{name} must be a str or None, not {type(value).__name__}"
        raise TypeError(msg)


def _check_line(name: str, value: str | None) -> None:
    _check_text(name, value)
    if value is not None and not _FORBIDDEN.isdisjoint(value):
        msg = f"{name} must not contain CR, LF or NUL: {value!r}"
        raise ValueError(msg)


def _check_retry(value: object) -> None:
    if value is None:
        return
    if not isinstance(value, int) or isinstance(value, bool):
        msg = f"retry_ms must be an int or None, not {type(value).__name__}"
        raise TypeError(msg)
    if not 0 <= value <= MAX_RETRY_MS:
        msg = f"retry_ms must be from 0 to {MAX_RETRY_MS}"
        raise ValueError(msg)
