"""
Servers that do not do what they should, and what becomes of their figures.
"""

import sys
from pathlib import Path

import pytest
from attrs import frozen

from benchmarks.__main__ import main
from benchmarks.checks import check_response, check_subscribers
from benchmarks.client import Connections, Limit
from benchmarks.errors import NotMeasuredError
from benchmarks.fanout import Fanout, Streams
from benchmarks.processes import Cores, ServerProcess
from benchmarks.results import Results
from benchmarks.scenarios import SCENARIOS, Settings, loads, main_size
from benchmarks.servers import SERVERS, Server

NOWHERE = Cores(None, None)


@frozen(kw_only=True)
class WrongServer(Server):
    """
    See `tests.benchmarks.wrong_server`.
    """

    def argv(self, port: int) -> list[str]:
        return [sys.executable, "-m", "tests.benchmarks.wrong_server", str(port), self.module]


def wrong(how: str) -> WrongServer:
    return WrongServer(name=how, title=f"one that {how}", module=how)


@pytest.mark.parametrize("how", ["joins", "splits"])
def test_a_server_that_joins_or_splits_messages_is_refused(how: str) -> None:
    with (
        ServerProcess(wrong(how), NOWHERE) as process,
        pytest.raises(NotMeasuredError, match=r"joined, split or changed: b'.*' at byte 0"),
    ):
        check_response(process, "/twelve", 12)


def test_a_server_that_keeps_to_the_rules_is_not_refused() -> None:
    with ServerProcess(wrong("nothing"), NOWHERE) as process:
        assert check_response(process, "/twelve", 12) > 0
        check_subscribers(process)


def test_what_does_not_come_in_time_is_an_error() -> None:
    with (
        ServerProcess(wrong("stalls"), NOWHERE) as process,
        Connections(process, "/twelve", 1, 1_000) as connections,
        pytest.raises(NotMeasuredError, match=r"not done within 0.3 s"),
    ):
        connections.measure(0.1, Limit(0.3, process))


def test_a_response_of_another_length_is_an_error() -> None:
    with (
        ServerProcess(wrong("nothing"), NOWHERE) as process,
        Connections(process, "/twelve", 1, 1_000) as connections,
        pytest.raises(NotMeasuredError, match="where 1000 were expected"),
    ):
        connections.measure(0.1, Limit(5, process))


def test_a_subscriber_that_gets_too_much_is_an_error() -> None:
    with (
        ServerProcess(wrong("twice"), NOWHERE) as process,
        Streams(process, "/subscribe") as streams,
    ):
        limit = Limit(5, process)
        streams.open(3, limit)
        with (
            Fanout(process, streams) as fanout,
            pytest.raises(NotMeasuredError, match=r"more than was published|subscribers do not"),
        ):
            fanout.closed(1, 0.0, 0.1, limit)


def test_a_server_that_does_not_start_is_an_error_with_its_last_words() -> None:
    server = Server(name="no", title="no", module="there_is_none")
    with (
        pytest.raises(NotMeasuredError, match=r"ended with status 1: .*there_is_none"),
        ServerProcess(server, NOWHERE),
    ):
        pass


def test_a_server_that_dies_has_an_error_in_its_cell_and_the_run_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    servers = {server.name: server for server in (wrong("dies"), SERVERS["twisted"])}
    arguments = ["--quick", "--only", "twelve", "--out", str(tmp_path)]
    assert main(arguments, servers) == 1
    results = Results.load(tmp_path / "results.json")
    assert results.errors() == [
        (1, "twelve", "dies", "the server ended with status 3: out of luck")
    ]
    assert results.values("twelve", "twisted", "requests_per_s").keys() == {1}
    assert results.finished
    report = (tmp_path / "results.rst").read_text()
    assert "none: the server ended with status 3: out of luck" in report
    assert "error: the server ended with status 3" in capsys.readouterr().err


@pytest.mark.parametrize("in_flight", [1, 8])
def test_each_delivery_within_the_window_is_counted_and_timed_once(in_flight: int) -> None:
    with (
        ServerProcess(wrong("nothing"), NOWHERE) as process,
        Streams(process, "/subscribe") as streams,
    ):
        limit = Limit(10, process)
        streams.open(5, limit)
        with Fanout(process, streams) as fanout:
            closed = fanout.closed(in_flight, 0.0, 0.1, limit)
            paced = fanout.paced(100.0, 7, limit)
    assert closed.messages > 0
    # Of the messages on their way at either end of the window a part is in it.
    assert abs(len(closed.latencies) - 5 * closed.messages) <= 2 * 5 * in_flight
    assert closed.use.seconds >= 0.1
    assert (paced.messages, len(paced.latencies)) == (7, 35)
    # The last of seven is due after six hundredths of a second.
    assert paced.use.seconds >= 0.06
    assert min(closed.latencies) > 0


def test_a_server_for_comparison_has_the_main_fan_out_and_nothing_else() -> None:
    figures = [
        name
        for load in loads(Settings(sizes=(100, 1_000)), SCENARIOS)
        for name in load.figures_of(SERVERS["granian_loop"])
    ]
    assert figures == ["fanout-1000-one", "fanout-1000-eight", "fanout-1000-paced"]
    floor = [
        name
        for load in loads(Settings(sizes=(100, 1_000)), SCENARIOS)
        for name in load.figures_of(SERVERS["bare_send"])
    ]
    assert floor == [f"fanout-100-{mode}" for mode in ("one", "eight", "paced")] + figures


@pytest.mark.parametrize(
    ("sizes", "size"), [((100, 1_000, 10_000), 1_000), ((40, 10), 40), ((5,), 5), ((), 1_000)]
)
def test_one_number_of_subscribers_stands_for_all(sizes: tuple[int, ...], size: int) -> None:
    assert main_size(sizes) == size
