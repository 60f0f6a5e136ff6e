"""
The plots, as SVG: a row for each server, and a panel of bars for each figure.
"""

from collections.abc import Collection, Mapping
from html import escape
from pathlib import Path
from typing import Final

from benchmarks.report import OURS
from benchmarks.results import Results

# The picture at the top of the README, for readers in a hurry, shows only these.
_PICTURE: Final = ("twistream", "granian", "go", "starlette", "aiohttp")

_WIDTH, _LEFT, _TOP, _ROW, _BAR, _VALUE = 760, 195, 62, 30, 20, 82

_HEAD: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" \
aria-labelledby="title" font-family="system-ui, sans-serif" font-size="14">
  <title id="title">{title}</title>
  <style>
    :root {{ color: #1f2328; --ground: #ffffff; --other: #afb8c1; --ours: #c2410c; --soft: #57606a; }}
    @media (prefers-color-scheme: dark) {{ :root {{ color: #e6edf3; --ground: #0d1117; \
--other: #57606a; --ours: #f0803c; --soft: #9198a1; }} }}
    .ground {{ fill: var(--ground); }}
    text {{ fill: currentColor; }}
    .soft {{ fill: var(--soft); font-size: 12px; }}
    .name {{ text-anchor: end; }}
    rect.other {{ fill: var(--other); }}
    rect.ours {{ fill: var(--ours); }}
    text.ours {{ fill: var(--ours); font-weight: bold; }}
    .head {{ font-weight: bold; }}
  </style>
  <rect class="ground" width="{width}" height="{height}"/>
"""


def draw(results: Results, folder: Path) -> list[tuple[str, str]]:
    """
    Draw every plot that has figures, and remove the others.

    Returns:
        Name and description of each file.
    """
    sizes = results.settings["sizes"]
    size = sizes[1]
    plots: dict[str, tuple[str, dict[str, str]]] = {
        "picture": (
            f"Deliveries per second to {size:,} subscribers, one server process on one core",
            {
                f"{size:,} subscribers, eight in flight": f"fanout-{size}-eight",
                f"{size:,} subscribers, one at a time": f"fanout-{size}-one",
            },
        ),
        "subscribers": (
            "Deliveries per second by the number of subscribers, with eight publishes in flight",
            {f"{number:,} subscribers": f"fanout-{number}-eight" for number in sizes},
        ),
        "responses": (
            "Responses and messages per second",
            {"Responses of 12 messages": "twelve", "One long response": "many"},
        ),
        "streams": (
            f"Latency of a delivery to {size:,} subscribers, and memory of an idle stream",
            {"Fan-out at a fixed rate": f"fanout-{size}-paced", "An idle stream": "memory"},
        ),
        "channel": (
            f"Deliveries per second to {size:,} subscribers of a channel, and CPU time of a replay",
            {"Fan-out of a channel": f"channel-{size}", "Replay of 1,000 events": "replay"},
        ),
    }
    made = []
    for name, (title, panels) in plots.items():
        path = folder / f"{name}.svg"
        path.unlink(missing_ok=True)
        shown = {words: figure for words, figure in panels.items() if results.names(figure)}
        if shown:
            servers = _PICTURE if name == "picture" else tuple(results.servers)
            path.write_text(_plot(results, title, shown, servers), encoding="utf-8")
            made.append((path.name, title))
    return made


def _plot(results: Results, title: str, panels: Mapping[str, str], servers: Collection[str]) -> str:
    """
    The best server of the first panel is on top. Panels with the same unit have the same scale.
    """
    units = {figure: results.names(figure)[0] for figure in panels.values()}
    medians = {figure: results.medians(figure, unit) for figure, unit in units.items()}
    first = next(iter(units))
    rows = sorted(
        (server for server in medians[first] if server in servers),
        key=lambda server: medians[first][server],
        reverse=units[first].endswith("/s"),
    )
    height, panel = _TOP + _ROW * len(rows), (_WIDTH - _LEFT) // len(panels)
    parts = [_HEAD.format(width=_WIDTH, height=height, title=escape(title))]
    for column, (words, figure) in enumerate(panels.items()):
        x, unit = _LEFT + column * panel, units[figure]
        note = unit if unit.endswith("/s") else f"{unit} (less is better)"
        parts.append(f'  <text class="head" x="{x}" y="20">{escape(words)}</text>\n')
        parts.append(f'  <text class="soft" x="{x}" y="40">{escape(note)}</text>\n')
    for row, server in enumerate(rows):
        kind, y = "ours" if server == OURS else "other", _TOP + row * _ROW
        place = f'x="{_LEFT - 8}" y="{y + _BAR - 5}"'
        name = escape(results.servers[server]["title"].partition(" (")[0])
        parts.append(f'  <text class="name {kind}" {place}>{name}</text>\n')
        for column, figure in enumerate(units):
            if (value := medians[figure].get(server)) is None:
                continue
            most = max(
                max(medians[other].values()) for other in units if units[other] == units[figure]
            )
            x, width = _LEFT + column * panel, round(value / most * (panel - _VALUE - 15), 1)
            parts.append(
                f'  <rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{_BAR}"/>\n'
                f'  <text class="{kind}" x="{x + width + 7:g}" y="{y + _BAR - 5}">'
                f"{_short(value)}</text>\n"
            )
    return "".join([*parts, "</svg>\n"])


def _short(value: float) -> str:
    return f"{float(f'{value:.3g}'):,.7g}"  # further digits are noise
