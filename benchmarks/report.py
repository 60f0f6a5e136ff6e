"""
The reports: tables in reStructuredText, and a comparison of two checkouts as plain text.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from benchmarks.longread import IN_TIME, OTHERS
from benchmarks.results import NONE, Results
from benchmarks.scenarios import KINDS
from benchmarks.servers import FORMS, TICK

OURS: Final = "twistream"  # the server that the others are compared with

_INTRODUCTION: Final = """\
Medians of {rounds} round(s), {duration:g} s for each measurement. A ratio is twistream divided by
the other server. It is taken within each round: the table shows the median, the lowest and the
highest, and no ratio for a single round. More is better for values per second (/s), and less for
others.

Each server is one process on one core, started anew for each scenario and round. The client is on
another core; where it used all of its core and the server did not, the server may be faster. A
message has 100 bytes, and 106 on the wire as its own chunk. Latencies are from a request to the end
of its response, or from a publish to each receipt. Memory is the growth of the server's resident
memory while the subscribers connect, without buffers of the kernel. A subscriber that does not
read neither delays the others nor makes the server's memory grow without limit, except where the
name of the server says so."""

_TITLES: Final = {
    "twelve": "Responses of 12 messages, each flushed, on 64 connections",
    "many": "One long response of messages, each flushed, on one connection",
    "gzip": "One long stream of events, compressed with gzip, on one connection",
    "fanout-one": "Fan-out to {size} subscribers, one publish at a time",
    "fanout-eight": "Fan-out to {size} subscribers, eight publishes in flight",
    "fanout-paced": "Fan-out to {size} subscribers, ten messages a second (two from 10,000)",
    "channel": "Fan-out to {size} subscribers of a channel, eight publishes in flight",
    "replay": "Replay of 1,000 events that a client missed, in chunks of any size",
    "memory": "Memory of an idle stream",
}
_OWN: Final = {
    "publish-text": "Publish of 100 bytes to a channel without subscribers, with 1,000 events kept",
    "publish-json": "The same for a value that is encoded as JSON each time",
    "topics": "Publish to one of {size} subscribers, each with a topic of its own in ``topics=``",
    "filter": "The same with a function for each subscriber in ``filter=``",
}
"""
Figures that only twistream has. They share one table.
"""

_FORMS: Final = f"""\
The CPU time of the server, user and system, in microseconds for each message or response, and the
rate in brackets. A peer sends its messages in one way, the fastest it has, and is measured again
next to each form; for ``json_line`` it encodes each value with Python's ``json``. In these tables a
ratio is the peer's CPU time divided by twistream's: above 1, twistream needs less.

A client that keeps up reads all the time and never sleeps, so it gets each send by itself. A client
that lags behind waits until the socket of the server is full and the server idle. It then reads a
block of up to 256 KB, with the segment size and the window of a real network.

In the tables with {OTHERS} other streams, a message is due on each of these every {TICK:g} s. Their
cost is part of the figure. The last number in the brackets is the share of these messages that
arrived in time: while its socket accepts everything, a loop of writes in an asyncio server does not
let other streams run. A server without backpressure queues without limit, so it is measured only
with a client that keeps up and no other streams."""
_FORM_TITLES: Final = {
    "long": "A message of one long response, read by a client that keeps up",
    "lagging": "A message of one long response, read by a client that lags behind",
    "long_crowded": f"Beside {OTHERS} other streams, a client that keeps up",
    "lagging_crowded": f"Beside {OTHERS} other streams, a client that lags behind",
    "short": "A response of 12 messages, each flushed, on one connection",
}
_COST: Final = "CPU, microseconds"


def _kind(figure: str) -> str:
    return re.sub(r"-\d+", "", figure)


def _size(figure: str) -> int:
    return int(re.sub(r"\D", "", figure) or 0)


def in_order(results: Results) -> list[str]:
    """
    The names of all figures, in the order of tables.
    """
    order = [*_TITLES, *_OWN, *(f"forms-{kind}-{form}" for kind in KINDS for form in FORMS)]

    def key(figure: str) -> tuple[int, int]:
        return order.index(_kind(figure)), _size(figure)

    return sorted({cell["figure"] for cell in results.figures}, key=key)


def as_rst(results: Results, plots: Iterable[tuple[str, str]]) -> str:
    """
    All tables, and the plots in the same folder by name and description.
    """
    parts = [
        _head("Benchmarks", "="),
        "Written by ``python -m benchmarks``; do not edit.",
        _INTRODUCTION.format(**results.settings),
        *(f".. image:: {name}\n   :alt: {words}" for name, words in plots),
    ]
    figures = in_order(results)
    for figure in figures:
        if title := _TITLES.get(_kind(figure)):
            title = title.format(size=f"{_size(figure):,}")
            parts += [_head(title, "-"), _figure(results, figure)]
    own = [
        [_OWN[_kind(figure)].format(size=f"{_size(figure):,}"), text(value), unit]
        for figure in figures
        if _kind(figure) in _OWN and (unit := _cost(results, figure))
        for value in results.medians(figure, unit).values()
    ]
    if own:
        parts += [_head("Only twistream", "-"), table(["what", "figure", "unit"], own)]
    parts += _forms(results)
    warnings = "\n".join(f"- {_plain(line)}" for line in results.cautions + results.errors)
    parts += [_head("Warnings", "-"), warnings or "None."]
    machine = [[name, _plain(value)] for name, value in results.machine.items()]
    versions = [
        [server["title"], ", ".join(f"{name} {which}" for name, which in found.items())]
        for server in results.servers.values()
        if (found := server["versions"])
    ]
    parts += [_head("Machine and versions", "-"), table(["what", "which"], machine)]
    parts += [table(["server", "versions"], versions)]
    return "\n\n".join(parts) + "\n"


def comparison(results: Results, here: str, there: str) -> str:
    """
    Two servers side by side, with the ratio of all rounds, as plain text.

    CPU time is compared, where it is known.
    """
    figures = in_order(results)
    width = max(map(len, figures), default=0)
    lines = [f"{'figure':{width}} {there:>12} {here:>12}  {'unit':20} ratio {here} : {there}"]
    for figure in figures:
        unit = _cost(results, figure)
        medians = results.medians(figure, unit)
        cells = [text(medians[name]) if name in medians else NONE for name in (there, here)]
        ratio = results.ratio(figure, unit, here, there)
        lines.append(f"{figure:{width}} {cells[0]:>12} {cells[1]:>12}  {unit:20} {ratio}")
    return "\n".join(lines)


def text(value: float) -> str:
    """
    A value as it is written in tables.
    """
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def _cost(results: Results, figure: str) -> str:
    names = results.names(figure)
    return next((name for name in names if name.startswith("CPU")), names[0])


def _figure(results: Results, figure: str) -> str:
    main, *others = names = results.names(figure)
    medians = [results.medians(figure, name) for name in names]
    rows = []
    for server in medians[0]:
        first, *cells = (text(column[server]) for column in medians)
        title, ratio = results.servers[server]["title"], NONE
        rounds = len(results.values(figure, server, main))
        if rounds < results.settings["rounds"]:
            first += f" ({rounds} of {results.settings['rounds']} rounds)"
        if server == OURS:
            title, first = f"**{title}**", f"**{first}**"
        else:
            ratio = results.ratio(figure, main, OURS, server)
        rows.append([title, first, ratio, *cells])
    return table(["server", main, "ratio", *others], rows)


def _forms(results: Results) -> list[str]:
    """
    A table of all ways to write a response for each way to read it, and one of latencies.
    """
    parts = []
    for kind, title in _FORM_TITLES.items():
        figures = {words: f"forms-{kind}-{form}" for form, words in FORMS.items()}
        figures = {words: figure for words, figure in figures.items() if results.names(figure)}
        if figures:
            parts += [_head(title, "~"), _form_costs(results, figures)]
        if figures and kind == "short":
            latency = _head("The same response: latency, p50 / p99 in milliseconds", "~")
            parts += [latency, _form_latencies(results, figures)]
    return [_head("Every way to write a response", "-"), _FORMS, *parts] if parts else []


def _form_costs(results: Results, figures: Mapping[str, str]) -> str:
    servers = _servers(results, figures)
    head = ["form"]
    for server, title in servers.items():
        head += [title] if server == OURS else [title, "ratio"]
    rows = []
    for words, figure in figures.items():
        rate = next(name for name in results.names(figure) if name.endswith("/s"))
        costs, rates = results.medians(figure, _COST), results.medians(figure, rate)
        crowded = IN_TIME in results.names(figure)
        shares = results.medians(figure, IN_TIME) if crowded else {}
        rows.append(cells := [words])
        for server in servers:
            if server in costs:
                share = f", {shares[server]:.0f}%" if server in shares else ""
                cells.append(f"{text(costs[server])} ({text(rates[server])}/s{share})")
            else:
                cells.append(NONE)
            if server != OURS:
                cells.append(results.ratio(figure, _COST, server, OURS))
    return table(head, rows)


def _form_latencies(results: Results, figures: Mapping[str, str]) -> str:
    servers = _servers(results, figures)
    rows = []
    for words, figure in figures.items():
        middle, high = (results.medians(figure, f"p{share}, ms") for share in (50, 99))
        cells = (
            f"{text(middle[server])} / {text(high[server])}" if server in middle else NONE
            for server in servers
        )
        rows.append([words, *cells])
    return table(["form", *servers.values()], rows)


def _servers(results: Results, figures: Mapping[str, str]) -> dict[str, str]:
    """
    The short titles of the servers that have any of these figures.
    """
    with_figures = {
        cell["server"] for cell in results.figures if cell["figure"] in figures.values()
    }
    return {
        server: about["title"].partition(" (")[0]
        for server, about in results.servers.items()
        if server in with_figures
    }


def _head(words: str, line: str) -> str:
    return f"{words}\n{line * len(words)}"


def _plain(words: str) -> str:
    """
    Text without markup, on one line.
    """
    return " ".join(re.sub(r"([\\*`|_])", r"\\\1", words).split())


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """
    A table in reStructuredText.
    """
    first, *lines = (", ".join(f'"{cell}"' for cell in row) for row in (head, *rows))
    return "\n   ".join([".. csv-table::", f":header: {first}\n", *lines])
