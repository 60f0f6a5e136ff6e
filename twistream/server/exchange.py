"""
Exchange: one request on its way through a handler.

It calls the handler, and turns what the handler returns or raises into the end of the response.
When the response ends early, `Observers` cancels the handler.

Layer: server, above `context`.
"""

from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterator
from inspect import isawaitable, iscoroutine
from types import GeneratorType
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.server import NOT_DONE_YET

from twistream.checks import has_methods, name_of
from twistream.errors import ClientDisconnected, HTTPError, StreamAborted, StreamClosed
from twistream.scheduling.tasks import Task, deferred_of, is_end
from twistream.server.base.body import Item
from twistream.server.context import Context
from twistream.server.response.coding import Coding
from twistream.server.response.phase import Phase
from twistream.server.response.response import Response
from twistream.wire import fields, problem, render
from twistream.wire.accept import preferred_type
from twistream.wire.compression import Compression

Handler: TypeAlias = Callable[
    [Context],
    Item | int | Awaitable[Item | int | None] | Iterator[Item] | AsyncIterator[Item] | None,
]
"""
A function that takes a context. It may be plain, ``async def``, a generator or an async generator,
or return a Deferred or anything else that can be awaited. Its result is written. The result of
``write``, an int, is ignored.
"""

_TEXTS = (str, bytes)

_ITERATORS = (GeneratorType, Iterator, AsyncIterator)
"""
Results that are streamed. `GeneratorType` is first because its check is fast.
"""

_JSON_TYPES = (problem.MEDIA_TYPE, "application/json")
_PAGE_TYPES = (*_JSON_TYPES, "text/html", "text/plain")
"""
The media types in which a client may ask for an error page. Without one, it is plain text.
"""

_AWAIT = "await it, or pass detached=True if this is meant"

_ADVICE = {
    "registerProducer": "wait until the producer has ended, or write `await ctx.pipe(source)`",
}
"""
What to do instead, by the call whose end a handler did not wait for. `_AWAIT` for all others.
"""

_log = Logger()


class Exchange:
    """
    One request and its handler.

    Attributes:
        pending: The Deferred of the handler, while it runs.
    """

    __slots__ = ("_context", "_handler", "_response", "pending")

    def __init__(self, response: Response, handler: Handler) -> None:
        self._response = response
        self._handler = handler
        self._context = Context(response)
        self.pending: Deferred[Any] | None = None

    def start(self, compression: Compression | None = None) -> None:
        """
        Call the handler, unless the client refuses all codings of `compression`.
        """
        context, life = self._context, self._response.life
        if compression is not None and not self._negotiate(compression):
            return
        self._response.observers.handler = self
        try:
            result: Any = life.run(self._handler, context)
            if result is None or isinstance(result, _TEXTS):
                pass  # First, because the other checks cost more.
            elif iscoroutine(result):
                result = Task(result, life)
            elif isinstance(result, _ITERATORS):
                result = context.stream(result)
            elif isawaitable(result):
                result = deferred_of(result, life)
        except BaseException:  # noqa: BLE001 - a Deferred catches everything, so does this
            result = Failure()
        if isinstance(result, Deferred):
            self.pending = result
            result.addBoth(self._ended)
        else:
            self._ended(result)
        result = None  # This frame is part of the traceback of a failure.

    def reject_method(self, allowed: tuple[str, ...]) -> None:
        """
        Answer a method that the resource does not support with 405 (RFC 9110 15.5.6).
        """
        methods = ", ".join(allowed)
        self._context.header("Allow", methods)
        self._ended(Failure(HTTPError(405, f"Only {methods} can be used here.")))

    def _negotiate(self, compression: Compression) -> bool:
        response = self._response
        try:
            response.coding = Coding(response.request, compression)
        except HTTPError:
            self._ended(Failure())
            return False
        return True

    def watch_client(self) -> None:
        """
        Notice when the client disconnects. Called if the response goes on after `start`.
        """
        request = self._response.request
        self._response.watch_hangup()
        request.notifyFinish().addCallbacks(self.request_finished, self._lost)
        # First, so that the context knows the reason before callbacks of the handler run.
        request.notifications.insert(0, request.notifications.pop())

    def request_finished(self, _: object = None) -> None:
        """
        The request is finished. If this response is not, the handler has passed the request on.
        """
        if self._response.life.phase is not Phase.OVER:
            self._lose(StreamAborted("another resource has answered the request"))

    def _lose(self, reason: StreamClosed) -> None:
        try:
            self._response.lost(reason)
        except Exception:  # noqa: BLE001 - the access log is anybody's code
            _log.failure("the end of {context} failed", context=repr(self._context))

    def _lost(self, failure: Failure) -> None:
        context = self._context
        before = context.err
        self._lose(ClientDisconnected(failure.value))
        if context.err is not before:
            _log.debug(
                "{context}: {err} ({reason})",
                context=repr(context),  # Not the context: a log may keep its events for long.
                err=str(context.err),
                reason=failure.getErrorMessage(),
            )

    def _ended(self, result: object) -> None:
        """
        The handler has ended: end the response, even if that raises an error.
        """
        # There is nothing to cancel any more.
        self.pending = None
        self._response.observers.handler = None
        try:
            if isinstance(result, Failure):
                self._failed(result)
            else:
                self._returned(result)
        except BaseException as err:  # noqa: BLE001 - user code makes parts of a head and an error
            _log.failure("the end of {context} failed", context=repr(self._context))
            self._give_up(err)

    def _returned(self, result: object) -> None:
        """
        End the response after the handler has returned `result`.
        """
        response = self._response
        if response.life.err is not None:
            self._drop_traceback()
            return
        for call in response.observers.not_awaited():
            _log.warn(
                "{handler} returned while its {call}() was still running, which ends it: {advice}",
                handler=name_of(self._handler),
                call=call,
                advice=_ADVICE.get(call, _AWAIT),
            )
        try:
            if result is not None:
                self._write_result(result)
            if response.sequence is not None:
                response.writer.write(response.sequence.end(response.room.written))
        except Exception:  # noqa: BLE001 - any error here is the handler's
            self._failed(Failure())
        else:
            response.end()

    def _write_result(self, result: object) -> None:
        written = self._response.room.written
        if isinstance(result, int) and written and (result != NOT_DONE_YET or written == 1):
            return  # What `write` has returned, perhaps to a lambda.
        if not isinstance(result, Item):
            msg = (
                f"{name_of(self._handler)} must return None, str or bytes, "
                f"not {type(result).__name__}; {_hint(result)}"
            )
            raise TypeError(msg)
        if self._response.sequence is not None:
            msg = (
                f"{name_of(self._handler)} must return None: its response is a sequence of values, "
                "and what it returns would stand before the end of the sequence"
            )
            raise TypeError(msg)
        self._context.write(result)

    def _give_up(self, error: BaseException) -> None:
        """
        End the response after an error in its end: a bare 500 before the head, an abort after it.
        """
        response = self._response
        try:
            if not (response.life.ended or response.life.head_sent):
                response.head.discard()
                self._replace(500, "text/plain", b"500 Internal Server Error\n")
        except Exception:  # noqa: BLE001 - the next line ends it all the same
            _log.failure("the error page of {context} failed", context=repr(self._context))
        response.abort(StreamAborted(type(error).__name__))
        self._drop_traceback()

    def _failed(self, failure: Failure) -> None:
        """
        End the response after the handler has failed.
        """
        context, response = self._context, self._response
        if context.err is not None:
            if not is_end(failure):
                _log.failure(
                    "the handler of {context} failed after the end", failure, context=repr(context)
                )
            self._drop_traceback()
            return
        error, head_sent = failure.value, response.life.head_sent
        if not isinstance(error, HTTPError) or head_sent:
            _log.failure("the handler of {context} failed", failure, context=repr(context))
        if head_sent:
            response.abort(StreamAborted(type(error).__name__))
        else:
            self._send_page(error if isinstance(error, HTTPError) else HTTPError(500))
        self._drop_traceback()

    def _send_page(self, error: HTTPError) -> None:
        status = error.status  # Anything can be assigned to it.
        if not isinstance(status, int) or not 400 <= status <= 599:
            msg = f"the status of a {type(error).__name__} must be from 400 to 599, not {status!r}"
            raise ValueError(msg)
        accepted: bytes = self._response.request.getHeader(b"Accept") or b""
        wanted = preferred_type(accepted, _PAGE_TYPES)
        if wanted in _JSON_TYPES:
            media_type, body = problem.error_problem(error)
        else:
            media_type, body = render.error_page(error, as_html=wanted == "text/html")
        self._context.add_header("Vary", "Accept")
        self._replace(error.status, fields.with_charset(media_type), body)

    def _replace(self, status: int, content_type: str, body: bytes) -> None:
        """
        End with `body` instead of what was written. The head must not have been sent.
        """
        response = self._response
        head = response.open_head
        head.clear_for_page(status)
        head.header("Content-Type", content_type)
        head.header("X-Content-Type-Options", "nosniff")
        response.writer.replace(body)
        response.end()

    def _drop_traceback(self) -> None:
        """
        Break the reference cycle through the frames in the traceback of the error.
        """
        err = self._response.life.err
        if err is not None:
            err.__traceback__ = None


def _hint(result: object) -> str:
    """
    What to do instead of returning `result`.
    """
    if type(result) is int and result == NOT_DONE_YET:
        return "a response goes on while its handler awaits, so there is no need for NOT_DONE_YET"
    if isinstance(result, Awaitable):
        return "await it"
    if has_methods(result, "deliverBody"):
        return "to relay its body, write `await ctx.pipe(response)`"
    if isinstance(result, Iterator | AsyncIterable):
        return "to send its items, write `await ctx.stream(items)`"
    return "for JSON, call ctx.json(value), or await ctx.json_line(value)"
