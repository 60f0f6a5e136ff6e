"""
Transitions: the one table of a life cycle.

Layer: at the bottom.
"""

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import NoReturn, TypeVar

S = TypeVar("S", bound=Enum)
C = TypeVar("C", bound=Enum)


class Transitions(dict[tuple[S, C], S]):
    """
    Every transition: the state that follows a state and a cause.

    ``transitions[state, cause]`` raises an AssertionError if there is none: a bug of this library.
    """

    def __init__(self, targets: Mapping[C, S], causes: Mapping[S, Iterable[C]]) -> None:
        """
        Args:
            targets: The state that each cause leads to.
            causes: The causes that are possible in each state.
        """
        self._targets = targets
        super().__init__(
            {(state, cause): targets[cause] for state, those in causes.items() for cause in those}
        )

    def __missing__(self, key: tuple[S, C]) -> NoReturn:
        state, cause = key
        msg = f"no transition from {state.name} to {self._targets[cause].name}: {cause.value}"
        raise AssertionError(msg)
