"""
Many subscribers of one channel, each of another topic, and messages that are for one of them.
"""

import time
from collections.abc import Iterable
from contextlib import ExitStack, closing
from typing import Final

from benchmarks.client import Client
from benchmarks.message import LAST_CHUNK, MESSAGE, as_chunk
from benchmarks.processes import ServerProcess, Use, using

WAYS: Final = ("topics", "filter")
"""
How a subscriber selects its messages: by ``topics=``, or by ``filter=`` with a function.
"""
_BATCH: Final = 100  # publishes for each request, each in a turn of its own


def measure(
    process: ServerProcess, way: str, size: int, seconds: Iterable[float]
) -> dict[str, float]:
    """
    Publish to one subscriber after the other, and check what each of them receives.

    Args:
        process: The server.
        way: One of `WAYS`.
        size: The number of subscribers.
        seconds: How long to publish. Only the last time counts.

    Returns:
        The values for the results. `NotMeasuredError` is raised if a byte differs.
    """
    batch = min(_BATCH, size)
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(Client(process))) for _ in range(size)]
        for number, client in enumerate(clients):
            client.get(f"/{way}/subscribe?n={number}")
            events, newest = client.position()
        publisher = stack.enter_context(closing(Client(process)))
        for duration in seconds:
            publishes, use, end = 0, Use(), time.perf_counter() + duration
            while not publishes or time.perf_counter() < end:
                with using(process) as once:
                    publisher.get(f"/{way}/publish?n={batch}")
                    publisher.expect(as_chunk(MESSAGE) + LAST_CHUNK)
                for _ in range(batch):
                    # The first message, with the number 1, is for the first subscriber.
                    client = clients[newest % size]
                    newest += 1
                    client.expect_event(as_chunk(events.event(newest)))
                publishes += batch
                use.seconds += once.seconds
                use.client += once.client
                use.server += once.server
        for client in clients:
            client.expect_silence()
    return {"CPU, microseconds": use.server / publishes * 1e6} | use.shares()
