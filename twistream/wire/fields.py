"""
Checks of the names and values of HTTP header fields.

Pure functions. What a field means is up to the server layer.
"""

import re
from functools import lru_cache

_TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TOKEN = re.compile(rf"{_TCHAR}+".encode())
_MEDIA_TYPE = re.compile(rf"{_TCHAR}+/{_TCHAR}+[ \t]*(;.*)?", re.DOTALL)
_FORBIDDEN = re.compile(rb"[\r\n\x00]")


def field_name(name: str | bytes) -> bytes:
    """
    Return the name of a header field as bytes (RFC 9110 5.1).

    Raises:
        TypeError: It is neither str nor bytes.
        ValueError: It is not a token.
    """
    return token(name, "header name")


def token(text: str | bytes, what: str) -> bytes:
    """
    Return a token as bytes (RFC 9110 5.6.2).

    Args:
        what: What the token is, for error messages.

    Raises:
        TypeError: It is neither str nor bytes.
        ValueError: It is empty, or contains a character that is not allowed in a token.
    """
    encoded = _encoded(text, what)
    if not _TOKEN.fullmatch(encoded):
        msg = f"a {what} must consist of letters, digits and !#$%&'*+-.^_`|~, not {text!r}"
        raise ValueError(msg)
    return encoded


def field_value(value: str | bytes) -> bytes:
    """
    Return the value of a header field as bytes, without spaces and tabs around it (RFC 9110 5.5).

    Raises:
        TypeError: It is neither str nor bytes.
        ValueError: It contains CR, LF or NUL.
    """
    encoded = _encoded(value, "header value")
    if _FORBIDDEN.search(encoded):
        msg = f"a header value must not contain CR, LF or NUL: {value!r}"
        raise ValueError(msg)
    return encoded.strip(b" \t")


def content_length(value: bytes) -> int:
    """
    Parse the value of ``Content-Length`` (RFC 9110 8.6).

    Raises:
        ValueError: It is not a decimal number.
    """
    if not value.isdigit():
        msg = f"Content-Length must be a decimal number, not {value!r}"
        raise ValueError(msg)
    return int(value)


@lru_cache(maxsize=128)  # A program uses few media types, and sets one for each response.
def with_charset(value: str) -> str:
    """
    Return a media type, with ``charset=utf-8`` if it is a text type without a charset.

    Raises:
        ValueError: It does not have the form ``type/subtype`` (RFC 9110 8.3.1).
    """
    if not _MEDIA_TYPE.fullmatch(value):
        msg = f"a media type must have the form type/subtype, not {value!r}"
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
    msg = f"a {what} must be str or bytes, not {type(text).__name__}"
    raise TypeError(msg)
