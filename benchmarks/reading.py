"""
How fast clients read lines and events: ``python -m benchmarks.reading``.

A server sends a body that was made before, and each client runs in a fresh process. The clients take
turns, so that the figures of a round are from the same minute.
"""

import argparse
import asyncio
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import IO, Any, Final, cast

from benchmarks.machine import cautions, describe

CLIENTS: Final = {
    "lines": ("twistream", "aiohttp", "httpx"),
    "json": ("twistream", "aiohttp", "httpx"),
    "events": ("twistream", "httpx-sse"),
}
"""
The clients of each form. aiohttp has no reader of events.
"""

_PIECE: Final = 2**14  # bytes of a chunk
_KINDS: Final = {
    "lines": b"text/plain",
    "json": b"application/jsonl",
    "events": b"text/event-stream",
}
_MESSAGE: Final = b'{"number":%d,"name":"a message of usual size","tags":["a","b"],"ratio":0.5}'

Reader = Callable[[str], Awaitable[int]]


def body(form: str, count: int) -> bytes:
    """
    Make the messages of one response.
    """
    line = _MESSAGE + b"\n"
    if form == "events":
        line = b"id: %d\nevent: tick\ndata: " + line + b"\n"
        return b"".join(line % (number, number) for number in range(count))
    return b"".join(line % number for number in range(count))


def serve(form: str, count: int) -> None:
    """
    Send the body to each client, one after the other. The port is printed.
    """
    data = body(form, count)
    pieces = [data[start : start + _PIECE] for start in range(0, len(data), _PIECE)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n" % _KINDS[form]
    response = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listening:
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        while True:
            connection, _ = listening.accept()
            with connection:
                connection.recv(2**16)
                connection.sendall(response)


def read_with_twistream(form: str) -> Reader:
    """
    Make a reader on treq.
    """
    import treq  # noqa: PLC0415 - each client imports its own library

    from twistream.client import iter_events, iter_json, iter_lines  # noqa: PLC0415 - as above

    make: Any = {"lines": iter_lines, "json": iter_json, "events": iter_events}[form]

    async def read(url: str) -> int:
        response = await treq.get(url, unbuffered=True, persistent=False)
        count = 0
        async for _ in make(response):
            count += 1
        return count

    return read


def read_with_aiohttp(form: str) -> Reader:
    """
    Make a reader on aiohttp. The standard library decodes the JSON, as its own method does.
    """
    import json  # noqa: PLC0415 - each client imports its own library

    import aiohttp  # noqa: PLC0415 - as above

    async def read(url: str) -> int:
        count = 0
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            async for line in response.content:
                if form == "json":
                    json.loads(line)
                else:
                    line.decode().rstrip("\r\n")
                count += 1
        return count

    return read


def read_with_httpx(form: str) -> Reader:
    """
    Make a reader on httpx, and httpx-sse for events.
    """
    import json  # noqa: PLC0415 - each client imports its own library

    import httpx  # noqa: PLC0415 - as above
    from httpx_sse import EventSource  # noqa: PLC0415 - as above

    async def read(url: str) -> int:
        count = 0
        async with httpx.AsyncClient() as client, client.stream("GET", url) as response:
            if form == "events":
                async for _ in EventSource(response).aiter_sse():
                    count += 1
                return count
            async for line in response.aiter_lines():
                if form == "json":
                    json.loads(line)
                count += 1
        return count

    return read


def read_once(client: str, form: str, url: str, count: int) -> None:
    """
    Read the body, and print the seconds that it took, and those of the processor.
    """
    if client == "twistream":
        from twisted.internet.defer import Deferred  # noqa: PLC0415 - each client imports its own
        from twisted.internet.task import react  # noqa: PLC0415 - as above

        reader = read_with_twistream(form)

        def main(_: Any) -> Deferred[None]:
            return Deferred.fromCoroutine(measured(reader))

        run: Callable[[], object] = lambda: react(main)  # noqa: E731 - one of two
    else:
        makers = {"aiohttp": read_with_aiohttp}
        reader = makers.get(client, read_with_httpx)(form)
        run = lambda: asyncio.run(measured(reader))  # noqa: E731 - the other one

    async def measured(reader: Reader) -> None:
        start, cpu = time.perf_counter(), time.process_time()
        found = await reader(url)
        seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
        if found != count:
            msg = f"{client} read {found} of {count} {form}"
            raise SystemExit(msg)
        sys.stdout.write(f"{seconds} {cpu}\n")
        sys.stdout.flush()

    run()


def measure(form: str, count: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """
    Measure all clients of a form.

    Returns:
        For each client and round, its seconds and those of the processor.
    """
    command = [sys.executable, "-m", "benchmarks.reading", "--count", str(count), "--only", form]
    found: dict[str, list[tuple[float, float]]] = {client: [] for client in CLIENTS[form]}
    with subprocess.Popen([*command, "--serve"], stdout=subprocess.PIPE, text=True) as server:  # noqa: S603 - this module
        try:
            url = f"http://127.0.0.1:{cast('IO[str]', server.stdout).readline().strip()}/"
            for _ in range(rounds):
                for client, figures in found.items():
                    done = subprocess.run(  # noqa: S603 - this module
                        [*command, "--client", client, "--url", url],
                        check=True,
                        capture_output=True,
                        text=True,
                        timeout=300,
                    )
                    seconds, cpu = map(float, done.stdout.split())
                    figures.append((seconds, cpu))
        finally:
            server.kill()
    return found


def main() -> None:
    """
    Run the command line.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reading", description=__doc__)
    parser.add_argument("--count", type=int, default=200_000, help="messages of one response")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all clients")
    parser.add_argument("--only", choices=CLIENTS, help="only this form")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.only, options.count)
    elif options.client:
        read_once(options.client, options.only, options.url, options.count)
    else:
        write = sys.stdout.write
        write(f"{describe()}\n{os.linesep.join(cautions())}\n")
        for form in [options.only] if options.only else CLIENTS:
            figures = measure(form, options.count, options.rounds)
            for client, rounds in figures.items():
                rates = [options.count / seconds for seconds, _ in rounds]
                cpu = statistics.median(cpu for _, cpu in rounds) / options.count
                write(
                    f"{form:<7} {client:<10} {statistics.median(rates):>10,.0f}/s "
                    f"({min(rates):,.0f} to {max(rates):,.0f}), {cpu * 1e6:.2f} us of CPU each\n"
                )


if __name__ == "__main__":
    main()
