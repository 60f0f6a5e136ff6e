"""
A storm: after a restart, thousands of clients reconnect at once. Each asks for the whole history of a
channel. Another stream has live messages at the same time.

``python -m benchmarks.storm`` runs one of the two clients. ``live`` publishes and receives the live
messages, and ``crowd`` opens all connections that ask for the history. Each runs in a process of its
own. The crowd has the lowest priority, so that reading its data does not delay the live messages.
"""

import os
import select
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, closing, suppress
from typing import Final

from benchmarks.client import Client, check_status, fill_channel, request
from benchmarks.machine import NotMeasuredError
from benchmarks.message import CHUNK, MESSAGE
from benchmarks.processes import TIMEOUT, ServerProcess, latencies, using
from benchmarks.servers import HOST

INTERVAL: Final = 0.01  # seconds between live messages
_LONGEST: Final = 120.0  # seconds that a storm may take
_BETWEEN: Final = 50  # connections that the crowd opens before it reads again

clock = time.perf_counter  # the same in all processes


def measure(process: ServerProcess, size: int, idle: float) -> dict[str, float]:
    """
    Compare the latency of live messages in an idle server with that in a storm.

    Args:
        process: The server.
        size: The number of clients that reconnect.
        idle: Seconds without a storm before it.

    Returns:
        The values for the results. `NotMeasuredError` is raised if a byte differs.
    """
    with closing(Client(process)) as client:
        last_event_id, expected = client.replay(*fill_channel(process))
    with ExitStack() as stack:
        live = stack.enter_context(_client("live", str(process.port)))
        stack.callback(live.kill)
        start = clock()
        time.sleep(idle)
        crowd = stack.enter_context(_client("crowd", str(process.port), str(size), last_event_id))
        stack.callback(crowd.kill)
        with using(process) as use:
            times = _finish(crowd, expected).split()
        began, ended = map(float, times)
        rows = [tuple(map(float, line.split())) for line in _finish(live).splitlines()]
    # What is due in the first tenth still belongs to the start of the process.
    before = [late for due, late in rows if start + idle / 10 < due < began]
    during = [late for due, late in rows if began <= due < ended]
    if not (before and during):
        msg = "no live message was due before the storm, or during it"
        raise NotMeasuredError(msg)
    calm, storm = latencies(before), latencies(during)
    return {
        **storm,
        "max, ms": max(during) * 1e3,
        **{f"idle {name}": value for name, value in calm.items()},
        "idle max, ms": max(before) * 1e3,
        "p99 : idle p99": storm["p99, ms"] / calm["p99, ms"],
        "until all have everything, s": ended - began,
        "CPU of the server, s": use.server,
    }


def _client(*arguments: str) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 - our own program
        [sys.executable, "-m", __name__, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def _finish(client: "subprocess.Popen[bytes]", data: bytes = b"") -> str:
    """
    Give a client all its input, and return its output.
    """
    try:
        output, errors = client.communicate(data, timeout=_LONGEST)
    except subprocess.TimeoutExpired as err:
        msg = f"a client did not finish in {_LONGEST:g} s"
        raise NotMeasuredError(msg) from err
    if client.returncode:
        raise NotMeasuredError(errors.decode().strip().rpartition("\n")[2])
    return output.decode()


# The live messages.


def _follow(port: int) -> None:
    """
    Publish a message every `INTERVAL` and receive it, until the input ends.

    Prints when each message was due, and how much later it arrived. So a server that does not
    take a publish in time cannot hide it.
    """
    with _connected(port) as stream, _connected(port) as publisher:
        stream.sendall(request("/subscribe"))
        data = b""
        while not data.endswith(CHUNK):
            data += _received(stream)
        check_status(data, 200)
        poller = select.poll()
        for number in (0, stream.fileno(), publisher.fileno()):
            poller.register(number, select.POLLIN)
        publish, answers = request("/publish", MESSAGE), b""
        due: list[float] = []
        late: list[float] = []
        data, following = b"", clock()
        while True:
            ready = {number for number, _ in poller.poll(max(0.0, following - clock()) * 1e3)}
            if 0 in ready:
                break
            if stream.fileno() in ready:
                data += _received(stream)
                while data.startswith(CHUNK):
                    late.append(clock() - due[len(late)])
                    data = data[len(CHUNK) :]
                if not CHUNK.startswith(data):
                    msg = f"a live message is {data[:60]!r}"
                    raise NotMeasuredError(msg)
            if publisher.fileno() in ready:
                answers = (answers + _received(publisher))[-len(publish) :]
                check_status(answers[answers.rfind(b"HTTP/1.1") :], 204)
            while clock() >= following:
                due.append(following)
                publisher.sendall(publish)
                following += INTERVAL
    sys.stdout.writelines(f"{at} {after}\n" for at, after in zip(due, late, strict=False))


# The crowd.


def _reconnect(port: int, size: int, last_event_id: str) -> None:
    """
    Connect `size` clients that ask for the history, which the input contains, and check each byte.

    Prints when the first one connected, and when the last one had everything.
    """
    expected = sys.stdin.buffer.read()
    os.nice(19)
    wanted = request("/channel/subscribe", last_event_id=last_event_id)
    poller, buffer = select.epoll(), bytearray(256 * 1024)
    view = memoryview(buffer)
    sockets: dict[int, socket.socket] = {}
    had: dict[int, int] = {}  # bytes of the history by the number of the socket
    done = 0

    def read(wait: float) -> None:
        nonlocal done
        ready = poller.poll(wait)
        if not ready and wait:
            msg = f"{size - done} clients of the crowd received nothing for {wait:g} s"
            raise NotMeasuredError(msg)
        for number, _ in ready:
            count, start = sockets[number].recv_into(buffer), 0
            if number not in had:
                check_status(bytes(view[:60]), 200)
                start, had[number] = buffer.index(b"\r\n\r\n", 0, count) + 4, 0
            before = had[number]
            had[number] = after = before + count - start
            if not count or not expected.startswith(view[start:count], before):
                msg = f"a client of the crowd received {bytes(view[start : start + 60])!r}"
                raise NotMeasuredError(msg)
            done += after == len(expected)

    began = clock()
    for opened in range(1, size + 1):
        sock = _connected(port)
        sock.sendall(wanted)
        sockets[sock.fileno()] = sock
        poller.register(sock.fileno(), select.EPOLLIN)
        if not opened % _BETWEEN:
            read(0)
    while done < size:
        read(TIMEOUT)
    sys.stdout.write(f"{began} {clock()}\n")


def _connected(port: int) -> socket.socket:
    return socket.create_connection((HOST, port), TIMEOUT)


def _received(sock: socket.socket) -> bytes:
    data = sock.recv(65536)
    if not data:
        msg = "the server closed a connection"
        raise NotMeasuredError(msg)
    return data


if __name__ == "__main__":
    _role, _port, *_rest = sys.argv[1:]
    with suppress(BrokenPipeError):  # the benchmark was interrupted
        if _role == "live":
            _follow(int(_port))
        else:
            _reconnect(int(_port), int(_rest[0]), _rest[1])
