"""
The smoke run: every scenario and every server at a tiny size. Run it with ``make bench-smoke``.
"""

import os
import re
import socket
import subprocess
import sys
from contextlib import closing
from itertools import repeat
from pathlib import Path
from typing import NoReturn

import pytest

from benchmarks.__main__ import main
from benchmarks.client import Client, check_response, fill_channel
from benchmarks.fanout import Fanout, Streams
from benchmarks.machine import NotMeasuredError
from benchmarks.message import CHUNK, LAST_CHUNK, MESSAGE, as_chunk
from benchmarks.processes import ServerProcess, serving
from benchmarks.results import Results
from benchmarks.scenarios import FORMS, SCENARIOS, percentile
from benchmarks.servers import ROOT, SERVERS, Server

STORED = ROOT / "docs" / "benchmarks"
FANOUT = {f"fanout-{size}-{mode}" for size in (10, 40) for mode in ("one", "eight", "paced")}
OF_ROLE = {
    "responses": {"twelve", "many"},
    "fanout": FANOUT | {"memory"},
    "channel": {"fanout-40-channel", "replay"},
    "own": {"publish-text", "publish-json"}
    | {f"{kind}-{form}" for kind in ("long", "short") for form in FORMS},
}
ROBUST = [
    (name, role)
    for name, server in SERVERS.items()
    for role in sorted({"fanout", "channel"} & server.roles)
    if server.robust
]
HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
PUBLISHED = b"HTTP/1.1 204 No Content\r\n\r\n"
LARGE = b"data: " + b"l" * 60_000 + b"\n\n"
MOST_GROWTH = 64 * 2**20


def ready(server: Server) -> Server:
    """
    Prepare a server. Without its compiler the test is skipped, except on CI.
    """
    try:
        server.prepare()
    except RuntimeError as err:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(err))
    return server


def run(*options: str) -> subprocess.CompletedProcess[str]:
    """
    Run the benchmarks in a process of their own, because they change limits and priorities.
    """
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "benchmarks", "--quick", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("name", SERVERS)
def test_a_server_sends_the_right_bytes_and_has_every_figure(name: str, tmp_path: Path) -> None:
    server = ready(SERVERS[name])
    run("--servers", name, "--out", str(tmp_path))
    results = Results.load(tmp_path / "results.json")
    expected: set[str] = set().union(*(OF_ROLE[role] for role in server.roles))
    assert set(results.figures) == expected - (set() if server.robust else {"memory"})
    assert (results.finished, results.errors()) == (True, [])


@pytest.mark.parametrize(("name", "role"), ROBUST)
def test_a_subscriber_that_does_not_read_is_harmless(name: str, role: str) -> None:
    server = ready(SERVERS[name])
    with serving(server) as process:
        prefix, newest, last, before = "", 0, None, process.memory()
        if role == "channel":
            prefix, (events, newest) = "/channel", fill_channel(process)
            last = events.id_of(newest)
        stuck, reader, publisher = (Client(process) for _ in range(3))
        with closing(stuck), closing(reader), closing(publisher):
            stuck.get(f"{prefix}/subscribe", last)
            reader.get(f"{prefix}/subscribe", last)
            if role == "fanout":
                reader.expect(CHUNK)
            # 60 KB each: more than the kernel holds. The channel keeps the first 60 MB of these.
            for number in range(newest + 1, newest + 2_001):
                text = LARGE if role == "fanout" else LARGE[6:-2]
                publisher.post(f"{prefix}/publish", text)
                reader.expect(as_chunk(events.event(number, text) if prefix else text))
                if prefix and number == newest + 1_000:
                    before = process.memory()
            assert process.memory() - before < MOST_GROWTH


class Scripted(ServerProcess):
    """
    A server that sends the same bytes on every connection.
    """

    def __init__(self, *answers: bytes) -> None:
        self._answers = iter(answers)
        self.sockets: list[socket.socket] = []

    def close(self) -> None:
        for sock in self.sockets:
            sock.close()

    def connect(self) -> socket.socket:
        here, there = socket.socketpair()
        there.sendall(next(self._answers))
        self.sockets += [here, there]
        here.settimeout(5)
        return here

    def lost(self, what: str, error: BaseException | None = None) -> NoReturn:
        raise NotMeasuredError(what) from error

    def cpu(self) -> float:
        return 0.0


@pytest.mark.parametrize(
    "body",
    [
        as_chunk(MESSAGE * 2),
        as_chunk(MESSAGE[:50]) + as_chunk(MESSAGE[50:]) + CHUNK,
        CHUNK * 2 + CHUNK,
        CHUNK + CHUNK.replace(b"xx", b"xy", 1),
    ],
)
def test_messages_that_are_joined_split_doubled_or_changed_are_refused(body: bytes) -> None:
    with (
        closing(Scripted(HEAD + body + LAST_CHUNK)) as process,
        pytest.raises(NotMeasuredError, match="joined, split or changed"),
    ):
        check_response(process, "/twelve", MESSAGE, 2)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (CHUNK, CHUNK * 2, "which was not expected"),
        (CHUNK, CHUNK.replace(b"x", b"y"), "which was not expected"),
        (CHUNK.replace(b"x", b"y"), b"", "a stream starts with"),
    ],
)
def test_a_subscriber_that_receives_something_else_is_noticed(
    first: bytes, second: bytes, why: str
) -> None:
    def subscribe_and_publish(process: Scripted) -> None:
        with closing(Streams(process, "/subscribe", CHUNK)) as streams:
            streams.open(2)
            with closing(Fanout(streams, "/publish", MESSAGE, repeat(CHUNK))) as fanout:
                process.sockets[1].sendall(second)
                fanout.closed(1, 0.0, 0.0)

    process = Scripted(HEAD + first, HEAD + CHUNK, *repeat(PUBLISHED, 8))
    with closing(process), pytest.raises(NotMeasuredError, match=why):
        subscribe_and_publish(process)


def test_a_server_that_ends_is_an_error_with_its_last_line() -> None:
    server = Server(name="no", title="no", module="missing")
    with pytest.raises(NotMeasuredError, match=r"ended with status 1: .*missing"), serving(server):
        pass


def test_two_checkouts_are_compared(tmp_path: Path) -> None:
    done = run("--only", "forms,publish", "--against", str(ROOT), "--out", str(tmp_path))
    head, *rows = done.stdout.splitlines()
    assert "ratio twistream : against" in head
    assert [row.split()[0] for row in rows][:2] == ["long-flush", "short-flush"]
    assert len(rows) == 2 * len(FORMS) + 2
    assert all(float(row.split()[-1]) > 0 for row in rows)


def test_the_stored_report_and_plots_are_those_of_the_stored_results(tmp_path: Path) -> None:
    assert main(["--report", str(STORED / "results.json"), "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in STORED.iterdir()}
    for name in ("results.json", "results.rst", "picture.svg"):
        assert (tmp_path / name).read_text() == (STORED / name).read_text()


def test_the_readme_names_the_figure_that_its_picture_shows() -> None:
    [rate] = re.findall(r"one core makes ([\d,]+) deliveries", (ROOT / "README.rst").read_text())
    assert f">{rate}<" in (STORED / "picture.svg").read_text()


def test_results_of_several_rounds_are_medians_and_ratios_within_rounds(tmp_path: Path) -> None:
    results = Results()
    results.servers = {"twistream": {}, "go": {}}
    for number, (ours, theirs) in enumerate([(30.0, 10.0), (40.0, 20.0), (10.0, 20.0)]):
        results.put(number, "many", "twistream", {"messages_per_s": ours})
        results.put(number, "many", "go", {"messages_per_s": theirs})
    assert results.spread("many", "twistream", "messages_per_s") == (30.0, 10.0, 40.0)
    assert str(results.ratio("many", "messages_per_s", "twistream", "go")) == "2.00 (0.50 to 3.00)"
    assert percentile([1.0, 2.0, 3.0, 4.0], 0.5) == 2.0
    results.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json").figures == ["many"]


def test_a_report_says_why_a_figure_is_missing(tmp_path: Path) -> None:
    results = Results()
    results.settings = {"rounds": 1, "duration": 1.0}
    results.servers = {"go": {"title": "Go", "versions": {}}}
    results.put(1, "memory", "go", "it *failed*")
    results.save(tmp_path / "results.json")
    assert main(["--report", str(tmp_path / "results.json")]) == 0
    assert (
        r"memory, go: no figure in round 1: it \*failed\*" in (tmp_path / "results.rst").read_text()
    )
    assert not list(tmp_path.glob("*.svg"))


def test_help_lists_every_scenario_and_server(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    printed = capsys.readouterr().out
    assert all(f"\n  {name} " in printed for name in (*SCENARIOS, *SERVERS))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--only", "twelve,eleven"], "unknown name 'eleven'; choose from forms, twelve"),
        (["--rounds", "0"], "0 is less than 1"),
        (["--report", "/nowhere.json"], "No such file"),
        (["--against", "/nowhere"], "/nowhere/twistream cannot be copied"),
    ],
)
def test_a_wrong_option_says_what_would_be_right(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(options)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
