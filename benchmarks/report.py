"""
The report: tables in reStructuredText, made of the results alone.
"""

from collections.abc import Iterable, Sequence

from benchmarks.measures import Measure, in_order, kind, title
from benchmarks.results import Results
from benchmarks.run import CLIENT_LIMIT, is_bound_by_client
from benchmarks.spread import Spread, ratios
from benchmarks.targets import OURS, TARGETS

_BEHIND = 0.05
"""
Seconds after the time of the last message from which a server did not keep up.
"""

_OTHERS = 0.2
"""
The share of one core from which other programs have disturbed a measurement. The kernel
counts in steps of 10 ms, so that there is some in short measurements in any case.
"""

_NONE = "\N{EN DASH}"


def as_rst(results: Results, plots: Sequence[tuple[str, str]]) -> str:
    """
    All tables.

    Args:
        results: Of a run, which need not have come to its end.
        plots: Name and description of each plot beside the report.
    """
    parts = [
        _head("Benchmarks", "="),
        "Made by ``python -m benchmarks``; do not edit.",
        _introduction(results),
        *(f".. image:: {name}\n   :alt: {words}" for name, words in plots),
        _head("Targets", "-"),
        _targets(results),
    ]
    for figure in in_order(results.figures):
        parts += [_head(title(figure), "-"), kind(figure).words, _figure(results, figure)]
    parts += [_head("Warnings", "-"), _bullets(warnings(results)) or "None."]
    parts += [_head("What it ran on", "-"), _machine(results), _versions(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


def warnings(results: Results) -> list[str]:
    """
    What a reader of the figures has to know.
    """
    found = list(results.cautions)
    if not results.finished:
        found.append("The run was not finished: figures are missing.")
    found += [f"{name} was left out: {reason}" for name, reason in results.left_out.items()]
    found += _reasons(results)
    found += _disturbances(results)
    for figure in in_order(results.figures):
        for server in results.servers_of(figure):
            found += _doubts(results, figure, server)
    if results.settings["rounds"] == 1:
        found.append("There was one round only, so how much of a difference is noise is unknown.")
    return found


def _reasons(results: Results) -> list[str]:
    rounds: dict[tuple[str, str, str], list[int]] = {}
    for number, figure, server, reason in results.errors():
        rounds.setdefault((figure, server, reason), []).append(number)
    return [
        f"{figure}, {server}: no figure in round {', '.join(map(str, numbers))}: {reason}"
        for (figure, server, reason), numbers in rounds.items()
    ]


def _disturbances(results: Results) -> list[str]:
    shares = {
        (figure, server, number): share
        for figure in results.figures
        for server in results.servers_of(figure)
        for number, share in results.values(figure, server, "others_cpu").items()
    }
    disturbed = [key for key, share in shares.items() if share > _OTHERS]
    if not disturbed:
        return []
    worst = max(disturbed, key=lambda key: shares[key])
    return [
        (
            f"Other programs used more than {_OTHERS:.0%} of a core during {len(disturbed)} of "
            f"{len(shares)} measurements; most of it {shares[worst]:.0%}, during {worst[0]} of "
            f"{worst[1]} in round {worst[2]}."
        )
    ]


def _doubts(results: Results, figure: str, server: str) -> list[str]:
    found = []
    shares = {name: results.values(figure, server, name) for name in ("client_cpu", "server_cpu")}
    bound = [
        number
        for number, client in shares["client_cpu"].items()
        if is_bound_by_client({"client_cpu": client, "server_cpu": shares["server_cpu"][number]})
    ]
    if bound:
        found.append(
            f"{figure}, {server}: the client used more than {CLIENT_LIMIT:.0%} of its core and "
            f"the server less of its own, in round {', '.join(map(str, bound))}: the server may be faster."
        )
    behind = Spread.of(results.values(figure, server, "behind_s").values())
    if behind is not None and behind.median > _BEHIND:
        found.append(
            f"{figure}, {server}: it did not keep up, and was {behind.median:.2f} s behind at "
            "the end: its latencies grow with the length of the run."
        )
    ratio = _ratio(results, figure, server)
    if ratio is not None and ratio.is_noise:
        found.append(
            f"{figure}, {server}: the noise is larger than the difference to {OURS} "
            f"(ratio {_ratio_text(ratio)})."
        )
    return found


def _ratio(results: Results, figure: str, server: str) -> Spread | None:
    """
    Of twistream to another server.
    """
    if server == OURS:
        return None
    name = kind(figure).main.name
    return Spread.of(
        ratios(results.values(figure, OURS, name), results.values(figure, server, name))
    )


def _ratio_text(ratio: Spread) -> str:
    if ratio.rounds == 1:
        return f"{ratio.median:.2f}"
    return f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"


def _introduction(results: Results) -> str:
    settings = results.settings
    rounds = settings["rounds"]
    return (
        f"Medians of {rounds} round{'s' * (rounds != 1)}, {settings['duration']:g} s for each "
        "measurement. A ratio is that of twistream to the other server, taken within each "
        "round; beside its median are the least and the greatest. Each server is one "
        "process on one core, a fresh one in each round for each scenario and number of subscribers, and the client is on another core; both "
        "shares of their cores are given, for where the client's is full it may be what is "
        "measured. A message has 100 bytes, and 106 on the wire as a chunk of its own. A "
        "subscriber that reads nothing neither holds up the others nor takes memory without "
        "bound; where a server is not that robust its name says so, and it is there for "
        "comparison only."
    )


def _figure(results: Results, figure: str) -> str:
    measures = kind(figure).measures
    head = ["server", *(measure.title for measure in measures)]
    head.insert(2, "ratio")
    rows = [_row(results, figure, server, measures) for server in results.servers_of(figure)]
    return _table(head, rows)


def _row(results: Results, figure: str, server: str, measures: Sequence[Measure]) -> list[str]:
    spreads = [
        Spread.of(results.values(figure, server, measure.name).values()) for measure in measures
    ]
    name = results.servers[server]["title"]
    if spreads[0] is None:
        reasons = [error[3] for error in results.errors() if error[1:3] == (figure, server)]
        return [name, _plain(f"none: {reasons[-1]}"), *[_NONE] * len(measures)]
    cells = [
        _NONE if spread is None else measure.text(spread.median)
        for measure, spread in zip(measures, spreads, strict=True)
    ]
    if spreads[0].rounds < results.settings["rounds"]:
        cells[0] += f" ({spreads[0].rounds} of {results.settings['rounds']} rounds)"
    ratio = _ratio(results, figure, server)
    cells.insert(1, _NONE if ratio is None else _ratio_text(ratio))
    if server == OURS:
        return [f"**{name}**", f"**{cells[0]}**", *cells[1:]]
    return [name, *cells]


def _targets(results: Results) -> str:
    rows = []
    for target in TARGETS:
        outcome = target.outcome(results)
        unit = f" {target.unit}" if target.unit else ""
        bound = f"{target.sign} {target.bound:g}{unit}"
        if outcome is None:
            rows.append([target.words, bound, _NONE, "not measured"])
            continue
        reached = "yes" if target.is_reached(outcome) else "**no**"
        if absent := target.without(results):
            reached += f", without {', '.join(absent)}"
        rows.append([target.words, bound, _ratio_text(outcome) + unit, reached])
    return _table(["target", "bound", "outcome", "reached"], rows)


def _machine(results: Results) -> str:
    return _table(["what", "which"], [[key, _plain(x)] for key, x in results.machine.items()])


def _versions(results: Results) -> str:
    rows = [
        [server["title"], ", ".join(f"{name} {which}" for name, which in versions.items())]
        for server in results.servers.values()
        if (versions := server["versions"])
    ]
    return _table(["server", "versions"], rows)


def _head(text: str, line: str) -> str:
    return f"{text}\n{line * len(text)}"


def _plain(text: str) -> str:
    """
    Text that is not to be read as markup, on one line.
    """
    escaped = "".join(f"\\{char}" if char in "\\*`|_" else char for char in text)
    return " ".join(escaped.split())


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {_plain(line)}" for line in lines)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    lines = [".. list-table::", "   :header-rows: 1", ""]
    for row in (head, *rows):
        lines += [f"   {'*' if at == 0 else ' '} - {cell}" for at, cell in enumerate(row)]
    return "\n".join(lines)
