"""
Progress: the line that the console client shows on a terminal.

Layer: client, below `console`.
"""

import sys
from typing import Any, Final, Protocol

from twistream.wire.sse import ServerSentEvent

_CLEAR: Final = "\r\x1b[K"
_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB")


class Counted(Protocol):
    """
    What is read.
    """

    @property
    def received(self) -> int:
        """
        The number of bytes that were received.
        """


class Progress:
    """
    Counts messages, bytes and gaps, and shows them on the terminal.
    """

    def __init__(self, clock: Any, *, is_shown: bool) -> None:
        """
        Args:
            is_shown: Whether there is a terminal to show them on.
        """
        self._clock = clock
        self._is_shown = is_shown
        self._source: Counted | None = None
        self._messages = 0
        self._gaps = 0
        self._is_visible = False
        self._start = self._at = clock.seconds()
        self._before = 0

    def follow(self, source: Counted) -> None:
        """
        Count the bytes of this source.
        """
        self._source = source

    def count(self, item: object) -> None:
        """
        Count a message.
        """
        self._messages += 1
        self._gaps += isinstance(item, ServerSentEvent) and item.event == "gap"

    def show(self) -> None:
        """
        Show the line, with the rate since the last time.
        """
        now = self._clock.seconds()
        rate = (self._messages - self._before) / max(now - self._at, 1e-3)
        self._at, self._before = now, self._messages
        if self._is_shown:
            sys.stderr.write(f"{_CLEAR}{self.line(rate)}")
            sys.stderr.flush()
            self._is_visible = True

    def line(self, rate: float) -> str:
        """
        Return the line.

        Args:
            rate: Messages for each second.
        """
        received = 0 if self._source is None else self._source.received
        gaps = f", {self._gaps} gap{'s' * (self._gaps > 1)}" if self._gaps else ""
        return f"{self._messages:,} messages, {_size(received)}, {rate:,.0f}/s{gaps}"

    def clear(self) -> None:
        """
        Remove the line, so that something else can be printed.
        """
        if self._is_visible:
            self._is_visible = False
            sys.stderr.write(_CLEAR)
            sys.stderr.flush()

    def end(self) -> None:
        """
        Show the line for the last time, with the rate of the whole stream.
        """
        self._at, self._before = self._start, 0
        self.show()
        if self._is_visible:
            sys.stderr.write("\n")


def _size(count: int) -> str:
    size, unit = float(count), 0
    while size >= 1000 and unit < len(_UNITS) - 1:
        size, unit = size / 1000, unit + 1
    return f"{size:.{1 if unit else 0}f} {_UNITS[unit]}"
