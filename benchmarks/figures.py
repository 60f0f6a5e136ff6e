"""
The figures: their titles, and the names of their values in tables.
"""

from typing import Final, NamedTuple

from benchmarks.scenarios import FORMS, SCENARIOS

OURS: Final = "twistream"  # the server that the others are compared with


class Figure(NamedTuple):
    """
    A kind of figure.

    Attributes:
        title: The title of its table, with ``{size}`` for the number of subscribers.
        words: What was measured.
        measures: The columns: the name of each value and its title. The first is the main one.
        more_is_better: Whether a greater main value is better.
    """

    title: str
    words: str
    measures: dict[str, str]
    more_is_better: bool = False

    @property
    def main(self) -> str:
        """
        The name of the value that servers are compared by.
        """
        return next(iter(self.measures))

    @property
    def cost(self) -> str:
        """
        The name of the value that two checkouts are compared by: CPU time where it is known.
        """
        return next((name for name in self.measures if name.startswith("cpu_")), self.main)


_SHARES: Final = {"server_cpu": "server CPU, %", "client_cpu": "client CPU, %"}
_LATENCY: Final = {"p50_ms": "p50, ms", "p99_ms": "p99, ms"} | _SHARES
_DELIVERIES: Final = {
    "deliveries_per_s": "deliveries/s",
    "cpu_us_per_delivery": "microseconds of CPU",
} | _LATENCY
_PUBLISH: Final = {
    "cpu_us_per_publish": "microseconds of CPU",
    "publishes_per_s": "publishes/s",
} | _SHARES

FIGURES: Final = {
    "long": Figure(
        "One long response",
        "CPU time of the server for each message of one long response.",
        {"cpu_us": "microseconds per message"},
    ),
    "short": Figure(
        "Responses of 12 messages",
        "CPU time of the server for each request and its response of 12 flushed messages.",
        {"cpu_us": "microseconds per response"},
    ),
    "twelve": Figure(
        "Responses of 12 messages",
        "12 messages, each flushed, on keep-alive connections with one request in flight on each. "
        "Times are from the request to the end of the response.",
        {"requests_per_s": "requests/s", "cpu_us_per_request": "microseconds of CPU"} | _LATENCY,
        more_is_better=True,
    ),
    "many": Figure(
        "One long response",
        "One response of many messages, each flushed, on one connection.",
        {"messages_per_s": "messages/s", "cpu_us_per_message": "microseconds of CPU"} | _SHARES,
        more_is_better=True,
    ),
    "one": Figure(
        "Fan-out to {size} subscribers, one publish at a time",
        "The next message is published when every subscriber has the one before. Times are from "
        "the publish to each receipt.",
        _DELIVERIES,
        more_is_better=True,
    ),
    "eight": Figure(
        "Fan-out to {size} subscribers, eight publishes in flight",
        "A message is published whenever every subscriber has the oldest of eight.",
        _DELIVERIES,
        more_is_better=True,
    ),
    "paced": Figure(
        "Fan-out to {size} subscribers, at a fixed rate",
        "Ten messages a second, or two to 10,000 subscribers and more. Less is better.",
        {"p99_ms": "p99, ms", "p50_ms": "p50, ms", "behind_s": "behind at the end, s"} | _SHARES,
    ),
    "channel": Figure(
        "Fan-out to {size} subscribers of a channel, eight publishes in flight",
        "Each event has an id and a text of 100 bytes, and the channel keeps 1,000 events.",
        _DELIVERIES,
        more_is_better=True,
    ),
    "replay": Figure(
        "Replay of 1,000 events",
        "A client connects with a ``Last-Event-ID``, receives the 1,000 events that it missed, in "
        "chunks of any size, and disconnects; then the next one. Less is better.",
        {"cpu_ms_per_replay": "ms of CPU", "replays_per_s": "replays/s"} | _LATENCY,
    ),
    "publish-text": Figure(
        "Publish to a channel without subscribers, a str",
        "Many publishes of 100 bytes in one turn of the reactor, with 1,000 events kept, so that "
        "each publish drops one. Less is better.",
        _PUBLISH,
    ),
    "publish-json": Figure(
        "Publish to a channel without subscribers, a value",
        "As above, with a value that is encoded as JSON each time. Less is better.",
        _PUBLISH,
    ),
    "memory": Figure(
        "Memory of an idle stream",
        "Growth of the server's resident memory while the subscribers of the largest fan-out "
        "connect, divided by their number, without buffers of the kernel. Less is better.",
        {"kb_per_stream": "KB per stream"},
    ),
}
"""
By scenario, by form, or for a fan-out by the way messages are published.
"""


def kind(name: str) -> Figure:
    """
    The kind of the figure with this name.
    """
    first, _, rest = name.partition("-")
    if first == "fanout":
        return FIGURES[rest.partition("-")[2]]
    return FIGURES.get(name) or FIGURES[first]


def form(name: str) -> str | None:
    """
    The form that a figure of ``forms`` is about.
    """
    first, _, rest = name.partition("-")
    return rest if first in ("long", "short") else None


def size_of(name: str) -> int | None:
    """
    The number of subscribers of a fan-out.
    """
    parts = name.split("-")
    return int(parts[1]) if parts[0] == "fanout" else None


def title(name: str) -> str:
    """
    The title of a figure's table.
    """
    return kind(name).title.format(size=f"{size_of(name) or 0:,}")


def text(measure: str, value: float) -> str:
    """
    A value as it is written in tables.
    """
    if measure.endswith("_cpu"):
        value *= 100
    return f"{value:,.{0 if value >= 100 else 1 if value >= 10 else 2}f}"


def in_order(names: list[str]) -> list[str]:
    """
    Figures in the order of the scenarios.
    """
    kinds, forms, scenarios = list(FIGURES.values()), list(FORMS), list(SCENARIOS)

    def key(name: str) -> tuple[int, ...]:
        which = form(name)
        scenario = scenarios.index("forms" if which else name.partition("-")[0])
        place = forms.index(which) if which else size_of(name) or 0
        return scenario, place, kinds.index(kind(name))

    return sorted(names, key=key)
