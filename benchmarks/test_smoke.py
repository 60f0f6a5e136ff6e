"""
The smoke run: every scenario and every server at a tiny size. Run it with ``make bench-smoke``.
"""

import os
import re
import socket
import subprocess
import sys
import time
from contextlib import closing
from itertools import repeat
from pathlib import Path
from typing import NoReturn

import pytest

from benchmarks import longread, reading, selecting
from benchmarks.__main__ import main
from benchmarks.client import Client, check_response, fill_channel, request
from benchmarks.fanout import Fanout
from benchmarks.machine import NotMeasuredError
from benchmarks.message import CHUNK, LAST_CHUNK, MESSAGE, TRADES, Events, as_chunk
from benchmarks.processes import ServerProcess, serving
from benchmarks.report import as_rst
from benchmarks.results import NONE, Results
from benchmarks.run import disturbances
from benchmarks.scenarios import KINDS
from benchmarks.selecting import WAYS
from benchmarks.servers import FORMS, ROOT, SERVERS, TICK, Server

STORED = ROOT / "docs" / "benchmarks"
FIGURES = {
    "fanout": {f"fanout-{size}-{mode}" for size in (10, 40) for mode in ("one", "eight", "paced")},
    "channel": {"channel-40"},
    "publish": {"publish-text", "publish-json"},
    "topics": {f"{way}-{size}" for size in (10, 40) for way in WAYS},
    "forms": {
        *(f"forms-short-{form}" for form in FORMS),
        *(f"forms-{kind}-generator" for kind in KINDS if kind != "short"),
    },
}
ROBUST = [
    (name, scenario)
    for name, server in SERVERS.items()
    for scenario in sorted({"fanout", "channel"} & server.scenarios)
    if name != "bare_send"
]
EVENTS = Events("e")
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
    except OSError as err:
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
    expected: set[str] = set().union(*(FIGURES.get(name, {name}) for name in server.scenarios))
    if not server.backpressure:
        expected = {figure for figure in expected if not re.search("lagging|crowded", figure)}
    assert {cell["figure"] for cell in results.figures} == expected
    assert results.errors == []


def test_the_tables_of_compression_have_every_coding() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.compression", "--quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for coding in ("identity", "gzip", "zstd", "br", "deflate"):
        assert done.stdout.count(f'"{coding}", "') == 2, done.stdout


@pytest.mark.parametrize(("name", "scenario"), ROBUST)
def test_a_subscriber_that_does_not_read_is_harmless(name: str, scenario: str) -> None:
    server = ready(SERVERS[name])
    with serving(server) as process:
        prefix, newest, last, before = "", 0, None, process.memory()
        if scenario == "channel":
            prefix, (events, newest) = "/channel", fill_channel(process)
            last = events.id_of(newest)
        stuck, reader, publisher = (Client(process) for _ in range(3))
        with closing(stuck), closing(reader), closing(publisher):
            stuck.get(f"{prefix}/subscribe", last)
            reader.get(f"{prefix}/subscribe", last)
            if scenario == "fanout":
                reader.expect(CHUNK)
            # 60 KB each: more than the kernel holds. The channel keeps the first 60 MB of these.
            for number in range(newest + 1, newest + 2_001):
                text = LARGE if scenario == "fanout" else LARGE[6:-2]
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

    def connect(self, *, lagging: bool = False) -> socket.socket:  # noqa: ARG002 - the same bytes
        here, there = socket.socketpair()
        there.sendall(next(self._answers))
        self.sockets += [here, there]
        here.settimeout(5)
        return here

    def lost(self, error: BaseException | None = None) -> NoReturn:
        raise NotMeasuredError from error

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
    process = Scripted(HEAD + body + LAST_CHUNK)
    with closing(process), pytest.raises(NotMeasuredError, match="joined, split or changed"):
        check_response(process, "/twelve", MESSAGE, 2)


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        (CHUNK, CHUNK * 2, "which was not expected"),
        (CHUNK, CHUNK.replace(b"x", b"y"), "which was not expected"),
        (CHUNK * 2, CHUNK, "which was not expected"),
        (CHUNK.replace(b"x", b"y"), b"", "joined, split or changed"),
    ],
)
def test_a_subscriber_that_receives_something_else_is_noticed(
    first: bytes, second: bytes, why: str
) -> None:
    def fan_out(process: Scripted) -> None:
        paths = request("/subscribe"), CHUNK, request("/publish", MESSAGE)
        with closing(Fanout(process, *paths, repeat(CHUNK))) as fanout:
            fanout.open(1)
            process.sockets[-1].sendall(second)
            fanout.closed(1, 0.0, 0.0)

    process = Scripted(*repeat(PUBLISHED, 8), HEAD + first)
    with closing(process), pytest.raises(NotMeasuredError, match=why):
        fan_out(process)


@pytest.mark.parametrize(
    ("received", "why"),
    [
        (EVENTS.event(2), "joined, split or changed"),
        (EVENTS.event(1) * 2, "joined, split or changed"),
        (EVENTS.event(1, b"y" * 100), "joined, split or changed"),
    ],
)
def test_a_subscriber_of_a_topic_with_another_message_is_noticed(received: bytes, why: str) -> None:
    start, answer = HEAD + as_chunk(b"id: e-0\n\n"), HEAD + CHUNK + LAST_CHUNK
    process = Scripted(start + as_chunk(received), answer)
    with closing(process), pytest.raises(NotMeasuredError, match=why):
        selecting.measure(process, "topics", 1, [0.0])


def test_a_subscriber_of_a_topic_with_one_message_too_many_is_noticed() -> None:
    start, answer = HEAD + as_chunk(b"id: e-0\n\n"), HEAD + CHUNK + LAST_CHUNK
    process = Scripted(start + as_chunk(EVENTS.event(1)) * 2, answer)
    with closing(process), pytest.raises(NotMeasuredError, match="nothing was expected"):
        selecting.measure(process, "topics", 1, [0.0])


@pytest.mark.parametrize("lagging", [False, True])
def test_a_long_response_that_changes_later_is_refused(*, lagging: bool) -> None:
    process = Scripted(HEAD + CHUNK * 5 + CHUNK.replace(b"x", b"y", 1))
    with closing(process), pytest.raises(NotMeasuredError, match="joined, split or changed"):
        longread.measure(process, "/flush", MESSAGE, [1.0], lagging=lagging, crowded=False)


def test_a_long_response_that_stops_is_not_measured() -> None:
    process = Scripted(HEAD + CHUNK)
    with closing(process), pytest.raises(NotMeasuredError, match="nothing arrived"):
        longread.measure(process, "/flush", MESSAGE, [0.01], lagging=False, crowded=False)


def test_a_lagging_client_does_not_read_from_a_busy_server(monkeypatch: pytest.MonkeyPatch) -> None:
    process = Scripted(HEAD + CHUNK * 5)
    monkeypatch.setattr(process, "cpu", time.perf_counter)
    monkeypatch.setattr(longread, "TIMEOUT", 0.05)
    with closing(process), pytest.raises(NotMeasuredError, match="was not idle"):
        longread.measure(process, "/flush", MESSAGE, [1.0], lagging=True, crowded=False)


@pytest.mark.parametrize("crowded", [False, True])
def test_only_a_crowded_response_counts_messages_of_others(*, crowded: bool) -> None:
    seconds = [2 * TICK]
    with serving(SERVERS["twistream"]) as process:
        values = longread.measure(
            process, "/flush", MESSAGE, seconds, lagging=False, crowded=crowded
        )
    assert (longread.IN_TIME in values) == crowded


@pytest.mark.parametrize("number", [0, 3])
def test_messages_of_other_streams_are_counted(number: int) -> None:
    process = Scripted(HEAD + CHUNK + CHUNK * number)
    with closing(process), closing(Client(process)) as other:
        other.get("/ticks")
        other.expect(CHUNK)
        assert longread.arrived(other) == number


def test_a_server_that_ends_is_an_error_with_its_last_line() -> None:
    server = Server(name="no", title="no", module="missing")
    with pytest.raises(NotMeasuredError, match=r"ended with status 1: .*missing"), serving(server):
        pass


def test_two_checkouts_are_compared(tmp_path: Path) -> None:
    checkout = tmp_path / "checkout"
    (checkout / "benchmarks").mkdir(parents=True)
    (checkout / "benchmarks" / "__init__.py").write_text("raise ImportError('not these')")
    (checkout / "twistream").symlink_to(ROOT / "twistream")
    options = ("--only", "forms", "publish", "--rounds", "2", "--out", str(tmp_path))
    done = run("--against", str(checkout), *options)
    head, *rows = done.stdout.splitlines()
    assert "ratio twistream : against" in head
    assert {row.split()[0] for row in rows} == FIGURES["forms"] | FIGURES["publish"]
    assert all(re.search(r" [\d.]+ \([\d.]+ to [\d.]+\)$", row) for row in rows)


def test_the_stored_report_and_plots_are_those_of_the_stored_results(tmp_path: Path) -> None:
    assert main(["--report", str(STORED / "results.json"), "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in STORED.iterdir()}
    for path in tmp_path.iterdir():
        assert path.read_text() == (STORED / path.name).read_text()


def test_the_readme_names_the_figure_that_its_picture_shows() -> None:
    [rate] = re.findall(r"one core makes ([\d,]+) deliveries", (ROOT / "README.rst").read_text())
    assert f">{rate}<" in (STORED / "picture.svg").read_text()


def test_results_of_several_rounds_are_medians_and_ratios_within_rounds() -> None:
    results = Results(servers={"twistream": {}, "go": {}})
    for number, (ours, theirs) in enumerate([(30.0, 10.0), (40.0, 20.0), (10.0, 20.0)]):
        results.put(number, "many", "twistream", {"messages/s": ours})
        results.put(number, "many", "go", {"messages/s": theirs})
    assert results.medians("many", "messages/s") == {"twistream": 30.0, "go": 20.0}
    assert results.ratio("many", "messages/s", "twistream", "go") == "2.00 (0.50 to 3.00)"


def test_a_ratio_of_a_single_round_is_not_shown() -> None:
    results = Results(servers={"twistream": {}, "go": {}})
    results.put(1, "many", "twistream", {"messages/s": 30.0})
    results.put(1, "many", "go", {"messages/s": 10.0})
    assert results.ratio("many", "messages/s", "twistream", "go") == NONE


def test_a_client_without_its_core_is_a_caution() -> None:
    results = Results()
    for number, share in enumerate([99.0, 60.0]):
        for figure in ("forms-long-flush", "forms-lagging-flush"):
            results.put(number, figure, "go", {"client CPU, %": share})
    [caution] = disturbances(results)
    assert "in 1 of 2 measurements" in caution


def test_the_table_of_forms_has_each_cost_with_its_rate_and_ratio() -> None:
    results = Results(settings={"rounds": 2, "duration": 1.0})
    results.servers = {name: {"title": name, "versions": {}} for name in ("twistream", "uvicorn")}
    for number, cost in enumerate([4.0, 6.0]):
        for name, factor in (("twistream", 1), ("uvicorn", 3)):
            cpu = cost * factor + (number if name == "uvicorn" else 0)
            values = {"CPU, microseconds": cpu, "messages/s": 2_000 / factor}
            results.put(number, "forms-lagging-flush", name, values)
    [head, row] = re.findall(r'.*"form".*|.*"``await flush.*', as_rst(results, ()))
    assert head == '   :header: "form", "twistream", "uvicorn", "ratio"'
    expected = '"``await flush()``", "5.00 (2,000/s)", "15.5 (667/s)", "3.08 (3.00 to 3.17)"'
    assert row == f"   {expected}"


def test_a_checkout_without_the_package_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--against", "/nowhere"])
    assert "/nowhere has no package twistream" in capsys.readouterr().err


@pytest.mark.parametrize("form", reading.CLIENTS)
def test_every_client_reads_every_message(form: str) -> None:
    # A client that reads another number of messages fails.
    figures = reading.measure(form, 1000, 1)
    assert set(figures) == set(reading.CLIENTS[form])
    assert all(seconds > 0 for [(seconds, _)] in figures.values())


STREAMS = [
    (name, path)
    for name, server in SERVERS.items()
    for path, scenario in (("many", "many"), ("gzip", "gzip"))
    if scenario in server.scenarios
]


@pytest.mark.parametrize(("name", "path"), STREAMS)
def test_the_console_client_reads_the_events_of_every_server(name: str, path: str) -> None:
    with serving(ready(SERVERS[name])) as process:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-m", "twistream", f"http://127.0.0.1:{process.port}/{path}?n=1500"],
            cwd=ROOT,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    if path == "gzip":
        expected = [data.partition(b"data: ")[2].strip() for data in TRADES]
        assert done.stdout.splitlines() == [b"trade: " + expected[n % 1000] for n in range(1500)]
    else:
        assert done.stdout.splitlines() == [MESSAGE[6:].strip()] * 1500
