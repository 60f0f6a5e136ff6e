"""
StreamResource: a handler as an `IResource`, and the course that one request takes in it.
"""

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Iterator
from inspect import iscoroutine
from types import GeneratorType
from typing import Any, Literal, TypeAlias, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from twistream.checks import check_timer
from twistream.errors import (
    ClientDisconnected,
    HTTPError,
    StreamAborted,
)
from twistream.scheduling.tasks import (
    Task,
    cancel,
    cancel_unless_told,
    is_running,
    tells_of_the_end,
)
from twistream.scheduling.turn import Turn
from twistream.server.context import Context, Item
from twistream.wire import fields, render

Handler: TypeAlias = Callable[
    [Context],
    Item
    | Deferred[Any]
    | Coroutine[Any, Any, Item | None]
    | Iterator[Item]
    | AsyncIterator[Item]
    | None,
]
"""
A function of one context: ``async def``, plain, one that returns a Deferred, a
generator or an async generator.
"""

_ITERATORS = (GeneratorType, Iterator, AsyncIterator)
"""
What a handler may return to be streamed. The first is the kind that is quick to tell.
"""

_log = Logger()


class StreamResource(Resource):
    """
    Answers requests by calling a handler with a `Context`.

    The rest of the path is in ``request.postpath``. An exception of the handler is an
    error page before the head is sent (`HTTPError` chooses it, anything else is a 500)
    and an abort that the client can see after it.
    """

    isLeaf = True  # noqa: N815 - IResource

    def __init__(  # noqa: PLR0913 - options, by keyword
        self,
        handler: Handler,
        *,
        methods: Iterable[str] = ("GET", "HEAD"),
        on_disconnect: Literal["cancel", "continue"] = "cancel",
        send_timeout: float = 60.0,
        max_buffered: int = 16 * 2**20,
        clock: IReactorTime | None = None,
    ) -> None:
        """
        Args:
            handler: Called once for each request.
            methods: What it answers to; anything else gets 405.
            on_disconnect: ``"cancel"`` cancels the handler when the client leaves;
                ``"continue"`` lets it run on, only its sending fails.
            send_timeout: Seconds for which a client may take nothing while data waits
                for it; then it is cut. A minute is long for a network that works.
            max_buffered: Bytes that may wait for a client when more are written, before
                that write fails. A handler that awaits its flushes does not reach it,
                unless it writes as much between two of them.
            clock: The time that responses live by; that of the site if None.

        Raises:
            TypeError: The handler is not callable, the methods are one str, or the timeout
                is no number.
            ValueError: An option has a value that it cannot have.
        """
        super().__init__()
        if not callable(handler):
            msg = f"a handler is a function of a context, not {type(handler).__name__}"
            raise TypeError(msg)
        if isinstance(methods, str):
            msg = f"methods are a tuple of names, such as ({methods!r},)"
            raise TypeError(msg)
        if on_disconnect not in ("cancel", "continue"):
            msg = f'on_disconnect is "cancel" or "continue", not {on_disconnect!r}'
            raise ValueError(msg)
        check_timer("send_timeout", send_timeout)
        if max_buffered <= 0:
            msg = f"max_buffered is a number of bytes above 0, not {max_buffered}"
            raise ValueError(msg)
        self._handler = handler
        self._methods = tuple(fields.token(method, "method").decode() for method in methods)
        self._on_disconnect = on_disconnect
        self._send_timeout = send_timeout
        self._max_buffered = max_buffered
        self._clock = clock
        self._turn: Turn | None = None  # That of the clock, as soon as it is known.
        self._warned = False

    def render(self, request: Request) -> int:
        """
        See `twisted.web.resource.IResource`.
        """
        if request._disconnected:  # noqa: SLF001 - Twisted tells only whoever asked before
            return NOT_DONE_YET
        self._take_off_encoder(request)
        clock = self._clock or cast("Site", request.site).reactor
        if self._turn is None or self._turn.clock is not clock:
            self._turn = Turn.of(clock)
        context = Context(
            request,
            self._turn,
            send_timeout=self._send_timeout,
            max_buffered=self._max_buffered,
            keep_running=self._on_disconnect == "continue",
        )
        exchange = _Exchange(context)
        if context.method in self._methods:
            exchange.start(self._handler)
        else:
            exchange.refuse(self._methods)
        if not request.finished:
            exchange.attend()
        return NOT_DONE_YET

    def _take_off_encoder(self, request: Request) -> None:
        """
        Twisted's gzip wrapper holds a whole body back to compress it, streams included.
        """
        if request._encoder is None:  # noqa: SLF001 - Twisted has no public name for it
            return
        request._encoder = None  # noqa: SLF001 - as above
        request.responseHeaders.removeHeader(b"Content-Encoding")
        if not self._warned:
            self._warned = True
            _log.warn(
                "{resource} takes off an encoder that would hold its stream back; "
                "do not wrap it in an EncodingResourceWrapper",
                resource=self,
            )


class _Exchange:
    """
    One request on its way through a handler.
    """

    __slots__ = ("_context", "_done", "_result", "_writer")

    def __init__(self, context: Context) -> None:
        self._context = context
        self._writer = context._writer  # noqa: SLF001 - one layer, two modules
        self._result: Deferred[Any] | None = None
        self._done = False
        context._ending.handler = self  # noqa: SLF001 - as above

    def start(self, handler: Handler) -> None:
        """
        Call the handler.
        """
        context = self._context
        try:
            result: Any = handler(context)
            if iscoroutine(result):
                result = Task(result, self._writer)
            elif result is not None and isinstance(result, _ITERATORS):
                result = context.stream(result)
        except BaseException:  # noqa: BLE001 - Deferreds take any exception, so does this
            self._failed(Failure())
            return
        if isinstance(result, Deferred):
            self._result = result
            result.addBoth(self._came)
        else:
            self._returned(result)

    def refuse(self, methods: tuple[str, ...]) -> None:
        """
        Answer a request whose method no handler is for (RFC 9110 15.5.6).
        """
        self._context.header("Allow", ", ".join(methods))
        self._failed(Failure(HTTPError(405, f"Only {', '.join(methods)} can be used here.")))

    def attend(self) -> None:
        """
        The request goes on when the reactor does: see to it that its end is noticed.
        """
        # Not sooner: a response that is over with its handler has no use for it.
        request = self._context.request
        self._writer.attend()
        request.notifyFinish().addErrback(self._lost)
        # Before those who asked in the handler: they learn of the end from the context.
        request.notifications.insert(0, request.notifications.pop())

    def cancel(self) -> None:
        """
        Cancel the handler, which may be what has brought the end.
        """
        if self._done:
            return
        result, writer = self._result, self._writer
        if result is None or is_running(result) or writer.ended_from_within:
            # It may be the handler that brought the end.
            writer.turn.soon(self._cancel_unless_told)
        else:
            cancel(result)

    def _cancel_unless_told(self) -> None:
        if not self._done and self._result is not None:
            cancel_unless_told(self._result)

    def _lost(self, failure: Failure) -> None:
        context = self._context
        was_over = context.err is not None
        self._writer.lost(ClientDisconnected(failure.value))
        if not was_over:
            _log.debug(
                "{context}: {err} ({reason})",
                context=repr(context),  # A log may keep its events for long.
                err=str(context.err),
                reason=failure.getErrorMessage(),
            )

    def _came(self, result: object) -> None:
        if isinstance(result, Failure):
            self._failed(result)
        else:
            self._returned(result)

    def _returned(self, result: object) -> None:
        """
        The handler has ended with `result`.
        """
        self._done = True
        if self._context.err is not None:
            self._forget()
            return
        try:
            self._write_result(result)
        except Exception:  # noqa: BLE001 - whatever it is, it is the handler's failure
            self._failed(Failure())
            return
        try:
            self._writer.end()
        except Exception as err:  # noqa: BLE001 - the head is Twisted's to write, with all on it
            _log.failure("the end of {context} failed", context=repr(self._context))
            self._writer.abort(StreamAborted(err))

    def _write_result(self, result: object) -> None:
        if result is None:
            return
        if isinstance(result, Item):
            self._context.write(result)
        else:
            msg = f"a handler returns None, str or bytes, not {type(result).__name__}"
            raise TypeError(msg)

    def _failed(self, failure: Failure) -> None:
        """
        The handler has ended with `failure`.
        """
        self._done = True
        context, writer = self._context, self._writer
        if context.err is not None:
            if not tells_of_the_end(failure):
                _log.failure(
                    "the handler of {context} failed after the end", failure, context=repr(context)
                )
            self._forget()
            return
        error = failure.value
        if not isinstance(error, HTTPError) or writer.head_sent:
            _log.failure("the handler of {context} failed", failure, context=repr(context))
        if writer.head_sent:
            writer.abort(StreamAborted(type(error).__name__))
        else:
            page = error if isinstance(error, HTTPError) else HTTPError(500)
            accepts = context.request.getHeader(b"Accept") or b""
            media_type, body = render.error_page(page, as_html=b"text/html" in accepts)
            context.add_header("Vary", "Accept")
            writer.replace(page.status, fields.with_charset(media_type), body)
        self._forget()

    def _forget(self) -> None:
        """
        Break the cycle through the frames that `err` has passed.
        """
        if self._context.err is not None:
            self._context.err.__traceback__ = None
