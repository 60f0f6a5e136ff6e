"""
Which topics a pattern matches, and the index that finds patterns.
"""

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.trial.unittest import SynchronousTestCase

from tests.strategies import PATTERNS, TOPICS
from twistream.channels.topics import Selection, TopicIndex


def matches(pattern: str, topic: str) -> bool:
    """
    The rules, as a regular expression.
    """
    parts = ["[^/]+" if segment == "*" else re.escape(segment) for segment in pattern.split("/")]
    if parts[-1] == r"\#":
        # Without a parent, # matches everything. A topic is never empty.
        expression = ".+" if len(parts) == 1 else "/".join(parts[:-1]) + "(/.+)?"
    else:
        expression = "/".join(parts)
    return re.fullmatch(expression, topic) is not None


class MatchTests(SynchronousTestCase):
    def test_what_a_pattern_matches(self) -> None:
        rows = [
            ("a/b", ["a/b"], ["a", "a/b/c", "b/a", "a/bb"]),
            ("a/*", ["a/b", "a/c"], ["a", "a/b/c", "b/b"]),
            ("*", ["a", "b"], ["a/b"]),
            ("*/b/*", ["a/b/c"], ["a/b", "a/c/b", "a/b/c/d"]),
            ("a/#", ["a", "a/b", "a/b/c"], ["b", "aa", "b/a"]),
            ("*/b/#", ["a/b", "a/b/c"], ["a", "a/c"]),
            ("#", ["a", "a/b/c"], []),
        ]
        for pattern, matching, others in rows:
            selection = Selection(frozenset([pattern]))
            for topic in matching + others:
                expected = topic in matching
                with self.subTest(pattern=pattern, topic=topic):
                    self.assertEqual(selection.matches(topic), expected)
                    self.assertEqual(matches(pattern, topic), expected)

    def test_a_message_without_a_topic_matches_no_pattern(self) -> None:
        self.assertFalse(Selection(frozenset(["#"])).matches(None))

    @given(st.frozensets(PATTERNS), TOPICS)
    def test_a_selection_matches_what_one_of_its_patterns_matches(
        self, patterns: frozenset[str], topic: str
    ) -> None:
        expected = any(matches(pattern, topic) for pattern in patterns)
        self.assertEqual(Selection(patterns).matches(topic), expected)


class Indexing(RuleBasedStateMachine):
    """
    The same changes are made to an index and to a plain set of pairs. The index finds the same values,
    and keeps no others.
    """

    def __init__(self) -> None:
        super().__init__()
        self.index: TopicIndex[int] = TopicIndex()
        self.pairs: set[tuple[str, int]] = set()

    @rule(pattern=PATTERNS, value=st.integers(0, 5))
    def add(self, pattern: str, value: int) -> None:
        self.index.add(pattern, value)
        self.pairs.add((pattern, value))

    @rule(pattern=PATTERNS, value=st.integers(0, 5))
    def discard_any(self, pattern: str, value: int) -> None:
        self.index.discard(pattern, value)
        self.pairs.discard((pattern, value))

    @rule(data=st.data())
    def discard(self, data: st.DataObject) -> None:
        if self.pairs:
            pair = data.draw(st.sampled_from(sorted(self.pairs)))
            self.index.discard(*pair)
            self.pairs.remove(pair)

    @rule(topic=TOPICS)
    def match(self, topic: str) -> None:
        found = list(self.index.match(topic))
        expected = {value for pattern, value in self.pairs if matches(pattern, topic)}
        assert sorted(found) == sorted(expected)

    @invariant()
    def is_empty_without_patterns(self) -> None:
        assert bool(self.index) == bool(self.pairs)

    def teardown(self) -> None:
        for pair in self.pairs:
            self.index.discard(*pair)
        assert not self.index


IndexTests = Indexing.TestCase


class Counted(str):
    """
    A segment that counts how often it is compared or hashed.
    """

    __slots__ = ()
    looks = 0

    def __hash__(self) -> int:
        Counted.looks += 1
        return str.__hash__(self)

    def __eq__(self, other: object) -> bool:
        Counted.looks += 1
        return str.__eq__(self, other)


class Topic(str):
    """
    A topic with segments that are counted.
    """

    __slots__ = ()

    def split(self, *separator: Any) -> list[str]:
        return [Counted(segment) for segment in str.split(self, *separator)]


class CostTests(SynchronousTestCase):
    def test_a_search_does_not_look_at_patterns_that_begin_differently(self) -> None:
        looks = []
        for number in (10, 1_000):
            index: TopicIndex[int] = TopicIndex()
            for each in range(number):
                index.add(f"builds/{each}/#", each)
                index.add(f"builds/{each}/steps/*", each)
                index.add(f"builds/{each}", each)
            Counted.looks = 0
            self.assertEqual(list(index.match(Topic("builds/7/steps/1"))), [7])
            looks.append(Counted.looks)
        self.assertEqual(*looks)
        self.assertGreater(looks[0], 0)
