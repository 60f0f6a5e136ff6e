"""
Whole responses, requested and counted by h2load.
"""

import re
import subprocess
import tempfile
from collections.abc import Sequence

from benchmarks.machine import NotMeasuredError
from benchmarks.processes import ServerProcess, Use, latencies, using
from benchmarks.servers import HOST


def measure(  # noqa: PLR0913 - the numbers have names where this is called
    process: ServerProcess,
    path: str,
    size: int,
    duration: float,
    *,
    connections: int = 1,
    unit: str = "requests",
    units: int = 1,
) -> dict[str, float]:
    """
    Warm up, then send as many requests as take about `duration` seconds.

    Each connection stays open, with one request in flight.

    Args:
        process: The server.
        path: The response.
        size: The size of the body of each response in bytes.
        duration: Seconds.
        connections: The number of connections.
        unit: What a response consists of.
        units: How many of them.

    Returns:
        The values for the results. `NotMeasuredError` is raised if a response has another size.
    """
    requests, seconds, use, times = _run(process, path, connections, connections, size)
    # The first run includes what a server does only once, so its rate is too low to plan with.
    for share in (0.15, 1.0):
        number = max(connections, round(requests / seconds * share * duration))
        requests, seconds, use, times = _run(process, path, number, connections, size)
    values = {
        f"{unit}/s": requests * units / seconds,
        "CPU, microseconds": use.server / (requests * units) * 1e6,
    }
    return values | latencies(times) | use.shares()


def _run(
    process: ServerProcess, path: str, requests: int, connections: int, size: int
) -> tuple[int, float, Use, Sequence[float]]:
    with tempfile.NamedTemporaryFile("r") as log:
        command = ["h2load", "--h1", "-t1", f"-n{requests}", f"-c{connections}"]
        command += [f"--log-file={log.name}", f"http://{HOST}:{process.port}{path}"]
        with using(process) as use:
            output = subprocess.check_output(  # noqa: S603 - our own arguments
                command, stderr=subprocess.DEVNULL, text=True, timeout=120
            )
        # Start time, status, and microseconds to the end of the response.
        times = [int(line.split("\t")[2]) / 1e6 for line in log]
    process.check_alive()
    expected = (
        rf"finished in ([\d.]+)(us|ms|s),.* {requests} succeeded,"
        rf".*status codes: {requests} 2xx,.*\({requests * size}\) data"
    )
    found = re.search(expected, output, re.DOTALL)
    if found is None:
        results = " ".join(output.partition("finished")[2].split())
        msg = f"{path}: {requests} responses of {size} bytes were expected, but {results}"
        raise NotMeasuredError(msg)
    unit = {"us": 1e-6, "ms": 1e-3, "s": 1.0}[found[2]]
    return requests, float(found[1]) * unit, use, times
