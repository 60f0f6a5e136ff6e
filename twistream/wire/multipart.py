"""
Bodies of several parts (RFC 2046 5.1): sequences of `Part` values.

Pure functions.
"""

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from twistream.wire.fields import field_name, field_value, token, with_charset
from twistream.wire.render import BytesLike, encode_text
from twistream.wire.sequences import SequenceFormat

Headers: TypeAlias = Mapping[str, str | bytes]

_OWN_HEADERS = (b"content-type", b"content-length")


class Part(NamedTuple):
    """
    One part.

    Attributes:
        data: Its body. A str is sent as UTF-8.
        content_type: Its media type. None for plain text or bytes of an unknown type.
        headers: Its other headers.
    """

    data: str | BytesLike
    content_type: str | None = None
    headers: Headers | None = None


def multipart(subtype: str, boundary: str, content_type: str | None = None) -> SequenceFormat:
    """
    Return the format of a body of parts.

    The boundary follows each part at once. If all parts have one type, the headers of the next part
    follow, too, because Chromium shows an image only when it has read them. The body then ends with
    an empty part.

    Args:
        subtype: What follows ``multipart/``.
        boundary: A token that no part contains.
        content_type: The media type of all parts. None if each part says it.

    Raises:
        TypeError: `subtype` or `content_type` is not a str.
        ValueError: The subtype is not a token, or the type does not have the form ``type/subtype``.
    """
    if not isinstance(subtype, str):
        msg = f"subtype must be a str, not {type(subtype).__name__}"
        raise TypeError(msg)
    name = token(subtype, "subtype").decode()
    media_type = f"multipart/{name}; boundary={boundary}"
    delimiter = f"--{boundary}".encode()
    if content_type is None:
        return SequenceFormat(
            media_type=media_type,
            encode=lambda part: b"\r\n%b\r\n%b" % (_encoded(part), delimiter),
            opening=delimiter,
            closing=b"--\r\n",
        )
    opening = b"%b\r\nContent-Type: %b\r\n\r\n" % (delimiter, _type(content_type))
    return SequenceFormat(
        media_type=media_type,
        encode=lambda part: b"%b\r\n%b" % (_body_only(part), opening),
        opening=opening,
        closing=b"\r\n%b--\r\n" % delimiter,
    )


def _body(part: Part) -> bytes:
    data = part.data
    if isinstance(data, str):
        return encode_text(data, "data")
    if isinstance(data, BytesLike):
        return memoryview(data).tobytes()
    msg = f"data must be str or bytes, not {type(data).__name__}"
    raise TypeError(msg)


def _body_only(part: Part) -> bytes:
    """
    The body of a part, if its headers were sent with the part before.
    """
    for name, value in (("content_type", part.content_type), ("headers", part.headers)):
        if value is not None:
            msg = (
                f"{name} must not be given: the headers of this part were sent with the part before"
            )
            raise ValueError(msg)
    return _body(part)


def _type(content_type: str) -> bytes:
    if not isinstance(content_type, str):
        msg = f"content_type must be a str, not {type(content_type).__name__}"
        raise TypeError(msg)
    return field_value(with_charset(content_type))


def _encoded(part: Part) -> bytes:
    """
    The headers and the body of a part.
    """
    body = _body(part)
    content_type = part.content_type
    if content_type is None:
        content_type = "text/plain" if isinstance(part.data, str) else "application/octet-stream"
    lines = [
        b"Content-Type: %b" % _type(content_type),
        b"Content-Length: %d" % len(body),
    ]
    headers = {} if part.headers is None else part.headers
    if not isinstance(headers, Mapping):
        msg = f"headers must be a mapping, not {type(headers).__name__}"
        raise TypeError(msg)
    for name, value in headers.items():
        encoded = field_name(name)
        if encoded.lower() in _OWN_HEADERS:
            msg = f"headers must not contain {name!r}, which the part has already"
            raise ValueError(msg)
        lines.append(b"%b: %b" % (encoded, field_value(value)))
    return b"\r\n".join((*lines, b"", body))
