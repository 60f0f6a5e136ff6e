"""
The exceptions: one tree, whose words help.
"""

import copy
import inspect
import pickle
import re
from collections.abc import Iterator
from typing import Any

import attrs
from twisted.internet.error import ConnectionLost
from twisted.trial.unittest import SynchronousTestCase

import twistream
from twistream import errors
from twistream.wire.render import error_page

ERRORS: list[Exception] = [
    errors.StreamError("a", 1),
    errors.StreamClosed("a"),
    errors.ClientDisconnected(),
    errors.ClientDisconnected(ConnectionLost("a")),
    errors.SendTimeout(60.0),
    errors.SlowConsumer(9, limit=8),
    errors.StreamAborted(),
    errors.StreamAborted("why"),
    errors.StreamAborted(errors.ContentLengthMismatch(5, 7)),
    errors.ResponseComplete(),
    errors.HeadersSent(),
    errors.StreamFinished(),
    errors.ChannelClosed("news"),
    errors.RunEnded("build"),
    errors.RunOverflow("build", "why"),
    errors.ContentLengthMismatch(5, 7),
    errors.BufferOverflow(7, 5),
    errors.EncodeError("a"),
    errors.DecodeError("no JSON", 7),
    errors.LimitExceeded(9, 5, "bytes of a line"),
    errors.StreamTruncated(5),
    errors.StreamTruncated(5, ConnectionLost("a")),
    errors.HTTPError(404),
    errors.HTTPError(400, KeyError("a")),
    errors.HTTPError(499, "\udcff"),
    errors.StopStream(),
    errors.StopStream("a", 1),
]


class RoomFull(errors.HTTPError):
    """
    A subclass with parameters of its own.
    """

    def __init__(self, *, room: str) -> None:
        super().__init__(409, f"{room} is full")
        self.room = room


class Unsaid(errors.HTTPError):
    """
    A subclass that does not call the constructor of its base.
    """

    def __init__(self) -> None:
        self.hint = 1


class Slotted(errors.StreamError):
    """
    A subclass with a slot.
    """

    __slots__ = ("first", "second")

    def __init__(self, *, first: int) -> None:
        super().__init__("slotted")
        self.first = first


class Lost(errors.StreamClosed, OSError):
    """
    A subclass that is also an error of another kind.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number, "lost", "file")
        self.number = number


class LostToo(OSError, errors.StreamClosed):
    """
    The same, in the other order.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number, "lost", "file")
        self.number = number


class Done(errors.StopStream):
    """
    A subclass of the only exception outside the tree.
    """

    def __init__(self, total: int, *, unit: str) -> None:
        super().__init__(f"{total} {unit}")
        self.total = total


class Reducing(errors.StreamError):
    """
    A subclass that says how to pickle it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"number {number}")
        self.number = number

    def __reduce__(self) -> tuple[Any, ...]:
        return Reducing, (self.number,)


@attrs.define
class Defined(errors.HTTPError):
    """
    A subclass that attrs makes, with slots for its own fields.
    """

    room: str

    def __attrs_post_init__(self) -> None:
        super().__init__(404, f"no {self.room}")


SUBCLASSES = [
    Defined("red"),
    RoomFull(room="red"),
    Unsaid(),
    Slotted(first=1),
    Lost(2),
    LostToo(2),
    Done(3, unit="bytes"),
    Reducing(7),
]


class Mute:
    """
    Cannot be converted to anything.
    """

    def __str__(self) -> str:
        raise ZeroDivisionError

    def __repr__(self) -> str:
        raise ZeroDivisionError

    def __bool__(self) -> bool:
        raise ZeroDivisionError


class MuteText(str):
    """
    A str that cannot be converted to one.
    """

    __slots__ = ()

    def __str__(self) -> str:
        raise ZeroDivisionError


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


def copies(error: Exception) -> Iterator[Exception]:
    """
    The copies of an error that Python can make.
    """
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(error, protocol))  # noqa: S301 - our own bytes
    yield copy.copy(error)
    yield copy.deepcopy(error)


def described(error: BaseException) -> list[object]:
    """
    All that two equal errors have in common. Errors within it are described, too.
    """
    names = [name for name in ("errno", "strerror", "filename", "first") if hasattr(error, name)]
    attributes = {**vars(error), **{name: getattr(error, name) for name in names}}
    for name, value in attributes.items():
        if isinstance(value, BaseException):
            attributes[name] = described(value)
    return [type(error), error.args, str(error), repr(error), attributes]


class CopyTests(SynchronousTestCase):
    """
    Errors go to other processes, caches and test reports.
    """

    def test_the_table_has_every_class(self) -> None:
        public = {
            each
            for _, each in inspect.getmembers(errors, inspect.isclass)
            if issubclass(each, Exception)
        }
        self.assertEqual({type(error) for error in ERRORS}, public)

    def test_a_copy_is_equal_in_everything(self) -> None:
        for error in (*ERRORS, *SUBCLASSES):
            for made in copies(error):
                self.assertIsNot(made, error)
                self.assertEqual(described(made), described(error))

    def test_a_copy_of_a_copy_and_notes_and_attributes_that_were_added(self) -> None:
        for error in (errors.SendTimeout(1), RoomFull(room="red"), errors.StopStream(1)):
            error.add_note("a note")
            error.handler = "feed"  # type: ignore[union-attr]  # programs may do so
            for made in map(copy.deepcopy, copies(error)):
                self.assertEqual(described(made), described(error))
                self.assertEqual(made.__notes__, ["a note"])

    def test_an_error_may_refer_to_itself(self) -> None:
        error = errors.StreamAborted("a")
        error.reason = [error]
        made = copy.deepcopy(error)
        self.assertIs(made.reason[0], made)  # type: ignore[index]  # a list


class MessageTests(SynchronousTestCase):
    """
    An error page can be made of every `HTTPError`.
    """

    def test_what_a_message_becomes(self) -> None:
        cases: list[tuple[object, str]] = [
            ("", ""),
            ("as it is", "as it is"),
            ("two  spaces\tand a tab", "two  spaces\tand a tab"),
            (None, ""),
            (7, "7"),
            (ValueError("no such room"), "no such room"),
            (ValueError(), ""),
            (KeyError("a"), "'a'"),
            (b"caf\xc3\xa9 \xff", "caf\xe9 \ufffd"),
            (bytearray(b"a"), "a"),
            (memoryview(b"a"), "a"),
            ("\udcff", "\ufffd"),
            (ValueError("\ud800"), "\ufffd"),
            ("first\r\nsecond\n\n  third\u2028fourth\n", "first second third fourth"),
            ("\0\x1b[31m\x7f\x85\x9f", "\ufffd\ufffd[31m\ufffd \ufffd"),
            (MuteText("a"), "a"),
            (Mute(), "<Mute>"),
            ("\U0001f600", "\U0001f600"),
            ("a" * 1000, "a" * 1000),
            ("a" * 1001, "a" * 997 + "..."),
            ("\n" * 10**6, ""),
        ]
        for given, message in cases:
            for error in (errors.HTTPError(400, given), errors.HTTPError(400)):
                error.message = given
                self.assertEqual(error.message, message)
                self.assertIs(type(error.message), str)
                for as_html in (True, False):
                    self.assertIn(b"400 Bad Request", error_page(error, as_html=as_html)[1])
            text = f"400 {message}".rstrip()
            self.assertEqual(str(errors.HTTPError(400, given)), text)

    def test_a_subclass_may_forget_its_base(self) -> None:
        self.assertEqual((Unsaid().status, Unsaid().message), (500, ""))
        self.assertIn(b"500 Internal", error_page(Unsaid(), as_html=True)[1])

    def test_any_reason_of_an_abort_will_do(self) -> None:
        cases: list[tuple[object, str]] = [
            (None, ""),
            (Mute(), ": <Mute>"),
            (0, ": 0"),
            (b"a\xff", ": a\ufffd"),
            ("\udcff", ": \ufffd"),
            (ValueError("no"), ": no"),
        ]
        for reason, text in cases:
            error = errors.StreamAborted(reason)
            self.assertEqual(str(error), f"stream aborted{text}")
            self.assertIs(error.reason, reason)


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
