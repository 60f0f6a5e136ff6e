"""
StreamResource: a handler as an `IResource`.

Layer: server, at the top.
"""

import sys
from collections.abc import Iterable
from contextvars import copy_context
from functools import partial
from typing import Literal, cast

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from twistream.checks import check_clock, check_count, check_timer, checked_names, kind
from twistream.errors import HeadersSent
from twistream.scheduling.turn import Turn
from twistream.server.connection.request import is_disconnected, remove_encoder
from twistream.server.exchange import Exchange, Handler
from twistream.server.response.response import Response
from twistream.server.response.trailers import Trailers
from twistream.server.threaded import BlockingHandler, ThreadContext, check_blocking
from twistream.wire import fields
from twistream.wire.compression import Compression, default_compression

_log = Logger()

_DEFAULT_METHODS = ("GET", "HEAD")


class StreamResource(Resource):
    """
    Answers requests by calling a handler with a `Context`.

    The rest of the path is in ``request.postpath``. If the handler raises before the head is
    sent, the client gets an error page, which is a 500 unless the error is an `HTTPError`. If
    it raises later, the response is aborted, and the client sees that it is incomplete.
    """

    isLeaf = True  # noqa: N815 - IResource

    def __init__(  # noqa: PLR0913 - options, by keyword
        self,
        handler: Handler | BlockingHandler,
        *,
        in_thread: bool | ThreadPool = False,
        methods: Iterable[str] | None = None,
        on_disconnect: Literal["cancel", "continue"] = "cancel",
        send_timeout: float = 60.0,
        max_buffered: int = 16 * 2**20,
        compress: bool | Compression = False,
        trailers: Literal["asked", "always"] = "asked",
        clock: IReactorTime | None = None,
    ) -> None:
        """
        Args:
            handler: Called once for each request.
            in_thread: Run the handler in a thread, of the reactor's pool or of this pool. It is then
                a blocking function or generator function. It can read the request, `err` and
                `is_cancelled`, write, and change the head until it yields its first item. Methods
                that flush, wait or end something raise a RuntimeError: yield what is to be sent.
            methods: The methods that the handler answers, in any case. Any other method gets a
                405. HEAD comes with GET. None for GET and HEAD, and for the methods of the Klein
                route that has returned this resource.
            on_disconnect: ``"cancel"`` cancels the handler when the client disconnects;
                ``"continue"`` lets it keep running, and only its writes and flushes fail.
            send_timeout: Seconds for which a client may accept nothing while data is queued
                for it. Then it is cut. A minute is long for a working network. A client that
                reads less than about a kilobyte per second may look as if it accepted nothing.
            max_buffered: Bytes that may be queued for a client. If more are queued, a write
                raises `BufferOverflow`. A handler that awaits its flushes does not reach the
                limit, unless it writes that much between two of them.
            compress: Compress responses for clients that accept it: True as in
                ``Context.compress()``, or a `Compression` with options. A client that refuses
                every coding gets a 406, and the handler is not called.
            trailers: Whether a response on HTTP/1.1 has the trailers of its handler: ``"asked"`` if
                the request has ``TE: trailers``, ``"always"`` also without it. A client that
                does not know trailers ignores them, but a response with trailers has no
                ``Content-Length``. See `Context.trailer`.
            clock: The clock of the responses. None for the reactor of the site.

        Raises:
            TypeError: An argument has the wrong type.
            ValueError: An option has a value that is not allowed; `methods` is empty.
        """
        super().__init__()
        if not callable(handler):
            msg = f"handler must be callable, not {type(handler).__name__}"
            raise TypeError(msg)
        if on_disconnect not in ("cancel", "continue"):
            msg = f'on_disconnect must be "cancel" or "continue", not {on_disconnect!r}'
            raise ValueError(msg)
        if trailers not in ("asked", "always"):
            msg = f'trailers must be "asked" or "always", not {trailers!r}'
            raise ValueError(msg)
        check_timer("send_timeout", send_timeout)
        check_count("max_buffered", max_buffered, 1)
        check_clock("clock", clock)
        if not isinstance(compress, bool | Compression):
            msg = f"compress must be a bool or a Compression, not {kind(compress)}"
            raise TypeError(msg)
        if in_thread is not False:
            check_blocking(handler, in_thread)
        self._handler = handler
        self._in_thread = in_thread
        self._methods = _DEFAULT_METHODS if methods is None else _checked_methods(methods)
        self._follows_router = methods is None
        self._on_disconnect = on_disconnect
        self._send_timeout = send_timeout
        self._max_buffered = max_buffered
        self._compression = default_compression() if compress is True else (compress or None)
        self._always_trailers = trailers == "always"
        self._clock = clock
        self._turn: Turn | None = None  # Until the clock is known.
        self._warned = False

    def render(self, request: Request) -> int:
        """
        See `twisted.web.resource.IResource`.

        Raises:
            HeadersSent: Something has been written to the request.
            RuntimeError: A producer is registered on the request.
        """
        if request.startedWriting:
            raise HeadersSent
        if request.producer is not None:
            msg = "a producer is registered on this request; unregister it before it is streamed to"
            raise RuntimeError(msg)
        if is_disconnected(request):
            return NOT_DONE_YET
        if remove_encoder(request):
            self._warn_about_encoder()
        clock = self._clock or cast("Site", request.site).reactor
        turn = self._turn
        if turn is None or turn.clock is not clock:
            turn = self._turn = Turn.of(clock)
        if turn.is_spent():
            # Thousands of clients that connect at once must not hold up those that are connected.
            turn.soon(partial(copy_context().run, self._serve_late, request, turn))
        else:
            self._serve(request, turn)
        return NOT_DONE_YET

    def _serve_late(self, request: Request, turn: Turn) -> None:
        """
        Answer a request that has waited for a later turn.
        """
        if not is_disconnected(request):
            try:
                self._serve(request, turn)
            except Exception:  # noqa: BLE001 - Twisted answers with a 500, as for any resource
                request.processingFailed(Failure())

    def _serve(self, request: Request, turn: Turn) -> None:
        response = Response(
            request,
            turn,
            send_timeout=self._send_timeout,
            max_buffered=self._max_buffered,
            keep_running=self._on_disconnect == "continue",
        )
        if self._always_trailers:
            response.head.trailers = Trailers(request, always=True)
        handler = self._handler
        if self._in_thread is not False:
            pool = None if self._in_thread is True else self._in_thread
            handler = ThreadContext(response).handler(cast("BlockingHandler", handler), pool)
        exchange = Exchange(response, cast("Handler", handler))
        if request.method.decode("latin-1") in self._methods or (
            self._follows_router and _is_routed(request)
        ):
            exchange.start(self._compression)
        else:
            exchange.reject_method(self._methods)
        if request.finished:
            exchange.request_finished()
        else:
            exchange.watch_client()

    def _warn_about_encoder(self) -> None:
        if not self._warned:
            self._warned = True
            _log.warn(
                "{resource} removed a content encoder that would buffer its stream; "
                "pass compress=True to it instead of wrapping it in an EncodingResourceWrapper",
                resource=self,
            )


def _checked_methods(methods: Iterable[str]) -> tuple[str, ...]:
    """
    The names of methods in upper case, each once.
    """
    given = checked_names("methods", methods, "('GET',)")
    names = [fields.token(method, "method").decode().upper() for method in given]
    if not names:
        msg = "methods must have at least one name, such as ('GET',)"
        raise ValueError(msg)
    if "GET" in names:
        names.insert(names.index("GET") + 1, "HEAD")
    return tuple(dict.fromkeys(names))


def _is_routed(request: Request) -> bool:
    """
    Whether a route of Klein has chosen the method already.
    """
    klein = sys.modules.get("klein.interfaces")  # Klein is no dependency.
    routed = None if klein is None else request.getComponent(klein.IKleinRequest)
    return hasattr(routed, "mapper")
