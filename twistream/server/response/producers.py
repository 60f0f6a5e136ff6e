"""
Registration: one producer of Twisted that writes into a response. Pipe: a source that does.

A push producer is paused while the client is slow. A pull producer is asked for one piece at a
time. What a producer writes is sent at the end of the turn.

Layer: response, at the top, next to `loop`.
"""

from collections.abc import Callable
from functools import partial
from inspect import isawaitable
from typing import Any, TypeAlias

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IProducer
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twistream.errors import StreamAborted, StreamClosed
from twistream.scheduling.tasks import cancel, deferred_of, is_end
from twistream.scheduling.threads import check_thread
from twistream.server.response.attachment import Attachment
from twistream.server.response.response import Response
from twistream.server.response.writer import Urgency
from twistream.wire.render import BytesLike

_NOW, _COALESCE = Urgency

Start: TypeAlias = Callable[[IConsumer], Any]
"""
Makes a source write into a consumer. It may register a producer, and may return a Deferred, or
anything else that can be awaited, that fires when the source has ended.
"""

_log = Logger()


def stop_producer(producer: IProducer, response: Response) -> None:
    """
    Stop a producer, because its response is over or does not take it.
    """
    if response.life.ended_from_within:
        # After the handler has been cancelled: a producer may fail a Deferred that it awaits.
        response.turn.soon(partial(response.life.run, _stop, producer))
    else:
        _stop(producer)


def _stop(producer: IProducer) -> None:
    try:
        producer.stopProducing()
    except BaseException:  # noqa: BLE001 - it may raise anything
        _log.failure("a producer failed to stop")


class Registration(Attachment):
    """
    One producer, from its registration to its end.
    """

    __slots__ = ("_flush_due", "_paused", "_producer", "_pulling", "_streaming", "_wait", "_wrote")

    def __init__(
        self, response: Response, call: str = "registerProducer", *, detached: bool = False
    ) -> None:
        super().__init__(response, call, detached=detached)
        self._producer: Any = None
        self._streaming = True
        self._paused = False
        self._pulling = False
        self._wrote = False  # In the current step of a pull producer.
        self._flush_due = False
        self._wait: Deferred[None] | None = None  # For the client, or for the next turn.
        self._attach()

    def register(self, producer: IProducer, *, streaming: bool) -> None:
        """
        Take what `producer` writes. A pull producer takes its first step now.

        Raises:
            RuntimeError: A producer is registered.
            BaseException: The first step of a pull producer raised it.
        """
        if self._producer is not None:
            msg = (
                f"cannot register {producer!r}: {self._producer!r} is registered and has not ended"
            )
            raise RuntimeError(msg)
        if self.ended:
            stop_producer(producer, self.response)
            return
        self._producer = producer
        self._streaming = streaming
        if not streaming:
            # One step only: like a transport, this does not end a producer that still starts.
            self._producer.resumeProducing()
        elif self._wait is not None:
            self._pause()

    def unregister(self) -> None:
        """
        The producer has ended. What it wrote is sent at the end of the turn.
        """
        self._producer = None
        if not self.ended:
            if self.response.writer.buffered:
                self._flush_soon()
            self._fire(None)

    def dismiss(self) -> None:
        """
        End it, and stop the producer.
        """
        if not self.ended:
            self._fire(None)

    def wrote(self) -> None:
        """
        The producer has written something. Called after each write.
        """
        self._wrote = True
        if self._wait is not None or self._pulling:
            return
        if self._streaming and not self.response.writer.buffered:
            self._flush()  # So much was written that some of it was sent: it may have to pause.
        else:
            self._flush_soon()

    def _flush_soon(self) -> None:
        if not self._flush_due:
            self._flush_due = True
            self.response.turn.at_end(self._flush_at_end)

    def _flush_at_end(self) -> None:
        self._flush_due = False
        life = self.response.life
        if not life.ended and self._wait is None:
            life.run(self._flush, _NOW)

    def _flush(self, urgency: Urgency = _COALESCE) -> None:
        """
        Flush. If the producer has to wait, pause it; otherwise let it go on.
        """
        try:
            wait = self.response.writer.flush_step(urgency)
        except Exception:  # noqa: BLE001 - Twisted may fail to write the head
            self._failed(Failure())
            return
        if wait is None:
            self._go_on()
        else:
            self._hold(wait)

    def _hold(self, wait: Deferred[None]) -> None:
        if self.ended:
            wait.addErrback(lambda _: None)
            return
        self._wait = wait
        if self._streaming:
            self._pause()
        wait.addBoth(self._waited)

    def _waited(self, result: object) -> None:
        self._wait = None
        if self.ended:
            return
        if isinstance(result, Failure):
            self._failed(result)
        elif self.response.writer.buffered:
            self._flush()  # Written meanwhile, by a producer that does not pause at once.
        else:
            self._go_on()

    def _go_on(self) -> None:
        """
        Nothing has to wait: resume the producer.
        """
        if self.ended or self._producer is None:
            return
        if self._paused:
            self._paused = False
            self._call(self._producer.resumeProducing)
        elif not self._streaming:
            self._pull()

    def _pause(self) -> None:
        if not self._paused and self._producer is not None:
            self._paused = True
            self._call(self._producer.pauseProducing)

    def _pull(self) -> None:
        """
        Let a pull producer take steps until one has to wait. Called after a flush.
        """
        producer, flush = self._producer, self.response.writer.flush_step
        wait: Deferred[None] | None = None
        self._pulling = True
        while wait is None:
            self._wrote = False
            self._call(producer.resumeProducing)
            if self._producer is not producer or not self._wrote:
                break  # It has ended, or writes later.
            wait = flush(_COALESCE)  # The head is framed, so this cannot fail.
        self._pulling = False
        if wait is not None:
            self._hold(wait)
        elif self._wrote:
            self._flush_soon()

    def _call(self, method: Callable[[], object]) -> None:
        """
        Call a method of the producer, which may be anybody's code.
        """
        try:
            method()
        except BaseException:  # noqa: BLE001 - it may raise anything
            self._failed(Failure())

    def _failed(self, failure: Failure) -> None:
        """
        The producer, or a flush for it, has failed. Nobody else would notice.
        """
        if self.ended:
            if not is_end(failure):
                _log.failure("a producer failed after its end", failure)
        elif isinstance(failure.value, StreamClosed):
            self.stop(failure.value)
        else:
            _log.failure("a producer failed, and the response is aborted", failure)
            self.response.abort(StreamAborted(type(failure.value).__name__))

    def _release(self) -> None:
        producer, self._producer = self._producer, None
        wait, self._wait = self._wait, None
        if wait is not None:
            cancel(wait)
        if producer is not None:
            stop_producer(producer, self.response)


@implementer(IConsumer)
class Pipe(Registration):
    """
    A source that writes into a response, and a Deferred of its end. Call `start` once.

    It is the consumer that the source writes to. After the end, it drops what is written.

    Attributes:
        pending: The Deferred that the source has returned, until it fires.
    """

    __slots__ = ("_finishing", "_source_done", "_start", "pending")

    def __init__(self, response: Response, start: Start, *, detached: bool) -> None:
        super().__init__(response, "pipe", detached=detached)
        self._start = start
        self._source_done = False
        self._finishing = False
        self.pending: Deferred[Any] | None = None

    def start(self) -> None:
        """
        Start the source.
        """
        start = self._start
        del self._start  # It may refer to the source, and that to this.
        self.response.life.run(self._begin, start)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:  # noqa: FBT001, N802 - IConsumer
        """
        See `twisted.internet.interfaces.IConsumer`.
        """
        check_thread("registerProducer()")
        self.register(producer, streaming=streaming)

    def unregisterProducer(self) -> None:  # noqa: N802 - IConsumer
        """
        See `twisted.internet.interfaces.IConsumer`.
        """
        check_thread("unregisterProducer()")
        self.unregister()

    def write(self, data: bytes) -> None:
        """
        See `twisted.internet.interfaces.IConsumer`.

        If this fails, for instance with `BufferOverflow`, the pipe fails, and the source is stopped.
        """
        check_thread("write()")
        if not isinstance(data, BytesLike):
            msg = f"write() takes bytes, not {type(data).__name__}"
            raise TypeError(msg)
        if self.ended:
            return
        try:
            self.response.writer.write(bytes(data))
        except Exception:  # noqa: BLE001 - the Deferred gets any error
            self._failed(Failure())
        else:
            self.wrote()

    def unregister(self) -> None:
        """
        The producer has ended. So has the source, unless its Deferred has not fired.
        """
        self._producer = None
        self._paused = False
        self._end_if_done()

    def _begin(self, start: Start) -> None:
        try:
            result = start(self)
            if result is not None and not isawaitable(result):
                msg = (
                    "the function that pipe() calls returns None or something to await, "
                    f"not {type(result).__name__}"
                )
                raise TypeError(msg)  # noqa: TRY301 - handled like an error of the function
        except BaseException:  # noqa: BLE001 - a Deferred catches everything, so does a pipe
            self._failed(Failure())
            return
        if result is not None:
            self.pending = deferred_of(result, self.response.life)
            self.pending.addBoth(self._source_ended)
            if self.ended:
                self._cancel_source()
        else:
            self._source_ended(None)

    def _source_ended(self, result: object) -> None:
        self.pending = None
        self._source_done = True
        if isinstance(result, Failure):
            self._failed(result)
        else:
            self._end_if_done()

    def _end_if_done(self) -> None:
        if self._source_done and self._producer is None and not (self.ended or self._finishing):
            self._finishing = True
            if self._wait is not None:
                return
            if self.response.writer.buffered:
                self._flush()
            else:
                self._fire(None)  # If nothing was written, the handler can still change the head.

    def _go_on(self) -> None:
        if not self._finishing:
            super()._go_on()
        elif not self.ended:
            self._fire(None)

    def _failed(self, failure: Failure) -> None:
        if self.ended or isinstance(failure.value, StreamClosed):
            super()._failed(failure)
        else:
            self._fire(failure)

    def _release(self) -> None:
        # First: a producer that is stopped may fail the Deferred with an error of its own.
        self._cancel_source()
        super()._release()

    def _cancel_source(self) -> None:
        if self.pending is not None:
            self.response.observers.cancel_pending(self)
