"""
InFolder: the base of tests that run in a temporary folder of their own.
"""

from contextlib import chdir
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase


class InFolder(SynchronousTestCase):
    """
    The current folder of each test is empty, and is removed after it.
    """

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        elsewhere = chdir(self.folder)
        elsewhere.__enter__()
        self.addCleanup(elsewhere.__exit__, None, None, None)
