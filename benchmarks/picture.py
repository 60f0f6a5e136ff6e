"""
The picture at the top of the README: fan-out to many subscribers, for readers in a hurry.

It is drawn from the results alone, in light and dark colours, with few servers and no notes.
The plots in ``docs/benchmarks`` show all servers.
"""

from collections.abc import Mapping

from benchmarks.results import Results

_SERVERS: Mapping[str, str] = {
    "twistream": "twistream",
    "granian": "granian (ASGI)",
    "go": "Go net/http",
    "starlette": "Starlette on uvicorn",
    "aiohttp": "aiohttp",
}
_BURST, _SINGLE = "fanout-1000-eight", "fanout-1000-one"

_WIDTH, _TOP, _ROW, _BAR = 760, 62, 30, 20
_LEFT, _RIGHT, _LONGEST = 160, 590, 350

_HEAD = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" \
aria-labelledby="title" font-family="system-ui, sans-serif" font-size="14">
  <title id="title">Deliveries per second to 1,000 subscribers, one server process on one core</title>
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
  <text class="head" x="{left}" y="20">Eight publishes in flight</text>
  <text class="soft" x="{left}" y="40">deliveries per second to 1,000 subscribers</text>
  <text class="head" x="{right}" y="20">One at a time</text>
  <text class="soft" x="{right}" y="40">on the same scale</text>
"""


def picture(results: Results) -> str:
    """
    Draw the picture.

    Raises:
        ValueError: A figure is missing.
    """
    most = max(_rate(results, _BURST, server) for server in _SERVERS)
    height = _TOP + _ROW * len(_SERVERS)
    parts = [_HEAD.format(width=_WIDTH, height=height, left=_LEFT, right=_RIGHT)]
    for number, (server, title) in enumerate(_SERVERS.items()):
        kind = "ours" if server == "twistream" else "other"
        y = _TOP + number * _ROW
        line = y + _BAR - 5
        parts.append(f'  <text class="name {kind}" x="{_LEFT - 8}" y="{line}">{title}</text>\n')
        for figure, x in (_BURST, _LEFT), (_SINGLE, _RIGHT):
            rate = _rate(results, figure, server)
            width = round(rate / most * _LONGEST, 1)
            parts.append(
                f'  <rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{_BAR}"/>\n'
                f'  <text class="{kind}" x="{x + width + 7:g}" y="{line}">{rate:,}</text>\n'
            )
    parts.append("</svg>\n")
    return "".join(parts)


def _rate(results: Results, figure: str, server: str) -> int:
    spread = results.spread(figure, server, "deliveries_per_s")
    if spread is None:
        msg = f"the results have no {figure} for {server}"
        raise ValueError(msg)
    return round(spread.median / 1000) * 1000  # The last digits are noise.
