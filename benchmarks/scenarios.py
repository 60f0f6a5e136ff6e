"""
The scenarios: what is asked of a server, and which figures that gives.

A load is what one process of a server is put under; it gives one figure or several. A
figure is named after its scenario, such as ``fanout-1000-eight``, and its values after what
they are, with their unit.
"""

import math
from array import array
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias

from benchmarks.channel import ChannelFanout, replay
from benchmarks.checks import check_channel, check_replay, check_response, check_subscribers
from benchmarks.client import SIZE, Connections, Limit, Use
from benchmarks.errors import NotMeasuredError
from benchmarks.fanout import Deliveries, Fanout, Streams
from benchmarks.message import HISTORY, LAST_CHUNK, as_chunk
from benchmarks.processes import ServerProcess
from benchmarks.servers import Server

FLOOR: Final = "bare_send"
"""
The server that is none: it is measured where messages are delivered, and nowhere else.
"""

SCENARIOS: Final = {
    "twelve": "12 messages for each request, on 64 connections",
    "many": "one response of 200,000 messages",
    "fanout": "deliveries to 100, 1,000 and 10,000 subscribers",
    "channel": "deliveries to 1,000 subscribers of a channel, with ids and a history",
    "replay": "CPU time of a replay of 1,000 events to a client that has missed them",
    "publish": "CPU time of a publish to a channel without subscribers (twistream)",
    "memory": "memory of an idle stream, of as many as the largest fan-out has",
    "ticks": "CPU time of 1,000 streams with a message each second",
    "turns": "CPU time of a message in a turn of its own (servers on Twisted)",
}
"""
What can be asked for, and what it is about.
"""

_PREFERRED: Final = 1_000

PUBLISHED: Final = ("text", "json")
"""
What is published to a channel without subscribers: a `str`, or a value as JSON.
"""

MODES: Final = ("one", "eight", "paced")
"""
How messages are published to subscribers.
"""

_SETTLE = 0.2
"""
Seconds in which a server does what it puts off, such as the end of what it began.
"""

Values: TypeAlias = dict[str, float]
Put: TypeAlias = Callable[[str, Values], None]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    How much is measured.

    Attributes:
        rounds: How often each server has its turn.
        duration: Seconds of each measurement; some need more, see `limit`.
        sizes: Numbers of subscribers.
        connections: Connections of ``twelve``.
        many: Messages of one response of ``many``.
        ticking: Streams of ``ticks``.
        tick_seconds: Seconds that they are watched; whole ones, so that each stream
            has the same number of messages in it.
        turns: Messages of one response of ``turns``.
        publishes: What is published for one request of ``publish``.
    """

    rounds: int = 5
    duration: float = 2.0
    sizes: tuple[int, ...] = (100, 1_000, 10_000)
    connections: int = 64
    many: int = 200_000
    ticking: int = 1_000
    tick_seconds: float = 4.0
    turns: int = 20_000
    publishes: int = 2_000

    @classmethod
    def quick(cls) -> "Settings":
        """
        Just enough to see that all of it works.
        """
        return cls(
            rounds=1,
            duration=0.1,
            sizes=(10, 40),
            connections=4,
            many=2_000,
            ticking=20,
            tick_seconds=1.0,
            turns=500,
            publishes=100,
        )

    @property
    def warm_up(self) -> float:
        """
        Seconds before each measurement under the same load.
        """
        return 0.15 * self.duration

    @property
    def limit(self) -> float:
        """
        Seconds that any one measurement may take. The slowest servers need ten to send eight
        messages to 10,000 subscribers.
        """
        return 30 + 5 * self.duration

    @property
    def files(self) -> int:
        """
        Files that have to be open in a process at the same time, with some to spare.
        """
        return max(*self.sizes, self.ticking, self.connections) + 200

    def as_json(self) -> dict[str, Any]:
        """
        All of it, for the results.
        """
        return asdict(self)


def main_size(sizes: Collection[int]) -> int:
    """
    The number of subscribers that stands for all, where only one is shown: 1,000 if it is
    among them, else one in the middle.
    """
    if not sizes or _PREFERRED in sizes:
        return _PREFERRED
    return sorted(sizes)[len(sizes) // 2]


@dataclass(frozen=True)
class Load:
    """
    What one process of a server is put under.

    Attributes:
        name: For messages.
        paths: What the server has to answer to take part.
        figures: The names of what it gives, in order.
        measure: Does it, and puts each figure as soon as it is there.
        compares: Whether servers take part that are there for comparison only.
    """

    name: str
    paths: frozenset[str]
    figures: tuple[str, ...]
    measure: Callable[[ServerProcess, Put], None]
    compares: bool

    def figures_of(self, server: Server) -> tuple[str, ...]:
        """
        The names of what it gives of this server: of some, nothing.
        """
        if not self.paths <= server.paths:
            return ()
        if server.isolates:
            return self.figures
        if server.name != FLOOR and not self.compares:
            return ()
        return tuple(name for name in self.figures if name != "memory")


def loads(settings: Settings, only: Collection[str]) -> list[Load]:
    """
    What has to be done for some scenarios.

    The subscribers of the largest fan-out are also those whose memory is measured: the
    process is fresh, and their memory is measured before anything is published.
    """
    plan: list[Load] = []

    def add(name: str, paths: set[str], figures: Sequence[str], measure: Any) -> None:
        plan.append(
            Load(
                name,
                frozenset(paths),
                tuple(figures),
                lambda process, put: measure(process, settings, put),
                compares=name == f"fanout-{main_size(settings.sizes)}",
            )
        )

    for size in settings.sizes:
        figures = [f"fanout-{size}-{mode}" for mode in MODES] if "fanout" in only else []
        if "memory" in only and size == max(settings.sizes):
            figures = ["memory", *figures]
        if figures:
            add(f"fanout-{size}", {"/subscribe", "/publish"}, figures, _Subscribers(size, figures))
    for name, paths, figures, measure in _of_one_load(settings):
        if name in only:
            add(name, paths, figures, measure)
    return plan


def _of_one_load(settings: Settings) -> list[tuple[str, set[str], list[str], Any]]:
    """
    Name, paths, figures and measure of each scenario that is one load.
    """
    fanout = f"fanout-{main_size(settings.sizes)}-channel"
    unheard = [f"publish-{kind}" for kind in PUBLISHED]
    return [
        ("twelve", {"/twelve"}, ["twelve"], _twelve),
        ("many", {"/many"}, ["many"], _many),
        ("channel", {"/channel/subscribe", "/channel/publish"}, [fanout], _channel),
        ("replay", {"/channel/replay", "/channel/publish"}, ["replay"], _replay),
        ("publish", {f"/channel/{kind}" for kind in PUBLISHED}, unheard, _publish),
        ("ticks", {"/ticks"}, ["ticks"], _ticks),
        ("turns", {"/turns"}, ["turns"], _turns),
    ]


def _twelve(process: ServerProcess, settings: Settings, put: Put) -> None:
    length = check_response(process, "/twelve", 12) + 12 * SIZE + len(LAST_CHUNK)
    limit = Limit(settings.limit, process)
    with Connections(process, "/twelve", settings.connections, length) as connections:
        connections.measure(settings.warm_up, limit)
        result = connections.measure(settings.duration, limit)
    put(
        "twelve",
        {"requests_per_s": len(result.whole) / result.use.seconds}
        | _latencies(result.whole, "whole_")
        | _latencies(result.first, "first_byte_")
        | _shares(result.use),
    )


def _many(process: ServerProcess, settings: Settings, put: Put) -> None:
    rate, use = _long_responses(process, settings, "/many", settings.many)
    put("many", {"messages_per_s": rate} | _shares(use))


def _turns(process: ServerProcess, settings: Settings, put: Put) -> None:
    rate, use = _long_responses(process, settings, "/turns", settings.turns)
    messages = rate * use.seconds
    put(
        "turns",
        {"cpu_us_per_message": use.server_seconds / messages * 1e6, "messages_per_s": rate}
        | _shares(use),
    )


def _long_responses(
    process: ServerProcess, settings: Settings, path: str, messages: int
) -> tuple[float, Use]:
    """
    Messages a second of one response after the other, on one connection.
    """
    head = check_response(process, f"{path}?n=50", 50)
    limit = Limit(settings.limit, process)
    for count, duration in ((messages // 20, 0.0), (messages, settings.duration)):
        length = head + count * SIZE + len(LAST_CHUNK)
        with Connections(process, f"{path}?n={count}", 1, length) as connections:
            result = connections.measure(duration, limit)
    return messages * len(result.whole) / result.use.seconds, result.use


class _Subscribers:
    """
    The load of a fan-out.
    """

    def __init__(self, size: int, figures: Sequence[str]) -> None:
        self._size = size
        self._figures = figures

    def __call__(self, process: ServerProcess, settings: Settings, put: Put) -> None:
        check_subscribers(process)
        with Streams(process, "/subscribe") as streams:
            memory = self._open(process, settings, streams)
            if "memory" in self._figures and process.server.isolates:
                put("memory", {"kb_per_stream": memory / 1024})
            if any(name.startswith("fanout") for name in self._figures):
                with Fanout(process, streams) as fanout:
                    self._publish(process, settings, put, fanout)

    def _open(self, process: ServerProcess, settings: Settings, streams: Streams) -> float:
        """
        Open all of them, and tell how many bytes of the server's memory each has taken.
        """
        limit = Limit(settings.limit, process)
        # What a server loads or makes for its first streams is not the price of one more.
        first = min(100, self._size // 10)
        streams.open(first, limit)
        streams.read_for(_SETTLE, limit)
        before = process.memory()
        streams.open(self._size - first, limit)
        streams.read_for(_SETTLE, limit)
        return (process.memory() - before) / (self._size - first)

    def _publish(
        self, process: ServerProcess, settings: Settings, put: Put, fanout: Fanout
    ) -> None:
        for mode, in_flight in (("one", 1), ("eight", 8)):
            limit = Limit(settings.limit, process)
            result = fanout.closed(in_flight, settings.warm_up, settings.duration, limit)
            put(f"fanout-{self._size}-{mode}", self._values(result))
        rate = 2.0 if self._size >= 10_000 else 10.0
        count = max(1, round(rate * 1.5 * settings.duration))
        result = fanout.paced(rate, count, Limit(settings.limit, process))
        values = self._values(result)
        # The last message may take as long as the pause after each of the others.
        values["behind_s"] = max(0.0, result.use.seconds - count / rate)
        put(f"fanout-{self._size}-paced", values)

    def _values(self, result: Deliveries) -> Values:
        return _deliveries(result, self._size)


def _channel(process: ServerProcess, settings: Settings, put: Put) -> None:
    size = main_size(settings.sizes)
    # All that keep a history keep the last event; see `_replay` for the rest.
    events, newest = check_channel(process, 1)
    limit = Limit(settings.limit, process)
    with Streams(
        process,
        "/channel/subscribe",
        last_event_id=events.id_of(newest - 1),
        first=as_chunk(events.event(newest)),
    ) as streams:
        streams.open(size, limit)
        streams.read_for(_SETTLE, limit)
        with ChannelFanout(process, streams, events, newest) as fanout:
            result = fanout.closed(8, settings.warm_up, settings.duration, limit)
    put(f"fanout-{size}-channel", _deliveries(result, size))


def _replay(process: ServerProcess, settings: Settings, put: Put) -> None:
    events, newest = check_channel(process, HISTORY)
    expected = check_replay(process, events, newest)
    for duration in (settings.warm_up, settings.duration):
        limit = Limit(settings.limit, process)
        result = replay(process, events.id_of(newest - HISTORY), expected, duration, limit)
    replays = len(result.whole)
    put(
        "replay",
        {
            "cpu_ms_per_replay": result.use.server_seconds / replays * 1e3,
            "replays_per_s": replays / result.use.seconds,
        }
        | _latencies(result.whole, "")
        | _shares(result.use),
    )


def _publish(process: ServerProcess, settings: Settings, put: Put) -> None:
    for kind in PUBLISHED:
        path = f"/channel/{kind}"
        # Which fills the history, so that each publish from then on drops an event of it.
        length = check_response(process, f"{path}?n={HISTORY}", 1) + SIZE + len(LAST_CHUNK)
        limit = Limit(settings.limit, process)
        with Connections(process, f"{path}?n={settings.publishes}", 1, length) as connections:
            connections.measure(settings.warm_up, limit)
            result = connections.measure(settings.duration, limit)
        publishes = settings.publishes * len(result.whole)
        put(
            f"publish-{kind}",
            {
                "cpu_us_per_publish": result.use.server_seconds / publishes * 1e6,
                "publishes_per_s": publishes / result.use.seconds,
            }
            | _shares(result.use),
        )


def _ticks(process: ServerProcess, settings: Settings, put: Put) -> None:
    limit = Limit(settings.limit, process)
    with Streams(process, "/ticks") as streams:
        streams.open(settings.ticking, limit)
        # Streams that are opened within a moment tick within a moment: between ticks the window
        # begins and ends.
        streams.read_for(0.5, limit)
        use = Use(process)
        before = streams.bytes_had()
        use.start()
        streams.read_for(settings.tick_seconds, limit)
        use.stop()
        messages = (streams.bytes_had() - before) / SIZE
    expected = settings.ticking * settings.tick_seconds
    if not 0.7 * expected <= messages <= 1.3 * expected:
        msg = f"{messages:.0f} ticks came, where about {expected:.0f} were due"
        raise NotMeasuredError(msg)
    put(
        "ticks",
        {
            "cpu_percent": use.server * 100,
            "cpu_us_per_message": use.server_seconds / messages * 1e6,
            "messages_per_s": messages / use.seconds,
        }
        | _shares(use),
    )


def _deliveries(result: Deliveries, subscribers: int) -> Values:
    return (
        {"deliveries_per_s": result.messages * subscribers / result.use.seconds}
        | _latencies(result.latencies, "")
        | _shares(result.use)
    )


def _shares(use: Use) -> Values:
    return {"client_cpu": use.client, "server_cpu": use.server, "others_cpu": use.others}


def _latencies(seconds: "array[float]", prefix: str) -> Values:
    values = sorted(seconds)
    return {
        f"{prefix}p50_ms": percentile(values, 0.5) * 1e3,
        f"{prefix}p99_ms": percentile(values, 0.99) * 1e3,
    }


def percentile(values: Sequence[float], share: float) -> float:
    """
    The value that a share of all values are not above: 0.5 for the median.

    Args:
        values: In order, one at least.
        share: From 0.0 to 1.0.
    """
    return values[max(0, math.ceil(share * len(values)) - 1)]
