"""
The phases of a response.
"""

from scripts.diagrams.states import Arrow, Box, StateDiagram
from twistream.server.response.phase import TRANSITIONS, Cause, Phase

HEAD, BODY, FINISHING, ABORTING, OVER = Phase

ANY = (HEAD, BODY, FINISHING, ABORTING)

DIAGRAM = StateDiagram(
    title="The phases of a response: head, body, finishing, aborting, over",
    size=(860, 330),
    table=TRANSITIONS,
    boxes={
        HEAD: Box(center=(90, 90), text=["headers can change"]),
        BODY: Box(center=(345, 90), text=["messages are sent"]),
        FINISHING: Box(center=(600, 90), text=["the client takes the rest"]),
        ABORTING: Box(center=(345, 240), text=["flushed bytes are sent"]),
        OVER: Box(center=(600, 240)),
    },
    groups={ANY: Box(center=(795, 240), text=["any phase"], width=90, height=36)},
    arrows=[
        Arrow(
            rows=[(HEAD, Cause.EMIT)],
            points=[(170, 90), (265, 90)],
            label=["the head", "is framed"],
            at=(217, 66),
        ),
        Arrow(
            rows=[(HEAD, Cause.END), (HEAD, Cause.NO_BODY)],
            points=[(90, 62), (90, 32), (600, 32), (600, 62)],
            label=["the handler has ended, or no body is allowed"],
            at=(345, 24),
        ),
        Arrow(
            rows=[(BODY, Cause.END)],
            points=[(425, 90), (520, 90)],
            label=["the body", "is complete"],
            at=(471, 66),
        ),
        Arrow(
            rows=[(HEAD, Cause.ABORT)],
            points=[(90, 118), (90, 240), (265, 240)],
            label=["abort"],
            at=(171, 262),
        ),
        Arrow(
            rows=[(BODY, Cause.ABORT)],
            points=[(345, 118), (345, 212)],
            label=["abort, or the", "handler fails"],
            at=(353, 160),
            anchor="start",
        ),
        Arrow(
            rows=[(FINISHING, Cause.DRAINED)],
            points=[(600, 118), (600, 212)],
            label=["the connection", "has drained"],
            at=(608, 160),
            anchor="start",
        ),
        Arrow(
            rows=[(ABORTING, Cause.DRAINED)],
            points=[(425, 240), (520, 240)],
            label=["drained"],
            at=(471, 262),
        ),
        Arrow(
            rows=[(phase, cause) for cause in (Cause.LOST, Cause.CUT) for phase in ANY],
            points=[(750, 240), (680, 240)],
            label=["the connection is lost,", "or the client is cut"],
            at=(785, 276),
        ),
    ],
)
