"""
The plots, as SVG. The same results always give the same files.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.figures import OURS, kind, size_of, text, title
from benchmarks.results import Results
from benchmarks.scenarios import main_size
from benchmarks.servers import SERVERS

_STYLE: Final[Any] = {
    "svg.fonttype": "none",  # text stays text: searchable, in the reader's font
    "svg.hashsalt": "twistream",  # ids are then the same each time
    "font.family": "sans-serif",
    "font.size": 10,
    "figure.facecolor": "white",
    "axes.facecolor": "white",
    "savefig.facecolor": "white",
    "axes.edgecolor": "#8a8f98",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": "#4b5059",
    "text.color": "#23262b",
    "xtick.color": "#4b5059",
    "ytick.color": "#23262b",
    "grid.color": "#e3e5e9",
}
_OURS: Final = "#c2410c"
_ON_TWISTED: Final = "#6b7280"
_OTHER: Final = "#b6bbc4"

_MARKERS: Final = "osD^vP*X<>"


def draw(results: Results, folder: Path) -> list[tuple[str, str]]:
    """
    Draw every plot that has figures, and remove the others.

    Returns:
        Name and description of each file.
    """
    size = main_size({size for name in results.figures if (size := size_of(name)) is not None})
    to = f"to {size:,} subscribers"
    plots = {
        "fanout": (f"Deliveries a second {to}", [f"fanout-{size}-one", f"fanout-{size}-eight"]),
        "subscribers": ("Deliveries a second by the number of subscribers", []),
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
            figure = _bars(results, figures) if figures else _by_size(results)
            if figure is None:
                path.unlink(missing_ok=True)
                continue
            figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
            made.append((path.name, words))
    return made


def _medians(results: Results, figure: str, measure: str) -> dict[str, float]:
    """
    The medians by server, where there are any.
    """
    return {
        server: spread.median
        for server in results.servers_of(figure)
        if (spread := results.spread(figure, server, measure)) is not None
    }


def _colour(server: str) -> str:
    return {OURS: _OURS, "bare_send": _ON_TWISTED, "twisted": _ON_TWISTED}.get(server, _OTHER)


def _line(server: str) -> str:
    # Dashed for the lower bound, which is not a peer.
    return "-" if SERVERS[server].robust else "--"


def _short(results: Results, server: str) -> str:
    name: str = results.servers[server]["title"]
    return name.partition(" (")[0]


def _bars(results: Results, names: Sequence[str]) -> Figure | None:
    """
    A panel for each figure, with the best server on top.
    """
    medians = {name: _medians(results, name, kind(name).main) for name in names}
    panels = [name for name in names if medians[name]]
    if not panels:
        return None
    rows = max(map(len, medians.values()))
    figure = Figure(figsize=(4.9 * len(panels) + 0.6, 0.34 * rows + 1.25), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
        _panel(axes, results, name, medians[name])
    return figure


def _panel(axes: Any, results: Results, name: str, medians: dict[str, float]) -> None:
    about = kind(name)
    order = sorted(medians, key=lambda server: medians[server], reverse=not about.more_is_better)
    for at, server in enumerate(order):
        axes.barh(
            at,
            medians[server],
            height=0.68,
            color=_colour(server) if _line(server) == "-" else "white",
            edgecolor=_colour(server),
            linestyle=_line(server),
            linewidth=1.0,
        )
        axes.annotate(
            text(about.main, medians[server]),
            (medians[server], at),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
            fontweight="bold" if server == OURS else "normal",
        )
    _name_rows(axes, results, order)
    axes.spines["bottom"].set_visible(False)
    axes.xaxis.set_major_locator(NullLocator())
    axes.margins(x=0.18)
    axes.set_xlim(left=0)
    over, _, short = title(name).rpartition(", ")
    axes.set_title(f"{short[0].upper()}{short[1:]}\n")
    notes = [about.measures[about.main], over, "" if about.more_is_better else "less is better"]
    axes.text(
        0,
        1.02,
        ", ".join(filter(None, notes)).replace("Fan-out", "fan-out"),
        transform=axes.transAxes,
        fontsize=9,
        color="#4b5059",
    )


def _name_rows(axes: Any, results: Results, order: Sequence[str]) -> None:
    axes.set_yticks(range(len(order)), [_short(results, server) for server in order])
    axes.tick_params(axis="y", length=0)
    for label, server in zip(axes.get_yticklabels(), order, strict=True):
        if server == OURS:
            label.set_fontweight("bold")
            label.set_color(_OURS)


def _by_size(results: Results) -> Figure | None:
    """
    A line for each server over the numbers of subscribers, a panel for each way to publish.
    """
    sizes = sorted({size for name in results.figures if (size := size_of(name)) is not None})
    if len(sizes) < 2:
        return None
    figure = Figure(figsize=(10.4, 4.2), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    modes = {"one": "One publish at a time", "eight": "Eight publishes in flight"}
    for axes, mode in zip(panels, modes, strict=True):
        rates = {
            size: _medians(results, f"fanout-{size}-{mode}", "deliveries_per_s") for size in sizes
        }
        last = rates[sizes[-1]]
        for server in sorted(last, key=lambda server: -last[server]):
            axes.plot(
                sizes,
                [rates[size].get(server) for size in sizes],
                color=_colour(server),
                linestyle=_line(server),
                linewidth=2.6 if server == OURS else 1.3,
                marker=_MARKERS[list(results.servers).index(server) % len(_MARKERS)],
                label=_short(results, server),
                zorder=3 if server == OURS else 2,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(_thousands))
        axes.grid(visible=True, axis="y")
        axes.set_xlabel("subscribers")
        axes.set_title(modes[mode])
    panels[0].set_ylabel("deliveries/s")
    figure.legend(*panels[1].get_legend_handles_labels(), loc="outside right center", frameon=False)
    return figure


def _thousands(value: float, _at: int) -> str:
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k"
