"""
Engine: where the messages of channels are kept, and where their ids come from.

An engine opens one `Log` for each channel. `twistream.channels.memory` has the one that
keeps them in this process.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from twistream.wire.messages import Message, Payload, Reason


@frozen(kw_only=True)
class Bounds:
    """
    How much of a channel is kept. See ``Hub.channel``.

    Attributes:
        history: Messages; none if 0.
        history_ttl: How old they may be in seconds, None for any age.
        history_bytes: Bytes of them, None for any number.
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


@frozen
class Page:
    """
    A part of a log, to go on from.

    Attributes:
        messages: The messages, in order, with none between them missing.
        start: The id before the first of them; where there are none, the one to go on from.
        gap: Why there are messages missing between what was asked for and `start`, None if
            there are none.
    """

    messages: Sequence[Message]
    start: str
    gap: Reason | None = None


class Log(Protocol):
    """
    The messages of one channel, with ids that order them. An id has no comma.
    """

    @property
    def last(self) -> str:
        """
        The id of the newest message that was received; of none, one that comes before all.
        """

    @property
    def oldest(self) -> str:
        """
        The id after which all that is held is read.
        """

    @property
    def published(self) -> int:
        """
        How many messages were published.
        """

    @property
    def held(self) -> tuple[int, int]:
        """
        How many messages are held, and bytes of them.
        """

    def owns(self, id: str) -> bool:
        """
        Whether an id has the form of those of this log, in its present life.
        """

    def behind(self, id: str) -> int:
        """
        How many messages come after an id; of one that is not its own, all that are held.
        """

    def append(self, event: str | None, payload: Payload) -> Deferred[str]:
        """
        Add a message, at once, and fire with its id when it is kept.
        """

    def read(self, after: str) -> Deferred[Page]:
        """
        The messages after an id: a page of them, from `last` an empty one.

        Whatever the id is, this does not fail because of it: a page that does not follow
        it says so.
        """

    def close(self) -> None:
        """
        There will be no more messages. What is held can still be read.
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
        The log of the channel of this name.

        Args:
            clock: Gives the clock, when it is needed.
            received: Called with each message, in order, once `last` is its id.
        """
