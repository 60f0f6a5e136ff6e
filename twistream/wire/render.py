"""
Renders values as bodies: each function returns the media type and the bytes.

Pure functions. A value that cannot be rendered raises before anything is written.
"""

import html as _html
import re
from decimal import Decimal
from math import isfinite
from typing import TypeAlias

import msgspec

from twistream.errors import EncodeError, HTTPError

Rendered: TypeAlias = tuple[str, bytes]
BytesLike: TypeAlias = bytes | bytearray | memoryview

# `isinstance` is faster with a tuple than with a union.
BYTES_LIKE = (bytes, bytearray, memoryview)

_encoder = msgspec.json.Encoder()
_SUSPECT = re.compile(rb"null|[nN]a[nN]|[iI]nf|[\r\n]")


def text(value: str) -> Rendered:
    """
    Render plain text as UTF-8.
    """
    return "text/plain", encode_text(value)


def html(value: str) -> Rendered:
    """
    Render HTML as UTF-8. The value is markup, and is not escaped.
    """
    return "text/html", encode_text(value)


def binary(value: bytes) -> Rendered:
    """
    Render bytes of an unknown type.
    """
    return "application/octet-stream", value


def json(value: object) -> Rendered:
    """
    Render JSON on one line (RFC 8259).

    In addition to the types of JSON, it supports those of `msgspec`: dataclasses, attrs classes,
    ``msgspec.Struct``, datetimes (RFC 3339), timedeltas (ISO 8601), UUIDs, decimals, enums, sets
    and bytes (base64). Callers that send messages refuse bytes as the whole value first: see
    `refuse_bytes`. ``msgspec.Raw`` is JSON already; line ends in it are removed.

    Raises:
        EncodeError: The value, or a value in it, has an unsupported type, is NaN or infinite
            (RFC 8259 6), or contains itself. Or it is a ``msgspec.Raw`` that is not JSON.
    """
    return "application/json", encode_json(value)


def json_line(value: object) -> Rendered:
    """
    Render one line of JSON Lines: JSON and a newline.

    Raises:
        EncodeError: `json` cannot render the value.
        TypeError: The value is bytes-like.
    """
    refuse_bytes(value)
    return "application/jsonl", encode_json(value) + b"\n"


def refuse_bytes(value: object) -> None:
    """
    Refuse bytes as the whole of a message: JSON would turn them into base64.

    Raises:
        TypeError: The value is bytes-like.
    """
    if isinstance(value, BYTES_LIKE):
        msg = (
            f"a message must not be {type(value).__name__}: send text with .decode(), "
            "or write a body of bytes with ctx.write()"
        )
        raise TypeError(msg)


def error_page(error: HTTPError, *, as_html: bool) -> Rendered:
    """
    Render an error page, for people as HTML and for programs as text.
    """
    if not as_html:
        lines = filter(None, (error.title, error.message))
        return "text/plain", "".join(f"{line}\n" for line in lines).encode()
    title, message = _html.escape(error.title), _html.escape(error.message)
    return "text/html", (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"></head>\n'
        f"<body><h1>{title}</h1><p>{message}</p></body></html>\n"
    ).encode()


def encode_json(value: object) -> bytes:
    """
    Encode JSON on one line. See `json`.

    Raises:
        EncodeError: The value cannot be represented.
    """
    try:
        encoded = _encoder.encode(value)
        # msgspec writes NaN and infinity as null, a Decimal as a string, and a key as a name. Only
        # if the output contains such a word, the value is checked, so that most are not.
        if _is_suspect(encoded) or isinstance(value, msgspec.Raw):
            encoded = _checked(value, encoded)
    except EncodeError:
        raise
    except Exception as err:  # msgspec runs code of the program, such as that of a time zone.
        msg = f"cannot encode {type(value).__name__} as JSON: {err}"
        raise EncodeError(msg) from err
    return encoded


def _is_suspect(encoded: bytes) -> bool:
    # Looking for parts of the words first is faster than the regular expression.
    return (
        b"nf" in encoded
        or b"an" in encoded
        or b"aN" in encoded
        or b"null" in encoded
        or b"\n" in encoded
        or b"\r" in encoded
    ) and _SUSPECT.search(encoded) is not None


def encode_text(value: str, name: str = "text") -> bytes:
    """
    Encode text as UTF-8.

    Args:
        name: What the text is, for the message of an error.

    Raises:
        EncodeError: It is not a str, or contains a lone surrogate.
    """
    if not isinstance(value, str):
        msg = f"{name} must be a str, not {type(value).__name__}"
        raise EncodeError(msg)
    try:
        return value.encode()
    except UnicodeEncodeError as err:
        msg = f"{name} cannot be encoded as UTF-8: {err}"
        raise EncodeError(msg) from err


def _checked(value: object, encoded: bytes) -> bytes:
    """
    Check what the encoder does not check, and return the JSON on one line.
    """
    # The hook is called for Raw only: the encoder refuses all other unknown types.
    _refuse_non_finite(msgspec.to_builtins(value, builtin_types=(Decimal,), enc_hook=_nothing))
    if isinstance(value, msgspec.Raw) or b"\n" in encoded or b"\r" in encoded:
        encoded.decode()
        return msgspec.json.format(encoded, indent=-1)
    return encoded


def _nothing(_: object) -> None:
    return None


def _refuse_non_finite(value: object) -> None:
    if isinstance(value, float | Decimal):
        # math.isfinite() would convert a Decimal, which may be too large for a float.
        if not (value.is_finite() if isinstance(value, Decimal) else isfinite(value)):
            msg = f"JSON cannot represent {value}; use None, or a string"
            raise EncodeError(msg)
    elif isinstance(value, dict):
        for key, item in value.items():
            _refuse_non_finite(key)
            _refuse_non_finite(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _refuse_non_finite(item)
