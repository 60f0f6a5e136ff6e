"""
SelectedTopics: the topics of a subscription, as a set that programs change.

Layer: channels, below `subscription`.
"""

from collections.abc import Callable, Iterable, Iterator, MutableSet
from typing import Any

from twistream.wire.topics import check_number, check_pattern


class SelectedTopics(MutableSet[str]):
    """
    The patterns of one subscription. ``Subscription.topics`` returns it.

    A change applies to messages that are published after it. A stream that is still reading the
    history applies it to the rest of the history, too. After the end of the subscription nothing
    changes.
    """

    __slots__ = ("_change", "_patterns")

    def __init__(
        self, patterns: Callable[[], frozenset[str]], change: Callable[[frozenset[str]], None]
    ) -> None:
        """
        Args:
            patterns: Returns the current patterns.
            change: Called with the new patterns.
        """
        self._patterns = patterns
        self._change = change

    def __repr__(self) -> str:
        return f"<SelectedTopics {sorted(self._patterns())}>"

    def __contains__(self, pattern: object) -> bool:
        """
        Whether this pattern was added. It need not be the only one that matches a topic.
        """
        return pattern in self._patterns()

    def __iter__(self) -> Iterator[str]:
        return iter(self._patterns())

    def __len__(self) -> int:
        return len(self._patterns())

    def add(self, pattern: str) -> None:
        """
        Receive the topics that a pattern matches. See ``EventStream.subscribe``.

        Raises:
            EncodeError: UTF-8 cannot encode the pattern.
            RuntimeError: The calling thread is not the reactor's.
            TypeError: The pattern is not a str.
            ValueError: The pattern is not allowed, or there would be more than 1,000.
        """
        patterns = self._patterns() | {check_pattern(pattern)}
        check_number(len(patterns))
        self._change(patterns)

    def discard(self, pattern: str) -> None:
        """
        Remove a pattern. It need not be there.

        Raises:
            RuntimeError: The calling thread is not the reactor's.
        """
        self._change(self._patterns() - {pattern})

    @classmethod
    def _from_iterable(cls, patterns: Iterable[Any]) -> set[Any]:  # the result of & and |
        return set(patterns)
