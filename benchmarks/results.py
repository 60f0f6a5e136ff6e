"""
The results of a run, as a file, and what several rounds say together.

The ratio of two servers is taken within each round, where both had the same machine. Only then are
the rounds combined.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple, Self

FORMAT: Final = 1  # the version of the file's format

_HEAD: Final = (
    "machine",  # the machine, in words
    "settings",  # how much was measured
    "servers",  # title and versions of each server, in the order of tables
    "left_out",  # why a server did not take part, by name
    "cautions",  # why figures may be wrong
    "finished",  # whether the run finished
)


class Spread(NamedTuple):
    """
    The median of several rounds, with the lowest and the highest value.
    """

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Self | None:
        """
        The spread of some values, or None if there are no values.
        """
        ordered = sorted(values)
        return cls(median(ordered), ordered[0], ordered[-1]) if ordered else None

    def __str__(self) -> str:
        if self.low == self.high:
            return f"{self.median:.2f}"
        return f"{self.median:.2f} ({self.low:.2f} to {self.high:.2f})"


class Results:
    """
    All figures of all rounds, with what they were measured on.
    """

    def __init__(self) -> None:
        self.machine: dict[str, str] = {}
        self.settings: dict[str, Any] = {}
        self.servers: dict[str, dict[str, Any]] = {}
        self.left_out: dict[str, str] = {}
        self.cautions: list[str] = []
        self.finished = False
        self._cells: list[dict[str, Any]] = []

    def put(self, number: int, figure: str, server: str, values: Mapping[str, float] | str) -> None:
        """
        Add a figure of a round, or the reason why it is missing.
        """
        cell: dict[str, Any] = {"round": number, "figure": figure, "server": server}
        if isinstance(values, str):
            cell["error"] = values
        else:
            # Rounded now, so that the report of this run equals a report of its file.
            cell["values"] = {key: float(f"{value:.6g}") for key, value in values.items()}
        self._cells.append(cell)

    @property
    def figures(self) -> list[str]:
        """
        The names of all figures, in the order in which they were measured.
        """
        return list(dict.fromkeys(cell["figure"] for cell in self._cells))

    def servers_of(self, figure: str) -> list[str]:
        """
        The names of the servers that have a figure, in the order of tables.
        """
        part = {cell["server"] for cell in self._cells if cell["figure"] == figure}
        return [name for name in self.servers if name in part]

    def values(self, figure: str, server: str, measure: str) -> dict[int, float]:
        """
        The values of all rounds, by the number of the round.
        """
        return {
            cell["round"]: cell["values"][measure]
            for cell in self._cells
            if (cell["figure"], cell["server"]) == (figure, server)
            and measure in cell.get("values", ())
        }

    def spread(self, figure: str, server: str, measure: str) -> Spread | None:
        """
        The spread of all rounds.
        """
        return Spread.of(self.values(figure, server, measure).values())

    def ratio(self, figure: str, measure: str, above: str, below: str) -> Spread | None:
        """
        The spread of the ratio of two servers.
        """
        divisors = self.values(figure, below, measure)
        values = self.values(figure, above, measure).items()
        return Spread.of(
            value / divisors[number] for number, value in values if divisors.get(number)
        )

    def errors(self) -> list[tuple[int, str, str, str]]:
        """
        Round, figure, server and reason of each missing figure.
        """
        return [
            (cell["round"], cell["figure"], cell["server"], cell["error"])
            for cell in self._cells
            if "error" in cell
        ]

    def save(self, path: Path) -> None:
        """
        Write the file. It is replaced at once, so there is always a complete file.
        """
        head = {"format": FORMAT} | {name: getattr(self, name) for name in _HEAD}
        # One line for each figure keeps differences readable.
        cells = ",\n".join(json.dumps(cell) for cell in self._cells)
        text = f'{json.dumps(head, indent=1)[:-2]},\n "figures": [\n{cells}\n ]\n}}\n'
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.write_text(text)
        new.replace(path)

    @classmethod
    def load(cls, path: Path) -> Self:
        """
        Read a file.

        Raises:
            OSError: It cannot be read.
            ValueError: It is not a file of results.
        """
        data = json.loads(path.read_text())
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            msg = f"not results of these benchmarks in format {FORMAT}"
            raise ValueError(msg)
        results = cls()
        for name in _HEAD:
            setattr(results, name, data[name])
        results._cells = data["figures"]
        return results
