"""
Errors in one line.
"""

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from twistream.service.reasons import what, what_and_where, why_not


class ReasonTests(SynchronousTestCase):
    def test_an_error_is_one_line(self) -> None:
        self.assertEqual(what(ValueError("one\n\n  two")), "ValueError: one two")
        self.assertEqual(what(ValueError()), "ValueError")

    def test_an_error_that_was_never_raised_has_no_line_number(self) -> None:
        self.assertEqual(what_and_where(ValueError("x")), "ValueError: x")

    def test_the_reason_continues_a_sentence(self) -> None:
        for error, reason in (
            (OSError(98, "Address already in use"), "address already in use"),
            (
                CannotListenError("", 80, PermissionError(13, "Permission denied")),
                "permission denied",
            ),
            (CannotListenError("", "s", "Cannot acquire lock"), "cannot acquire lock"),
            (ValueError("SSL is not there"), "SSL is not there"),
            (ValueError("one\ntwo"), "one two"),
            (KeyError(), "KeyError"),
        ):
            self.assertEqual(why_not(error), reason)

    def test_a_text_that_is_not_a_number(self) -> None:
        for text, base in (("http", 10), ("99", 8)):
            error = self.assertRaises(ValueError, int, text, base)
            self.assertEqual(why_not(error), f"'{text}' is not a number")
