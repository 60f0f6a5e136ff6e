"""
``python -m benchmarks``: options that are wrong, results that are read again.
"""

from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.results import Results
from benchmarks.scenarios import SCENARIOS
from benchmarks.servers import SERVERS
from tests.benchmarks.made_up import made_up


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--only", "twelve,eleven"], f"'eleven'; choose from {', '.join(SCENARIOS)}"),
        (["--servers", "nginx"], f"'nginx'; choose from {', '.join(SERVERS)}"),
        (["--rounds", "0"], "0 is less than 1"),
        (["--rounds", "few"], "invalid"),
        (["--sizes", "10,-1"], "-1 is less than 1"),
        (["--duration", "0"], "not between"),
        (["--report", "/nowhere/results.json"], "No such file"),
    ],
)
def test_a_wrong_option_says_what_would_be_right(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


def test_help_tells_of_every_scenario_and_server(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    told = capsys.readouterr().out
    for name in (*SCENARIOS, *SERVERS):
        assert f"\n  {name} " in told
    assert "35 minutes" in told


def test_results_are_the_same_when_they_are_read_again(tmp_path: Path) -> None:
    path = tmp_path / "new" / "results.json"
    results = made_up()
    results.put_error(1, "many", "go", "why\nnot")
    results.save(path)
    again = Results.load(path)
    again.save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text() == path.read_text()
    assert again.errors() == results.errors()
    assert again.figures == results.figures


def test_a_report_is_made_again_of_results(tmp_path: Path) -> None:
    made_up().save(tmp_path / "results.json")
    assert main(["--report", str(tmp_path / "results.json")]) == 0
    first = (tmp_path / "results.rst").read_text()
    other = tmp_path / "other"
    assert main(["--report", str(tmp_path / "results.json"), "--out", str(other)]) == 0
    assert (other / "results.rst").read_text() == first


@pytest.mark.parametrize("text", ["{}", "[]", "nonsense", '{"format": 99}'])
def test_another_file_is_not_taken_for_results(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(SystemExit) as ended:
        main(["--report", str(tmp_path / "x.json")])
    assert ended.value.code == 2
    assert "x.json: " in capsys.readouterr().err


def test_a_server_that_was_asked_for_and_cannot_run_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    status = main(["--quick", "--only", "twelve", "--servers", "go", "--out", str(tmp_path)])
    assert status == 1
    assert "compiler" in Results.load(tmp_path / "results.json").left_out["go"]
