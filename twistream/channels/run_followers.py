"""
RunFollowers: the streams that follow one run in this process.

Layer: channels, below `run_core`.
"""

from collections.abc import Callable

from attrs import evolve

from twistream.channels.feed import ChannelCore
from twistream.channels.ownership import RunLog, RunObserver
from twistream.channels.run_end import END, END_ROOM
from twistream.channels.subscription import Subscription
from twistream.errors import HTTPError
from twistream.server.outlet import Filter, Outlet, SubscribeOptions

_END_SIZE = END_ROOM + 1024
"""
Bytes of the largest end in any format, so that a queue that keeps only the newest message has room
for it.
"""


class RunFollowers:
    """
    The followers of one run.

    Attributes:
        error: With what followers fail that have received nothing: the run failed without output.
    """

    def __init__(
        self,
        channel: ChannelCore[Subscription],
        log: RunLog,
        observer: RunObserver,
        on_progress: Callable[[], object],
    ) -> None:
        """
        Args:
            channel: Sends them the messages.
            observer: Reports their number to the log.
            on_progress: Called when one has read from the history, or has left.
        """
        self._channel = channel
        self._log = log
        self._observer = observer
        self._on_progress = on_progress
        self._count = 0
        self._held: list[Outlet] = []  # Those without a head.
        self.error: HTTPError | None = None
        channel.on_progress = self._progressed

    def attach(self, outlet: Outlet, options: SubscribeOptions) -> Subscription:
        """
        Add a follower. See `twistream.server.outlet.Source.attach`.

        Raises:
            HTTPError: The run failed without output, and the head of the follower is held back. Or
                the engine failed, so there is not even an end.
        """
        if self.error is not None and not self._knows_the_end(outlet, options.after):
            raise HTTPError(self.error.status, self.error.message)
        if outlet.holds_head:
            self._held = [each for each in self._held if not each.ended]
            self._held.append(outlet)
        after = self._log.beginning if options.after is None else options.after
        filter = None if options.filter is None else _except_end(options.filter)
        size = options.max_queued
        if options.on_slow == "latest":
            size = max(size, _END_SIZE)
        options = evolve(options, after=after, filter=filter, max_queued=size)
        return Subscription(outlet, (self._channel,), options, options.on_slow or "catchup")

    def received(self) -> None:
        """
        A message was published, so every follower gets a head.
        """
        if self._held:
            self._held.clear()

    def close(self) -> None:
        """
        The end is appended: end the streams when their clients have received it.
        """
        self._channel.on_progress = None
        self._channel.close(_nothing)

    def refuse(self) -> None:
        """
        The run failed without output: fail those that have received nothing.
        """
        held, self._held = self._held, []
        if self.error is not None:
            for outlet in held:
                if outlet.holds_head:
                    outlet.stop(HTTPError(self.error.status, self.error.message))

    def _knows_the_end(self, outlet: Outlet, after: str | None) -> bool:
        """
        Whether a follower of a failed run receives its end, or has received it.
        """
        if not self._log.published:
            return False
        return not outlet.holds_head or after == self._log.last

    def _progressed(self) -> None:
        count = len(self._channel.followers)
        if count != self._count:
            self._count = count
            self._log.following(self._observer, count)
        self._on_progress()


def _except_end(filter: Filter) -> Filter:
    """
    A filter that lets the end of a run pass.
    """
    return lambda message: message.event == END or filter(message)


def _nothing() -> None:
    pass
