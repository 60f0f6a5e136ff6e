"""
The report and the plots, of results that are made up.
"""

from pathlib import Path

import docutils.core
import pytest

from benchmarks.report import as_rst, warnings
from benchmarks.results import Results
from benchmarks.scenarios import FLOOR
from benchmarks.servers import SERVERS
from benchmarks.spread import Spread
from benchmarks.targets import PYTHON_PEERS, TARGETS
from tests.benchmarks.made_up import made_up

NONE = "\N{EN DASH}"
SHARES = {"client_cpu": 0.5, "server_cpu": 0.98}


def rows(report: str, head: str) -> list[list[str]]:
    """
    The rows of the table under a head, without its own head.
    """
    table = report.partition(f"\n{head}\n")[2].partition(":header-rows: 1")[2]
    lines = table.partition("\n\n")[2].partition("\n\n")[0].splitlines()
    found: list[list[str]] = []
    for line in lines:
        if line.startswith("   * - "):
            found.append([])
        found[-1].append(line[7:])
    return found[1:]


def test_the_report_is_valid_whatever_the_names_and_reasons_are() -> None:
    results = made_up()
    results.put_error(1, "twelve", "go", "`broken` *and\nbare_ |x| \\")
    results.left_out["granian"] = "no_such_ thing_"
    docutils.core.publish_string(
        as_rst(results, [("memory.svg", "Memory")]),
        writer="html5",
        settings_overrides={"halt_level": 2, "report_level": 2},
    )


def test_a_table_has_the_median_and_the_ratio_within_rounds() -> None:
    table = rows(as_rst(made_up(), []), "One long response")
    assert table[0][:3] == ["**twistream**", "**1,500,000**", NONE]
    assert table[1][:3] == ["twisted.web", "290,000", "5.17 (5.17 to 5.17)"]


def test_a_figure_that_failed_is_its_reason() -> None:
    results = made_up(rounds=1)
    results.servers["new"] = {"title": "new", "versions": {}}
    results.put_error(1, "memory", "new", "it fell over")
    report = as_rst(results, [])
    assert rows(report, "Memory of an idle stream")[-1] == ["new", "none: it fell over", NONE]
    assert "memory, new: no figure in round 1: it fell over" in report


def test_a_figure_of_some_rounds_says_of_how_many() -> None:
    results = made_up()
    results.servers["new"] = {"title": "new", "versions": {}}
    results.put(1, "memory", "new", {"kb_per_stream": 5.0})
    table = rows(as_rst(results, []), "Memory of an idle stream")
    assert table[-1][:2] == ["new", "5.00 (1 of 3 rounds)"]


def test_all_targets_are_told_of_and_those_that_are_reached() -> None:
    table = rows(as_rst(made_up(), []), "Targets")
    assert [row[0] for row in table] == [target.words for target in TARGETS]
    assert {row[0]: row[3] for row in table if row[3] != "yes"} == {}
    by_words = {row[0]: row for row in table}
    assert by_words["memory of a stream: at most 3 KB above plain twisted.web"][2].startswith(
        "1.80 (1.78 to 1.82) KB"
    )
    assert by_words["fan-out to 10,000, eight in flight: 0.85 of the rate at 1,000"][2] == (
        "0.90 (0.90 to 0.90)"
    )


def test_a_target_may_be_a_value_of_twistream_alone() -> None:
    by_words = {row[0]: row for row in rows(as_rst(made_up(), []), "Targets")}
    row = by_words["replay of 1,000 events: below 10 ms of CPU"]
    assert row[1:] == ["< 10 ms", "2.50 (2.48 to 2.52) ms", "yes"]
    results = made_up(rounds=1)
    results.put(1, "replay", "twistream", {"cpu_ms_per_replay": 10.5})
    by_words = {row[0]: row for row in rows(as_rst(results, []), "Targets")}
    row = by_words["replay of 1,000 events: below 10 ms of CPU"]
    assert row[2:] == ["10.50 ms", "**no**"]


def test_a_target_is_against_the_best_of_each_round() -> None:
    results = Results()
    results.settings = {"rounds": 2, "duration": 1.0}
    for server in ("twistream", "aiohttp", "tornado"):
        results.servers[server] = {"title": server, "versions": {}}
    for number, rates in enumerate([(30.0, 10.0, 5.0), (40.0, 4.0, 20.0)], 1):
        for server, rate in zip(results.servers, rates, strict=True):
            results.put(number, "twelve", server, {"requests_per_s": rate})
    target = next(each for each in TARGETS if each.figure == "twelve" and "Python" in each.words)
    assert target.outcome(results) == Spread(2.5, 2.0, 3.0, 2)
    absent = ["starlette", "sse_starlette", "granian", "starlette_granian"]
    assert target.without(results) == absent
    (row,) = (row for row in rows(as_rst(results, []), "Targets") if row[0] == target.words)
    assert row[3] == f"yes, without {', '.join(absent)}"


def test_no_target_is_about_a_server_that_a_stuck_client_holds_up() -> None:
    peers = {peer for target in TARGETS for peer in target.peers}
    assert {peer for peer in peers if not SERVERS[peer].isolates} == {FLOOR}
    assert set(PYTHON_PEERS) <= peers


def test_a_target_that_is_missed_or_was_not_measured_says_so() -> None:
    results = made_up(rounds=1)
    results.put(2, "turns", "twistream", {"cpu_us_per_message": 80.0})
    results.put(2, "turns", "twisted", {"cpu_us_per_message": 24.0})
    table = {row[0]: row[3] for row in rows(as_rst(results, []), "Targets")}
    assert table["a message in each turn: less CPU than plain twisted.web"] == "**no**"
    empty = Results()
    empty.settings = results.settings
    assert {row[3] for row in rows(as_rst(empty, []), "Targets")} == {"not measured"}


@pytest.mark.parametrize(("client", "server", "warned"), [(0.95, 0.5, True), (0.95, 0.97, False)])
def test_a_client_without_time_to_spare_is_warned_of(
    client: float, server: float, warned: bool
) -> None:
    results = made_up(rounds=1)
    shares = {"client_cpu": client, "server_cpu": server}
    results.put(1, "many", "new", {"messages_per_s": 1.0} | shares)
    results.servers["new"] = {"title": "new", "versions": {}}
    assert any(text.startswith("many, new: the client used") for text in warnings(results)) == (
        warned
    )


def test_noise_above_the_difference_is_warned_of() -> None:
    results = made_up()
    results.servers["new"] = {"title": "new", "versions": {}}
    for number, rate in ((1, 1_400_000.0), (2, 1_500_000.0), (3, 1_600_000.0)):
        results.put(number, "many", "new", {"messages_per_s": rate} | SHARES)
    assert any(text.startswith("many, new: the noise is larger") for text in warnings(results))
    assert not any(text.startswith("many, go: the noise") for text in warnings(results))


def test_other_programs_that_took_the_cores_are_warned_of() -> None:
    results = made_up(rounds=1)
    assert not any("Other programs" in text for text in warnings(results))
    results.put(2, "many", "go", {"messages_per_s": 1.0, "others_cpu": 0.1})
    results.put(3, "many", "go", {"messages_per_s": 1.0, "others_cpu": 0.6})
    results.put(4, "many", "go", {"messages_per_s": 1.0, "others_cpu": 0.4})
    (found,) = (text for text in warnings(results) if "Other programs" in text)
    assert "during 2 of 3 measurements; most of it 60%, during many of go in round 3" in found


def test_a_server_that_does_not_keep_up_is_warned_of() -> None:
    results = made_up(rounds=1)
    results.servers["new"] = {"title": "new", "versions": {}}
    values = {"p50_ms": 1.0, "p99_ms": 2.0, "behind_s": 1.5} | SHARES
    results.put(1, "fanout-10000-paced", "new", values)
    assert any("did not keep up, and was 1.50 s behind" in text for text in warnings(results))


def test_what_was_left_out_and_a_run_that_was_cut_off_are_warned_of() -> None:
    results = made_up()
    results.left_out["go"] = "no compiler"
    results.finished = False
    found = warnings(results)
    assert "go was left out: no compiler" in found
    assert "The run was not finished: figures are missing." in found


def test_plots_are_the_same_for_the_same_results(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.plots import draw

    names = draw(made_up(), tmp_path / "a")
    assert draw(made_up(), tmp_path / "b") == names
    assert len(names) == 6
    for name, _ in names:
        first = (tmp_path / "a" / name).read_text()
        assert first == (tmp_path / "b" / name).read_text()
        assert "<text" in first
        assert "<dc:date>" not in first


def test_what_there_are_no_figures_for_is_not_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from benchmarks.plots import draw

    draw(made_up(), tmp_path)
    results = Results()
    results.servers = made_up().servers
    results.put(1, "memory", "twistream", {"kb_per_stream": 5.0})
    assert [name for name, _ in draw(results, tmp_path)] == ["memory.svg"]
    assert [path.name for path in tmp_path.iterdir()] == ["memory.svg"]


def test_the_report_of_the_file_is_that_of_the_run(tmp_path: Path) -> None:
    results = made_up(rounds=1)
    results.put(1, "many", "tornado", {"messages_per_s": 92_707.49996})
    results.save(tmp_path / "results.json")
    assert as_rst(Results.load(tmp_path / "results.json"), []) == as_rst(results, [])
