"""
State: the life of a subscription, and the one table of its transitions.

Layer: channels, at the bottom.
"""

from enum import Enum

from twistream.transitions import Transitions


class State(Enum):
    """
    What a subscription does now.
    """

    NEW = "nothing was sent"
    LIVE = "in the broadcast; the client keeps up"
    DRAINING = "in the broadcast; the client receives the messages in the mailbox first"
    REPLAYING = "the client receives the messages in the mailbox, then those in the history"
    CLOSING = "the channels are closed; the client receives the messages in the mailbox"
    ENDED = "nothing more is sent"

    __hash__ = object.__hash__  # The one of Enum is written in Python, and slow.


class Cause(Enum):
    """
    What moves a subscription from one state to the next.
    """

    FOLLOW = "it starts without an id"
    RESUME = "it starts after an id"
    FULL = "the connection is full"
    DRAINED = "the mailbox is empty"
    OVERFLOW = 'the mailbox is full, and on_slow is "catchup"'
    CAUGHT_UP = "the history has no more messages"
    CLOSE = "the channels are closed"
    FINISH = "the channels are closed, and all messages are sent"
    DETACH = "the response ended, or the subscription was cancelled or failed"

    __hash__ = object.__hash__


_TARGETS = {
    Cause.FOLLOW: State.LIVE,
    Cause.RESUME: State.REPLAYING,
    Cause.FULL: State.DRAINING,
    Cause.DRAINED: State.LIVE,
    Cause.OVERFLOW: State.REPLAYING,
    Cause.CAUGHT_UP: State.LIVE,
    Cause.CLOSE: State.CLOSING,
    Cause.FINISH: State.ENDED,
    Cause.DETACH: State.ENDED,
}

_CAUSES = {
    State.NEW: (Cause.FOLLOW, Cause.RESUME, Cause.FINISH, Cause.DETACH),
    State.LIVE: (Cause.FULL, Cause.FINISH, Cause.DETACH),
    State.DRAINING: (Cause.DRAINED, Cause.OVERFLOW, Cause.CLOSE, Cause.DETACH),
    State.REPLAYING: (Cause.CAUGHT_UP, Cause.FINISH, Cause.DETACH),
    State.CLOSING: (Cause.FINISH, Cause.DETACH),
    State.ENDED: (),
}

TRANSITIONS = Transitions(_TARGETS, _CAUSES)
"""
Every transition: the state that follows a state and a cause.
"""
