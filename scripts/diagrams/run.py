"""
The states of a run.
"""

from scripts.diagrams.states import Arrow, Box, StateDiagram
from twistream.channels.run_state import TRANSITIONS, RunCause, RunState

RUNNING, STOPPING, DONE, FAILED, STOPPED, LOST = RunState

ANY = (RUNNING, STOPPING)

DIAGRAM = StateDiagram(
    title="The states of a run: running, stopping, done, failed, stopped, lost",
    size=(860, 330),
    table=TRANSITIONS,
    boxes={
        RUNNING: Box(center=(110, 150), text=["the producer runs"]),
        STOPPING: Box(center=(430, 150), text=["it is cancelled"]),
        DONE: Box(center=(430, 50)),
        FAILED: Box(center=(430, 250)),
        STOPPED: Box(center=(750, 150)),
        LOST: Box(center=(775, 250)),
    },
    groups={ANY: Box(center=(600, 250), text=["running or stopping"], width=140, height=36)},
    arrows=[
        Arrow(
            rows=[(RUNNING, RunCause.RETURN)],
            points=[(110, 122), (110, 50), (350, 50)],
            label=["the producer returns"],
            at=(230, 42),
        ),
        Arrow(
            rows=[(RUNNING, RunCause.FAIL)],
            points=[(110, 178), (110, 250), (350, 250)],
            label=["the producer raises"],
            at=(230, 272),
        ),
        Arrow(
            rows=[(RUNNING, RunCause.STOP)],
            points=[(190, 150), (350, 150)],
            label=["stop(), or idle"],
            at=(268, 140),
        ),
        Arrow(
            rows=[(STOPPING, RunCause.END)],
            points=[(510, 150), (670, 150)],
            label=["the producer ends,", "or its grace does"],
            at=(588, 126),
        ),
        Arrow(
            rows=[(state, RunCause.LOSE) for state in ANY],
            points=[(670, 250), (695, 250)],
            label=["the process shuts down,", "or its lease expires"],
            at=(672, 298),
        ),
    ],
)
