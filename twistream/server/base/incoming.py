"""
Incoming: what a handler reads from the request.

Layer: base, below `file`.
"""

import re
from typing import TypeVar, overload
from urllib.parse import parse_qsl

from twisted.web.server import Request

from twistream.server.response.response import Response
from twistream.wire import query
from twistream.wire.cookies import Cookies

_D = TypeVar("_D")

_ID_PARAMETER = "last_event_id"
_POLYFILL_PARAMETER = re.compile(r"(evs_)?last[-_]?event[-_]?id", re.IGNORECASE)
"""
Matches the parameters of polyfills for `EventSource`, which cannot set the header, either:
``lastEventId``, ``Last-Event-ID`` and ``evs_last_event_id``.
"""


class Incoming:
    """
    The request: its method, path, query and cookies.
    """

    __slots__ = ("_response",)

    _response: Response

    @property
    def request(self) -> Request:
        """
        The `twisted.web.server.Request`. Its ``write`` and ``finish`` raise: the stream owns it.
        """
        return self._response.request

    @property
    def method(self) -> str:
        """
        The method of the request, ``GET``.
        """
        return self.request.method.decode("latin-1")

    @property
    def path(self) -> str:
        """
        The path of the request as it was sent: percent-encoded, without the query.
        """
        return self.request.path.decode("latin-1")

    @overload
    def query(self, name: str) -> str | None: ...

    @overload
    def query(self, name: str, default: _D) -> str | _D: ...

    def query(self, name: str, default: object = None) -> object:
        """
        Return a parameter of the query, ``?name=value``.

        Args:
            name: The name of the parameter.
            default: The result if there is no such parameter.

        Returns:
            The first value of the parameter, decoded: ``+`` and ``%20`` become a space. It is the empty
            string for a parameter without a value, ``?name`` or ``?name=``.

        Raises:
            HTTPError: 400. A value of this parameter is not UTF-8, or the query has more than
                1000 parameters.
            TypeError: The name is not a str.
        """
        found = self.queries(name)
        return found[0] if found else default

    def queries(self, name: str) -> list[str]:
        """
        Return all values of a parameter of the query, in order. See `query`.

        Raises:
            HTTPError: 400. A value of this parameter is not UTF-8, or the query has more than
                1000 parameters.
            TypeError: The name is not a str.
        """
        if not isinstance(name, str):
            msg = f"the name of a query parameter must be a str, not {type(name).__name__}"
            raise TypeError(msg)
        return query.values(_query(self.request), name)

    @property
    def cookies(self) -> Cookies:
        """
        The cookies of the request, a read-only mapping of names to values.

        Of several cookies with one name, the first counts: browsers send the one with the longest
        path first. Quotes around a value are removed. Values are not decoded: if you encoded one
        for `cookie`, decode it, for example with `urllib.parse.unquote`.

        The mapping is made at each access. Looking up a cookie raises an `HTTPError` with the
        status 400 if its value is not UTF-8.
        """
        return Cookies(self.request.requestHeaders.getRawHeaders(b"Cookie", ()))

    @property
    def last_event_id(self) -> str | None:
        """
        The id of the last event, or message of a channel, that the client has received.

        From the header ``Last-Event-ID`` (WHATWG HTML 9.2.4), or else from the query,
        ``?last_event_id=``: a browser cannot set a header on its first request. The parameters
        of polyfills, such as ``lastEventId``, are accepted, too. None if the client sends none.
        Bytes that are not UTF-8 are replaced.
        """
        return last_event_id(self.request)


def last_event_id(request: Request) -> str | None:
    """
    See ``Context.last_event_id``.
    """
    header: bytes | None = request.getHeader(b"Last-Event-ID")
    if header:
        return header.decode("utf-8", "replace")
    text = _query(request).decode("latin-1")
    if not text:
        return None
    parameters = parse_qsl(text, errors="replace")
    # A polyfill adds its own parameter when it reconnects, so the last one has the newest id.
    for name, value in reversed(parameters):
        if name != _ID_PARAMETER and _POLYFILL_PARAMETER.fullmatch(name):
            return value
    return next((value for name, value in parameters if name == _ID_PARAMETER), None)


def _query(request: Request) -> bytes:
    uri: bytes = request.uri
    return uri.partition(b"?")[2]
