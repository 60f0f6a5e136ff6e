"""
What twistream is to reach, as data, and whether it does.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from benchmarks.measures import kind
from benchmarks.results import Results
from benchmarks.spread import Spread, differences, ratios

OURS: Final = "twistream"
"""
The server that the others are compared to.
"""

PYTHON_PEERS: Final = ("aiohttp", "starlette", "sse_starlette", "tornado", "granian")
"""
What a user would take who is not on Twisted, and who has clients that read slowly or not at
all: no server is among them whose `isolates` is false.
"""

RESPONDING_PEERS: Final = (*PYTHON_PEERS, "starlette_granian")
"""
Where subscribers do not matter.
"""

_SIGNS: Final[dict[str, Callable[[float, float], bool]]] = {
    ">=": operator.ge,
    ">": operator.gt,
    "<=": operator.le,
    "<": operator.lt,
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """
    One goal.

    Attributes:
        words: What it says.
        figure: What is measured; its main value counts.
        sign: How the outcome has to stand to `bound`.
        bound: A ratio of twistream to the other, or a difference, or a value.
        peers: Who the other is; of several, the best of each round. Where there is none and no
            baseline, the value of twistream itself counts.
        baseline: The figure of twistream itself that is compared to, in the place of peers.
        difference: Whether `bound` is what twistream may have more.
        unit: Of a bound that is no ratio.
    """

    words: str
    figure: str
    sign: str
    bound: float
    peers: tuple[str, ...] = ()
    baseline: str | None = None
    difference: bool = False
    unit: str = ""

    def outcome(self, results: Results) -> Spread | None:
        """
        What came of it, or None if it was not measured.
        """
        ours = _main(results, self.figure, OURS)
        if self.baseline is not None:
            return Spread.of(ratios(ours, _main(results, self.baseline, OURS)))
        if not self.peers:
            return Spread.of(ours.values())
        other = self._best(results)
        return Spread.of((differences if self.difference else ratios)(ours, other))

    def without(self, results: Results) -> list[str]:
        """
        The peers that have no figure, at least not of each round: they may be the best.
        """
        rounds = _main(results, self.figure, OURS).keys()
        return [peer for peer in self.peers if rounds - _main(results, self.figure, peer).keys()]

    def is_reached(self, outcome: Spread) -> bool:
        """
        Whether the median is good enough.
        """
        return _SIGNS[self.sign](outcome.median, self.bound)

    def _best(self, results: Results) -> dict[int, float]:
        best = max if kind(self.figure).more_is_better else min
        rounds: dict[int, list[float]] = {}
        for peer in self.peers:
            for number, value in _main(results, self.figure, peer).items():
                rounds.setdefault(number, []).append(value)
        return {number: best(values) for number, values in rounds.items()}


def _main(results: Results, figure: str, server: str) -> dict[int, float]:
    return results.values(figure, server, kind(figure).main.name)


TARGETS: Final = (
    Target(
        words="fan-out to 1,000, eight in flight: 3 times Go",
        figure="fanout-1000-eight",
        sign=">=",
        bound=3.0,
        peers=("go",),
    ),
    Target(
        words="fan-out to 1,000, eight in flight: 8 times the best Python peer",
        figure="fanout-1000-eight",
        sign=">=",
        bound=8.0,
        peers=PYTHON_PEERS,
    ),
    Target(
        words="fan-out to 1,000, eight in flight: above a bare loop of sends",
        figure="fanout-1000-eight",
        sign=">",
        bound=1.0,
        peers=("bare_send",),
    ),
    Target(
        words="fan-out to 1,000, one at a time: as Go",
        figure="fanout-1000-one",
        sign=">=",
        bound=1.0,
        peers=("go",),
    ),
    Target(
        words="fan-out to 1,000, one at a time: 3 times the best Python peer",
        figure="fanout-1000-one",
        sign=">=",
        bound=3.0,
        peers=PYTHON_PEERS,
    ),
    Target(
        words="fan-out to 10,000, eight in flight: 0.85 of the rate at 1,000",
        figure="fanout-10000-eight",
        sign=">=",
        bound=0.85,
        baseline="fanout-1000-eight",
    ),
    Target(
        words="twelve messages: 1.5 times the best Python peer",
        figure="twelve",
        sign=">=",
        bound=1.5,
        peers=RESPONDING_PEERS,
    ),
    Target(
        words="twelve messages: 0.7 of Go",
        figure="twelve",
        sign=">=",
        bound=0.7,
        peers=("go",),
    ),
    Target(
        words="one long response: 5 times the best peer, Go among them",
        figure="many",
        sign=">=",
        bound=5.0,
        peers=(*RESPONDING_PEERS, "go"),
    ),
    Target(
        # Which flushes nothing, and frames and joins what is written in a turn.
        words="one long response: above plain twisted.web",
        figure="many",
        sign=">",
        bound=1.0,
        peers=("twisted",),
    ),
    Target(
        words="memory of a stream: at most 3 KB above plain twisted.web",
        figure="memory",
        sign="<=",
        bound=3.0,
        peers=("twisted",),
        difference=True,
        unit="KB",
    ),
    Target(
        words="memory of a stream: below 60% of the best Python peer",
        figure="memory",
        sign="<",
        bound=0.6,
        peers=PYTHON_PEERS,
    ),
    Target(
        words="fan-out to 1,000, ten a second: p99 below Go's",
        figure="fanout-1000-paced",
        sign="<",
        bound=1.0,
        peers=("go",),
    ),
    Target(
        words="a message in each turn: less CPU than plain twisted.web",
        figure="turns",
        sign="<",
        bound=1.0,
        peers=("twisted",),
    ),
    Target(
        words="fan-out of a channel to 1,000, eight in flight: 0.8 of the broadcast alone",
        figure="fanout-1000-channel",
        sign=">=",
        bound=0.8,
        peers=("twistream_broadcast",),
    ),
    Target(
        words="replay of 1,000 events: below 10 ms of CPU",
        figure="replay",
        sign="<",
        bound=10.0,
        unit="ms",
    ),
    Target(
        words="publish of a str to nobody: below 20 microseconds of CPU",
        figure="publish-text",
        sign="<",
        bound=20.0,
        unit="microseconds",
    ),
    Target(
        words="publish of a value to nobody: below 20 microseconds of CPU",
        figure="publish-json",
        sign="<",
        bound=20.0,
        unit="microseconds",
    ),
)
"""
All goals that are figures.
"""
