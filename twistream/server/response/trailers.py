"""
Trailers: the fields that follow the body of one response.

They are collected until the body ends. The head names those that are known before it. A response
without trailers has no such object, and no stage.

Layer: response, below `head`.
"""

from collections.abc import Iterable, Sequence

from twisted.web.server import Request

from twistream.server.response.sink import Sink, Stage
from twistream.wire.digest import Algorithm, Digest
from twistream.wire.fields import field_value
from twistream.wire.frames import Batch, Fields
from twistream.wire.trailers import accepts_trailers, trailer_name, unlisted

_CONTENT_DIGEST = b"Content-Digest"


class Trailers:
    """
    The trailers of one response.

    Attributes:
        digests: The digests of the content that will be trailers.
        staged: The body goes through a `TrailerStage`.
    """

    __slots__ = ("_asked", "_declared", "_fields", "_request", "digests", "staged")

    def __init__(self, request: Request, *, always: bool = False) -> None:
        """
        Args:
            always: Send them on HTTP/1.1 even if the client does not ask for them.
        """
        self._request = request
        self._asked = always or accepts_trailers(request.requestHeaders.getRawHeaders(b"TE", []))
        self._declared: list[bytes] = []
        self._fields: dict[bytes, list[tuple[bytes, bytes]]] = {}
        self.digests: Sequence[Digest] = ()
        self.staged = False

    def put(self, name: str | bytes, value: str | bytes, *, add: bool) -> None:
        """
        Set a field, or add a value to it. See ``Context.trailer``.
        """
        field = (trailer_name(name), field_value(value))
        lowered = field[0].lower()
        self._fields[lowered] = [*self._fields.get(lowered, ()), field] if add else [field]

    def declare(self, names: Iterable[str | bytes]) -> None:
        """
        Name fields in the head. See ``Context.declare_trailers``.
        """
        self._declared += [trailer_name(name) for name in names]

    def add_digest(self, algorithm: Algorithm) -> None:
        """
        Send a digest of the content, unless it is added already.
        """
        if all(digest.algorithm != algorithm for digest in self.digests):
            self.digests = [*self.digests, Digest(algorithm)]

    def clear(self) -> None:
        """
        Send no trailers: an error page replaces the response.
        """
        self._declared, self._fields, self.digests = [], {}, ()

    def carried(self, *, head_sent: bool) -> bool:
        """
        Whether a body can be followed by trailers, as far as that is decided.
        """
        request = self._request
        if request.clientproto == b"HTTP/2":
            # Every stream can end with them, so they do not have to be asked for (RFC 9113 8.1).
            return True
        if head_sent:
            return self._asked and bool(request.chunked)
        return (
            self._asked
            and request.clientproto == b"HTTP/1.1"
            and not request.responseHeaders.hasHeader(b"Content-Length")
        )

    # The head.

    def digest_whole(self, content: bytes | None) -> None:
        """
        Make the digests headers, because the head comes after the whole content.

        Args:
            content: The content; None if it is not known yet.
        """
        if self.digests and content is not None:
            for digest in self.digests:
                digest.update(content)
            headers = self._request.responseHeaders
            headers.setRawHeaders(_CONTENT_DIGEST, [self._content_digest()])
            self.digests = ()

    def announce(self, length: int | None) -> int | None:
        """
        Name the trailers in the head.

        Args:
            length: The length of the body in bytes; None while it is not known.

        Returns:
            The length for the head: None if chunks are needed for the trailers.
        """
        names = [field[0][0] for field in self._fields.values()]
        if self.digests:
            names.append(_CONTENT_DIGEST)
        if not self.carried(head_sent=False) or not (names or length is None):
            self.digests = ()
            return length
        headers = self._request.responseHeaders
        names = unlisted(self._declared + names, headers.getRawHeaders(b"Trailer", []))
        if names:
            headers.addRawHeader(b"Trailer", b", ".join(names))
        return length if self._request.clientproto == b"HTTP/2" else None

    # The end.

    def complete(self) -> Fields:
        """
        The fields to send after the body.
        """
        if not self.carried(head_sent=True):
            return ()
        if self.digests:
            field = (_CONTENT_DIGEST, self._content_digest())
            self._fields[_CONTENT_DIGEST.lower()] = [field]
        return [field for fields in self._fields.values() for field in fields]

    def _content_digest(self) -> bytes:
        return b", ".join([digest.member for digest in self.digests])


class TrailerStage(Stage):
    """
    The last stage of a response with trailers. It adds them to the end of the body.

    It sees the content as it is sent, after content codings, which is what ``Content-Digest``
    covers (RFC 9530 2).
    """

    __slots__ = ("_trailers",)

    changes = False

    def __init__(self, trailers: Trailers, next_sink: Sink) -> None:
        super().__init__(next_sink)
        self._trailers = trailers

    def put(self, data: bytes) -> None:
        for digest in self._trailers.digests:
            digest.update(data)
        self._next.put(data)

    def send_batch(self, batch: Batch) -> None:
        for digest in self._trailers.digests:
            digest.update(batch.as_bytes)
        self._next.send_batch(batch)

    def put_end(self) -> None:
        fields = self._trailers.complete()
        if fields:
            self._next.put_trailers(fields)
        else:
            self._next.put_end()
