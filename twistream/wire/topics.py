"""
Topics of messages, and patterns that select them: what is a valid one.

A topic is a path such as ``builds/12/steps/3``. In a pattern, the segment ``*`` matches one segment,
and the last segment may be ``#``, which matches the rest of a topic, or nothing.

Pure. `twistream.channels.topics` matches topics.
"""

import re
from collections.abc import Iterable

from twistream.wire.render import encode_text

MAX_LENGTH = 255
"""
The characters of a topic or a pattern.
"""

MAX_DEPTH = 32
"""
The segments of a topic or a pattern.
"""

MAX_PATTERNS = 1_000
"""
The patterns of one subscription. A client often chooses them, and each takes memory.
"""

_TOPIC = re.compile(r"[^/*#\x00-\x1f\x7f-\x9f]+(?:/[^/*#\x00-\x1f\x7f-\x9f]+)*")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def check_topic(topic: str) -> str:
    """
    Check a topic that a program publishes to, and return it as a plain str.

    Raises:
        EncodeError: UTF-8 cannot encode it.
        TypeError: It is not a str.
        ValueError: It is too long or has too many segments, a segment is empty, or it contains
            ``*``, ``#`` or a control character.
    """
    if not isinstance(topic, str):
        msg = f"topic must be a str, not {type(topic).__name__}"
        raise TypeError(msg)
    if len(topic) > MAX_LENGTH or topic.count("/") >= MAX_DEPTH or not _TOPIC.fullmatch(topic):
        _check_form("topic", topic)
        msg = f"topic must not contain * or #, which only patterns may have: {topic!r}"
        raise ValueError(msg)
    return _plain("topic", topic)


def check_pattern(pattern: str) -> str:
    """
    Check a pattern of a subscription, and return it as a plain str.

    Raises:
        EncodeError: UTF-8 cannot encode it.
        TypeError: It is not a str.
        ValueError: It is too long or has too many segments, or a segment is empty. It contains a
            control character. ``*`` is not a whole segment, or ``#`` is not the last one.
    """
    if not isinstance(pattern, str):
        msg = f"topics must contain str only, not {type(pattern).__name__}"
        raise TypeError(msg)
    _check_form("topics", pattern)
    *parents, last = pattern.split("/")
    if any("#" in segment for segment in parents) or (last != "#" and "#" in last):
        msg = f"topics: # must be the last segment of a pattern, not as in {pattern!r}"
        raise ValueError(msg)
    if any(segment != "*" and "*" in segment for segment in (*parents, last)):
        msg = f"topics: * must be a whole segment of a pattern, not as in {pattern!r}"
        raise ValueError(msg)
    return _plain("topics", pattern)


def check_patterns(topics: Iterable[str]) -> frozenset[str]:
    """
    Check all patterns of a subscription.

    Raises:
        EncodeError: See `check_pattern`.
        TypeError: It is a single str, or it does not contain str.
        ValueError: There are too many, or see `check_pattern`.
    """
    if isinstance(topics, str | bytes) or not isinstance(topics, Iterable):
        msg = f"topics must be several patterns, such as a list of str, not {type(topics).__name__}"
        raise TypeError(msg)
    patterns = frozenset(map(check_pattern, topics))
    check_number(len(patterns))
    return patterns


def check_number(patterns: int) -> None:
    """
    Check the number of patterns of a subscription.

    Raises:
        ValueError: There are too many.
    """
    if patterns > MAX_PATTERNS:
        msg = f"topics: a subscription can have {MAX_PATTERNS:,} patterns, not {patterns:,}"
        raise ValueError(msg)


def _check_form(name: str, path: str) -> None:
    """
    Check what holds for topics and patterns.
    """
    if len(path) > MAX_LENGTH:
        msg = f"{name}: a path can have {MAX_LENGTH} characters, not {len(path):,}"
        raise ValueError(msg)
    segments = path.split("/")
    if len(segments) > MAX_DEPTH:
        msg = f"{name}: a path can have {MAX_DEPTH} segments, not {len(segments)}"
        raise ValueError(msg)
    if not all(segments):
        msg = f"{name} must not be empty or have empty segments: {path!r}"
        raise ValueError(msg)
    if _CONTROLS.search(path):
        msg = f"{name} must not contain control characters: {path!r}"
        raise ValueError(msg)


def _plain(name: str, text: str) -> str:
    if not text.isascii():
        encode_text(text, name)
    return text if type(text) is str else str.__str__(text)
