"""
Engine: keeps the messages of channels, and gives them their ids.

An engine opens one `Log` for each channel. `twistream.channels.memory_engine` has the one that keeps
messages in this process.

Layer: channels, below `feed`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from twistream.checks import check_count, check_timer
from twistream.wire.messages import Message, Payload, Reason
from twistream.wire.render import encode_text


@frozen(kw_only=True)
class Bounds:
    """
    The limits of a history. See ``Hub.channel``.

    Attributes:
        history: The number of messages; 0 for no history.
        history_ttl: Their age in seconds; None for no limit.
        history_bytes: Their total size in bytes; None for no limit.
    """

    history: int = 0
    history_ttl: float | None = None
    history_bytes: int | None = None

    def __str__(self) -> str:
        given = {
            "history": self.history,
            "history_ttl": self.history_ttl,
            "history_bytes": self.history_bytes,
        }
        return ", ".join(f"{name}={value}" for name, value in given.items() if value is not None)


def checked_bounds(
    history: int | None, history_ttl: float | None, history_bytes: int | None
) -> Bounds | None:
    """
    Check the limits passed to ``Hub.channel``, and return them; None if none was passed.

    Raises:
        TypeError: A limit has the wrong type.
        ValueError: A limit has a wrong value, or is given without `history`.
    """
    if history_ttl is not None:
        check_timer("history_ttl", history_ttl)
    if history_bytes is not None:
        check_count("history_bytes", history_bytes, 0)
    if history is None:
        if history_ttl is not None or history_bytes is not None:
            msg = "history_ttl and history_bytes limit a history; pass history, too"
            raise ValueError(msg)
        return None
    check_count("history", history, 0)
    return Bounds(history=history, history_ttl=history_ttl, history_bytes=history_bytes)


def check_channel_name(name: object) -> None:
    """
    Check the name of a channel that may have to be made.

    Raises:
        EncodeError: UTF-8 cannot encode it.
        TypeError: It is not a str.
        ValueError: It is empty.
    """
    encode_text(check_name(name), "name")
    if not name:
        msg = "name must not be empty"
        raise ValueError(msg)


def check_name(name: object) -> str:
    """
    Check the name of a channel that may exist, and return it.

    Raises:
        TypeError: It is not a str.
    """
    if not isinstance(name, str):
        msg = f"name must be a str, not {type(name).__name__}"
        raise TypeError(msg)
    return name


@frozen
class Page:
    """
    Consecutive messages of a log.

    Attributes:
        messages: The messages, in order.
        start: The id that precedes the first message. If there are no messages, the id to
            continue after.
        gap: Why messages are missing between the requested id and `start`. None if no message
            is missing.
    """

    messages: Sequence[Message]
    start: str
    gap: Reason | None = None


class Log(Protocol):
    """
    The messages of one channel, in order. An id is a line of text without a comma.
    """

    @property
    def last(self) -> str:
        """
        The id of the newest message. Before the first message, an id that precedes all.
        """

    @property
    def oldest(self) -> str:
        """
        The id that precedes the history.
        """

    @property
    def published(self) -> int:
        """
        The number of messages that have been published.
        """

    @property
    def history(self) -> int:
        """
        The number of messages in the history.
        """

    @property
    def history_bytes(self) -> int:
        """
        The size of the history in bytes.
        """

    def owns(self, id: str) -> bool:
        """
        Return whether `id` has the form of this log's ids.

        The ids of another log, or of this one before a restart that lost messages, have not.
        """

    def behind(self, id: str) -> int:
        """
        Return the number of messages after `id`. For a foreign id, that of the history.
        """

    def append(
        self, event: str | None, payload: Payload, topic: str | None = None
    ) -> Deferred[str]:
        """
        Append a message, even if the result is not awaited.

        Args:
            event: The name of the event, for ``Message.event``.
            payload: The data, for ``Message.payload``.
            topic: The topic, for ``Message.topic``.

        Returns:
            Fires with the id of the message when the message is kept.
        """

    def read(self, after: str) -> Deferred[Page]:
        """
        Return a page of the messages after an id. After `last` it is empty.

        Any text is allowed. If the history does not continue after it, the page starts with the
        oldest message and has a gap.
        """

    def close(self) -> None:
        """
        Accept no more messages. The history can still be read.
        """


class Engine(Protocol):
    """
    Keeps the messages of channels.
    """

    def open(
        self,
        name: str,
        bounds: Bounds,
        clock: Callable[[], IReactorTime],
        received: Callable[[Message], object],
    ) -> Log:
        """
        Open the log of a channel.

        Args:
            name: The name of the channel.
            bounds: The limits of the history.
            clock: Returns the clock. It is called when a clock is first needed.
            received: Called with each message, in order, when `last` is its id.
        """
