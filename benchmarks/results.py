"""
The results of a run, as they are kept in a file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

FORMAT = 1
"""
Of the file; another number is another format.
"""


class Results:
    """
    All figures of all rounds, with what they were measured on.

    Attributes:
        machine: What it ran on, in words.
        settings: How much was measured.
        servers: Title and versions of each server, by name, in the order of tables.
        left_out: Why a server did not take part, by its name.
        cautions: What has to be known about the machine.
        finished: Whether the run came to its end.
    """

    def __init__(self) -> None:
        self.machine: dict[str, str] = {}
        self.settings: dict[str, Any] = {}
        self.servers: dict[str, dict[str, Any]] = {}
        self.left_out: dict[str, str] = {}
        self.cautions: list[str] = []
        self.finished = False
        self._cells: list[dict[str, Any]] = []

    def put(self, number: int, figure: str, server: str, values: Mapping[str, float]) -> None:
        """
        Add a figure.

        Args:
            number: Of the round.
            figure: What was measured.
            server: Whose figure it is.
            values: By what they are.
        """
        # Six digits are more than any clock here gives. From the start, so that what is made
        # of these results now is what is made of the file later.
        rounded = {key: float(f"{value:.6g}") for key, value in values.items()}
        cell = {"round": number, "figure": figure, "server": server, "values": rounded}
        self._cells.append(cell)

    def put_error(self, number: int, figure: str, server: str, reason: str) -> None:
        """
        Add a reason in the place of a figure.
        """
        cell = {"round": number, "figure": figure, "server": server, "error": reason}
        self._cells.append(cell)

    @property
    def figures(self) -> list[str]:
        """
        The names of all figures, in the order in which they came first.
        """
        return list(dict.fromkeys(cell["figure"] for cell in self._cells))

    def servers_of(self, figure: str) -> list[str]:
        """
        The names of the servers that took part in a figure, in the order of tables.
        """
        part = {cell["server"] for cell in self._cells if cell["figure"] == figure}
        return [name for name in self.servers if name in part]

    def values(self, figure: str, server: str, measure: str) -> dict[int, float]:
        """
        One value for each round that has it, by the number of the round.
        """
        return {
            cell["round"]: cell["values"][measure]
            for cell in self._cells
            if cell["figure"] == figure
            and cell["server"] == server
            and measure in cell.get("values", ())
        }

    def errors(self) -> list[tuple[int, str, str, str]]:
        """
        Round, figure, server and reason of each figure that there is not.
        """
        return [
            (cell["round"], cell["figure"], cell["server"], cell["error"])
            for cell in self._cells
            if "error" in cell
        ]

    def save(self, path: Path) -> None:
        """
        Write all of it, so that there is a whole file at `path` at any time.
        """
        head = {
            "format": FORMAT,
            "finished": self.finished,
            "machine": self.machine,
            "settings": self.settings,
            "servers": self.servers,
            "left_out": self.left_out,
            "cautions": self.cautions,
        }
        # One line for each figure: a new run then shows as such in the history.
        cells = ",\n".join(json.dumps(cell) for cell in self._cells)
        text = f'{json.dumps(head, indent=1)[:-2]},\n "figures": [\n{cells}\n ]\n}}\n'
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(path.name + ".new")
        new.write_text(text)
        new.replace(path)  # At once: an interrupted run leaves one or the other.

    @classmethod
    def load(cls, path: Path) -> Self:
        """
        Raises:
            OSError: It cannot be read.
            ValueError: It is not such a file.
        """
        data = json.loads(path.read_text())
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            msg = f"not results of these benchmarks in format {FORMAT}"
            raise ValueError(msg)
        results = cls()
        results.machine = data["machine"]
        results.settings = data["settings"]
        results.servers = data["servers"]
        results.left_out = data["left_out"]
        results.cautions = data["cautions"]
        results.finished = data["finished"]
        results._cells = data["figures"]
        return results
