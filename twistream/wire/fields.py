"""
Names and values of HTTP header fields, checked before they reach the wire.

Pure functions. What a field means is the server layer's concern.
"""

import re
from functools import lru_cache

_TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TOKEN = re.compile(rf"{_TCHAR}+".encode())
_MEDIA_TYPE = re.compile(rf"{_TCHAR}+/{_TCHAR}+[ \t]*(;.*)?", re.DOTALL)
_FORBIDDEN = re.compile(rb"[\r\n\x00]")


def field_name(name: str | bytes) -> bytes:
    """
    Check that `name` is a token (RFC 9110 5.1). Raises as `token` does.
    """
    return token(name, "header name")


def token(text: str | bytes, what: str) -> bytes:
    """
    Check that `text` is a token (RFC 9110 5.6.2).

    Args:
        what: What it is the text of, for the error.

    Raises:
        TypeError: It is neither str nor bytes.
        ValueError: It is empty, or has a character that no token may have.
    """
    encoded = _encoded(text, what)
    if not _TOKEN.fullmatch(encoded):
        msg = f"{text!r} is not a {what}"
        raise ValueError(msg)
    return encoded


def field_value(value: str | bytes) -> bytes:
    """
    Check that `value` has no CR, LF or NUL (RFC 9110 5.5).

    Spaces and tabs around it are no part of the value, and are taken off.

    Raises:
        TypeError: It is neither str nor bytes.
        ValueError: It has a character that would end the field.
    """
    encoded = _encoded(value, "header value")
    if _FORBIDDEN.search(encoded):
        msg = f"a header value must not have CR, LF or NUL: {value!r}"
        raise ValueError(msg)
    return encoded.strip(b" \t")


def content_length(value: bytes) -> int:
    """
    Read the value of ``Content-Length`` (RFC 9110 8.6).

    Raises:
        ValueError: It is not a decimal number.
    """
    if not value.isdigit():
        msg = f"Content-Length must be a decimal number, not {value!r}"
        raise ValueError(msg)
    return int(value)


@lru_cache(maxsize=128)  # A program has but a few types, and sets one for each response.
def with_charset(value: str) -> str:
    """
    Add ``charset=utf-8`` to a text type that names no charset.

    Raises:
        ValueError: It is not of the form ``type/subtype`` (RFC 9110 8.3.1).
    """
    if not _MEDIA_TYPE.fullmatch(value):
        msg = f"a media type has the form type/subtype, not {value!r}"
        raise ValueError(msg)
    lowered = value.lower()
    if lowered.startswith("text/") and "charset=" not in lowered:
        return f"{value}; charset=utf-8"
    return value


def _encoded(text: str | bytes, what: str) -> bytes:
    if isinstance(text, str):
        return text.encode()
    if isinstance(text, bytes):
        return text
    msg = f"a {what} is str or bytes, not {type(text).__name__}"
    raise TypeError(msg)
