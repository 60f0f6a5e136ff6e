"""
Coding: the content coding of one response (RFC 9110 8.4).

It decides whether a body is compressed when its head is completed, changes the headers to fit, and
compresses the body: all at once if it is complete then, or piece by piece as it is sent.

Layer: response, above `writer`.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import Final, cast

from twisted.web.http import NO_CONTENT, PARTIAL_CONTENT, RESET_CONTENT
from twisted.web.server import Request

from twistream.errors import HTTPError
from twistream.server.connection.request import raw_fields
from twistream.server.response.head import Head
from twistream.server.response.sink import Sink, Stage
from twistream.server.response.writer import ResponseWriter
from twistream.wire.accept import Choice, choose_coding
from twistream.wire.compression import Coder, Compression
from twistream.wire.fields import list_members
from twistream.wire.frames import Batch

_Fields = dict[bytes, list[bytes]]

_COMPACT: Final = re.compile(
    rb"(image/(?!svg\+xml|bmp)|video/|audio/|application/vnd\.openxmlformats-"
    rb"|(font/woff2?|[^;]*\+zip"
    # Programs use it for files of other types, and most of these are compressed.
    rb"|application/(octet-stream|zip|gzip|x-gzip|zstd|x-bzip2?|x-xz|x-7z-compressed|x-rar"
    rb"|vnd\.rar|java-archive|pdf))[ \t]*(;|$))",
    re.IGNORECASE,
)
"""
Matches media types whose content is compressed already.
"""

_STATUSES_WITHOUT_CONTENT: Final = (NO_CONTENT, RESET_CONTENT)

_EVENTS: Final = b"text/event-stream"

_NO_TRANSFORM: Final = re.compile(rb"(^|,)[ \t]*no-transform[ \t]*(,|$)", re.IGNORECASE)

_UNCODED_ONLY: Final = (
    b"Accept-Ranges",
    b"Content-Digest",
    b"Content-Length",
    b"Content-MD5",
    b"Digest",
    b"Repr-Digest",
)
"""
Headers that are wrong for a compressed body: they describe the bytes that the handler writes.
"""

_NO_CODER: Final = cast("Coder", None)
"""
In place of a coder after the end: nothing may be compressed any more.
"""


class Coding:
    """
    The content coding of one response, as negotiated with its client.
    """

    __slots__ = ("_choice", "_compression", "_stage")

    def __init__(self, request: Request, compression: Compression) -> None:
        """
        Raises:
            HTTPError: 406. The client accepts none of the codings, nor the body as it is.
        """
        values = request.requestHeaders.getRawHeaders(b"Accept-Encoding")
        accepted = None if values is None else b",".join(values)
        choice = choose_coding(accepted, compression.codings)
        if choice is None:
            _vary(raw_fields(request))
            offered = ", ".join((*compression.codings, "identity"))
            raise HTTPError(406, f"This response is available as {offered}.")
        self._choice: Choice = choice
        self._compression = compression
        self._stage: CodingStage | None = None

    def begin(self, head: Head, writer: ResponseWriter, start: Callable[[], None]) -> None:
        """
        Complete the head of a body that follows in pieces, and compress these.

        Args:
            start: Frames the head. If it fails, the head is as before.
        """
        request, fields = head.request, raw_fields(head.request)
        before, etag = dict(fields), request.etag
        coding, coder = self._complete(head), None
        try:
            if coding is not None:
                coder = self._compression.coder(coding)
                fields[b"Content-Encoding"] = [coding.encode()]
            start()
        except BaseException:
            fields.clear()
            fields.update(before)
            request.etag = etag
            raise
        if coder is not None:
            # On top of all other stages, so that they see what is sent.
            writer.insert(partial(self._make_stage, coder))

    def encode_whole(self, head: Head, writer: ResponseWriter) -> None:
        """
        Compress a body that is complete before its head is sent, if that makes it shorter.
        """
        coding, content = self._complete(head), writer.whole()
        if coding is None or not content:
            return
        coder = self._compression.coder(coding)
        coded = coder.compress(content) + coder.finish()
        if len(coded) < len(content) or not self._choice.identity:
            raw_fields(head.request)[b"Content-Encoding"] = [coding.encode()]
            writer.replace(coded)

    def complete_without_body(self, head: Head) -> None:
        """
        Change the headers of a response without a body as if it had one.

        They have no coding and no length: these may depend on the body.
        """
        if head.request.code in _STATUSES_WITHOUT_CONTENT:
            _vary(raw_fields(head.request))
        else:
            self._complete(head)

    def release(self) -> None:
        """
        Free the memory of the coder: nothing more is sent.
        """
        if self._stage is not None:
            self._stage.release()

    def sent(self, written: int) -> int:
        """
        Return the number of bytes of the body that were sent, after compression.

        Args:
            written: The number of bytes that the handler has written.
        """
        return written if self._stage is None else self._stage.sent

    # Inside.

    def _complete(self, head: Head) -> str | None:
        """
        Change the headers of a body that may be compressed. Returns its coding, if it can be.
        """
        request, fields = head.request, raw_fields(head.request)
        _vary(fields)
        coding = self._choice.coding
        if coding is None or not self._admits(request.code, fields):
            return None
        for name in _UNCODED_ONLY:
            fields.pop(name, None)
        # The same entity in another coding has other bytes (RFC 9110 8.8.1).
        if values := fields.get(b"ETag"):
            fields[b"ETag"] = [_weak(value) for value in values]
        if request.etag:
            request.etag = _weak(request.etag)  # What `setETag` of Twisted keeps for the head.
        return coding

    def _admits(self, status: int, fields: _Fields) -> bool:
        """
        Whether a body with this status and these headers may be compressed.
        """
        if status == PARTIAL_CONTENT or b"Content-Range" in fields or b"Content-Encoding" in fields:
            return False
        media_type = (fields.get(b"Content-Type") or [b""])[-1]
        if media_type.lower().startswith(_EVENTS):
            return True  # There, `no-transform` is for proxies, which would buffer the events.
        if any(map(_NO_TRANSFORM.search, fields.get(b"Cache-Control", ()))):
            return False
        return not (self._choice.identity and _COMPACT.match(media_type))

    def _make_stage(self, coder: Coder, next_sink: Sink) -> "CodingStage":
        self._stage = CodingStage(coder, next_sink)
        return self._stage


class CodingStage(Stage):
    """
    Compresses the pieces of a body. Pieces that are pushed together become one.

    What is put counts as pending, with its size before it is compressed, until it is pushed. What
    is pushed counts as compressed.

    Attributes:
        sent: The number of bytes that it has passed on.
    """

    __slots__ = ("_coder", "_parts", "_unflushed", "sent")

    def __init__(self, coder: Coder, next_sink: Sink) -> None:
        super().__init__(next_sink)
        self._coder: Coder = coder
        self._parts: list[bytes] = []
        self._unflushed = 0
        self.sent = 0

    @property
    def pending(self) -> int:
        """
        See `Sink`.
        """
        return self._unflushed + self._next.pending

    def put(self, data: bytes) -> None:
        """
        See `Sink`.
        """
        self._unflushed += len(data)
        if coded := self._coder.compress(data):
            self._parts.append(coded)

    def put_end(self) -> None:
        """
        See `Sink`.
        """
        self._put_coded(self._coder.finish())
        self.release()
        self._next.put_end()

    def push(self) -> None:
        """
        Send what is pending so that the client can decode all of it.
        """
        if self._unflushed:
            self._put_coded(self._coder.flush())
        self._next.push()

    def send_batch(self, batch: Batch) -> None:
        """
        See `Sink`.
        """
        self.put(batch.as_bytes)
        self.push()

    def backlog(self) -> int:
        """
        See `Sink`.
        """
        return self._unflushed + self._next.backlog()

    def release(self) -> None:
        """
        Free the memory of the coder. What is not pushed is dropped.
        """
        self._coder = _NO_CODER
        self._parts = []
        self._unflushed = 0

    def _put_coded(self, last: bytes) -> None:
        parts, self._parts = self._parts, []
        self._unflushed = 0
        parts.append(last)
        if coded := b"".join(parts):
            self.sent += len(coded)
            self._next.put(coded)


def _vary(fields: _Fields) -> None:
    """
    Tell caches that the response depends on ``Accept-Encoding`` (RFC 9110 12.5.5).
    """
    values = fields.get(b"Vary") or []
    names = {name.lower() for name in list_members(values)}
    if names.isdisjoint((b"*", b"accept-encoding")):
        fields[b"Vary"] = [b", ".join([*values, b"Accept-Encoding"])]


def _weak(etag: bytes) -> bytes:
    return b"W/" + etag if etag.startswith(b'"') else etag
