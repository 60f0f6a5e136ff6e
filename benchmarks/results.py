"""
The results of a run, as a file, and what several rounds say together.

The ratio of two servers is taken within each round, where both had the same machine. Only then are
the rounds combined.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any, Final, Self

from attrs import asdict, define, field

NONE: Final = "\N{EN DASH}"  # a cell without a value


@define
class Results:
    """
    All figures of all rounds, with what they were measured on.

    A figure has a name, such as ``fanout-1000-eight``, and several values. The name of a value is
    its title in tables, with the unit. The first value is the one that servers are compared by.
    """

    machine: dict[str, str] = field(factory=dict)
    settings: dict[str, Any] = field(factory=dict)
    servers: dict[str, dict[str, Any]] = field(factory=dict)  # titles and versions, in order
    cautions: list[str] = field(factory=list)  # why figures may be wrong
    errors: list[str] = field(factory=list)  # why figures are missing
    figures: list[dict[str, Any]] = field(factory=list)  # round, figure, server and values

    def put(self, number: int, figure: str, server: str, values: Mapping[str, float]) -> None:
        """
        Add a figure of a round.
        """
        # Rounded now, so that the report of this run equals a report of its file.
        rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
        cell = {"round": number, "figure": figure, "server": server, "values": rounded}
        self.figures.append(cell)

    def names(self, figure: str) -> list[str]:
        """
        The names of the values of a figure.
        """
        return next((list(cell["values"]) for cell in self.figures if cell["figure"] == figure), [])

    def values(self, figure: str, server: str, name: str) -> dict[int, float]:
        """
        The values of all rounds, by the number of the round.
        """
        return {
            cell["round"]: cell["values"][name]
            for cell in self.figures
            if (cell["figure"], cell["server"]) == (figure, server)
        }

    def medians(self, figure: str, name: str) -> dict[str, float]:
        """
        The medians of a value, by server, for the servers that have the figure.
        """
        values = {server: self.values(figure, server, name).values() for server in self.servers}
        return {server: median(found) for server, found in values.items() if found}

    def ratio(self, figure: str, name: str, above: str, below: str) -> str:
        """
        The median of the ratios of two servers, with the lowest and the highest.

        A single round has no spread, so it gives no ratio.
        """
        divisors = self.values(figure, below, name)
        values = self.values(figure, above, name).items()
        ratios = sorted(
            value / divisors[number] for number, value in values if divisors.get(number)
        )
        if len(ratios) < 2:
            return NONE
        return f"{median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"

    def save(self, path: Path) -> None:
        """
        Write the file.
        """
        head = asdict(self)
        # One line for each figure keeps differences readable.
        cells = ",\n".join(map(json.dumps, head.pop("figures")))
        text = f'{json.dumps(head, indent=1)[:-2]},\n "figures": [\n{cells}\n ]\n}}\n'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    @classmethod
    def load(cls, path: Path) -> Self:
        """
        Read a file.
        """
        return cls(**json.loads(path.read_text()))
