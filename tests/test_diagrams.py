"""
The diagrams of state machines show what the tables say.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any
from xml.etree import ElementTree as ET

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from scripts.diagrams import ALL, DIRECTORY, subscription
from scripts.diagrams.states import StateDiagram
from twistream.channels.state import TRANSITIONS, Cause, State

PATH = "{http://www.w3.org/2000/svg}path"


def arrows(svg: str) -> set[tuple[str, str, str]]:
    """
    The transitions that a diagram draws: state, cause and following state.
    """
    return {
        (*row.split(":"), path.attrib["data-to"])  # type: ignore[misc]  # a row has two parts
        for path in ET.fromstring(svg).iter(PATH)  # noqa: S314 - a file of the project
        for row in path.get("data-rows", "").split()
    }


def rows(table: Mapping[Any, Enum]) -> set[tuple[str, str, str]]:
    return {(state.name, cause.name, target.name) for (state, cause), target in table.items()}


class DiagramTests(SynchronousTestCase):
    def test_the_files_are_what_the_tables_say(self) -> None:
        for name, diagram in ALL.items():
            svg = (DIRECTORY / name).read_text()
            self.assertEqual(arrows(svg), rows(diagram.table), name)
            self.assertEqual(svg, diagram.render(), f"{name}: run python -m scripts.diagrams")

    def test_every_state_has_a_box(self) -> None:
        for name, diagram in ALL.items():
            for state in {state for state, _ in diagram.table} | set(diagram.table.values()):
                self.assertIn(f">{state.name.lower()}</text>", (DIRECTORY / name).read_text())

    def test_a_table_and_arrows_that_differ_are_refused(self) -> None:
        diagram: StateDiagram = subscription.DIAGRAM
        more = {**TRANSITIONS, (State.ENDED, Cause.FOLLOW): State.LIVE}
        less = {row: state for row, state in TRANSITIONS.items() if row[1] is not Cause.FULL}
        other = {**TRANSITIONS, (State.LIVE, Cause.FULL): State.CLOSING}
        for table in (more, less, other):
            self.assertRaises(ValueError, evolve(diagram, table=table).render)
        twice = [*diagram.arrows, diagram.arrows[0]]
        self.assertRaises(ValueError, evolve(diagram, arrows=twice).render)
