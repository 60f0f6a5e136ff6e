"""
The plots, as SVG, made of the results alone. The same results give the same files.
"""

from collections.abc import Callable, Sequence
from math import log
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from benchmarks.measures import kind, size_of, title
from benchmarks.results import Results
from benchmarks.scenarios import FLOOR, main_size
from benchmarks.servers import SERVERS
from benchmarks.spread import Spread
from benchmarks.targets import OURS

_STYLE: Final[Any] = {
    "svg.fonttype": "none",  # Text stays text: to be searched, and in the reader's font.
    "svg.hashsalt": "twistream",  # Else the ids are new each time.
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
_FLOOR: Final = "#6b7280"
_NOT_ROBUST: Final = {name for name, server in SERVERS.items() if not server.isolates}
"""
What is drawn in dashes, because its figures are no promise.
"""


def draw(results: Results, folder: Path) -> list[tuple[str, str]]:
    """
    Draw what there are figures for.

    Returns:
        Name and description of each file, in the order in which they are told of.
    """
    made = []
    size = _size(results)
    both = [f"fanout-{size}-one", f"fanout-{size}-eight"]
    plots: list[tuple[str, str, Callable[[], Figure | None]]] = [
        (
            "fanout.svg",
            f"Deliveries a second to {size:,} subscribers",
            lambda: _bars(results, both),
        ),
        (
            "subscribers.svg",
            "Deliveries a second by the number of subscribers",
            lambda: _by_size(results, ("one", "eight")),
        ),
        (
            "latency.svg",
            f"Latency of a delivery to {size:,} subscribers",
            lambda: _latency(results, f"fanout-{size}-paced"),
        ),
        (
            "responses.svg",
            "Responses and messages a second",
            lambda: _bars(results, ["twelve", "many"]),
        ),
        (
            "channel.svg",
            f"Deliveries a second to {size:,} subscribers of a channel, and CPU time of a replay",
            lambda: _bars(results, [f"fanout-{size}-channel", "replay"]),
        ),
        ("memory.svg", "Memory of an idle stream", lambda: _bars(results, ["memory"])),
    ]
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context(_STYLE):
        for name, words, plot in plots:
            figure = plot()
            if figure is None:
                # Of an earlier run, which had other figures.
                (folder / name).unlink(missing_ok=True)
                continue
            figure.savefig(folder / name, format="svg", metadata={"Date": None, "Creator": None})
            made.append((name, words))
    return made


def _size(results: Results) -> int:
    return main_size({size for name in results.figures if (size := size_of(name)) is not None})


def _median(results: Results, figure: str, server: str, measure: str) -> float | None:
    spread = Spread.of(results.values(figure, server, measure).values())
    return None if spread is None else spread.median


def _medians(results: Results, figure: str, measure: str) -> dict[str, float]:
    """
    By server, only those that have one.
    """
    found = {}
    for server in results.servers_of(figure):
        value = _median(results, figure, server, measure)
        if value is not None:
            found[server] = value
    return found


def _colour(server: str) -> str:
    colours = {
        OURS: _OURS,
        FLOOR: _FLOOR,
        "twisted": _ON_TWISTED,
        "twistream_broadcast": _ON_TWISTED,
    }
    return colours.get(server, _OTHER)


def _short(results: Results, server: str) -> str:
    """
    The name without what is in parentheses, which is in the tables.
    """
    text: str = results.servers[server]["title"]
    return text.partition(" (")[0]


def _bars(results: Results, names: Sequence[str]) -> Figure | None:
    """
    A panel for each figure, the best server on top.
    """
    panels = [
        (name, medians)
        for name in names
        if (medians := _medians(results, name, kind(name).main.name))
    ]
    if not panels:
        return None
    rows = max(len(medians) for _, medians in panels)
    figure = Figure(figsize=(4.9 * len(panels) + 0.6, 0.34 * rows + 1.25), layout="constrained")
    for axes, (name, medians) in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True
    ):
        about = kind(name)
        order = sorted(
            medians, key=lambda server: medians[server], reverse=not about.more_is_better
        )
        for at, server in enumerate(order):
            outlined = server in _NOT_ROBUST
            axes.barh(
                at,
                medians[server],
                height=0.68,
                color="white" if outlined else _colour(server),
                edgecolor=_colour(server),
                linestyle="--" if outlined else "-",
                linewidth=1.0,
            )
            _write(axes, about.main.text(medians[server]), (medians[server], at), server)
        _name_rows(axes, results, order)
        axes.spines["bottom"].set_visible(False)
        axes.xaxis.set_major_locator(NullLocator())
        axes.margins(x=0.18)
        axes.set_xlim(left=0)
        over, _, short = title(name).rpartition(", ")
        axes.set_title(f"{short[0].upper()}{short[1:]}\n")
        notes = [about.main.title, over, "" if about.more_is_better else "less is better"]
        axes.text(
            0,
            1.02,
            ", ".join(filter(None, notes)).replace("Fan-out", "fan-out"),
            transform=axes.transAxes,
            fontsize=9,
            color="#4b5059",
        )
    return figure


def _write(axes: Any, text: str, place: tuple[float, int], server: str, *, points: int = 4) -> None:
    """
    Write what a server has to the right of it.
    """
    axes.annotate(
        text,
        place,
        xytext=(points, 0),
        textcoords="offset points",
        va="center",
        fontsize=9,
        fontweight="bold" if server == OURS else "normal",
    )


def _name_rows(axes: Any, results: Results, order: Sequence[str]) -> None:
    axes.set_yticks(range(len(order)), [_short(results, server) for server in order])
    axes.tick_params(axis="y", length=0)
    for label, server in zip(axes.get_yticklabels(), order, strict=True):
        if server == OURS:
            label.set_fontweight("bold")
            label.set_color(_OURS)


def _by_size(results: Results, modes: Sequence[str]) -> Figure | None:
    """
    A line for each server over the numbers of subscribers, a panel for each way of publishing.
    """
    sizes = sorted({size for name in results.figures if (size := size_of(name)) is not None})
    if len(sizes) < 2:
        return None
    figure = Figure(figsize=(10.4, 4.2), layout="constrained")
    panels = figure.subplots(1, len(modes), sharey=True)
    named: list[tuple[Any, list[tuple[str, list[tuple[int, float]]]]]] = []
    for axes, mode in zip(panels, modes, strict=True):
        lines: list[tuple[str, list[tuple[int, float]]]] = []
        for server in results.servers:
            points = [
                (size, value)
                for size in sizes
                if (value := _median(results, f"fanout-{size}-{mode}", server, "deliveries_per_s"))
                is not None
            ]
            # Those that are there for comparison have one size only, which is no line.
            if len(points) > 1:
                lines.append((server, points))
        for server, points in lines:
            axes.plot(
                *zip(*points, strict=True),
                color=_colour(server),
                linestyle="--" if server in _NOT_ROBUST else "-",
                linewidth=2.6 if server == OURS else 1.3,
                marker="o",
                markersize=5 if server == OURS else 3.5,
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
        axes.set_title({"one": "One publish at a time", "eight": "Eight publishes in flight"}[mode])
        named.append((axes, lines))
    for axes, lines in named:
        # Only now, because the panels share the axis that names are placed by.
        _name_lines(axes, results, lines)
    panels[0].set_ylabel("deliveries/s")
    return figure


def _thousands(value: float, _at: int) -> str:
    return f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k"


def _name_lines(
    axes: Any, results: Results, lines: Sequence[tuple[str, list[tuple[int, float]]]]
) -> None:
    """
    Write each server beside the end of its line, far enough from each other.
    """
    low, high = axes.get_ylim()
    ends = sorted((points[-1][1], server, points[-1][0]) for server, points in lines)
    # In shares of the height of the panel, for the scale is logarithmic.
    step, before = 0.058, -1.0
    for value, server, size in ends:
        share = log(value / low) / log(high / low)
        before = max(share, before + step)
        axes.annotate(
            _short(results, server),
            (size, value),
            xytext=(1.07, before),
            textcoords="axes fraction",
            arrowprops={"arrowstyle": "-", "color": "#d5d8de", "relpos": (0, 0.5), "shrinkB": 4},
            va="center",
            fontsize=9,
            color=_OURS if server == OURS else "#4b5059",
            fontweight="bold" if server == OURS else "normal",
            annotation_clip=False,
        )


def _latency(results: Results, name: str) -> Figure | None:
    """
    From the median to the 99th percentile, a line for each server.
    """
    medians = _medians(results, name, "p50_ms")
    tails = _medians(results, name, "p99_ms")
    if not tails:
        return None
    order = sorted(tails, key=lambda server: tails[server], reverse=True)
    figure = Figure(figsize=(7.2, 0.34 * len(order) + 1.5), layout="constrained")
    axes = figure.subplots()
    for at, server in enumerate(order):
        colour = _colour(server)
        axes.plot(
            [medians[server], tails[server]],
            [at, at],
            color=colour,
            linewidth=3.2 if server == OURS else 2.2,
            linestyle="--" if server in _NOT_ROBUST else "-",
            marker="|",
            markersize=9,
            markeredgewidth=2,
        )
        text = f"{medians[server]:.1f} to {tails[server]:.1f}"
        _write(axes, text, (tails[server], at), server, points=8)
    _name_rows(axes, results, order)
    axes.set_xlim(0, max(tails.values()) * 1.22)
    axes.grid(visible=True, axis="x")
    axes.set_axisbelow(True)
    axes.set_xlabel("milliseconds from the publish to a receipt, median to 99th percentile")
    axes.set_title(title(name))
    return figure
