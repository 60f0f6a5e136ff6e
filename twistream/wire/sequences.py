"""
Sequences of values in one body: a JSON array, JSON text sequences, MessagePack and CSV.

Pure. A format says how each value is encoded, and what stands before, between and after the values.
"""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from twistream.errors import EncodeError
from twistream.wire.formats import msgpack
from twistream.wire.render import BYTES_LIKE, BytesLike, encode_json, encode_text, refuse_bytes


@frozen(kw_only=True)
class SequenceFormat:
    """
    A format for a sequence of values.

    Attributes:
        media_type: The media type of the body.
        encode: Encodes one value.
        opening: Bytes before the first value, and in an empty sequence.
        separator: Bytes between two values.
        closing: Bytes after the last value. A body without them is incomplete.
    """

    media_type: str
    encode: Callable[[Any], bytes]
    opening: bytes = b""
    separator: bytes = b""
    closing: bytes = b""


class SequenceEncoder:
    """
    The values of one body, one after the other.

    An encoded value may still be refused, for instance because too much is queued. So the caller passes
    the size of the body, and the sequence has begun if the body has grown since the first value.

    Args:
        format: The format of the values.
    """

    __slots__ = ("_format", "_start")

    def __init__(self, format: SequenceFormat) -> None:
        self._format = format
        self._start: int | None = None

    def encode(self, value: object, written: int) -> bytes:
        """
        Encode the next value, with what has to stand before it.

        Args:
            written: The number of bytes of the body so far.

        Raises:
            EncodeError: The format cannot represent the value. The sequence continues without it.
        """
        format = self._format
        data = format.encode(value)
        if self._has_begun(written):
            return format.separator + data
        self._start = written
        return format.opening + data

    def end(self, written: int) -> bytes:
        """
        Return the end of a complete sequence.

        Args:
            written: The number of bytes of the body so far.
        """
        format = self._format
        return format.closing if self._has_begun(written) else format.opening + format.closing

    def _has_begun(self, written: int) -> bool:
        return self._start is not None and self._start != written


def _json_item(value: object) -> bytes:
    refuse_bytes(value)
    return encode_json(value)


JSON_ARRAY = SequenceFormat(
    media_type="application/json",
    encode=_json_item,
    opening=b"[",
    separator=b",\n",
    closing=b"]",
)
"""
One JSON array, with each value on a line of its own. Without its end, it is not valid JSON.
"""

JSON_SEQ = SequenceFormat(
    media_type="application/json-seq", encode=lambda value: b"\x1e%b\n" % _json_item(value)
)
"""
JSON text sequences (RFC 7464): each value begins with RS and ends with LF, which shows that a number at
the end is complete.
"""

MSGPACK = SequenceFormat(media_type="application/msgpack", encode=lambda value: msgpack(value)[1])
"""
Values in MessagePack, one after the other. Each contains its own length.
"""


def csv_format(header: Iterable[object] | None, dialect: Mapping[str, Any]) -> SequenceFormat:
    """
    Return the format of CSV (RFC 4180). A row is a sequence, or a mapping if there is a header.

    Args:
        header: The names of the columns, which become the first row; None for no such row.
        dialect: What `csv.writer` takes by keyword.

    Raises:
        EncodeError: A name in the header is bytes-like, or cannot be encoded.
        TypeError: The header, or an argument for `csv.writer`, has the wrong type.
        ValueError: The header is empty, or `csv.writer` refuses the value of an argument.
    """
    try:
        write: Callable[[Iterable[object]], str] = csv.writer(_Echo(), **dialect).writerow
    except csv.Error as err:
        raise ValueError(str(err)) from None
    if header is None:
        return SequenceFormat(
            media_type="text/csv; charset=utf-8", encode=lambda row: _csv_row(write, row, None)
        )
    if isinstance(header, str | Mapping) or not isinstance(header, Iterable):
        msg = f"header must be a sequence of names, not {type(header).__name__}"
        raise TypeError(msg)
    names = tuple(header)
    if not names:
        msg = "header must have at least one name"
        raise ValueError(msg)
    return SequenceFormat(
        media_type="text/csv; header=present; charset=utf-8",
        encode=lambda row: _csv_row(write, row, names),
        opening=_csv_row(write, names, None),
    )


class _Echo:
    """
    A file for `csv.writer`. Its ``writerow`` returns what ``write`` of the file returns.
    """

    def write(self, text: str) -> str:
        return text


def _csv_row(
    write: Callable[[Iterable[object]], str],
    row: Iterable[object],
    names: Sequence[object] | None,
) -> bytes:
    if isinstance(row, Mapping):
        row = _fields(row, names)
    if isinstance(row, str | BytesLike) or not isinstance(row, Iterable):
        msg = f"a row must be a sequence of fields, not {type(row).__name__}"
        raise EncodeError(msg)
    fields = tuple(row)
    for each in fields:
        if isinstance(each, BYTES_LIKE):
            msg = f"a field must not be {type(each).__name__}: decode it first"
            raise EncodeError(msg)
    try:
        text = write(fields)
    except Exception as err:  # csv calls str() of the fields, which may raise anything.
        msg = f"cannot encode the row as CSV: {err}"
        raise EncodeError(msg) from err
    return encode_text(text, "a row")


def _fields(row: Mapping[object, object], names: Sequence[object] | None) -> tuple[object, ...]:
    if names is None:
        msg = "a row must be a sequence of fields: without a header, a mapping has no order"
        raise EncodeError(msg)
    unknown = [name for name in row if name not in names]
    if unknown:
        msg = f"a row has fields that are not in the header: {unknown!r}"
        raise EncodeError(msg)
    return tuple(row.get(name) for name in names)
