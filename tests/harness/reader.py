"""
Reader: a client of a channel that holds the channel to its promises.

It fails when a message is missing, comes twice, or comes out of order, unless the stream has
reported a gap. Messages are numbered: the data of each is a list of its number, something,
and the epoch of its channel.
"""

import json
from collections.abc import Callable
from typing import Any

from tests.harness.client import Client
from twistream import Channel, EventDecoder


def numbers(last_id: str) -> dict[str, int]:
    """
    The number of the last message of each channel, by the channel's epoch.
    """
    return {
        epoch: int(number) for epoch, number in (part.split("-") for part in last_id.split(","))
    }


def epoch(channel: Channel) -> str:
    return channel.last.partition("-")[0]


class Reader:
    """
    A client of a stream of events.

    Attributes:
        client: Its connection.
        events: What it has received: pairs of an event's name and the message's number.
        last_event_id: What it would send to reconnect.
        gaps: The data of the gaps that the stream has reported.
        may_miss: It cannot know which messages are for it, so none is missing.
    """

    def __init__(
        self,
        client: Client,
        last_event_id: str | None = None,
        passes: Callable[[int], object] | None = None,
        after: str | None = None,
    ) -> None:
        """
        Args:
            client: A connection on which nothing was sent yet.
            passes: Whether the message of a number is for this reader. By default all are.
            after: The id where the handler starts, whatever the client has sent.
        """
        self.client = client
        self.events: list[tuple[str, int]] = []
        self.gaps: list[dict[str, Any]] = []
        self.may_miss = False
        self.last_event_id = last_event_id
        self._passes = passes
        self._position: dict[str, int] | None = None
        start = after or last_event_id
        if start is not None and "-" in start:
            self._position = numbers(start)
        self._decoder = EventDecoder()
        self.response = client.request(
            headers={} if last_event_id is None else {"Last-Event-ID": last_event_id}
        )

    def read(self) -> "Reader":
        """
        Read all that was sent, and check it.
        """
        # Each message is a chunk. An id that comes alone is seen by this, too.
        for chunk in self.client.read_chunks():
            for event in self._decoder.feed(chunk):
                self._got(event.event or "message", event.data or "", event.id or "")
            if self._decoder.last_event_id:
                self.last_event_id = self._decoder.last_event_id
                if self._position is None:
                    self._position = numbers(self.last_event_id)
                self._follow(self.last_event_id)
        return self

    def _got(self, name: str, data: str, last_id: str) -> None:
        if name == "gap":
            gap = json.loads(data)
            assert gap["resumed_from"] == last_id
            if gap["reason"] == "dropped" and not self.is_filtered:
                assert numbers(gap["requested"]) == self._position
            self.gaps.append(gap)
            self._position = numbers(last_id)
            return
        number, _, mine = json.loads(data)
        position, now = self._position, numbers(last_id)
        assert position is not None, "a message before the position is known"
        assert now[mine] == number, "the id is not that of the message"
        before = position.get(mine, number - 1)
        assert before < number, f"message {number} came after {before}"
        assert self._passes is None or self._passes(number), "the filter refuses this message"
        self._position = {**position, mine: number}
        assert self._is_passed(before, number - 1), f"from {before} to {number} without a gap"
        # The id may skip messages of other channels that are not for this reader.
        self._follow(last_id)
        self.events.append((name, number))

    def _follow(self, last_id: str) -> None:
        """
        Move to an id. It may skip only messages that are not for this reader.
        """
        assert self._position is not None
        for each, number in numbers(last_id).items():
            before = self._position.get(each, number)
            assert before <= number, "an id that goes back"
            assert self._is_passed(before, number), f"from {before} to {number} by an id alone"
        self._position = numbers(last_id)

    def _is_passed(self, before: int, number: int) -> bool:
        """
        Whether nothing after `before` and up to `number` is for this reader.
        """
        if self.may_miss:
            return True
        between = range(before + 1, number + 1)
        return not between if self._passes is None else not any(map(self._passes, between))

    @property
    def is_filtered(self) -> bool:
        """
        Whether some messages are not for this reader.
        """
        return self._passes is not None

    @property
    def numbers(self) -> list[int]:
        """
        The numbers of the messages that it has received.
        """
        return [number for _, number in self.events]

    def is_at(self, *channels: Channel) -> bool:
        """
        Whether it has received everything that these channels have published.
        """
        return self._position == {
            epoch(channel): int(channel.last.partition("-")[2]) for channel in channels
        }
