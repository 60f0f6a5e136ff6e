"""
The exceptions: one tree, whose words help.
"""

import inspect
import re

from twisted.trial.unittest import SynchronousTestCase

import twistream
from twistream import errors


class TreeTests(SynchronousTestCase):
    """
    What the module draws is what it has.
    """

    def test_the_drawn_tree_is_the_real_one(self) -> None:
        drawn, path = {}, ["Exception"]
        for line in (errors.__doc__ or "").splitlines():
            match = re.match(r"    ([| `]*-? ?)([A-Z]\w+)", line)
            if match:
                depth = match[1].count("|-") + match[1].count("`-") + match[1].count("|  ")
                depth = len(match[1]) // 3
                name = match[2]
                path[depth + 1 :] = [name]
                drawn[name] = path[depth]
        real = {
            name: each.__mro__[1].__name__
            for name, each in inspect.getmembers(errors, inspect.isclass)
            if issubclass(each, Exception)
        }
        self.assertEqual(drawn, real)

    def test_all_are_public(self) -> None:
        for name, each in inspect.getmembers(errors, inspect.isclass):
            if issubclass(each, Exception):
                self.assertIn(name, twistream.__all__)

    def test_an_encode_error_is_a_type_error(self) -> None:
        self.assertTrue(issubclass(errors.EncodeError, TypeError))

    def test_a_decode_error_is_a_value_error(self) -> None:
        self.assertTrue(issubclass(errors.LimitExceeded, ValueError))

    def test_words_and_figures(self) -> None:
        for error, text in (
            (errors.ClientDisconnected(), "client disconnected"),
            (errors.SendTimeout(60.0), "client accepted no data for 60 seconds"),
            (
                errors.SlowConsumer(queued=9, limit=8),
                "client too slow: 9 bytes queued, the limit is 8",
            ),
            (errors.StreamAborted(), "stream aborted"),
            (errors.StreamAborted("why"), "stream aborted: why"),
            (errors.ContentLengthMismatch(5, 7), "Content-Length is 5, the body has 7 bytes"),
            (errors.DecodeError("no JSON", 7), "no JSON, at byte 7 of the stream"),
            (
                errors.LimitExceeded(9, 5, "bytes of a line"),
                "more than 5 bytes of a line, at byte 9 of the stream",
            ),
            (errors.HTTPError(404), "404"),
        ):
            self.assertEqual(str(error), text)
        overflow = errors.BufferOverflow(7, 5)
        self.assertEqual((overflow.buffered, overflow.limit), (7, 5))
        self.assertIn("await flush()", str(overflow))
        exceeded = errors.LimitExceeded(9, 5, "bytes of a line")
        self.assertEqual((exceeded.offset, exceeded.limit), (9, 5))
        self.assertEqual(exceeded.unit, "bytes of a line")
        self.assertIsInstance(errors.ClientDisconnected(KeyError()).reason, KeyError)


class PackageTests(SynchronousTestCase):
    """
    The names at the top.
    """

    def test_all_is_there_and_documented(self) -> None:
        self.assertEqual(list(twistream.__all__), sorted(twistream.__all__))
        for name in twistream.__all__:
            each = getattr(twistream, name)
            if inspect.isclass(each):
                self.assertTrue(inspect.getdoc(each), name)

    def test_every_public_method_of_the_context_is_documented(self) -> None:
        for name, each in inspect.getmembers(twistream.Context):
            if not name.startswith("_") and not inspect.ismemberdescriptor(each):
                self.assertTrue(inspect.getdoc(each), name)
