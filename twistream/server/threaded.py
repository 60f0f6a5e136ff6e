"""
ThreadContext: what a handler that runs in a thread sees of its response.

Until the first item is handed over, nothing but the handler uses the head, so the thread may change it.
What the thread writes is kept here, and is handed over together with the next item.

Layer: server, above `context`.
"""

from collections.abc import Callable, Coroutine, Iterable, Iterator
from functools import partial
from typing import Any, NoReturn, TypeAlias

from twisted.internet.defer import Deferred, succeed
from twisted.python.threadpool import ThreadPool

from twistream.checks import is_asynchronous, name_of
from twistream.errors import BufferOverflow, HeadersSent
from twistream.scheduling.iteration import ThreadIteration
from twistream.scheduling.threads import call_in_reactor, refuse_thread
from twistream.server.base.blocking import AHEAD, check_pool, iterator_of, queue_of, start_loop
from twistream.server.base.body import Item, encoded
from twistream.server.base.items import encoded_item
from twistream.server.context import Context
from twistream.server.response.response import Response
from twistream.wire import render
from twistream.wire.digest import Algorithm

BlockingHandler: TypeAlias = Callable[[Context], Iterable[Item] | Item | int | None]
"""
A blocking function that takes a context. Its result is written. A generator, or another iterable, is
streamed.
"""

_YIELD = "yield what is to be sent"
_RESULTS = "None, str, bytes or an iterable of them (for JSON, call ctx.json)"


class ThreadContext(Context):
    """
    A context for a handler in a thread.
    """

    __slots__ = ("_begun", "_parts", "_size")

    def __init__(self, response: Response) -> None:
        super().__init__(response)
        self._parts: list[bytes] = []
        self._size = 0
        self._begun = False  # The first item has been handed over.

    def handler(
        self, function: BlockingHandler, pool: ThreadPool | None
    ) -> Callable[[Context], Coroutine[Any, Any, bytes]]:
        """
        Make a handler that calls `function` with this context in a thread of the pool.

        Args:
            pool: None for that of the reactor.
        """
        return lambda _: self._run_function(function, pool)

    # In the reactor's thread.

    async def _run_function(self, function: BlockingHandler, pool: ThreadPool | None) -> bytes:
        iteration = ThreadIteration(
            partial(self._call_function, function),
            self._joined,
            queue_of(pool, self.clock),
            # The answer to HEAD ends with the first item.
            ahead=0 if self.method == "HEAD" else AHEAD,
            pin=True,
        )
        await self._start(partial(start_loop, iteration))
        return b"".join(self._parts)

    # In a thread.

    def header(self, name: str | bytes, value: str | bytes) -> None:
        self._check_head()
        super().header(name, value)

    def add_header(self, name: str | bytes, value: str | bytes) -> None:
        self._check_head()
        super().add_header(name, value)

    def content_type(self, value: str) -> None:
        self._check_head()
        super().content_type(value)

    def status_code(self, code: int) -> None:
        self._check_head()
        super().status_code(code)

    def cookie(self, name: str, value: str, **attributes: Any) -> None:
        self._check_head()
        super().cookie(name, value, **attributes)

    def compress(self, **options: Any) -> None:
        self._check_head()
        super().compress(**options)

    def declare_trailers(self, *names: str | bytes) -> bool:
        self._check_head()
        return super().declare_trailers(*names)

    def content_digest(self, algorithm: Algorithm | None = None) -> bool:
        self._check_head()
        return super().content_digest(algorithm)

    def write(self, data: Item) -> int:
        response = self._response
        if response.life.ended:
            response.life.raise_error()
        limit = response.room.limit
        if self._size > limit:
            raise BufferOverflow(self._size, limit)
        part = encoded(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def flush(self) -> NoReturn:
        refuse_thread("flush()", _YIELD)

    def json_line(self, _: object) -> NoReturn:
        refuse_thread("json_line()", _YIELD)

    def _write_rendered(self, rendered: render.Rendered) -> int:
        media_type, data = rendered
        self._default_type(media_type)
        return self.write(data)

    def _default_type(self, media_type: str) -> None:
        if not self._begun:
            super()._default_type(media_type)

    def _default_header(self, name: bytes, value: bytes) -> None:
        if not self._begun:
            super()._default_header(name, value)

    def _put_trailer(self, name: str | bytes, value: str | bytes, *, add: bool) -> bool:
        put = super()._put_trailer
        if not self._begun:
            return put(name, value, add=add)

        def put_in_reactor() -> Deferred[bool]:
            return succeed(put(name, value, add=add))

        # From now on, the reactor uses the trailers.
        carried = call_in_reactor("trailer()", put_in_reactor)
        return bool(carried)

    def _check_head(self) -> None:
        # The reactor sends the head at any time now.
        if self._begun:
            raise HeadersSent

    def _joined(self, source: object, item: Item) -> bytes:
        """
        An item, after what was written before it.
        """
        data = encoded_item(source, item)
        self._begun = True
        if self._parts:
            data = b"".join((*self._parts, data))
            self._parts.clear()
            self._size = 0
        return data

    def _call_function(self, function: BlockingHandler) -> Iterator[Item]:
        result: Any = function(self)
        if isinstance(result, Item):
            self.write(result)
            return iter(())
        if result is None or (isinstance(result, int) and self._parts):
            return iter(())  # An int is what `write` has returned, perhaps to a lambda.
        return iterator_of(result, name_of(function), _RESULTS)


def check_blocking(handler: object, in_thread: object) -> None:
    """
    Check the handler that ``StreamResource`` is to run in a thread.

    Raises:
        TypeError: It is not a blocking function, or `in_thread` is neither a bool nor a pool.
    """
    if not isinstance(in_thread, bool):
        check_pool("in_thread", in_thread)
    if is_asynchronous(handler):
        msg = (
            f"with in_thread, handler must be a blocking function, but {name_of(handler)} is async"
        )
        raise TypeError(msg)
