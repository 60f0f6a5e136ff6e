"""
TrailerContext: adds the methods for trailer fields to `BaseContext`.

Layer: base, above `streaming`.
"""

from functools import partial

from twistream.server.base.streaming import BaseContext
from twistream.server.response.trailers import Trailers, TrailerStage
from twistream.wire.digest import Algorithm, check_algorithm, preferred_algorithm


class TrailerContext(BaseContext):
    """
    A context with trailers, and without events and subscriptions.
    """

    __slots__ = ()

    def trailer(self, name: str | bytes, value: str | bytes) -> bool:
        """
        Set a field that follows the body (RFC 9110 6.5).

        It can be called at any time before the end. If the head has not been sent, ``Trailer`` in
        the head names the field. The last value counts. A response that is aborted has no
        trailers, and neither has an error page.

        On HTTP/2, every response with a body can have trailers. On HTTP/1.1, they need a body in
        chunks, so without a ``Content-Length`` of the handler's own, and a request with ``TE:
        trailers`` or a resource with ``trailers="always"``. HTTP/1.0 has no trailers.

        Returns:
            Whether the field will be sent. Before the head is sent, a status without a body and a
            ``Content-Length`` can still prevent it. Proxies may drop trailers.

        Raises:
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: Name or value is neither str nor bytes.
            ValueError: The name is not a token, the value contains CR, LF or NUL, or the field
                is only valid before the body, like ``Set-Cookie`` (RFC 9110 6.5.1).
        """
        return self._put_trailer(name, value, add=False)

    def add_trailer(self, name: str | bytes, value: str | bytes) -> bool:
        """
        Add a value to a field that follows the body, after its other values. See `trailer`.

        Returns:
            Whether the field will be sent.

        Raises:
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: Name or value is neither str nor bytes.
            ValueError: The name is not a token, the value contains CR, LF or NUL, or the field
                is only valid before the body.
        """
        return self._put_trailer(name, value, add=True)

    def declare_trailers(self, *names: str | bytes) -> bool:
        """
        Name trailers in the head, before their values are known.

        The header ``Trailer`` lists the fields that may follow. A name that never gets a value is
        allowed.

        Returns:
            Whether they can be sent. See `trailer`.

        Raises:
            HeadersSent: The head has been sent.
            StreamClosed: The response ended early, before its head was sent.
            TypeError: A name is neither str nor bytes.
            ValueError: A name is not a token, or the field is only valid before the body.
        """
        _ = self._response.open_head
        trailers = self._open_trailers()
        trailers.declare(names)
        return self._carried(trailers)

    def content_digest(self, algorithm: Algorithm | None = None) -> bool:
        """
        Send a digest of the content in ``Content-Digest`` (RFC 9530).

        It covers the content as it is sent, after a content coding. It is a trailer. If the body is
        complete before the head is sent, it is a header instead. Several calls with different
        algorithms send several digests.

        Args:
            algorithm: ``"sha-256"`` or ``"sha-512"``. None for the one that the client prefers in
                ``Want-Content-Digest``, or else ``"sha-256"``.

        Returns:
            True if the digest will be sent in any case. False if it needs a trailer, and this response
            cannot have one (see `trailer`), or if the client accepts neither algorithm.

        Raises:
            HeadersSent: The head has been sent.
            StreamClosed: The response ended early, before its head was sent.
            ValueError: The algorithm is unknown.
        """
        request = self._response.open_head.request
        if algorithm is None:
            wanted = request.requestHeaders.getRawHeaders(b"Want-Content-Digest", [])
            algorithm = preferred_algorithm(wanted)
            if algorithm is None:
                return False
        check_algorithm(algorithm)
        trailers = self._open_trailers()
        trailers.add_digest(algorithm)
        return self._carried(trailers)

    def _put_trailer(self, name: str | bytes, value: str | bytes, *, add: bool) -> bool:
        trailers = self._open_trailers()
        trailers.put(name, value, add=add)
        return self._carried(trailers)

    def _open_trailers(self) -> Trailers:
        """
        The trailers, as long as the response has not ended.
        """
        response = self._response
        if response.life.ended:
            response.life.raise_error()
        head = response.head
        if head.trailers is None:
            head.trailers = Trailers(head.request)
        if not head.trailers.staged:
            head.trailers.staged = True
            self._writer.insert(partial(TrailerStage, head.trailers), last=True)
        return head.trailers

    def _carried(self, trailers: Trailers) -> bool:
        response = self._response
        head_sent = response.life.head_sent
        return (head_sent or not response.head.bodyless()) and trailers.carried(head_sent=head_sent)
