"""
The examples, run as their docstrings say.
"""

import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import program
from tests.e2e.net import LIMIT
from tests.e2e.twistd import LOCAL, TWISTD, until

EXAMPLES = Path(__file__).parents[2] / "examples"

# Each example: how it is started, and what curl gets from which path first, as a pattern.
RUNS: dict[str, tuple[list[str], str, bytes]] = {
    "stream_numbers.py": (
        [
            TWISTD,
            "-n",
            "--pidfile=",
            "twistream",
            "--listen",
            LOCAL,
            "--app",
            "stream_numbers:root",
        ],
        "/",
        b"Message number 1<br>Message number 2<br>",
    ),
    "json_numbers.py": (
        [TWISTD, "-n", "--pidfile=", "twistream", "--listen", LOCAL, "--app", "json_numbers:root"],
        "/",
        b'{"number":1}\n{"number":2}\n',
    ),
    "handler_app.py": (
        [TWISTD, "-n", "--pidfile=", "twistream", "--listen", LOCAL, "--app", "handler_app:hello"],
        "/",
        b"Hello, streaming world\n",
    ),
    "klein_app.py": (
        [TWISTD, "-n", "--pidfile=", "twistream", "--listen", LOCAL, "--app", "klein_app:root"],
        "/countdown/2",
        b"2\n1\nlift-off\n",
    ),
    "embedded.py": (
        [sys.executable, "embedded.py", LOCAL],
        "/ticks",
        rb"\d+\.\d\n\d+\.\d\n",
    ),
    "service.tac": (
        [TWISTD, "-n", "--pidfile=", "-y", "service.tac"],
        "/",
        b"0\n1\n2\n3\n4\n",
    ),
}


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[list[str]], int]]:
    """
    Starts a program in a copy of the examples, and gives the port that it says it has.
    """
    folder = shutil.copytree(EXAMPLES, tmp_path / "examples")
    output = tmp_path / "output.txt"
    started: list[subprocess.Popen[bytes]] = []

    def found() -> re.Match[str] | None:
        return re.search(r"127\.0\.0\.1:(\d+)|Site starting on (\d+)", output.read_text())

    def start(command: list[str]) -> int:
        with output.open("w") as file:
            started.append(
                subprocess.Popen(
                    command, cwd=folder, stdout=file, stderr=file, env={"LISTEN": LOCAL}
                )
            )
        until(lambda: found() or started[0].poll() is not None, "starts")
        match = found()
        assert match, output.read_text()
        return int(match[1] or match[2])

    yield start
    for process in started:
        process.send_signal(signal.SIGTERM)
        process.wait(LIMIT)
    assert "Traceback" not in output.read_text()


@pytest.mark.parametrize("name", RUNS)
def test_an_example(name: str, start: Callable[[list[str]], int]) -> None:
    command, path, expected = RUNS[name]
    port = start(command)
    process = subprocess.Popen(
        [program("curl"), "--silent", "--no-buffer", f"http://127.0.0.1:{port}{path}"],
        stdout=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdout is not None
    data = b""
    with process:
        while not re.match(expected, data):
            part = process.stdout.read(1000)
            assert part, data
            data += part
        process.kill()


def test_each_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.iterdir() if path.is_file()} == set(RUNS)
