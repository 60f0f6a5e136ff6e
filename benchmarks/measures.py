"""
What the values of a figure are called in tables, and which of them is the main one.
"""

import re
from dataclasses import dataclass
from typing import Final

from benchmarks.scenarios import SCENARIOS


@dataclass(frozen=True)
class Measure:
    """
    A value of a figure.

    Attributes:
        name: Its name in the results.
        title: The head of its column.
        form: How it is written, for `format`.
        scale: What it is multiplied with before.
    """

    name: str
    title: str
    form: str = ",.0f"
    scale: float = 1.0

    def text(self, value: float) -> str:
        """
        The value as it is written in a table.
        """
        scaled = value * self.scale
        if self.form == "digits":
            return format(scaled, ".0f" if scaled >= 100 else ".1f" if scaled >= 10 else ".2f")
        return format(scaled, self.form)


@dataclass(frozen=True)
class Figure:
    """
    What is known about a kind of figure.

    Attributes:
        title: The head of its table, with ``{size}`` for the number of subscribers.
        words: What was done, for the reader of the table.
        measures: The columns, the main one first.
        more_is_better: Of the main one.
    """

    title: str
    words: str
    measures: tuple[Measure, ...]
    more_is_better: bool = True

    @property
    def main(self) -> Measure:
        """
        The value that servers are compared by.
        """
        return self.measures[0]


_SHARES = (
    Measure("server_cpu", "server CPU, %", ".0f", 100),
    Measure("client_cpu", "client CPU, %", ".0f", 100),
)
_LATENCY = (Measure("p50_ms", "p50, ms", "digits"), Measure("p99_ms", "p99, ms", "digits"))
_PUBLISH = (
    Measure("cpu_us_per_publish", "CPU for each publish, microseconds", ".1f"),
    Measure("publishes_per_s", "publishes/s"),
    *_SHARES,
)

FIGURES: Final = {
    "twelve": Figure(
        "Twelve messages for each request",
        "``GET /twelve``: 12 messages, each flushed, on keep-alive connections that each ask "
        "again at once. Times are from the request to the last and to the first byte of the "
        "response.",
        (
            Measure("requests_per_s", "requests/s"),
            Measure("whole_p50_ms", "p50, ms", "digits"),
            Measure("whole_p99_ms", "p99, ms", "digits"),
            Measure("first_byte_p50_ms", "first byte p50, ms", "digits"),
            Measure("first_byte_p99_ms", "first byte p99, ms", "digits"),
            *_SHARES,
        ),
    ),
    "many": Figure(
        "One long response",
        "``GET /many``: one response of many messages, each flushed, on one connection.",
        (Measure("messages_per_s", "messages/s"), *_SHARES),
    ),
    "one": Figure(
        "Fan-out to {size} subscribers, one publish at a time",
        "The next message is published when every subscriber has the one before. Times are "
        "from the publish to each receipt.",
        (Measure("deliveries_per_s", "deliveries/s"), *_LATENCY, *_SHARES),
    ),
    "eight": Figure(
        "Fan-out to {size} subscribers, eight publishes in flight",
        "A message is published whenever the oldest of eight has come to every subscriber.",
        (Measure("deliveries_per_s", "deliveries/s"), *_LATENCY, *_SHARES),
    ),
    "paced": Figure(
        "Fan-out to {size} subscribers, by the clock",
        "Ten messages a second, or two to 10,000 subscribers and more, however long they take. "
        "Less is better.",
        (
            Measure("p99_ms", "p99, ms", "digits"),
            Measure("p50_ms", "p50, ms", "digits"),
            Measure("behind_s", "behind at the end, s", ".2f"),
            *_SHARES,
        ),
        more_is_better=False,
    ),
    "channel": Figure(
        "Fan-out to {size} subscribers of a channel, eight publishes in flight",
        "Each event has an id, 1,000 are kept, and a client that has missed some gets them before "
        "what is live. The text of an event has 100 bytes. What twistream's own broadcast does "
        "with the same bytes, without a history, is beside it.",
        (Measure("deliveries_per_s", "deliveries/s"), *_LATENCY, *_SHARES),
    ),
    "replay": Figure(
        "Replay of 1,000 events",
        "A client connects, asks with the ``Last-Event-ID`` from which on all that is kept was "
        "missed, gets it, in chunks of any size, and leaves; then the next one. CPU time of the "
        "server for all of that. Less is better.",
        (
            Measure("cpu_ms_per_replay", "CPU for each replay, ms", "digits"),
            *_LATENCY,
            Measure("replays_per_s", "replays/s"),
            *_SHARES,
        ),
        more_is_better=False,
    ),
    "text": Figure(
        "Publish to a channel without subscribers, a str",
        "CPU time of the server for each of many publishes of 100 bytes in one turn of the "
        "reactor, with 1,000 events kept, so that each publish drops one. Less is better.",
        _PUBLISH,
        more_is_better=False,
    ),
    "json": Figure(
        "Publish to a channel without subscribers, a value",
        "As before, and the value is encoded as JSON each time. Less is better.",
        _PUBLISH,
        more_is_better=False,
    ),
    "memory": Figure(
        "Memory of an idle stream",
        "Growth of the server's resident memory from few to all of the subscribers of the "
        "largest fan-out, before anything is published, divided by their number. Buffers of "
        "the kernel are not in it. Less is better.",
        (Measure("kb_per_stream", "KB for each stream", "digits"),),
        more_is_better=False,
    ),
    "ticks": Figure(
        "Streams with a message each second",
        "``GET /ticks``: CPU time of the server while it sends one message a second on each of "
        "many streams. Less is better.",
        (
            Measure("cpu_us_per_message", "CPU for each message, microseconds", ".1f"),
            Measure("cpu_percent", "of one core, %", ".1f"),
            Measure("messages_per_s", "messages/s"),
        ),
        more_is_better=False,
    ),
    "turns": Figure(
        "A message in each turn of the reactor",
        "``GET /turns``: CPU time of the server. Less is better.",
        (
            Measure("cpu_us_per_message", "CPU for each message, microseconds", ".1f"),
            Measure("messages_per_s", "messages/s"),
            *_SHARES,
        ),
        more_is_better=False,
    ),
}
"""
By the scenario, or of a fan-out by the way of publishing.
"""


def kind(name: str) -> Figure:
    """
    What is known about the figure of this name.
    """
    return FIGURES[name.rpartition("-")[2]]


def title(name: str) -> str:
    """
    The head of its table.
    """
    size = size_of(name)
    return kind(name).title.format(size="" if size is None else f"{size:,}")


def size_of(name: str) -> int | None:
    """
    The number of subscribers, for the figure of a fan-out.
    """
    match = re.fullmatch(r"fanout-(\d+)-\w+", name)
    return int(match[1]) if match else None


def in_order(names: list[str]) -> list[str]:
    """
    Figures in the order in which scenarios are told of.
    """
    scenarios, kinds = list(SCENARIOS), list(FIGURES)
    return sorted(
        names,
        key=lambda name: (
            scenarios.index(name.partition("-")[0]),
            size_of(name) or 0,
            kinds.index(name.rpartition("-")[2]),
        ),
    )
