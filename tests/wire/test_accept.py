"""
The media types that clients prefer.
"""

from twisted.trial.unittest import SynchronousTestCase

from twistream.wire.accept import preferred

TYPES = ("text/html", "text/plain", "application/json")


class AcceptTests(SynchronousTestCase):
    def test_the_heaviest_of_the_types_that_are_named(self) -> None:
        for accept, expected in (
            ("", None),
            ("*/*", None),
            ("text/*, image/png", None),
            ("text/html", "text/html"),
            ("TEXT/HTML;level=1", "text/html"),
            ("application/json", "application/json"),
            ("application/json, text/plain, */*", "application/json"),
            ("text/plain, application/json", "text/plain"),
            ("application/json;q=0.8, text/html", "text/html"),
            ("application/json;q=0.8, text/html;q=0.80", "application/json"),
            ("text/html;q=0.799 , application/json; Q=0.8", "application/json"),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
            ("text/html;q=0", None),
            ("text/html;q=0.000, text/plain;q=0.001", "text/plain"),
            ("text/html;q=x", "text/html"),
            ("text/plain;q=0.5, text/html;q=9", "text/html"),
            (",;=,text/plain;;", "text/plain"),
            ("application/jsonp, text/htmlx", None),
        ):
            self.assertEqual(preferred(accept, TYPES), expected, accept)
