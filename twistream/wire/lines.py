"""
LineSplitter: splits a stream of bytes into lines.

Pure. What a line means is up to the decoder of its format.
"""

from twistream.errors import LimitExceeded


class LineSplitter:
    """
    Splits a stream of bytes into lines that end with LF, CR or CRLF.

    It keeps only the line that is incomplete. A line is complete at its CR: the splitter does
    not wait for the LF of a CRLF, which may be in the next piece.

    Args:
        max_line: The maximum length of a line in bytes, without its end.
    """

    __slots__ = ("_after_cr", "_line", "_max_line", "_start", "_too_long")

    def __init__(self, max_line: int) -> None:
        self._max_line = max_line
        self._line = bytearray()
        self._start = 0
        self._after_cr = False
        self._too_long = False

    @property
    def start(self) -> int:
        """
        The offset in the stream, in bytes, of the line that is incomplete.
        """
        return self._start

    def feed(self, data: bytes | bytearray | memoryview) -> list[tuple[int, bytes]]:
        """
        Take the next piece of the stream. It may have any size.

        Returns:
            The complete lines: pairs of the offset in the stream, in bytes, where the line
            starts, and the line without its end.

        Raises:
            LimitExceeded: A line is longer than `max_line`. If there are complete lines before
                it, they are returned first, and the next call raises the error.
            TypeError: `data` is not bytes-like.
        """
        if not isinstance(data, bytes):
            try:
                data = memoryview(data).tobytes()
            except TypeError:
                msg = f"data must be bytes-like, not {type(data).__name__}"
                raise TypeError(msg) from None
        self.check()
        if not data:
            return []
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._start += 1
        self._after_cr = data.endswith(b"\r")
        return self._feed_any(data) if b"\r" in data else self._feed_lf(data)

    def _feed_any(self, data: bytes) -> list[tuple[int, bytes]]:
        lines = []
        for piece in data.splitlines(keepends=True):
            line = piece.rstrip(b"\r\n")
            if len(self._line) + len(line) > self._max_line:
                self._too_long = True
                self._line.clear()
                break
            end = len(piece) - len(line)
            if self._line or not end:
                self._line += line
                if not end:
                    break
                line = bytes(self._line)
                self._line.clear()
            lines.append((self._start, line))
            self._start += len(line) + end
        if not lines:
            self.check()
        return lines

    def _feed_lf(self, data: bytes) -> list[tuple[int, bytes]]:
        """
        Split at LF, which is faster. Most streams have no CR.
        """
        *complete, rest = data.split(b"\n")
        limit, start = self._max_line, self._start
        lines = []
        for piece in complete:
            line = piece
            if self._line:
                if len(self._line) + len(piece) > limit:
                    break
                self._line += piece
                line = bytes(self._line)
                self._line.clear()
            elif len(line) > limit:
                break
            lines.append((start, line))
            start += len(line) + 1
        else:
            if len(self._line) + len(rest) <= limit:
                self._line += rest
                self._start = start
                return lines
        self._start = start
        self._too_long = True
        self._line.clear()
        if not lines:
            self.check()
        return lines

    def check(self) -> None:
        """
        Raise the error of the stream, if there was one.

        Raises:
            LimitExceeded: A line is longer than `max_line`.
        """
        if self._too_long:
            raise LimitExceeded(self._start + self._max_line, self._max_line, "bytes of a line")

    def finish(self) -> bytes:
        """
        End the stream, and return the incomplete line at its end.

        Raises:
            LimitExceeded: A line is longer than `max_line`.
        """
        self.check()
        return bytes(self._line)
