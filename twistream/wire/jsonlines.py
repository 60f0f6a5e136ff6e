"""
Decoders for streams of lines: text, JSON Lines, and JSON text sequences (RFC 7464).

Pure: bytes in, values out.
"""

import re
from typing import Protocol, TypeVar

import msgspec

from twistream.checks import check_count
from twistream.errors import DecodeError, LimitExceeded
from twistream.wire.lines import LineSplitter

T = TypeVar("T")

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]
"""
A decoded JSON value.
"""

MAX_ITEM = 2**20
"""
The default limit of a line or an item in bytes: 1 MiB, far more than usual messages have.
"""

_RS = b"\x1e"
_BLANK = b" \t\n\r"
_BYTE = re.compile(r"\(byte (\d+)\)$")
_SCALAR = re.compile(rb"[-0-9a-z]")

_decode = msgspec.json.Decoder().decode


class ItemDecoder(Protocol[T]):
    """
    Decodes the items of one body.
    """

    def feed(self, data: bytes) -> list[T]:
        """
        Take the next piece of the stream, and return the complete items.

        Raises:
            DecodeError: The input is malformed, or an item is too large. If there are complete
                items before the error, they are returned first, and the next call raises it.
        """

    def finish(self) -> list[T] | None:
        """
        End the stream, and return the item that its end completes, if there is one.

        Returns:
            None if the stream ends within an item, and nothing says whether it was complete.

        Raises:
            DecodeError: The input is malformed, or an item is too large.
        """


class LineDecoder:
    """
    Decodes lines of UTF-8 text that end with LF, CR or CRLF.

    Args:
        max_line: The maximum length of a line in bytes, without its end.

    Raises:
        TypeError: `max_line` is not an int.
        ValueError: `max_line` is negative.
    """

    __slots__ = ("_error", "_lines")

    def __init__(self, *, max_line: int = MAX_ITEM) -> None:
        self._lines = LineSplitter(check_count("max_line", max_line, 0))
        self._error: DecodeError | None = None

    def feed(self, data: bytes) -> list[str]:
        """
        See `ItemDecoder.feed`. The lines have no line ends.
        """
        if self._error is not None:
            raise self._error
        lines = self._lines.feed(data)
        try:
            texts = [line.decode() for _, line in lines]
        except UnicodeDecodeError:
            texts = self._up_to_the_error(lines)
        if self._error is not None and not texts:
            raise self._error
        return texts

    def finish(self) -> list[str]:
        """
        See `ItemDecoder.finish`. The last line needs no line end.
        """
        if self._error is not None:
            raise self._error
        line = self._lines.finish()
        return [_text(line, self._lines.start)] if line else []

    def _up_to_the_error(self, lines: list[tuple[int, bytes]]) -> list[str]:
        texts = []
        for start, line in lines:
            try:
                texts.append(_text(line, start))
            except DecodeError as err:
                self._error = err
                break
        return texts


class _Splitting:
    """
    The base of the decoders of JSON, which split a stream at one byte.
    """

    __slots__ = ("_error", "_limit", "_part", "_separator", "_start", "_unit")

    def __init__(self, limit: int, separator: bytes, unit: str) -> None:
        self._limit = limit
        self._separator = separator
        self._unit = unit
        self._part = bytearray()  # What follows the last separator.
        self._start = 0  # The offset of that.
        self._error: DecodeError | None = None

    def feed(self, data: bytes) -> list[JSON]:
        """
        See `ItemDecoder.feed`.
        """
        if self._error is not None:
            raise self._error
        values: list[JSON] = []
        try:
            self._split(data, values)
        except DecodeError as err:
            self._error = err
            self._part.clear()
            if not values:
                raise
        return values

    def _split(self, data: bytes, values: list[JSON]) -> None:
        *complete, rest = data.split(self._separator)
        limit, start = self._limit, self._start
        for piece in complete:
            part = piece
            if self._part:
                self._check_size(len(self._part) + len(part))
                part = bytes(self._part) + part
                self._part.clear()
            elif len(part) > limit:
                self._check_size(len(part))
            self._take(part, start, values)
            self._start = start = start + len(part) + 1
        self._check_size(len(self._part) + len(rest))
        self._part += rest

    def _check_size(self, size: int) -> None:
        if size > self._limit:
            raise LimitExceeded(self._start + self._limit, self._limit, self._unit)

    def _take(self, part: bytes, start: int, values: list[JSON]) -> None:
        """
        Decode what stands between two separators.
        """
        raise NotImplementedError


class JSONLinesDecoder(_Splitting):
    """
    Decodes JSON Lines: one JSON value in each line. Blank lines are skipped.

    Args:
        max_line: The maximum length of a line in bytes, without its LF.

    Raises:
        TypeError: `max_line` is not an int.
        ValueError: `max_line` is negative.
    """

    __slots__ = ()

    def __init__(self, *, max_line: int = MAX_ITEM) -> None:
        super().__init__(check_count("max_line", max_line, 0), b"\n", "bytes of a line")

    def finish(self) -> list[JSON]:
        """
        See `ItemDecoder.finish`. The last line needs no LF.
        """
        values = self.feed(b"")
        self._take(bytes(self._part), self._start, values)
        return values

    def _take(self, part: bytes, start: int, values: list[JSON]) -> None:
        try:
            values.append(_decode(part))
        except (ValueError, RecursionError) as err:
            if part.strip(_BLANK):
                raise _json_error(err, part, start) from None


class JSONSequenceDecoder(_Splitting):
    """
    Decodes JSON text sequences (RFC 7464): each value follows an RS, and an LF ends it.

    Args:
        max_item: The maximum length of a value in bytes, with what follows it up to the next RS.

    Raises:
        TypeError: `max_item` is not an int.
        ValueError: `max_item` is negative.
    """

    __slots__ = ("_is_complete", "_next_try")

    def __init__(self, *, max_item: int = MAX_ITEM) -> None:
        super().__init__(check_count("max_item", max_item, 0), _RS, "bytes of an item")
        self._is_complete = False  # The value after the last RS.
        self._next_try = 0

    def feed(self, data: bytes) -> list[JSON]:
        """
        See `ItemDecoder.feed`. An LF completes a value; no RS needs to follow it.
        """
        values = super().feed(data)
        # Without this, a message would arrive together with the next one. An LF may also be within
        # a value: the growing size between two tries keeps the work linear.
        is_due = self._part.endswith(b"\n") and len(self._part) >= self._next_try
        if is_due and self._start and not self._is_complete and self._part.strip(_BLANK):
            try:
                self._take(bytes(self._part), self._start, values)
            except DecodeError:
                self._next_try = 2 * len(self._part)
            else:
                self._is_complete = True
                self._start += len(self._part)
                self._part.clear()
        return values

    def finish(self) -> list[JSON] | None:
        """
        See `ItemDecoder.finish`. A number or a literal is complete only with its LF.
        """
        values = self.feed(b"")
        part = bytes(self._part).strip(_BLANK)
        if self._start and _SCALAR.match(part):
            return None
        self._take(bytes(self._part), self._start, values)
        return values

    def _take(self, part: bytes, start: int, values: list[JSON]) -> None:
        is_complete, self._is_complete, self._next_try = self._is_complete, False, 0
        text = part.strip(_BLANK)
        if not text:
            return
        if is_complete or not start:
            msg = "expected RS (0x1E) before a value"
            raise DecodeError(msg, start)
        if _SCALAR.match(text) and part[-1:] not in _BLANK:
            msg = "the value before an RS is incomplete"
            raise DecodeError(msg, start + len(part))
        try:
            values.append(_decode(part))
        except (ValueError, RecursionError) as err:
            raise _json_error(err, part, start) from None


def _text(line: bytes, start: int) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as err:
        msg = f"invalid UTF-8 ({err.reason})"
        raise DecodeError(msg, start + err.start) from None


def _json_error(error: Exception, part: bytes, start: int) -> DecodeError:
    """
    Make the error of a part that is not JSON.
    """
    try:
        _text(part, start)
    except DecodeError as err:
        return err
    text = str(error)
    found = _BYTE.search(text)
    if isinstance(error, RecursionError):
        return DecodeError("invalid JSON (nested too deeply)", start)
    if found is None:
        return DecodeError(f"invalid JSON ({text})", start)
    reason = text[: found.start()].removeprefix("JSON is malformed: ").rstrip()
    return DecodeError(f"invalid JSON ({reason})", start + int(found[1]))
