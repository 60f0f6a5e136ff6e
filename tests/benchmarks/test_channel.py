"""
The load of a channel, with servers that do it right and wrong.
"""

import msgspec
import pytest

from benchmarks.channel import ChannelFanout, replay
from benchmarks.checks import check_channel, check_replay
from benchmarks.client import Limit
from benchmarks.errors import NotMeasuredError
from benchmarks.fanout import Deliveries, Streams
from benchmarks.message import TEXT, VALUE, Events, as_chunk
from benchmarks.processes import ServerProcess
from benchmarks.servers import SERVERS
from tests.benchmarks.test_run import NOWHERE, wrong

KEEPING = [name for name, server in SERVERS.items() if "/channel/replay" in server.paths]


def fan_out(process: ServerProcess) -> Deliveries:
    """
    Publish to five subscribers for a moment.
    """
    events, newest = check_channel(process, 1)
    limit = Limit(20, process)
    with Streams(
        process,
        "/channel/subscribe",
        last_event_id=events.id_of(newest - 1),
        first=as_chunk(events.event(newest)),
    ) as streams:
        streams.open(5, limit)
        with ChannelFanout(process, streams, events, newest) as fanout:
            return fanout.closed(8, 0.0, 0.2, limit)


def test_a_channel_without_mistakes_has_each_delivery_counted_and_timed_once() -> None:
    with ServerProcess(wrong("nothing"), NOWHERE) as process:
        result = fan_out(process)
    assert result.messages > 0
    assert abs(len(result.latencies) - 5 * result.messages) <= 2 * 5 * 8


@pytest.mark.parametrize("how", ["skips", "swaps", "twice"])
def test_an_event_that_is_not_the_next_one_is_an_error(how: str) -> None:
    with (
        ServerProcess(wrong(how), NOWHERE) as process,
        pytest.raises(NotMeasuredError, match="an event that was not the next one"),
    ):
        fan_out(process)


def test_a_replay_that_has_an_event_twice_and_lacks_one_is_refused() -> None:
    with ServerProcess(wrong("repeats"), NOWHERE) as process:
        events, newest = check_channel(process, 1)
        with pytest.raises(NotMeasuredError, match=r"/channel/replay: .* is not what was missed"):
            check_replay(process, events, newest)


def test_a_replay_that_is_another_than_before_is_an_error() -> None:
    with ServerProcess(wrong("nothing"), NOWHERE) as process:
        events, newest = check_channel(process, 1)
        limit = Limit(10, process)
        with pytest.raises(NotMeasuredError, match="a replay is not what was missed"):
            replay(process, events.id_of(newest - 1), b"x" * 50, 0.1, limit)


@pytest.mark.parametrize("name", KEEPING)
def test_a_server_that_keeps_a_history_replays_all_of_it_each_time(name: str) -> None:
    with ServerProcess(SERVERS[name], NOWHERE) as process:
        events, newest = check_channel(process, 1_000)
        expected = check_replay(process, events, newest)
        limit = Limit(20, process)
        result = replay(process, events.id_of(newest - 1_000), expected, 0.05, limit)
    assert len(result.whole) > 0
    assert min(result.whole) > 0


def test_events_of_a_channel_have_one_text_and_consecutive_ids() -> None:
    events = Events("life")
    assert events.event(7) == b"id: life-7\ndata: " + b"x" * 100 + b"\n\n"
    assert events.missed(10, 2) == events.event(9) + events.event(10)
    assert events.chunks(range(9, 11)) == as_chunk(events.event(9)) + as_chunk(events.event(10))


def test_what_is_published_to_nobody_has_100_bytes() -> None:
    assert len(TEXT) == len(msgspec.json.encode(VALUE)) == 100
