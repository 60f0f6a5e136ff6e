"""
Every scenario, with little of everything, against real servers.
"""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from benchmarks.results import Results
from benchmarks.servers import ROOT

pytest.importorskip("matplotlib")

FANOUT = [f"fanout-{size}-{mode}" for size in (10, 40) for mode in ("one", "eight", "paced")]
CHANNEL = {"fanout-40-channel"}
ON_TWISTED = {"twelve", "many", *FANOUT, "memory", "ticks", "turns"}
COMPARED = {name for name in FANOUT if name.startswith("fanout-40")}
EXPECTED = {
    "twistream": ON_TWISTED | CHANNEL | {"replay", "publish-text", "publish-json"},
    "twistream_broadcast": CHANNEL,
    "twisted": ON_TWISTED,
    "aiohttp_loop": COMPARED,
    "bare_send": set(FANOUT),
}
PLOTS = [
    "channel.svg",
    "fanout.svg",
    "latency.svg",
    "memory.svg",
    "responses.svg",
    "subscribers.svg",
]


def test_a_quick_run_has_every_figure_and_makes_the_report_and_the_plots(tmp_path: Path) -> None:
    options = ["--quick", "--out", str(tmp_path), "--servers", ",".join(EXPECTED)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks", *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    results = Results.load(tmp_path / "results.json")
    assert results.finished
    assert not results.errors()
    assert list(results.servers) == list(EXPECTED)
    for server, figures in EXPECTED.items():
        assert {name for name in results.figures if server in results.servers_of(name)} == figures
    for name in results.figures:
        for server in results.servers_of(name):
            assert f"1/1 {name}" in done.stderr
            if name.endswith(("one", "eight", "channel")):
                (rate,) = results.values(name, server, "deliveries_per_s").values()
                assert rate > 0
            if name.endswith("paced"):
                (low,) = results.values(name, server, "p50_ms").values()
                (high,) = results.values(name, server, "p99_ms").values()
                assert 0 < low <= high
    assert sorted(path.name for path in tmp_path.glob("*.svg")) == PLOTS
    for name in PLOTS:
        ET.parse(tmp_path / name)  # noqa: S314 - of our own making
    report = (tmp_path / "results.rst").read_text()
    for name in PLOTS:
        assert f".. image:: {name}" in report
