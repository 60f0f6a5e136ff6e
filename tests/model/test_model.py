"""
Random handlers and clients on every protocol, held to what was promised.

A failure names its protocol and its seed. ``TWISTREAM_SEED`` is the first seed, and
``TWISTREAM_CASES`` the number of seeds: ``TWISTREAM_SEED=7 TWISTREAM_CASES=1`` repeats one case,
and many thousands search for faults.
"""

import gc
import os

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from tests.model.cases import PROTOCOLS, Case
from tests.model.promises import MADE, Faults

FIRST = int(os.environ.get("TWISTREAM_SEED", "0"))
CASES = int(os.environ.get("TWISTREAM_CASES", "60"))


class ModelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.faults = Faults()
        globalLogPublisher.addObserver(self.faults)
        self.addCleanup(globalLogPublisher.removeObserver, self.faults)

    def check_log(self) -> None:
        gc.collect()  # Errors that nobody handles are logged then.
        self.flushLoggedErrors(*MADE)
        self.assertEqual(self.faults.found, [])

    def test_every_promise_is_kept(self) -> None:
        for seed in range(FIRST, FIRST + CASES):
            for protocol in PROTOCOLS:
                Case(protocol, seed).run()
        self.check_log()

    def test_a_seed_is_always_the_same_case(self) -> None:
        # Sockets have timers of their own.
        for protocol in (each for each in PROTOCOLS if each.memory):
            first, second = Case(protocol, FIRST), Case(protocol, FIRST)
            first.run()
            second.run()
            self.assertEqual(first.bodies(), second.bodies(), protocol)
        del first, second
        self.check_log()
