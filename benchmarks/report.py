"""
The reports: tables in reStructuredText, and a comparison of two checkouts as plain text.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from benchmarks.figures import FIGURES, OURS, form, in_order, kind, text, title
from benchmarks.results import Results
from benchmarks.scenarios import FORMS

_NONE: Final = "\N{EN DASH}"

_INTRODUCTION: Final = """\
Medians of {rounds} round(s), {duration:g} s for each measurement. A ratio is twistream divided by
the other server. It is taken within each round: the table shows the median, the lowest and the
highest. Each server is one process on one core, started anew for each scenario and round. The
client is on another core; where it used all of its core and the server did not, the server may be
faster. A message has 100 bytes, and 106 on the wire as its own chunk. A subscriber that does not
read neither delays the others nor makes the server's memory grow without limit, except where the
name of the server says so."""


def as_rst(results: Results, plots: Sequence[tuple[str, str]]) -> str:
    """
    All tables.

    Args:
        results: A run, which need not be finished.
        plots: Name and description of each plot in the same folder.
    """
    parts = [
        _head("Benchmarks", "="),
        "Written by ``python -m benchmarks``; do not edit.",
        _INTRODUCTION.format(**results.settings),
        *(f".. image:: {name}\n   :alt: {words}" for name, words in plots),
        *_forms(results),
    ]
    for figure in in_order(results.figures):
        if not form(figure):
            parts += [_head(title(figure), "-"), kind(figure).words, _figure(results, figure)]
    machine = [[key, _plain(value)] for key, value in results.machine.items()]
    versions = [
        [
            server["title"],
            ", ".join(f"{name} {which}" for name, which in server["versions"].items()),
        ]
        for server in results.servers.values()
    ]
    parts += [_head("Warnings", "-"), _bullets(warnings(results)) or "None."]
    parts += [_head("Machine and versions", "-"), _table(["what", "which"], machine)]
    parts += [_table(["server", "versions"], [row for row in versions if row[1]])]
    return "\n\n".join(part for part in parts if part) + "\n"


def comparison(results: Results, here: str, there: str) -> str:
    """
    Two servers side by side, with the ratio of all rounds, as plain text.
    """
    lines = [f"{'figure':26} {there:>12} {here:>12}  {'unit':26} ratio {here} : {there}"]
    for figure in in_order(results.figures):
        measure = kind(figure).cost
        cells = [_median(results, figure, server, measure) for server in (there, here)]
        ratio = results.ratio(figure, measure, here, there) or _NONE
        unit = kind(figure).measures[measure]
        lines.append(f"{figure:26} {cells[0]:>12} {cells[1]:>12}  {unit:26} {ratio}")
    return "\n".join(lines)


def warnings(results: Results) -> list[str]:
    """
    What a reader of the figures should know.
    """
    found = list(results.cautions)
    if not results.finished:
        found.append("The run did not finish: figures are missing.")
    if results.settings["rounds"] == 1:
        found.append("One round does not show how much of a difference is noise.")
    found += [f"{name} was left out: {reason}" for name, reason in results.left_out.items()]
    found += [
        f"{figure}, {server}: no figure in round {number}: {reason}"
        for number, figure, server, reason in results.errors()
    ]
    return found


def _forms(results: Results) -> list[str]:
    """
    One table for all figures of ``forms``.
    """
    kinds = [FIGURES["long"], FIGURES["short"]]
    rows = [
        [
            words,
            *(_median(results, f"{name}-{which}", OURS, "cpu_us") for name in ("long", "short")),
        ]
        for which, words in FORMS.items()
    ]
    if all(cell == _NONE for row in rows for cell in row[1:]):
        return []
    head = ["form", *(f"{about.title}, {about.measures['cpu_us']}" for about in kinds)]
    words = " ".join(about.words for about in kinds)
    return [_head("Each way to write a response", "-"), words, _table(head, rows)]


def _figure(results: Results, figure: str) -> str:
    measures = kind(figure).measures
    head = ["server", *measures.values()]
    head.insert(2, "ratio")
    return _table(head, [_row(results, figure, server) for server in results.servers_of(figure)])


def _row(results: Results, figure: str, server: str) -> list[str]:
    about = kind(figure)
    name = results.servers[server]["title"]
    rounds = len(results.values(figure, server, about.main))
    cells = [_median(results, figure, server, measure) for measure in about.measures]
    if rounds < results.settings["rounds"]:
        cells[0] += f" ({rounds} of {results.settings['rounds']} rounds)"
    if server == OURS:
        return [f"**{name}**", f"**{cells[0]}**", _NONE, *cells[1:]]
    ratio = results.ratio(figure, about.main, OURS, server) or _NONE
    return [name, cells[0], str(ratio), *cells[1:]]


def _median(results: Results, figure: str, server: str, measure: str) -> str:
    spread = results.spread(figure, server, measure)
    return _NONE if spread is None else text(measure, spread.median)


def _head(words: str, line: str) -> str:
    return f"{words}\n{line * len(words)}"


def _plain(words: str) -> str:
    """
    Text without markup, on one line.
    """
    escaped = "".join(f"\\{char}" if char in "\\*`|_" else char for char in words)
    return " ".join(escaped.split())


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_plain(line)}" for line in lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        lines += [f"   {'*' if at == 0 else ' '} - {cell}" for at, cell in enumerate(row)]
    return "\n".join(lines)
