"""
The diagrams of state machines in the documentation, drawn from the tables of the code.

``python -m scripts.diagrams`` writes them to ``docs/diagrams``. A new diagram is a module with a
`states.StateDiagram`, and a line in `ALL`.
"""

from pathlib import Path

from scripts.diagrams import phase, run, subscription
from scripts.diagrams.states import StateDiagram

DIRECTORY = Path(__file__).parents[2] / "docs" / "diagrams"

ALL: dict[str, StateDiagram] = {
    "phase.svg": phase.DIAGRAM,
    "run.svg": run.DIAGRAM,
    "subscription.svg": subscription.DIAGRAM,
}
"""
The diagrams by their file names.
"""
