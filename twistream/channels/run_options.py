"""
RunOptions: what ``Hub.run`` is called with.

Layer: channels, below `run_core`.
"""

from typing import Any, Literal, TypeAlias, get_args

from attrs import Attribute, field, frozen

from twistream.channels.engine import Bounds
from twistream.channels.run_end import END_ROOM
from twistream.checks import check_count, check_seconds, check_timer

OnFull: TypeAlias = Literal["wait", "error", "trim"]
"""
What `publish` does when the history is full. See ``Hub.run``.
"""


def _check_seconds(_: object, attribute: "Attribute[Any]", value: float) -> None:
    check_seconds(attribute.name, value)


def _check_timer(_: object, attribute: "Attribute[Any]", value: float | None) -> None:
    if value is not None:
        check_timer(attribute.name, value)


def _check_size(_: object, attribute: "Attribute[Any]", value: int | None) -> None:
    if value is not None:
        check_count(attribute.name, value, 1)


def _check_history(_: object, __: object, value: int) -> None:
    check_count("history", value, 1)


def _check_on_full(_: object, __: object, value: OnFull) -> None:
    if not (isinstance(value, str) and value in get_args(OnFull)):
        msg = f"on_full must be one of {', '.join(get_args(OnFull))}, not {value!r}"
        raise ValueError(msg)


@frozen(kw_only=True)
class RunOptions:
    """
    The options of a run. See ``Hub.run``.
    """

    ttl: float = field(validator=_check_seconds)
    history: int = field(validator=_check_history)
    history_bytes: int | None = field(validator=_check_size)
    history_ttl: float | None = field(validator=_check_timer)
    idle_timeout: float | None = field(validator=_check_timer)
    on_full: OnFull = field(validator=_check_on_full)
    grace: float = field(validator=_check_seconds)
    show_errors: bool

    @property
    def bounds(self) -> Bounds:
        """
        The limits of the history, without the end.
        """
        return Bounds(
            history=self.history,
            history_ttl=self.history_ttl,
            history_bytes=self.history_bytes,
        )

    @property
    def bounds_with_end(self) -> Bounds:
        """
        The limits of the history with the end, so that it drops no other message.
        """
        size = None if self.history_bytes is None else self.history_bytes + END_ROOM
        return Bounds(history=self.history + 1, history_ttl=self.history_ttl, history_bytes=size)
