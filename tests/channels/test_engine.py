"""
What an engine is asked for.
"""

from twisted.trial.unittest import SynchronousTestCase

from twistream.channels.engine import Bounds


class BoundsTests(SynchronousTestCase):
    def test_they_are_shown_by_the_names_that_users_know(self) -> None:
        for bounds, expected in (
            (Bounds(), "history=0"),
            (Bounds(history=5, history_ttl=1.5), "history=5, history_ttl=1.5"),
            (Bounds(history=5, history_bytes=9), "history=5, history_bytes=9"),
        ):
            self.assertEqual(str(bounds), expected)
