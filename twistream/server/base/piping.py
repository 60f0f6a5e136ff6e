"""
PipingContext: adds `pipe` and the methods of a consumer of Twisted to `BaseContext`.

Layer: base, above `streaming`.
"""

from collections.abc import AsyncIterable, Callable, Iterable
from functools import partial
from inspect import isawaitable
from io import TextIOBase
from typing import IO, Any, Protocol, TypeAlias, cast

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IConsumer, IProducer
from twisted.web.iweb import UNKNOWN_LENGTH, IBodyProducer, IResponse
from zope.interface import implementer

from twistream.checks import checked_names, has_methods, is_iterable, kind, makes_generator, name_of
from twistream.scheduling.threads import check_thread
from twistream.server.base.body import Item
from twistream.server.base.streaming import BaseContext
from twistream.server.connection.upstream import check_unbuffered, read_into
from twistream.server.response.delivery import MessageWriter
from twistream.server.response.loop import ItemLoop
from twistream.server.response.phase import Phase
from twistream.server.response.producers import Pipe, Registration, Start, stop_producer
from twistream.wire.render import BytesLike

_READ_SIZE = 64 * 1024
"""
Bytes that are read from a file at once. The reactor waits for each read, so they must be short. More
than that fills a transport of Twisted.
"""


class _ReadableFile(Protocol):
    """
    An open binary file.
    """

    def read(self, size: int, /) -> bytes: ...

    def close(self) -> object: ...


PipeSource: TypeAlias = (
    _ReadableFile
    | IO[bytes]
    | IResponse
    | IBodyProducer
    | Iterable[BytesLike]
    | AsyncIterable[BytesLike]
    | Start
)
"""
What ``pipe`` takes.
"""

_TAKES = (
    "pipe() takes an open binary file, a response of treq or of an Agent, an iterable or async "
    "iterable of bytes, a body producer, or a function that registers a producer"
)


@implementer(IConsumer)
class PipingContext(BaseContext):  # type: ignore[override]  # `write` returns the number of bytes, too
    """
    A context that can send everything that a source of bytes has.
    """

    __slots__ = ()

    def pipe(
        self,
        source: PipeSource,
        *,
        copy_headers: Iterable[str] = (),
        allow_close_delimited: bool = False,
        detached: bool = False,
    ) -> Deferred[None]:
        """
        Write everything that `source` has into the body, as fast as the client reads.

        The type becomes ``application/octet-stream`` if none is set. However the pipe ends, the
        source is closed: a file and an iterator are closed, a producer is stopped, and the
        connection of a response that has not ended is aborted. That happens at once when the
        client disconnects, or when the Deferred is cancelled, even while the source is silent.

        Args:
            source: One of these:

                - A file that is open for reading in binary mode. It is read in pieces of 64 KiB, in
                  the reactor's thread.
                - An iterable or async iterable of bytes.
                - A response of treq, requested with ``unbuffered=True``, or any other
                  `twisted.web.iweb.IResponse`.
                - A `twisted.web.iweb.IBodyProducer`.
                - A function that is called with a `twisted.internet.interfaces.IConsumer`. It
                  registers a producer there, and may return something to await. The source has
                  ended when that has fired, and no producer is registered.
            copy_headers: Names of headers that are copied from the response to this one, if it
                has them: ``["Content-Type", "Content-Length"]``.
            allow_close_delimited: Accept the body of a response that ends with its connection,
                as in HTTP/1.0. Nothing says whether such a body is complete.
            detached: The handler does not wait for the end of the pipe, and ends it when it
                returns. Without this, a warning is logged then: an ``await`` was probably
                forgotten.

        Returns:
            Succeeds when the source has ended and everything is sent. Fails with the error of the
            source: with `StreamTruncated` if the body of a response breaks off, with RuntimeError
            if it has been read already, and with TypeError for anything that is not bytes. Fails
            with the reason when the response is over. If the handler does not catch the error, the
            response is aborted, so that it never looks complete. Where no body is allowed, as in
            the answer to HEAD, the source is closed, a function is not called, and this succeeds
            at once. A generator first runs up to its first item, so that it can set headers.
            Cancel it to stop.

        Raises:
            HeadersSent: There are headers to copy, and the head has been sent.
            TypeError: `source` is none of these, or is a text file. Or an option is given that is
                for responses only.
            ValueError: treq keeps the whole body of the response in memory.
        """
        check_thread("pipe()")
        names = _checked_names(copy_headers)
        if has_methods(source, "deliverBody"):
            response = cast("IResponse", source)
            check_unbuffered(response)
            self._copy_headers(response, names)
            read = partial(
                _read_response, response=response, allow_close_delimited=allow_close_delimited
            )
            return self._pipe(read, partial(_abandon_response, response), detached=detached)
        if names or allow_close_delimited:
            option = "copy_headers" if names else "allow_close_delimited"
            msg = f"{option} is for responses, not for {kind(source)}"
            raise TypeError(msg)
        if has_methods(source, "startProducing"):
            producer = cast("IBodyProducer", source)
            start = partial(_start_producer, producer=producer)
            return self._pipe(start, partial(_abandon_producer, producer), detached=detached)
        if has_methods(source, "read") and not isinstance(source, AsyncIterable):
            return self._pipe_file(source, detached=detached)
        if _has_items(source):
            return self._pipe_items(source, detached=detached)
        return self._pipe(_checked_function(source), detached=detached)

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:  # noqa: FBT001, N802 - IConsumer
        """
        Let a producer write into the body. See `twisted.internet.interfaces.IConsumer`.

        What it writes is sent at the end of the turn. A push producer is paused while the client
        is slow. A pull producer is asked for one piece at a time: now for the first, and for the
        next when the client has room for it. When the response is over, and where no body is
        allowed, the producer is stopped. If it raises an error later, that is logged, and the
        response is aborted.

        The handler should not return before the producer has ended: that stops it, with a warning.

        Args:
            streaming: True for a push producer, False for a pull producer.

        Raises:
            RuntimeError: A producer is registered already.
            TypeError: The producer lacks a method.
        """
        check_thread("registerProducer()")
        pause = ("pauseProducing",) if streaming else ()
        if not has_methods(producer, "resumeProducing", "stopProducing", *pause):
            kinds = "push producer" if streaming else "pull producer"
            msg = f"registerProducer() takes a {kinds}, not {kind(producer)}"
            raise TypeError(msg)
        writer, response = self._writer, self._response
        if isinstance(writer, _FlushingWriter):
            if not writer.registration.ended:
                msg = "a producer is registered already; unregister it first"
                raise RuntimeError(msg)
            writer = writer.plain
        if response.life.ended or not response.admits_body():
            stop_producer(producer, response)
            return
        registration = Registration(response)
        self._writer = cast("MessageWriter", _FlushingWriter(writer, registration))
        try:
            registration.register(producer, streaming=streaming)
        except BaseException:
            self._writer = writer
            registration.dismiss()
            raise

    def unregisterProducer(self) -> None:  # noqa: N802 - IConsumer
        """
        The producer has ended. What it wrote is sent at the end of the turn.

        Without a producer, this does nothing.
        """
        check_thread("unregisterProducer()")
        writer = self._writer
        if isinstance(writer, _FlushingWriter):
            self._writer = writer.plain
            writer.registration.unregister()

    # Inside.

    def _pipe(
        self,
        start: Start,
        abandon: Callable[[], object] | None = None,
        *,
        detached: bool,
    ) -> Deferred[None]:
        """
        Pipe what `start` writes into the consumer that it is called with.

        Args:
            abandon: Closes a source that is not started.
        """
        self._default_to_bytes()
        complaint = "a source failed to close"
        return self._run(
            lambda response: Pipe(response, start, detached=detached),
            None if abandon is None else partial(self._call, abandon, complaint),
        )

    def _pipe_file(self, file: Any, *, detached: bool) -> Deferred[None]:
        # Wrappers, such as those of `tempfile`, are no `TextIOBase`, but have its attributes.
        if isinstance(file, TextIOBase) or hasattr(file, "encoding"):
            msg = "pipe() takes binary files; open it with 'rb'"
            raise TypeError(msg)
        self._default_to_bytes()
        pieces = iter(partial(file.read, _READ_SIZE), b"")
        close = partial(self._close, file, "close")
        encode = partial(_encoded_piece, "read()")
        return self._run(
            lambda response: ItemLoop(
                response, pieces, encode, call="pipe", detached=detached, close=close
            ),
            close,
        )

    def _pipe_items(self, items: Any, *, detached: bool) -> Deferred[None]:
        self._default_to_bytes()
        encode = partial(_encoded_piece, name_of(items))
        if isinstance(items, AsyncIterable):
            return self._send_async(aiter(items), encode, call="pipe", detached=detached)
        return self._send_items(iter(items), encode, call="pipe", detached=detached)

    def _default_to_bytes(self) -> None:
        response = self._response
        if response.life.phase is Phase.HEAD:
            response.head.default(b"Content-Type", b"application/octet-stream")

    def _copy_headers(self, source: IResponse, names: tuple[str, ...]) -> None:
        if not names or (self._response.life.ended and not self._response.life.head_sent):
            return  # After an early end, the pipe fails with the reason.
        head = self._response.open_head
        for name in names:
            values = source.headers.getRawHeaders(name.encode(), ())
            if name.lower() == "content-length":
                # Twisted keeps it apart, and does not know it if it has decoded the body.
                known = source.length != UNKNOWN_LENGTH
                values = (str(source.length).encode(),) if known else ()
            for position, value in enumerate(values):
                head.header(name, value, add=position > 0)


class _FlushingWriter:
    """
    The writer of a context with a registered producer, which is notified of each write.

    It is in place only while a producer is registered, so other responses do not pay for it.

    Attributes:
        plain: The writer of the response.
        registration: The producer.
    """

    __slots__ = ("plain", "registration")

    def __init__(self, plain: MessageWriter, registration: Registration) -> None:
        self.plain = plain
        self.registration = registration

    def __getattr__(self, name: str) -> Any:
        return getattr(self.plain, name)

    def write(self, data: bytes) -> int:
        """
        See `twistream.server.response.writer.ResponseWriter.write`.
        """
        check_thread("write()")  # It will be sent.
        size = self.plain.write(data)
        self.registration.wrote()
        return size


@implementer(IConsumer)
class _StoppingConsumer:
    """
    The consumer for a source that is not read. It stops every producer.
    """

    def registerProducer(self, producer: IProducer, streaming: bool) -> None:  # noqa: ARG002, FBT001, N802 - IConsumer
        producer.stopProducing()

    def unregisterProducer(self) -> None:  # noqa: N802 - IConsumer
        pass

    def write(self, data: bytes) -> None:
        pass


def _read_response(
    consumer: IConsumer, *, response: IResponse, allow_close_delimited: bool
) -> Deferred[None]:
    return read_into(consumer, response, allow_close_delimited=allow_close_delimited)


def _abandon_response(response: IResponse) -> None:
    read_into(_StoppingConsumer(), response, allow_close_delimited=True).addErrback(lambda _: None)


def _start_producer(consumer: IConsumer, *, producer: IBodyProducer) -> Deferred[None]:
    consumer.registerProducer(producer, streaming=True)
    ended: Deferred[None] = producer.startProducing(consumer)
    # A body producer does not unregister itself.
    return ended.addCallback(lambda _: consumer.unregisterProducer())


def _abandon_producer(producer: IBodyProducer) -> None:
    # Before it is started, it cannot be stopped.
    producer.startProducing(_StoppingConsumer()).addErrback(lambda _: None)
    producer.stopProducing()


def _checked_names(names: Iterable[str]) -> tuple[str, ...]:
    checked = checked_names("copy_headers", names, "['Content-Type']")
    for name in checked:
        if not isinstance(name, str):
            msg = f"copy_headers must be names, not {kind(name)}"
            raise TypeError(msg)
    return checked


def _has_items(source: object) -> bool:
    # A Deferred can be iterated, too.
    if isinstance(source, Item) or isawaitable(source):
        return False
    return isinstance(source, AsyncIterable) or is_iterable(source)


def _checked_function(source: Any) -> Start:
    if isawaitable(source):
        msg = f"{_TAKES}; await the {kind(source)} first"
        raise TypeError(msg)
    if not callable(source) or isinstance(source, type):
        msg = f"{_TAKES}; not {kind(source)}"
        raise TypeError(msg)
    if makes_generator(source):
        msg = f"{_TAKES}; call the generator function, and pass its result"
        raise TypeError(msg)
    return cast("Start", source)


def _encoded_piece(source: str, piece: object) -> bytes:
    if isinstance(piece, bytes):
        return piece
    if isinstance(piece, bytearray | memoryview):
        return bytes(piece)
    msg = f"{source} must give bytes to pipe(), not {type(piece).__name__}"
    raise TypeError(msg)
