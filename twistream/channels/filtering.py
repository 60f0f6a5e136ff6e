"""
MessageFilter: the filter and `may_see` of one subscription, and the position past skipped messages.

Layer: channels, below `subscription`.
"""

from collections.abc import AsyncIterator, Iterator, Sequence
from inspect import isawaitable, iscoroutine
from typing import Any

from twistream.channels.feed import ChannelCore
from twistream.server.outlet import Filter, MaySee
from twistream.wire.frames import Frame
from twistream.wire.messages import Message

_UPDATE_SHARE = 4
"""
A client receives its position when a quarter of the shortest history was skipped: long before
the history drops those messages, which would be a gap for a client that reconnects.
"""


_MAX_ANSWERS = 128
"""
The answers of `may_see` that are kept, for each subscription. Then the oldest is dropped.
"""


class MessageFilter:
    """
    A program's filter and `may_see`, and the position of the client past the skipped messages.

    Attributes:
        function: The filter, if there is nothing else to ask; otherwise None.
        position: The id from which the client resumes after the skipped messages, if it does
            not know it; otherwise None.
        taking: The messages that are being filtered now, or None. More can be appended.
        update_due: Many messages were skipped, so the client should receive its position now.
    """

    __slots__ = (
        "_answers",
        "_filter",
        "_may_see",
        "_skipped",
        "_update_after",
        "function",
        "position",
        "taking",
        "update_due",
    )

    def __init__(
        self, filter: Filter | None, may_see: MaySee | None, cores: Sequence[ChannelCore[Any]]
    ) -> None:
        """
        Args:
            filter: See ``EventStream.subscribe``. None only with `may_see`.
            may_see: See ``EventStream.subscribe``.
        """
        self.taking: list[Frame] | None = None
        self._filter = filter
        self._may_see = may_see
        self.function = filter if may_see is None else None
        self._answers: dict[str | None, bool] = {}
        shortest = min(core.bounds.history for core in cores)
        self._update_after = max(1, shortest // _UPDATE_SHARE)
        self._skipped = 0
        self.position: str | None = None
        self.update_due = False

    def decide(self, message: Message) -> bool:
        """
        Return whether the client receives a message. Use `function` instead if it is not None.

        Raises:
            Exception: `may_see` or the filter failed with it.
            TypeError: One of them returned an awaitable or an iterator.
        """
        if self._may_see is not None:
            answers, topic = self._answers, message.topic
            may_see = answers.get(topic)
            if may_see is None:
                may_see = decision(self._may_see(topic), "may_see")
                if len(answers) >= _MAX_ANSWERS:
                    del answers[next(iter(answers))]
                answers[topic] = may_see
            if not may_see:
                return False
        return self._filter is None or decision(self._filter(message))

    def forget_answers(self) -> None:
        """
        Ask `may_see` again for each topic.
        """
        # A new dict: an answer that `may_see` is about to give must not be kept.
        self._answers = {}

    def skip(self, position: str) -> None:
        """
        Note that a message was skipped.

        Args:
            position: The id from which the client resumes after the message.
        """
        self.position = position
        self._skipped += 1
        self.update_due = self._skipped >= self._update_after

    def position_known(self) -> None:
        """
        Mark the position as known to the client.
        """
        self._skipped = 0
        self.position = None
        self.update_due = False


def decision(result: object, name: str = "filter") -> bool:
    """
    Return whether a filter with this result lets the message pass.

    Args:
        result: What the program's function returned.
        name: The argument with this function.

    Raises:
        TypeError: The result is an awaitable or an iterator, which would be true for every message.
    """
    if isawaitable(result) or isinstance(result, Iterator | AsyncIterator):
        if iscoroutine(result):
            result.close()  # Otherwise Python warns that nobody has awaited it.
        msg = f"{name} must return whether to deliver a message, not {type(result).__name__}"
        raise TypeError(msg)
    return bool(result)
