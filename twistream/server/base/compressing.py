"""
CompressingContext: adds content codings to `BaseContext`.

Layer: base, above `streaming`.
"""

from collections.abc import Iterable

from twistream.server.base.streaming import BaseContext
from twistream.server.response.coding import Coding
from twistream.wire.compression import Compression, Sizes, default_compression


class CompressingContext(BaseContext):
    """
    A context that can compress its body.
    """

    __slots__ = ()

    def compress(
        self,
        *,
        codings: Iterable[str] | None = None,
        level: Sizes = None,
        window: Sizes = None,
    ) -> None:
        """
        Compress this response, if its client accepts that (RFC 9110 12.5.3).

        The client can decode every flush, event and message as soon as it arrives. The last call
        counts. These are sent uncompressed:

        - responses without a body, and parts (206),
        - bodies for which the handler has set ``Content-Encoding``,
        - bodies with ``Cache-Control: no-transform``, except events,
        - types that are already compressed, such as images and archives.

        Do not compress a secret together with text that someone else can choose: see BREACH in
        ``docs/compression.rst``.

        Args:
            codings: The codings to offer, in order of preference. If a client gives several the same
                weight, it gets the first of them. By default ``"gzip"``, ``"zstd"``, ``"br"`` and
                ``"deflate"``; zstd and br only if ``twistream[compression]`` is installed. An
                empty iterable turns compression off for this response.
            level: How hard the coders try. See `Compression`.
            window: How far back the coders look for repetitions, in bits. See `Compression`.

        Raises:
            HTTPError: 406. The client accepts none of the codings, nor the body as it is.
            HeadersSent: The head has been sent.
            ImportError: A coding is named, and its package is not installed.
            StreamClosed: The response ended early, before its head was sent.
            TypeError: An argument has the wrong type.
            ValueError: There is no such coding, or it does not have this level or window.
        """
        response = self._response
        request = response.open_head.request
        if codings is level is window is None:
            compression = default_compression()
        else:
            compression = Compression(codings=codings, level=level, window=window)
        response.coding = Coding(request, compression)
