"""
What programs may pass as arguments.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from twistream.checks import check_count, check_seconds, check_timer, checked_names, name_of


class CheckTests(SynchronousTestCase):
    def refused(self, error: type[Exception], check: Callable[..., Any], *args: Any) -> None:
        with self.assertRaisesRegex(error, "^pause must be "):
            check("pause", *args)

    def test_seconds(self) -> None:
        for value in (0, 0.0, 1, 1e-9, 1e9):
            self.assertEqual(check_seconds("pause", value), value)
        for wrong in (-1, -1e-9, 1e10, float("nan"), float("inf")):
            self.refused(ValueError, check_seconds, wrong)
        others: tuple[Any, ...] = ("1", None, True, [], b"1")
        for other in others:
            self.refused(TypeError, check_seconds, other)

    def test_a_timer_takes_a_millisecond(self) -> None:
        for value in (0.001, 1, 1e9):
            self.assertEqual(check_timer("pause", value), value)
        for wrong in (0, 5e-324, 0.0009, -1, float("nan")):
            self.refused(ValueError, check_timer, wrong)
        self.refused(TypeError, check_timer, None)

    def test_counts(self) -> None:
        for value, least in ((0, 0), (1, 1), (10**30, 0)):
            self.assertEqual(check_count("pause", value, least), value)
        for wrong, least in ((-1, 0), (0, 1)):
            self.refused(ValueError, check_count, wrong, least)
        for other in (1.0, "1", True, None):
            self.refused(TypeError, check_count, other, 0)

    def test_names(self) -> None:
        for value in (["a", "b"], ("a", "b"), {"a": 1, "b": 2}, iter("ab")):
            self.assertEqual(checked_names("pause", value, "['a']"), ("a", "b"))
        for wrong in ("ab", b"ab", None, 1, list):
            self.refused(TypeError, checked_names, wrong, "['a']")


class NameTests(SynchronousTestCase):
    def test_the_name_in_messages(self) -> None:
        qualified = f"{type(self).__qualname__}.{self._testMethodName}"
        method = self.test_the_name_in_messages
        for value, expected in (
            (method, qualified),
            (partial(partial(method), 1), qualified),
            ((n for n in [1]), f"{qualified}.<locals>.<genexpr>"),
            (iter(()), "tuple_iterator"),
        ):
            self.assertEqual(name_of(value), expected)
