"""
The load of a channel: subscribers that get events with ids, and clients that have missed some.
"""

import socket
from array import array
from bisect import bisect_right

from benchmarks.client import Limit, Responses, Use, body_start, clock, request
from benchmarks.errors import NotMeasuredError
from benchmarks.fanout import Fanout, Streams
from benchmarks.message import TEXT, Events, as_chunk
from benchmarks.processes import ServerProcess
from benchmarks.servers import HOST


class ChannelFanout(Fanout):
    """
    Publishes to the subscribers of a channel, and compares all that each of them gets: every
    event has to come once, in the order of the ids.
    """

    _publish = request("/channel/publish", "POST", TEXT)

    def __init__(
        self, process: ServerProcess, streams: Streams, events: Events, newest: int
    ) -> None:
        """
        Args:
            process: Who is published to.
            streams: The subscribers.
            events: Of the channel.
            newest: The number of the last one that was published.
        """
        super().__init__(process, streams)
        self._events = events
        self._newest = newest
        self._expected = bytearray()
        self._ends = array("Q")

    def _messages(self, before: int, after: int, data: bytearray) -> range:
        while len(self._expected) < after:
            self._expect_one_more()
        if not self._expected.startswith(memoryview(data)[: after - before], before):
            msg = "a subscriber got an event that was not the next one"
            raise NotMeasuredError(msg)
        return range(bisect_right(self._ends, before), bisect_right(self._ends, after))

    def _bytes_of(self, messages: int) -> int:
        while len(self._ends) < messages:
            self._expect_one_more()
        return self._ends[messages - 1]

    def _expect_one_more(self) -> None:
        # As they come: an id grows with its number, so events have no size for all.
        self._newest += 1
        self._expected += as_chunk(self._events.event(self._newest))
        self._ends.append(len(self._expected))


def replay(
    process: ServerProcess, last_event_id: str, expected: bytes, duration: float, limit: Limit
) -> Responses:
    """
    Connect, ask for what was missed and leave, one client after the other.

    Args:
        process: Who is asked.
        last_event_id: What each of them says it has.
        expected: The body that each of them has to get, as it comes, up to where it leaves.
        duration: Seconds; a client that has begun within them is waited for.

    Returns:
        The times of whole replays, from the request to the last byte.

    Raises:
        NotMeasuredError: A client got something else, or a connection was lost, or time is up.
    """
    ask = request("/channel/replay", last_event_id=last_event_id)
    result = Responses(Use(process))
    result.use.start()
    end = clock() + duration
    while not result.whole or clock() < end:
        limit.check()
        with socket.create_connection((HOST, process.port), timeout=5) as client:
            began = clock()
            try:
                client.sendall(ask)
                _read(client, expected, limit)
            except OSError as err:
                limit.lost("a replay", err)
            result.whole.append(clock() - began)
    result.use.stop()
    return result


def _read(client: socket.socket, expected: bytes, limit: Limit) -> None:
    data = bytearray()
    start = None
    while start is None or len(data) < start + len(expected):
        more = client.recv(256 * 1024)
        if not more:
            limit.lost("a replay")
        data += more
        start = start or body_start(data)
    if data[start:] != expected:
        msg = "a replay is not what was missed"
        raise NotMeasuredError(msg)
