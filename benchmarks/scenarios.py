"""
The scenarios: what a server is asked to do, and the figures that this gives.

A scenario has parts, such as the numbers of subscribers. A process of a server does one part, which
gives one figure or several.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import count, repeat
from typing import Final, NamedTuple, TypeAlias

from attrs import frozen

from benchmarks import gzipread, h2load, longread, selecting
from benchmarks.client import Client, check_response, fill_channel, request
from benchmarks.fanout import Fanout
from benchmarks.message import CHUNK, JSON_LINE, MESSAGE, PUBLISHED, as_chunk
from benchmarks.processes import ServerProcess, latencies, using
from benchmarks.servers import FORMS

KINDS: Final = ("long", "lagging", "long_crowded", "lagging_crowded", "short")
"""
How a form is measured: a long response that is read by a client that keeps up or lags behind,
alone or beside other streams, or a response of 12 messages.
"""
_SETTLE: Final = 0.2  # seconds in which a server finishes what it does after opening streams

Values: TypeAlias = dict[str, float]
Figures: TypeAlias = Iterator[tuple[str, Values]]


@frozen(kw_only=True)
class Settings:
    """
    How much is measured.
    """

    rounds: int = 5
    duration: float = 2.0  # seconds of each measurement
    sizes: tuple[int, ...] = (100, 1_000, 10_000)  # subscribers
    connections: int = 64  # of `twelve`
    many: int = 200_000  # messages of one long response
    publishes: int = 2_000  # for each request of `publish`: at least a whole history
    long_forms: tuple[str, ...] = tuple(FORMS)  # forms to measure as one long response

    @property
    def warm_up(self) -> float:
        """
        Seconds before each measurement under the same load.
        """
        return 0.15 * self.duration


QUICK: Final = Settings(
    rounds=1,
    duration=0.1,
    sizes=(10, 40),
    connections=4,
    many=2_000,
    publishes=1_000,
    long_forms=("generator",),
)
"""
Just enough to see that everything works.
"""


def _forms(process: ServerProcess, settings: Settings, part: str) -> Figures:
    kind, _, form = part.partition("-")
    lagging, crowded = kind.startswith("lagging"), kind.endswith("crowded")
    if (lagging or crowded) and not process.server.backpressure:
        return
    message = JSON_LINE if form == "json_line" else MESSAGE
    check_response(process, f"/{form}", message, 12)
    duration = settings.duration / 2  # there are many parts
    if kind == "short":
        size = 12 * len(message)
        values = h2load.measure(process, f"/{form}", size, duration, unit="responses")
    else:
        seconds = settings.warm_up, duration
        values = longread.measure(
            process, f"/{form}", message, seconds, lagging=lagging, crowded=crowded
        )
    yield f"forms-{part}", values


def _many(process: ServerProcess, settings: Settings, _: str) -> Figures:
    check_response(process, "/many?n=12", MESSAGE, 12)
    number = settings.many
    path, size, unit = f"/many?n={number}", number * len(MESSAGE), "messages"
    values = h2load.measure(process, path, size, settings.duration, unit=unit, units=number)
    yield "many", values


def _twelve(process: ServerProcess, settings: Settings, _: str) -> Figures:
    check_response(process, "/twelve", MESSAGE, 12)
    size, connections = 12 * len(MESSAGE), settings.connections
    values = h2load.measure(process, "/twelve", size, settings.duration, connections=connections)
    yield "twelve", values


def _gzip(process: ServerProcess, settings: Settings, _: str) -> Figures:
    yield "gzip", gzipread.measure(process, settings.warm_up, settings.duration)


def _publish(process: ServerProcess, settings: Settings, part: str) -> Figures:
    number, path = settings.publishes, f"/channel/{part}?n={settings.publishes}"
    # This fills the history, so that each later publish drops an event.
    check_response(process, path, MESSAGE, 1)
    size, duration = len(MESSAGE), settings.duration
    values = h2load.measure(process, path, size, duration, unit="publishes", units=number)
    yield f"publish-{part}", values


def _topics(process: ServerProcess, settings: Settings, part: str) -> Figures:
    way, _, size = part.partition("-")
    seconds = settings.warm_up, settings.duration
    yield part, selecting.measure(process, way, int(size), seconds)


def _subscribers(process: ServerProcess) -> Fanout:
    paths = request("/subscribe"), CHUNK, request("/publish", MESSAGE)
    return Fanout(process, *paths, repeat(CHUNK))


def _memory(process: ServerProcess, settings: Settings, _: str) -> Figures:
    size = max(settings.sizes)
    # What a server does once is not the price of one more stream.
    first = min(100, size // 2)
    with closing(_subscribers(process)) as fanout:
        fanout.open(first)
        time.sleep(_SETTLE)
        before = process.memory()
        fanout.open(size - first)
        time.sleep(_SETTLE)
        yield "memory", {"KB per stream": (process.memory() - before) / (size - first) / 1024}


def _fan_out(process: ServerProcess, settings: Settings, part: str) -> Figures:
    size = int(part)
    with closing(_subscribers(process)) as fanout:
        fanout.open(size)
        time.sleep(_SETTLE)
        for mode, in_flight in (("one", 1), ("eight", 8)):
            values = fanout.closed(in_flight, settings.warm_up, settings.duration)
            yield f"fanout-{size}-{mode}", values
        rate = 2.0 if size >= 10_000 else 10.0
        number = max(1, round(rate * 1.5 * settings.duration))
        yield f"fanout-{size}-paced", fanout.paced(rate, number)


def _channel(process: ServerProcess, settings: Settings, part: str) -> Figures:
    size = int(part)
    events, newest = fill_channel(process)
    subscribe = request("/channel/subscribe", last_event_id=events.id_of(newest - 1))
    first = as_chunk(events.event(newest))
    expected = (as_chunk(events.event(number)) for number in count(newest + 1))
    publish = request("/channel/publish", PUBLISHED)
    with closing(Fanout(process, subscribe, first, publish, expected)) as fanout:
        fanout.open(size)
        time.sleep(_SETTLE)
        yield f"channel-{size}", fanout.closed(8, settings.warm_up, settings.duration)


def _replay(process: ServerProcess, settings: Settings, _: str) -> Figures:
    with closing(Client(process)) as client:
        last_event_id, expected = client.replay(*fill_channel(process))
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
    values = {"CPU, ms": use.server / len(times) * 1e3, "replays/s": len(times) / use.seconds}
    yield "replay", values | latencies(times) | use.shares()


def _form_parts(settings: Settings) -> list[str]:
    return [
        f"{kind}-{form}"
        for kind in KINDS
        for form in FORMS
        if kind == "short" or form in settings.long_forms
    ]


class Scenario(NamedTuple):
    """
    What is measured, how one part of it is measured, and the names of the parts.
    """

    words: str
    measure: Callable[[ServerProcess, Settings, str], Figures]
    parts: Callable[[Settings], Iterable[str]] = lambda _: ("",)


SCENARIOS: Final = {
    "twelve": Scenario("responses of 12 messages, on 64 connections", _twelve),
    "many": Scenario("one response of 200,000 messages", _many),
    "gzip": Scenario("one long stream of events, compressed with gzip", _gzip),
    "fanout": Scenario(
        "deliveries to 100, 1,000 and 10,000 subscribers", _fan_out, lambda s: map(str, s.sizes)
    ),
    "channel": Scenario(
        "deliveries to 1,000 subscribers of a channel", _channel, lambda s: [str(s.sizes[1])]
    ),
    "replay": Scenario("replays of 1,000 events of a channel", _replay),
    "publish": Scenario("publishes without subscribers", _publish, lambda _: ("text", "json")),
    "topics": Scenario(
        "publishes to one of 100, 1,000 and 10,000 subscribers, by topics= and by filter=",
        _topics,
        lambda s: [f"{way}-{size}" for way in selecting.WAYS for size in s.sizes],
    ),
    "memory": Scenario("memory of an idle stream, with 10,000 streams", _memory),
    "forms": Scenario("each way to write a response with twistream", _forms, _form_parts),
}
