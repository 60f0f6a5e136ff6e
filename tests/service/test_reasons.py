"""
Errors as messages.
"""

from errno import EADDRNOTAVAIL
from socket import gaierror

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from twistream.service.reasons import what, why_not


class ReasonTests(SynchronousTestCase):
    def test_an_error_has_its_type_and_text(self) -> None:
        self.assertEqual(what(ValueError("one\n\n  two\n")), "ValueError: one\n\n  two")
        self.assertEqual(what(ValueError()), "ValueError")
        self.assertEqual(what(ValueError("one"), "two"), "ValueError: two")

    def test_an_error_that_cannot_be_shown_has_its_type(self) -> None:
        class Broken(Exception):
            def __str__(self) -> str:
                raise RuntimeError

        self.assertEqual(what(Broken()), "Broken")

    def test_the_reason_continues_a_sentence(self) -> None:
        for error, reason in (
            (OSError(98, "Address already in use"), "address already in use"),
            (
                CannotListenError("", 80, PermissionError(13, "Permission denied")),
                (
                    "permission denied; ports below 1024 are for root, or need the capability "
                    "CAP_NET_BIND_SERVICE"
                ),
            ),
            (
                CannotListenError("", 1024, PermissionError(13, "Permission denied")),
                "permission denied",
            ),
            (
                CannotListenError("", "s", PermissionError(13, "Permission denied")),
                "permission denied",
            ),
            (
                CannotListenError(None, "s", "Cannot acquire lock"),
                "another program listens on it, and holds its lock file",
            ),
            (CannotListenError("", "s", "Cannot bind"), "cannot bind"),
            (
                CannotListenError("eth0", 80, gaierror(-2, "Name or service not known")),
                "name or service not known; interface takes an IP address of this machine",
            ),
            (
                CannotListenError("", 80, OSError(EADDRNOTAVAIL, "Cannot assign it")),
                "cannot assign it; this machine does not have the address",
            ),
            (ValueError("A sentence."), "a sentence"),
            (OverflowError("Python int too large to convert to C int"), "a number is too large"),
            (ValueError("SSL is not there"), "SSL is not there"),
            (ValueError("one\ntwo"), "one two"),
            (KeyError(), "KeyError"),
        ):
            self.assertEqual(why_not(error), reason)

    def test_a_text_that_is_not_a_number(self) -> None:
        for text, base, kind in (("http", 10, "a number"), ("99", 8, "an octal number")):
            error = self.assertRaises(ValueError, int, text, base)
            self.assertEqual(why_not(error), f"'{text}' is not {kind}")
