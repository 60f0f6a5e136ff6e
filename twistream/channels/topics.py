"""
TopicIndex and Selection: which patterns match a topic.

Pure. `twistream.wire.topics` defines and checks topics and patterns.
"""

from collections.abc import Collection
from typing import Generic, TypeVar

T = TypeVar("T")


class TopicIndex(Generic[T]):
    """
    Values, each with patterns. It finds the values with a pattern that matches a topic.

    A search visits only patterns that match the topic, or begin like it. What it costs does not
    depend on the number of other patterns.
    """

    __slots__ = ("_exact", "_root")

    def __init__(self) -> None:
        # Most patterns are topics: they need no tree.
        self._exact: dict[str, dict[T, None]] = {}
        self._root: _Node[T] | None = None

    def __bool__(self) -> bool:
        """
        Whether there is any pattern.
        """
        return bool(self._exact) or self._root is not None

    def add(self, pattern: str, value: T) -> None:
        """
        Add a pattern of a value. Adding it again changes nothing.
        """
        if _is_topic(pattern):
            self._exact.setdefault(pattern, {})[value] = None
            return
        if self._root is None:
            self._root = _Node()
        node, segments = self._root, pattern.split("/")
        for segment in segments:
            if segment == "#":
                node.rest[value] = None
                return
            node = node.children.setdefault(segment, _Node())
        node.here[value] = None

    def discard(self, pattern: str, value: T) -> None:
        """
        Remove a pattern of a value. It need not be there.
        """
        if _is_topic(pattern):
            values = self._exact.get(pattern, {})
            values.pop(value, None)
            if not values:
                self._exact.pop(pattern, None)
        elif self._root is not None and self._root.discard(pattern.split("/"), 0, value):
            self._root = None

    def match(self, topic: str) -> Collection[T]:
        """
        Return each value with a pattern that matches the topic, once.
        """
        exact = self._exact.get(topic)
        if self._root is None:
            return () if exact is None else exact
        found = {} if exact is None else exact.copy()
        nodes = [self._root]
        for segment in topic.split("/"):
            for node in nodes:
                found.update(node.rest)
            nodes = [
                child
                for node in nodes
                for name in (segment, "*")
                if (child := node.children.get(name)) is not None
            ]
        for node in nodes:
            found.update(node.here)
            found.update(node.rest)  # It matches nothing, too.
        return found


class Selection:
    """
    The topics that a subscription receives.

    Attributes:
        patterns: The patterns.
    """

    __slots__ = ("_index", "patterns")

    def __init__(self, patterns: frozenset[str]) -> None:
        self.patterns = patterns
        self._index: TopicIndex[bool] | None = None  # Most selections match no message themselves.

    def matches(self, topic: str | None) -> bool:
        """
        Return whether a pattern matches the topic of a message. None matches no pattern.
        """
        if topic is None:
            return False
        if self._index is None:
            self._index = TopicIndex()
            for pattern in self.patterns:
                self._index.add(pattern, True)  # noqa: FBT003 - a value of the index
        return bool(self._index.match(topic))


class _Node(Generic[T]):
    """
    A segment of patterns, in its place.

    Attributes:
        children: The following segments, by name.
        here: The values of the patterns that end with this segment.
        rest: The values of the patterns that go on with ``#``.
    """

    __slots__ = ("children", "here", "rest")

    def __init__(self) -> None:
        self.children: dict[str, _Node[T]] = {}
        self.here: dict[T, None] = {}
        self.rest: dict[T, None] = {}

    def discard(self, segments: list[str], depth: int, value: T) -> bool:
        """
        Remove the pattern with these segments from `depth`. Return whether the node is empty.
        """
        if depth == len(segments):
            self.here.pop(value, None)
        elif (segment := segments[depth]) == "#":
            self.rest.pop(value, None)
        else:
            child = self.children.get(segment)
            if child is not None and child.discard(segments, depth + 1, value):
                del self.children[segment]
        return not (self.children or self.here or self.rest)


def _is_topic(pattern: str) -> bool:
    return "*" not in pattern and "#" not in pattern
