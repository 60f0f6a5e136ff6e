"""
The states of a subscription to channels.
"""

from scripts.diagrams.states import Arrow, Box, StateDiagram
from twistream.channels.state import TRANSITIONS, Cause, State

NEW, LIVE, ENDED = State.NEW, State.LIVE, State.ENDED
REPLAYING, DRAINING, CLOSING = State.REPLAYING, State.DRAINING, State.CLOSING

ANY = (NEW, LIVE, DRAINING, REPLAYING, CLOSING)

DIAGRAM = StateDiagram(
    title="The states of a subscription: live, draining the mailbox, replaying the history",
    size=(860, 345),
    table=TRANSITIONS,
    boxes={
        NEW: Box(center=(90, 90)),
        LIVE: Box(center=(360, 90), text=["in the broadcast"]),
        ENDED: Box(center=(630, 90)),
        REPLAYING: Box(center=(90, 250), text=["mailbox, then history"]),
        DRAINING: Box(center=(360, 250), text=["mailbox, then broadcast"]),
        CLOSING: Box(center=(630, 250), text=["mailbox only"], width=120),
    },
    groups={ANY: Box(center=(790, 90), text=["any state"], width=90, height=36)},
    arrows=[
        Arrow(
            rows=[(NEW, Cause.FOLLOW)],
            points=[(170, 90), (280, 90)],
            label=["subscribe,", "without an id"],
            at=(222, 66),
        ),
        Arrow(
            rows=[(NEW, Cause.RESUME)],
            points=[(60, 118), (60, 222)],
            label=["subscribe,", "after an id"],
            at=(68, 164),
            anchor="start",
        ),
        Arrow(
            rows=[(NEW, Cause.FINISH)],
            points=[(90, 62), (90, 32), (630, 32), (630, 62)],
            label=["subscribe without an id; the channels are closed"],
            at=(360, 24),
        ),
        Arrow(
            rows=[(LIVE, Cause.FULL)],
            points=[(310, 118), (310, 222)],
            label=["the connection", "is full"],
            at=(316, 164),
            anchor="start",
        ),
        Arrow(
            rows=[(DRAINING, Cause.DRAINED)],
            points=[(410, 222), (410, 118)],
            label=["the mailbox", "is empty"],
            at=(418, 164),
            anchor="start",
        ),
        Arrow(
            rows=[(DRAINING, Cause.OVERFLOW)],
            points=[(280, 250), (170, 250)],
            label=["the mailbox is", 'full ("catchup")'],
            at=(227, 270),
        ),
        Arrow(
            rows=[(REPLAYING, Cause.CAUGHT_UP)],
            points=[(150, 222), (284, 118)],
            label=["the history", "is sent"],
            at=(232, 180),
            anchor="start",
        ),
        Arrow(
            rows=[(DRAINING, Cause.CLOSE)],
            points=[(440, 250), (570, 250)],
            label=["the channels", "are closed"],
            at=(503, 270),
        ),
        Arrow(
            rows=[(LIVE, Cause.FINISH)],
            points=[(440, 90), (550, 90)],
            label=["the channels", "are closed"],
            at=(493, 66),
        ),
        Arrow(
            rows=[(CLOSING, Cause.FINISH)],
            points=[(630, 222), (630, 118)],
            label=["the mailbox", "is empty"],
            at=(622, 164),
            anchor="end",
        ),
        Arrow(
            rows=[(REPLAYING, Cause.FINISH)],
            points=[(90, 278), (90, 326), (700, 326), (700, 118)],
            label=["the history is sent, and the channels are closed"],
            at=(395, 318),
        ),
        Arrow(
            rows=[(state, Cause.DETACH) for state in ANY],
            points=[(745, 90), (710, 90)],
            label=["the response ends,", "or the subscription", "is cancelled or fails"],
            at=(790, 130),
        ),
    ],
)
