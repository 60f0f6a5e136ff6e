"""
Topics and patterns: which ones are valid.
"""

from hypothesis import given
from twisted.trial.unittest import SynchronousTestCase

from tests.strategies import PATTERNS, TOPICS
from twistream import EncodeError
from twistream.wire.topics import (
    MAX_DEPTH,
    MAX_LENGTH,
    MAX_PATTERNS,
    check_pattern,
    check_patterns,
    check_topic,
)

LONGEST = "a" * MAX_LENGTH
DEEPEST = "/".join("a" * MAX_DEPTH)
NEITHER = {
    "": "must not be empty",
    "/": "empty segments",
    "a/": "empty segments",
    "/a": "empty segments",
    "a//b": "empty segments: 'a//b'",
    "a\nb": r"control characters: 'a\\nb'",
    "a\0": "control characters",
    "\x7f": "control characters",
    "\x85": "control characters",
    f"{LONGEST}a": "255 characters, not 256",
    f"{DEEPEST}/a": "32 segments, not 33",
}
"""
What is neither a topic nor a pattern, and what the error says.
"""


class Text(str):
    __slots__ = ()


class TopicTests(SynchronousTestCase):
    def test_what_is_refused(self) -> None:
        wildcards = dict.fromkeys(("*", "#", "a/*", "a/#", "a*", "a#/b"), "only patterns")
        for topic, says in (NEITHER | wildcards).items():
            with self.subTest(topic), self.assertRaisesRegex(ValueError, f"^topic.*{says}"):
                check_topic(topic)
        with self.assertRaisesRegex(EncodeError, "^topic"):
            check_topic("a/\ud800")
        for value in (5, b"a", None, ["a"]):
            with self.assertRaisesRegex(TypeError, "^topic must be a str, not "):
                check_topic(value)  # type: ignore[arg-type]  # the point

    def test_what_is_accepted(self) -> None:
        for topic in ("a", "a/b", "ż ó/+.$", LONGEST, DEEPEST, "\u2028"):
            self.assertEqual(check_topic(topic), topic)

    def test_a_subclass_of_str_becomes_a_str(self) -> None:
        self.assertIs(type(check_topic(Text("a"))), str)
        self.assertIs(type(check_pattern(Text("a"))), str)

    @given(TOPICS)
    def test_every_topic_is_a_pattern(self, topic: str) -> None:
        self.assertEqual(check_topic(topic), topic)
        self.assertEqual(check_pattern(topic), topic)


class PatternTests(SynchronousTestCase):
    def test_what_is_refused(self) -> None:
        wildcards = {
            "a*": r"\* must be a whole segment",
            "a/*b/c": r"\* must be a whole segment",
            "**": r"\* must be a whole segment",
            "*/#*": "# must be the last segment",
            "#/a": "# must be the last segment",
            "a/#/#": "# must be the last segment",
            "a#": "# must be the last segment",
        }
        for pattern, says in (NEITHER | wildcards).items():
            with self.subTest(pattern), self.assertRaisesRegex(ValueError, f"^topics.*{says}"):
                check_pattern(pattern)
        with self.assertRaisesRegex(EncodeError, "^topics"):
            check_pattern("\ud800/#")

    @given(PATTERNS)
    def test_what_is_accepted(self, pattern: str) -> None:
        self.assertEqual(check_pattern(pattern), pattern)

    def test_several(self) -> None:
        for topics in (["a", "b/#"], ("b/#", "a", "a"), {"a", "b/#"}, iter(["a", "b/#"])):
            self.assertEqual(check_patterns(topics), {"a", "b/#"})
        self.assertEqual(check_patterns([]), frozenset())

    def test_one_str_or_something_else_is_refused(self) -> None:
        for topics in ("a/b", b"a", 5, [5], [None], [b"a"]):
            with self.assertRaisesRegex(TypeError, "^topics must "):
                check_patterns(topics)  # type: ignore[arg-type]  # the point

    def test_too_many_are_refused(self) -> None:
        most = [f"a/{number}" for number in range(MAX_PATTERNS)]
        self.assertEqual(len(check_patterns(most)), MAX_PATTERNS)
        with self.assertRaisesRegex(ValueError, r"^topics: .* 1,000 patterns, not 1,001"):
            check_patterns([*most, "b"])
