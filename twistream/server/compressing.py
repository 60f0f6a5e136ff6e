"""
CompressingContext: adds content codings to `BaseContext`.

Layer: server, above `base`.
"""

from collections.abc import Iterable

from twistream.server.base import BaseContext
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

        Every flush, event and message can be decoded as soon as it arrives. Responses without a
        body, parts (206), bodies with a ``Content-Encoding`` of the handler's own, with
        ``Cache-Control: no-transform`` unless they are events, and types that are compressed
        already, such as images and archives, are sent as they are. The last call counts.

        Do not compress secrets together with what a client can choose: see BREACH in the
        documentation.

        Args:
            codings: The codings to offer, ``"gzip"``, ``"zstd"``, ``"br"`` and ``"deflate"``. A
                client that likes several equally well gets the first one. By default all that
                can be used, in this order: zstd and br need ``twistream[compression]``. An
                empty one turns compression off for this response.
            level: How hard the coders try: see `Compression`.
            window: How far back the coders look for repetitions, in bits: see `Compression`.

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
