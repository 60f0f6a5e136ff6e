"""
WritableFile: makes a context a writable binary file for the standard library.

``io.TextIOWrapper``, ``csv``, ``zipfile``, ``tarfile`` and ``gzip`` write to it. The bytes go through
``write()`` and ``flush()`` of the context, with all of their rules.

A wrapper such as ``io.TextIOWrapper`` has a buffer of its own. Use it in a ``with`` statement, so that
all of it is written before the handler returns.

Layer: base, below `body`.
"""

from collections.abc import Iterable
from io import UnsupportedOperation
from typing import NoReturn, Self

from twistream.server.base.incoming import Incoming


class WritableFile(Incoming):
    """
    What a writable binary file has besides ``write`` and ``flush``.
    """

    __slots__ = ()

    def write(self, data: bytes) -> int:
        """
        See ``Body.write``.
        """
        raise NotImplementedError

    def writelines(self, lines: Iterable[bytes]) -> None:
        """
        Write each of `lines`. It adds no line ends.

        Raises:
            BufferOverflow: More than ``max_buffered`` bytes are queued for the client.
            ContentLengthMismatch: The body would be longer than the ``Content-Length``.
            StreamClosed: The response ended early.
            StreamFinished: The response ended normally.
            TypeError: A line is neither str nor bytes-like.
        """
        for line in lines:
            self.write(line)

    def writable(self) -> bool:
        """
        Return True.
        """
        return True

    def readable(self) -> bool:
        """
        Return False.
        """
        return False

    def seekable(self) -> bool:
        """
        Return False.
        """
        return False

    def isatty(self) -> bool:
        """
        Return False.
        """
        return False

    @property
    def closed(self) -> bool:
        """
        Whether the response has ended normally.

        It stays False after an early end, so that a wrapper writes and gets `err`, the reason,
        instead of complaining about a closed file.
        """
        life = self._response.life
        return life.ended and life.err is None

    @property
    def name(self) -> str:
        """
        Empty: a response has no file name.
        """
        return ""

    def close(self) -> None:
        """
        Do nothing. A response ends with its handler, and not with a wrapper around it.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, *_: int) -> NoReturn:
        """
        Raise `io.UnsupportedOperation`.
        """
        self._refuse("read")

    def truncate(self, *_: int) -> NoReturn:
        """
        Raise `io.UnsupportedOperation`.
        """
        self._refuse("truncate")

    def tell(self) -> NoReturn:
        """
        Raise `io.UnsupportedOperation`.
        """
        self._refuse("tell")

    def seek(self, *_: int) -> NoReturn:
        """
        Raise `io.UnsupportedOperation`.
        """
        self._refuse("seek")

    def fileno(self) -> NoReturn:
        """
        Raise `io.UnsupportedOperation`.
        """
        self._refuse("fileno")

    def _refuse(self, name: str) -> NoReturn:
        msg = f"a response has no {name}()"
        raise UnsupportedOperation(msg)
