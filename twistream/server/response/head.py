"""
Head: status and headers of one response, until they are sent.

It knows which headers are a handler's to set, and which follow from the kind of the
response. When the head is sent is the writer's decision, and how, the outbound's.
"""

from twisted.web.http import NO_CONTENT, NOT_MODIFIED, RESET_CONTENT
from twisted.web.http_headers import Headers
from twisted.web.server import Request

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
Headers that are the protocol's to send: the values that a handler may give all the same,
and whether the connection closes after the response.
"""

_OF_THE_BODY = (
    "Cache-Control",
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
    "X-Accel-Buffering",
)
"""
What would be untrue of an error page that is sent instead of the body.
"""


class Head:
    """
    The head of one response, on the way to its request.

    What somebody else has put on the request before is kept.

    Attributes:
        declared: The ``Content-Length`` that the body must have, if one is set.
        empty_status: The status, if the body turns out to be empty; None for the same.
    """

    __slots__ = ("_close", "_request", "declared", "empty_status")

    def __init__(self, request: Request) -> None:
        self._request = request
        self._close = False
        self.empty_status: int | None = None
        self.declared = _declared(request.responseHeaders)

    def header(self, name: str | bytes, value: str | bytes, *, add: bool = False) -> None:
        """
        Set a header, or add one more value to it. See ``Context.header``.
        """
        encoded_name, encoded_value = field_name(name), field_value(value)
        lowered = encoded_name.lower()
        if lowered in _FRAMING:
            allowed = _FRAMING[lowered]
            if encoded_value.lower() not in allowed:
                msg = f"{name!r} is the protocol's to send, it cannot be {value!r}"
                raise ValueError(msg)
            self._close |= allowed[encoded_value.lower()]
            return
        if lowered == b"content-length":
            length = content_length(encoded_value)
            if add and self.declared not in (None, length):
                msg = f"Content-Length is {self.declared} already"
                raise ValueError(msg)
            self.declared, add = length, False
        headers = self._request.responseHeaders
        if add:
            headers.addRawHeader(encoded_name, encoded_value)
        else:
            headers.setRawHeaders(encoded_name, [encoded_value])

    def content_type(self, value: str) -> None:
        """
        Set the type of the body.
        """
        self._request.responseHeaders.setRawHeaders(b"Content-Type", [field_value(value)])

    def default(self, name: bytes, value: bytes) -> None:
        """
        Set a header, unless it is set.
        """
        _default(self._request.responseHeaders, name, value)

    def has_type(self) -> bool:
        """
        Whether the type of the body is set.
        """
        return self._request.responseHeaders.hasHeader(b"Content-Type")

    def status_code(self, code: int) -> None:
        """
        Set the status. See ``Context.status_code``.
        """
        if not isinstance(code, int) or isinstance(code, bool):
            msg = f"a status code is an int, not {type(code).__name__}"
            raise TypeError(msg)
        if not 200 <= code <= 599:
            msg = f"the final status of a response is 200 to 599, not {code}"
            raise ValueError(msg)
        self._request.setResponseCode(int(code))

    def bodyless(self) -> bool:
        """
        Whether this response may have no body.
        """
        return self._request.method == b"HEAD" or self._request.code in _NO_BODY

    def clear_for_page(self, status: int) -> None:
        """
        Make it the head of an error page: forget what was said of the body.
        """
        request = self._request
        request.setResponseCode(status)
        request.etag = request.lastModified = None
        for name in _OF_THE_BODY:
            request.responseHeaders.removeHeader(name)
        self.declared = None

    def complete(self, length: int | None) -> None:
        """
        Add what the body asks for.

        Args:
            length: How long the body is; None while it is not known.
        """
        headers = self._request.responseHeaders
        if length is None:
            self.declared = _declared(headers)
            _default(headers, b"X-Accel-Buffering", b"no")
            _default(headers, b"X-Content-Type-Options", b"nosniff")
        else:
            headers.setRawHeaders(b"Content-Length", [b"%d" % length])
        if length != 0:
            # Twisted's own default is HTML, where a stranger's text may be a script.
            _default(headers, b"Content-Type", with_charset("text/plain").encode())
        self._complete_framing()

    def complete_without_body(self, length: int | None) -> None:
        """
        Add what a response without a body needs, take away what it may not have.

        Args:
            length: How long the body to GET would be; None if that is not known.
        """
        headers = self._request.responseHeaders
        code = self._request.code
        if code == NO_CONTENT:
            headers.removeHeader(b"Content-Length")
            headers.removeHeader(b"Content-Type")
        elif code == RESET_CONTENT:
            # Unlike the others it is framed as any response (RFC 9110 15.3.6).
            headers.setRawHeaders(b"Content-Length", [b"0"])
        elif code != NOT_MODIFIED:
            # HEAD, which has the headers that GET would have (RFC 9110 9.3.2).
            if length is None:
                _default(headers, b"X-Content-Type-Options", b"nosniff")
            else:
                _default(headers, b"Content-Length", b"%d" % length)
            _default(headers, b"Content-Type", with_charset("text/plain").encode())
        self._complete_framing()

    def _complete_framing(self) -> None:
        request = self._request
        # Twisted would send it beside a Content-Length: the shape of request smuggling.
        request.responseHeaders.removeHeader(b"Transfer-Encoding")
        # HTTP/2 has no such header, and shares the connection among streams.
        if self._close and request.clientproto != b"HTTP/2":
            request.responseHeaders.setRawHeaders(b"Connection", [b"close"])
            request.channel.persistent = False


def _declared(headers: Headers) -> int | None:
    values = headers.getRawHeaders(b"Content-Length")
    return content_length(values[-1]) if values else None


def _default(headers: Headers, name: bytes, value: bytes) -> None:
    if not headers.hasHeader(name):
        headers.setRawHeaders(name, [value])
