"""
The scenarios: what a server is asked to do, and the figures that this gives.

A load is what one process of a server does; it gives one figure or several. A figure is named after
its scenario, such as ``fanout-1000-eight``, and its values after what they are, with their unit.
"""

import math
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count, repeat
from typing import Final, TypeAlias

from benchmarks import h2load
from benchmarks.client import Client, check_replay, check_response, fill_channel
from benchmarks.fanout import Deliveries, Fanout, Streams
from benchmarks.message import CHUNK, JSON_LINE, MESSAGE, PUBLISHED, as_chunk
from benchmarks.processes import ServerProcess, using
from benchmarks.servers import Server

SCENARIOS: Final = {
    "forms": "CPU time of each way to write a response in twistream, for long and short responses",
    "twelve": "responses of 12 messages, on 64 connections",
    "many": "one response of 200,000 messages",
    "fanout": "deliveries to 100, 1,000 and 10,000 subscribers",
    "channel": "deliveries to 1,000 subscribers of a channel, with ids and a history",
    "replay": "replays of 1,000 events to clients that missed them",
    "publish": "CPU time of a publish to a channel of twistream that has no subscribers",
    "memory": "memory of an idle stream, with as many streams as the largest fan-out",
}

FORMS: Final = {
    "flush": "``await flush()``",
    "stream_writer": "``stream_writer``, function",
    "stream_writer_async": "``stream_writer``, async function",
    "generator": "generator",
    "async_generator": "async generator",
    "json_line": "``json_line``",
    "sse_send": "``sse().send``",
}
"""
The ways to write a response, by their paths on twistream's server.
"""

_SETTLE: Final = 0.2  # seconds in which a server finishes what it does after opening streams

Values: TypeAlias = dict[str, float]
Put: TypeAlias = Callable[[str, Values], None]


@dataclass(frozen=True, kw_only=True)
class Settings:
    """
    How much is measured.

    Attributes:
        rounds: How often each server is measured.
        duration: Seconds of each measurement.
        sizes: Numbers of subscribers.
        connections: Connections of ``twelve``.
        many: Messages of one long response.
        publishes: Publishes for each request of ``publish``: at least a whole history.
    """

    rounds: int = 5
    duration: float = 2.0
    sizes: tuple[int, ...] = (100, 1_000, 10_000)
    connections: int = 64
    many: int = 200_000
    publishes: int = 2_000

    @property
    def warm_up(self) -> float:
        """
        Seconds before each measurement under the same load.
        """
        return 0.15 * self.duration


QUICK: Final = Settings(
    rounds=1, duration=0.1, sizes=(10, 40), connections=4, many=2_000, publishes=1_000
)
"""
Just enough to see that everything works.
"""


def main_size(sizes: Collection[int]) -> int:
    """
    The number of subscribers where only one is shown: 1,000, or one in the middle.
    """
    return 1_000 if not sizes or 1_000 in sizes else sorted(sizes)[len(sizes) // 2]


@dataclass(frozen=True)
class Load:
    """
    What one process of a server does.

    Attributes:
        role: The role that a server needs to take part.
        figures: The names of the figures, in order.
        measure: Measures, and passes on each figure as soon as it is known.
    """

    role: str
    figures: tuple[str, ...]
    measure: Callable[[ServerProcess, Settings, Put], None] = field(repr=False)

    def figures_of(self, server: Server) -> tuple[str, ...]:
        """
        The names of the figures that this server has.
        """
        if self.role not in server.roles:
            return ()
        # A server that keeps nothing for a stream does not show what a stream needs.
        return tuple(name for name in self.figures if server.robust or name != "memory")


def loads(settings: Settings, only: Collection[str]) -> list[Load]:
    """
    The loads of some scenarios.

    The memory of streams is measured in the process of the largest fan-out, before anything is
    published.
    """
    plan = [_form(form, kind) for kind in ("long", "short") for form in FORMS if "forms" in only]
    for size in settings.sizes:
        figures = ["memory"] if "memory" in only and size == max(settings.sizes) else []
        if "fanout" in only:
            figures += [f"fanout-{size}-{mode}" for mode in ("one", "eight", "paced")]
        if figures:
            plan.append(_subscribers(size, tuple(figures)))
    channel = f"fanout-{main_size(settings.sizes)}-channel"
    others = {
        "twelve": Load("responses", ("twelve",), _twelve),
        "many": Load("responses", ("many",), _many),
        "channel": Load("channel", (channel,), _channel),
        "replay": Load("channel", ("replay",), _replay),
        "publish": Load("own", ("publish-text", "publish-json"), _publish),
    }
    return [*plan, *(load for name, load in others.items() if name in only)]


def _form(form: str, kind: str) -> Load:
    message = JSON_LINE if form == "json_line" else MESSAGE

    def measure(process: ServerProcess, settings: Settings, put: Put) -> None:
        number, parts = (settings.many, settings.many) if kind == "long" else (12, 1)
        load = _messages(process, settings, form, number, message)
        put(f"{kind}-{form}", {"cpu_us": load.cpu_us(parts)} | load.use.shares())

    return Load("own", (f"{kind}-{form}",), measure)


def _messages(
    process: ServerProcess, settings: Settings, name: str, number: int, message: bytes = MESSAGE
) -> h2load.Load:
    """
    Check a response of a few messages, and measure responses of `number` messages.
    """
    check_response(process, f"/{name}?n=12", message, 12)
    size = number * len(message)
    return h2load.measure(process, f"/{name}?n={number}", 1, size, settings.duration)


def _twelve(process: ServerProcess, settings: Settings, put: Put) -> None:
    check_response(process, "/twelve", MESSAGE, 12)
    size = 12 * len(MESSAGE)
    load = h2load.measure(process, "/twelve", settings.connections, size, settings.duration)
    values = {"requests_per_s": load.requests / load.seconds, "cpu_us_per_request": load.cpu_us()}
    put("twelve", values | _latencies(load.latencies) | load.use.shares())


def _many(process: ServerProcess, settings: Settings, put: Put) -> None:
    number = settings.many
    load = _messages(process, settings, "many", number)
    rate = load.requests * number / load.seconds
    values = {"messages_per_s": rate, "cpu_us_per_message": load.cpu_us(number)}
    put("many", values | load.use.shares())


def _publish(process: ServerProcess, settings: Settings, put: Put) -> None:
    number, size = settings.publishes, len(MESSAGE)
    for kind in ("text", "json"):
        path = f"/channel/{kind}?n={number}"
        # This fills the history, so that each later publish drops an event.
        check_response(process, path, MESSAGE, 1)
        load = h2load.measure(process, path, 1, size, settings.duration)
        rate = load.requests * number / load.seconds
        values = {"cpu_us_per_publish": load.cpu_us(number), "publishes_per_s": rate}
        put(f"publish-{kind}", values | load.use.shares())


def _subscribers(size: int, figures: tuple[str, ...]) -> Load:
    def measure(process: ServerProcess, settings: Settings, put: Put) -> None:
        with closing(Streams(process, "/subscribe", CHUNK)) as streams:
            # What a server does once is not the price of one more stream.
            first = min(100, size // 2)
            streams.open(first)
            time.sleep(_SETTLE)
            before = process.memory()
            streams.open(size - first)
            time.sleep(_SETTLE)
            memory = (process.memory() - before) / (size - first)
            if "memory" in figures and process.server.robust:
                put("memory", {"kb_per_stream": memory / 1024})
            if figures != ("memory",):
                with closing(Fanout(streams, "/publish", MESSAGE, repeat(CHUNK))) as fanout:
                    _fan_out(fanout, size, settings, put)

    return Load("fanout", figures, measure)


def _fan_out(fanout: Fanout, size: int, settings: Settings, put: Put) -> None:
    for mode, in_flight in (("one", 1), ("eight", 8)):
        result = fanout.closed(in_flight, settings.warm_up, settings.duration)
        put(f"fanout-{size}-{mode}", _deliveries(result, size))
    rate = 2.0 if size >= 10_000 else 10.0
    number = max(1, round(rate * 1.5 * settings.duration))
    result = fanout.paced(rate, number)
    behind = max(0.0, result.use.seconds - number / rate)
    put(f"fanout-{size}-paced", _deliveries(result, size) | {"behind_s": behind})


def _channel(process: ServerProcess, settings: Settings, put: Put) -> None:
    size = main_size(settings.sizes)
    events, newest = fill_channel(process)
    first = as_chunk(events.event(newest))
    expected = (as_chunk(events.event(number)) for number in count(newest + 1))
    with closing(
        Streams(process, "/channel/subscribe", first, events.id_of(newest - 1))
    ) as streams:
        streams.open(size)
        time.sleep(_SETTLE)
        with closing(Fanout(streams, "/channel/publish", PUBLISHED, expected)) as fanout:
            result = fanout.closed(8, settings.warm_up, settings.duration)
    put(f"fanout-{size}-channel", _deliveries(result, size))


def _replay(process: ServerProcess, settings: Settings, put: Put) -> None:
    last_event_id, expected = check_replay(process, *fill_channel(process))
    for duration in (settings.warm_up, settings.duration):
        times: list[float] = []
        with using(process) as use:
            end = time.perf_counter() + duration
            while not times or time.perf_counter() < end:
                start = time.perf_counter()
                with closing(Client(process)) as client:
                    client.get("/channel/subscribe", last_event_id)
                    client.expect(expected)
                times.append(time.perf_counter() - start)
    values = {
        "cpu_ms_per_replay": use.server / len(times) * 1e3,
        "replays_per_s": len(times) / use.seconds,
    }
    put("replay", values | _latencies(times) | use.shares())


def _deliveries(result: Deliveries, subscribers: int) -> Values:
    deliveries = result.messages * subscribers
    values = {
        "deliveries_per_s": deliveries / result.use.seconds,
        "cpu_us_per_delivery": result.use.server / deliveries * 1e6,
    }
    return values | _latencies(result.latencies) | result.use.shares()


def _latencies(seconds: Iterable[float]) -> Values:
    values = sorted(seconds)
    return {"p50_ms": percentile(values, 0.5) * 1e3, "p99_ms": percentile(values, 0.99) * 1e3}


def percentile(values: Sequence[float], share: float) -> float:
    """
    The smallest of the ordered values that `share` of all values do not exceed.
    """
    return values[max(0, math.ceil(share * len(values)) - 1)]
