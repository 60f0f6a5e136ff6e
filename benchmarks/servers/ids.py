"""
Ids: those of the events of a channel, for servers that have no channels of their own.
"""

import secrets


class Ids:
    """
    A name for this life of a channel, and a number for each event, from 1 on.
    """

    def __init__(self) -> None:
        # Another one each time, so that ids of an earlier life are not taken for these.
        self._epoch = secrets.token_hex(8)

    def of(self, number: int) -> str:
        """
        The id of an event.
        """
        return f"{self._epoch}-{number}"

    def seen(self, last_event_id: str | None, count: int, kept: int) -> int:
        """
        The number of the event after which a client goes on.

        Args:
            last_event_id: What it says it has. Without an id of this channel it gets what is
                new, and with one that is too old all that is kept.
            count: How many events there were.
            kept: How many of them, the last ones, there still are.
        """
        epoch, _, number = (last_event_id or "").partition("-")
        if epoch != self._epoch or not number.isdecimal() or int(number) > count:
            return count
        return max(int(number), count - kept)
