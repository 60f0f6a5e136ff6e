"""
Request: one request that can be sent again for each connection, and its redirects.

Layer: client, above `body`.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, Final, Protocol, TypeAlias, TypeVar, cast
from urllib.parse import urldefrag, urljoin, urlsplit

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, TimeoutError  # noqa: A004 - Twisted's own
from twisted.internet.error import ConnectError, ConnectionClosed
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from twisted.web._newclient import RequestNotSent, RequestTransmissionFailed, ResponseFailed
from twisted.web.error import InfiniteRedirection
from twisted.web.http_headers import Headers
from twisted.web.iweb import IAgent, IResponse

from twistream.client.body import discard
from twistream.client.errors import UnexpectedResponse

T = TypeVar("T")

HeaderFields: TypeAlias = Headers | Mapping[str, str | Sequence[str]]
"""
The fields of a request: Twisted's headers, or a mapping of names to one or more values.
"""

HeaderSource: TypeAlias = HeaderFields | Callable[[], HeaderFields | Awaitable[HeaderFields]] | None
"""
Fields, or a function that returns them, or an awaitable of them, for each request.
"""

MAX_REDIRECTS: Final = 20
"""
The limit of the Fetch standard.
"""

NETWORK_ERRORS: Final = (
    ConnectError,  # A refused connection, and a TLS or TCP timeout.
    ConnectionClosed,
    OSError,  # A name that was not found, among others.
    TimeoutError,  # `head_timeout`.
    ResponseFailed,
    RequestTransmissionFailed,
    RequestNotSent,
    InfiniteRedirection,  # Browsers count it as such a failure.
)
"""
Failures of a request that may be over at the next attempt.
"""

_REDIRECTS: Final = {301, 302, 303, 307, 308}
_SECRETS: Final = ("Authorization", "Cookie", "Cookie2", "Proxy-Authorization")
"""
Fields that are not sent to another origin.
"""


class TreqClient(Protocol):
    """
    What is needed of a client: `treq.client.HTTPClient`, or the module ``treq`` itself.
    """

    def request(self, method: str, url: str, **options: Any) -> Deferred[Any]:
        """
        See ``treq.request``.
        """


@frozen(kw_only=True)
class Request:
    """
    A request for a stream.

    Attributes:
        method: The method.
        url: The URL.
        headers: The fields, or how to make them.
        options: What goes to the client, such as ``data`` and ``json``.
        is_foreign: A redirect has led to another origin.
    """

    method: str
    url: str
    headers: HeaderSource
    options: Mapping[str, Any]
    is_foreign: bool = False

    @property
    def place(self) -> str:
        """
        The URL for logs: without the user, the query and the fragment, which may be secret.
        """
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{parts.path}"

    async def send(
        self, client: TreqClient, clock: IReactorTime, fields: Mapping[str, str]
    ) -> tuple[IResponse, "Request"]:
        """
        Send the request, and follow redirects.

        The agents of Twisted follow them, too, but leave the connection of each redirect open.

        Args:
            fields: More fields. They replace those of the program.

        Returns:
            The response, and the request that it answers: for the next attempt.

        Raises:
            InfiniteRedirection: There are too many redirects.
            UnexpectedResponse: A redirect has no valid address.
            Exception: The client, or the function that makes the fields, failed.
        """
        headers = await self._headers()
        for name, value in fields.items():
            headers.setRawHeaders(name, [value])
        request = self
        for _ in range(MAX_REDIRECTS + 1):
            request._strip(headers)
            response = await client.request(
                request.method,
                request.url,
                headers=headers.copy(),
                unbuffered=True,
                allow_redirects=False,
                reactor=clock,
                **request.options,
            )
            if response.code not in _REDIRECTS:
                return response, request
            discard(response, clock)
            request = request._redirected(response)
        msg = b"more than %d redirects" % MAX_REDIRECTS
        raise InfiniteRedirection(response.code, msg, location=request.url.encode())

    def _redirected(self, response: Any) -> "Request":
        is_get = response.code == 303 or (response.code in (301, 302) and self.method == "POST")
        changes: dict[str, Any] = {"method": "GET", "options": {}} if is_get else {}
        target = _target(self.url, response)
        is_foreign = self.is_foreign or _origin(target) != _origin(self.url)
        return evolve(self, url=target, is_foreign=is_foreign, **changes)

    def _strip(self, headers: Headers) -> None:
        """
        Remove what does not belong to the address and the method.
        """
        for name in _SECRETS if self.is_foreign else ():
            headers.removeHeader(name)
        if not self.options:
            headers.removeHeader("Content-Type")

    async def _headers(self) -> Headers:
        headers: Any = self.headers() if callable(self.headers) else self.headers
        if isawaitable(headers):
            headers = await headers
        return headers_of(headers)


def cancellable(deferred: Deferred[T]) -> Deferred[T]:
    """
    Return a Deferred with the same result, or a `CancelledError` once it is cancelled.

    A cancelled request of Twisted fails like one that the server has not answered.
    """
    is_cancelled = False

    def cancel(_: Deferred[T]) -> None:
        nonlocal is_cancelled
        is_cancelled = True
        deferred.cancel()

    def fire(result: T | Failure) -> None:
        if not is_cancelled:
            outer.callback(result)  # A Failure makes it fail.

    outer: Deferred[T] = Deferred(cancel)
    deferred.addBoth(fire)
    return outer


def explained(error: BaseException) -> str:
    """
    Return the text of a failure of the network. Twisted wraps the reason in others.
    """
    while isinstance(error, ResponseFailed | RequestTransmissionFailed) and error.reasons:
        error = error.reasons[0].value
    return str(error) or type(error).__name__


def headers_of(fields: HeaderFields | None) -> Headers:
    """
    Copy fields.

    Raises:
        TypeError: They are neither headers nor a mapping of strings.
    """
    if isinstance(fields, Headers):
        return fields.copy()
    if fields is not None and not isinstance(fields, Mapping):
        msg = f"headers must be a mapping, Headers or None, not {type(fields).__name__}"
        raise TypeError(msg)
    headers = Headers()
    for name, value in (fields or {}).items():
        values = [value] if isinstance(value, str) else value
        is_valid = isinstance(name, str) and isinstance(values, Sequence)
        if not is_valid or not all(isinstance(each, str) for each in values):
            msg = f"headers must have names and values of type str, not {name!r}: {value!r}"
            raise TypeError(msg)
        headers.setRawHeaders(name, list(values))
    return headers


def _target(url: str, response: Any) -> str:
    location = response.headers.getRawHeaders("Location", [""])[0]
    try:
        target: str = urldefrag(urljoin(url, location)).url
        is_valid = location and urlsplit(target).scheme in ("http", "https")
    except ValueError:
        is_valid = False
    if not is_valid:
        excerpt = f"redirect to {location!r}".encode()
        raise UnexpectedResponse(response.code, "", excerpt)
    return target


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def treq_client(reactor: Any, agent: IAgent | None) -> TreqClient:
    """
    Make a client of treq that keeps no idle connections.
    """
    from treq.client import HTTPClient  # noqa: PLC0415 - only those who connect load it
    from twisted.web.client import Agent, HTTPConnectionPool  # noqa: PLC0415 - as treq

    pool = HTTPConnectionPool(reactor, persistent=False)
    # Its type has more parameters.
    return cast("TreqClient", HTTPClient(agent or Agent(reactor, pool=pool)))


def slept(clock: IReactorTime, seconds: float) -> Deferred[None]:
    """
    Wait. Cancelling the Deferred ends the wait.
    """
    deferred: Deferred[None] = Deferred(lambda _: call.cancel())
    call = clock.callLater(seconds, deferred.callback, None)
    return deferred
