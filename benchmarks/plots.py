"""
The plots, as SVG. The same results always give the same files.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from benchmarks.figures import OURS, kind, size_of, text, title
from benchmarks.results import Results
from benchmarks.scenarios import main_size
from benchmarks.servers import SERVERS

_STYLE: Final[Any] = {
    "svg.fonttype": "none",  # text stays text: searchable, in the reader's font
    "svg.hashsalt": "twistream",  # ids are then the same each time
    "font.family": "sans-serif",
    "figure.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.bottom": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
}
_OURS: Final = "#c2410c"
_ON_TWISTED: Final = "#6b7280"
_OTHER: Final = "#b6bbc4"


def draw(results: Results, folder: Path) -> list[tuple[str, str]]:
    """
    Draw every plot that has figures, and remove the others.

    Returns:
        Name and description of each file.
    """
    sizes = sorted({size for name in results.figures if (size := size_of(name)) is not None})
    size = main_size(sizes)
    to = f"to {size:,} subscribers"
    plots = {
        "fanout": (f"Deliveries a second {to}", [f"fanout-{size}-one", f"fanout-{size}-eight"]),
        "subscribers": (
            "Deliveries a second by the number of subscribers",
            [f"fanout-{size}-eight" for size in sizes],
        ),
        "latency": (f"Latency of a delivery {to}", [f"fanout-{size}-paced"]),
        "responses": ("Responses and messages a second", ["twelve", "many"]),
        "channel": (
            f"Deliveries a second {to} of a channel, and CPU time of a replay",
            [f"fanout-{size}-channel", "replay"],
        ),
        "memory": ("Memory of an idle stream", ["memory"]),
    }
    made = []
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        for name, (words, figures) in plots.items():
            path = folder / f"{name}.svg"
            path.unlink(missing_ok=True)
            if figure := _bars(results, figures):
                figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
                made.append((path.name, words))
    return made


def _bars(results: Results, names: Sequence[str]) -> Figure | None:
    """
    A panel for each figure, with the best server on top.
    """
    medians = {name: _medians(results, name) for name in names}
    panels = [name for name in names if medians[name]]
    if not panels:
        return None
    rows = max(map(len, medians.values()))
    figure = Figure(figsize=(4.9 * len(panels) + 0.6, 0.34 * rows + 1.25), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _panel(axes, results, name, medians[name])
    return figure


def _medians(results: Results, name: str) -> dict[str, float]:
    return {
        server: spread.median
        for server in results.servers_of(name)
        if (spread := results.spread(name, server, kind(name).main))
    }


def _panel(axes: Any, results: Results, name: str, medians: dict[str, float]) -> None:
    about = kind(name)
    order = sorted(medians, key=lambda server: medians[server], reverse=not about.more_is_better)
    titles = [results.servers[server]["title"].partition(" (")[0] for server in order]
    colours = {OURS: _OURS, "twisted": _ON_TWISTED}
    bars = axes.barh(
        titles,
        [medians[server] for server in order],
        height=0.68,
        color=[colours.get(server, _OTHER) for server in order],
        edgecolor=_ON_TWISTED,
        # The lower bound is not a peer.
        linewidth=[0 if SERVERS[server].robust else 1 for server in order],
        linestyle="--",
    )
    values = [text(about.main, medians[server]) for server in order]
    axes.bar_label(bars, values, padding=4, fontsize=9)
    axes.tick_params(axis="y", length=0)
    for label, server in zip(axes.get_yticklabels(), order, strict=True):
        if server == OURS:
            label.set(fontweight="bold", color=_OURS)
    axes.xaxis.set_major_locator(NullLocator())
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    over, _, short = title(name).rpartition(", ")
    notes = [about.measures[about.main], over, "" if about.more_is_better else "less is better"]
    axes.set_title(f"{short[0].upper()}{short[1:]}\n")
    words = ", ".join(filter(None, notes)).replace("Fan-out", "fan-out")
    axes.text(0, 1.02, words, transform=axes.transAxes, fontsize=9)
