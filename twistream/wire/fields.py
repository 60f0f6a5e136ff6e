"""
Checks of the names and values of HTTP header fields.

Pure functions. What a field means is up to the server layer.
"""

import re
from collections.abc import Iterable
from datetime import MAXYEAR, UTC, datetime
from email.utils import format_datetime
from functools import lru_cache

_TCHAR = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]"
_TOKEN = re.compile(rf"{_TCHAR}+".encode())
_MEDIA_TYPE = re.compile(rf"{_TCHAR}+/{_TCHAR}+[ \t]*(;.*)?", re.DOTALL)
_COOKIE_VALUE = re.compile(r"[!#-+\--:<-\[\]-~]*")
_DOMAIN = re.compile(r"\.?[-_0-9A-Za-z]+(\.[-_0-9A-Za-z]+)*")
_COOKIE_ATTRIBUTE = re.compile(r"[ -:<-~]+")
_FORBIDDEN = re.compile(rb"[\r\n\x00]")


_MAX_COOKIE, _MAX_ATTRIBUTE = 4096, 1024
"""
Bytes of the name and the value of a cookie, and of the value of an attribute. Browsers ignore what is
longer (RFC 6265bis 5.6).
"""

_FIRST_YEAR = 1601
"""
Browsers ignore an earlier ``Expires`` (RFC 6265 5.1.1).
"""

_MAX_AGE = 10**10
"""
Seconds. Browsers keep a cookie for about a year, and refuse numbers of many digits.
"""


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


def list_members(values: Iterable[bytes]) -> list[bytes]:
    """
    Return the members of a field that is a comma-separated list (RFC 9110 5.6.1).

    Args:
        values: The values of all fields of this name. None of the members may contain a comma.
    """
    members = (member.strip(b" \t") for member in b",".join(values).split(b","))
    return [member for member in members if member]


def set_cookie(  # noqa: PLR0913 - the attributes of RFC 6265 4.1.1, by keyword
    name: str,
    value: str,
    *,
    max_age: int | None,
    expires: datetime | None,
    domain: str | None,
    path: str | None,
    secure: bool,
    http_only: bool,
    same_site: str | None,
) -> bytes:
    """
    Encode the value of ``Set-Cookie`` (RFC 6265 4.1.1, and its successor for ``SameSite``).

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument contains a character that a cookie must not contain, or
            browsers would ignore the cookie or the attribute.
    """
    if not isinstance(value, str):
        msg = f"the value of a cookie must be a str, not {type(value).__name__}"
        raise TypeError(msg)
    if not _COOKIE_VALUE.fullmatch(value):
        msg = (
            "the value of a cookie must be ASCII without spaces, quotes, commas, semicolons and "
            f"backslashes; encode it first, for example with urllib.parse.quote: {value!r}"
        )
        raise ValueError(msg)
    key = token(name, "cookie name").decode()
    if len(key) + len(value) > _MAX_COOKIE:
        msg = f"the cookie {key} must have at most {_MAX_COOKIE} bytes, or browsers ignore it"
        raise ValueError(msg)
    _check_prefix(key, domain, path, secure=secure)
    parts = [f"{key}={value}"]
    if max_age is not None:
        if isinstance(max_age, bool) or not isinstance(max_age, int):
            msg = f"max_age must be a whole number of seconds, not {type(max_age).__name__}"
            raise TypeError(msg)
        if abs(max_age) > _MAX_AGE:
            msg = f"max_age must be at most {_MAX_AGE} seconds"
            raise ValueError(msg)
        parts.append(f"Max-Age={max_age}")
    parts += _expires(expires)
    parts += _attribute("Domain", domain) + _attribute("Path", path)
    parts += _same_site(same_site, secure=secure)
    parts += ["Secure"] * bool(secure) + ["HttpOnly"] * bool(http_only)
    return "; ".join(parts).encode("ascii")


def _attribute(name: str, text: str | None) -> list[str]:
    if text is None:
        return []
    if not isinstance(text, str):
        msg = f"{name.lower()} must be a str, not {type(text).__name__}"
        raise TypeError(msg)
    if not _COOKIE_ATTRIBUTE.fullmatch(text):
        msg = f"{name.lower()} must be ASCII without semicolons, not {text!r}"
        raise ValueError(msg)
    if len(text) > _MAX_ATTRIBUTE:
        msg = f"{name.lower()} must have at most {_MAX_ATTRIBUTE} bytes, or browsers ignore it"
        raise ValueError(msg)
    if name == "Path" and not text.startswith("/"):
        msg = f"path must start with a slash, or browsers ignore it: {text!r}"
        raise ValueError(msg)
    if name == "Domain" and not _DOMAIN.fullmatch(text):
        msg = f"domain must be the name of a host, without a scheme and a port, not {text!r}"
        raise ValueError(msg)
    return [f"{name}={text}"]


def _expires(moment: datetime | None) -> list[str]:
    if moment is None:
        return []
    if not isinstance(moment, datetime):
        msg = f"expires must be a datetime, not {type(moment).__name__}"
        raise TypeError(msg)
    if moment.utcoffset() is None:
        msg = f"expires must have a time zone, as datetime.now(UTC) has, not {moment!r}"
        raise ValueError(msg)
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:
        utc = None
    if utc is None or utc.year < _FIRST_YEAR:
        msg = f"expires must be from {_FIRST_YEAR} to {MAXYEAR} in UTC, not {moment!r}"
        raise ValueError(msg)
    return [f"Expires={format_datetime(utc, usegmt=True)}"]


def _check_prefix(name: str, domain: str | None, path: str | None, *, secure: bool) -> None:
    """
    Check what the prefix of a name promises (RFC 6265bis 4.1.3). Browsers reject the rest.
    """
    lowered = name.lower()
    if lowered.startswith("__secure-") and not secure:
        msg = f"the cookie {name} needs secure=True: browsers reject it otherwise"
        raise ValueError(msg)
    if lowered.startswith("__host-") and not (secure and path == "/" and domain is None):
        msg = f'the cookie {name} needs secure=True, path="/" and no domain: browsers reject it otherwise'
        raise ValueError(msg)


def _same_site(value: str | None, *, secure: bool) -> list[str]:
    if value is None:
        return []
    if value not in ("lax", "strict", "none"):
        msg = f'same_site must be "lax", "strict" or "none", not {value!r}'
        raise ValueError(msg)
    if value == "none" and not secure:
        msg = 'same_site="none" needs secure=True: browsers reject the cookie otherwise'
        raise ValueError(msg)
    return [f"SameSite={value.capitalize()}"]


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
        try:
            return text.encode()
        except UnicodeEncodeError:
            msg = f"a {what} must be text that UTF-8 can encode, not {text!r}"
            raise ValueError(msg) from None
    if isinstance(text, bytes):
        return text
    msg = f"a {what} must be str or bytes, not {type(text).__name__}"
    raise TypeError(msg)
