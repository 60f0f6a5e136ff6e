"""
Head: status and headers of one response, until they are sent.

It knows which headers a handler may set, and which follow from the kind of the response. The
response decides when the head is sent, the outbound how.

Layer: response, at the bottom.
"""

from collections.abc import Callable

from twisted.web.http import NO_CONTENT, NOT_MODIFIED, RESET_CONTENT
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from twistream.checks import shown
from twistream.server.connection.request import raw_fields
from twistream.server.response.trailers import Trailers
from twistream.wire.fields import content_length, field_name, field_value, with_charset

_NO_BODY = frozenset({NO_CONTENT, RESET_CONTENT, NOT_MODIFIED})
"""
Statuses whose responses have no body (RFC 9110 15.3.5, 15.3.6, 15.4.5).
"""

_FRAMING: dict[bytes, dict[bytes, bool]] = {
    b"connection": {b"close": True, b"keep-alive": False},
    b"keep-alive": {},
    b"transfer-encoding": {b"chunked": False},
    b"upgrade": {},
}
"""
Headers that only the protocol sends: the values that a handler may set all the same, and whether
the connection then closes after the response.
"""

_BODY_HEADERS = (
    "Cache-Control",
    "Content-Digest",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Location",
    "Content-Range",
    "Content-Type",
    "ETag",
    "Expires",
    "Last-Modified",
    "Repr-Digest",
    "Trailer",
    "X-Accel-Buffering",
)
"""
Headers that describe the body, so they would be wrong on an error page sent in its place.
"""


_PLAIN_TEXT = with_charset("text/plain").encode()
"""
The default type. Twisted's default is HTML, in which untrusted text may be a script.
"""


class Head:
    """
    The head of one response.

    Headers that other resources have set on the request are kept.

    Attributes:
        declared: The ``Content-Length`` that the body must have, if one is set.
        empty_status: The status to send instead of 200 if the body is empty; None to keep it.
        request: The request.
        trailers: The fields that follow the body; None if there are none.
    """

    __slots__ = ("_close", "declared", "empty_status", "request", "trailers")

    def __init__(self, request: Request) -> None:
        self.request = request
        self._close = False
        self.empty_status: int | None = None
        self.trailers: Trailers | None = None
        self.declared = _declared(raw_fields(request))

    def header(self, name: str | bytes, value: str | bytes, *, add: bool = False) -> None:
        """
        Set a header, or add a value to it. See ``Context.header``.
        """
        encoded_name, encoded_value = field_name(name), field_value(value)
        lowered = encoded_name.lower()
        if lowered in _FRAMING:
            allowed = _FRAMING[lowered]
            if encoded_value.lower() not in allowed:
                msg = f"{name!r} is set by the protocol and cannot be {value!r}"
                raise ValueError(msg)
            self._close |= allowed[encoded_value.lower()]
            return
        if lowered == b"content-length":
            length = content_length(encoded_value)
            if add and self.declared not in (None, length):
                msg = f"Content-Length is already set to {self.declared}"
                raise ValueError(msg)
            self.declared, add = length, False
        headers = self.request.responseHeaders
        if add:
            headers.addRawHeader(encoded_name, encoded_value)
        else:
            headers.setRawHeaders(encoded_name, [encoded_value])

    def content_type(self, value: str) -> None:
        """
        Set the media type of the body.
        """
        raw_fields(self.request)[b"Content-Type"] = [field_value(value)]

    def default(self, name: bytes, value: bytes) -> None:
        """
        Set a header, unless it is set.
        """
        raw_fields(self.request).setdefault(name, [value])

    def has_type(self) -> bool:
        """
        Whether the media type of the body is set.
        """
        return b"Content-Type" in raw_fields(self.request)

    def cookie(self, value: bytes) -> None:
        """
        Add the value of a ``Set-Cookie``.
        """
        self.request.cookies.append(value)

    def status_code(self, code: int) -> None:
        """
        Set the status. See ``Context.status_code``.
        """
        if not isinstance(code, int) or isinstance(code, bool):
            msg = f"a status code must be an int, not {type(code).__name__}"
            raise TypeError(msg)
        if not 200 <= code <= 599:
            msg = f"a status code must be from 200 to 599, not {shown(code)}"
            raise ValueError(msg)
        self.request.setResponseCode(int(code))

    def bodyless(self) -> bool:
        """
        Whether no body is allowed.
        """
        return self.request.method == b"HEAD" or self.request.code in _NO_BODY

    def clear_for_page(self, status: int) -> None:
        """
        Make it the head of an error page, without the headers that describe the body.
        """
        request = self.request
        request.setResponseCode(status)
        request.etag = request.lastModified = None
        for name in _BODY_HEADERS:
            request.responseHeaders.removeHeader(name)
        self.declared = None
        if self.trailers is not None:
            self.trailers.clear()

    def discard(self) -> None:
        """
        Drop everything that was put on the head: some of it cannot be sent.
        """
        self.request.responseHeaders = Headers()
        self.request.cookies.clear()
        self.clear_for_page(500)
        self.empty_status = None

    def complete(
        self, length: int | None, content: Callable[[], bytes | None] | None = None
    ) -> None:
        """
        Add the headers of a response with a body.

        Args:
            length: The length of the body in bytes; None while it is not known.
            content: Returns the body, or None if it is not known yet.
        """
        fields = raw_fields(self.request)
        if self.trailers is not None:
            if content is not None:
                self.trailers.digest_whole(content())
            length = self.trailers.announce(length)
        if length is None:
            self.declared = _declared(fields)
            fields.setdefault(b"X-Accel-Buffering", [b"no"])
            fields.setdefault(b"X-Content-Type-Options", [b"nosniff"])
        else:
            fields[b"Content-Length"] = [b"%d" % length]
        if length != 0:
            fields.setdefault(b"Content-Type", [_PLAIN_TEXT])
        self._complete_framing(fields)

    def complete_without_body(self, length: int | None) -> None:
        """
        Add and remove headers for a response without a body.

        Args:
            length: The length in bytes of the body that GET would get; None if not known.
        """
        fields = raw_fields(self.request)
        code = self.request.code
        if code == NO_CONTENT:
            fields.pop(b"Content-Length", None)
            fields.pop(b"Content-Type", None)
        elif code == RESET_CONTENT:
            # Unlike the others it is framed like a response with a body (RFC 9110 15.3.6).
            fields[b"Content-Length"] = [b"0"]
        elif code != NOT_MODIFIED:
            # HEAD: the headers that GET would have (RFC 9110 9.3.2).
            if length is None:
                fields.setdefault(b"X-Accel-Buffering", [b"no"])
                fields.setdefault(b"X-Content-Type-Options", [b"nosniff"])
            elif length:
                fields.setdefault(b"Content-Length", [b"%d" % length])
            if length == 0:
                # Without a length: a handler may write nothing because it has seen the method.
                self.request.defaultContentType = None
            else:
                fields.setdefault(b"Content-Type", [_PLAIN_TEXT])
        self._complete_framing(fields)

    def _complete_framing(self, fields: dict[bytes, list[bytes]]) -> None:
        request = self.request
        # Twisted would send it together with a Content-Length: a request smuggling risk.
        fields.pop(b"Transfer-Encoding", None)
        # HTTP/2 has no such header: its streams share the connection.
        if self._close and request.clientproto != b"HTTP/2":
            fields[b"Connection"] = [b"close"]
            request.channel.persistent = False


def _declared(fields: dict[bytes, list[bytes]]) -> int | None:
    values = fields.get(b"Content-Length")
    return content_length(values[-1]) if values else None
