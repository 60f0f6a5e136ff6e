"""
Thousands of runs, one after another, counted: run as a program, it prints what is left.

Not a test by itself, for the reason in `tests.e2e.leaks`.
"""

import json
import sys
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import react
from twisted.logger import globalLogBeginner

from tests.e2e.churn import COUNTED, census, kilobytes
from tests.e2e.net import pause
from twistream import HTTPError, Hub, Run
from twistream.channels.production import Production
from twistream.channels.run_core import RunCore

WARM_UP = 5_000
KEPT = 100
"""
Runs that are kept for clients at the same time.
"""


async def returns(run: Run) -> int:
    await run.publish("a" * 100)
    await succeed(None)
    return 5


async def items(run: Run) -> Any:
    yield "a"
    yield {"b": 1}


async def fails(run: Run) -> None:
    raise HTTPError(502)


async def waits(run: Run) -> None:
    await run.publish("a")
    await Deferred()


async def runs(hub: Hub, count: int) -> None:
    producers = (returns, items, fails, waits)
    for number in range(count):
        run = hub.run(f"run {number % KEPT}", producers[number % 4], restart=True, idle_timeout=60)
        if number % 8 == 3:
            await pause(0)
        run.stop("enough")
        await run.done()
    for run in list(hub.runs.values()):
        run._core.expire()
    await pause(0.05)


async def main(reactor: Any, count: str) -> None:
    hub = Hub()
    kinds = (*COUNTED, Run, RunCore, Production)
    await runs(hub, WARM_UP)
    before, memory = census(kinds), kilobytes()
    await runs(hub, int(count))
    after, grown = census(kinds), kilobytes() - memory
    left = {kind.__name__: after[kind.__name__] - before[kind.__name__] for kind in kinds}
    json.dump({"left": left, "grown": grown}, sys.stdout)


if __name__ == "__main__":
    globalLogBeginner.beginLoggingTo([], redirectStandardIO=False)  # Else it keeps its history.
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
