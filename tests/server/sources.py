"""
A source of messages that a test sends from by hand.
"""

from collections.abc import Callable, Sequence

from twistream.server.outlet import Outlet, Source, SubscribeOptions
from twistream.wire.frames import Batch, Frame


class MadeUp:
    """
    A source, and the subscription to it.

    Attributes:
        outlets: The outlets that it was attached to.
        sources: All sources of the last subscription.
        options: The options of the last subscription.
        detached: How often it was detached.
        position: What the next `position_update` returns.
    """

    def __init__(
        self,
        at_once: Callable[[Outlet], object] | None = None,
        refusal: Exception | None = None,
    ) -> None:
        """
        Args:
            at_once: Called with the outlet when the subscription starts.
            refusal: What `attach` raises.
        """
        self.outlets: list[Outlet] = []
        self.sources: Sequence[Source] = ()
        self.options: SubscribeOptions | None = None
        self.detached = 0
        self.position: str | None = None
        self._at_once = at_once
        self._refusal = refusal

    @property
    def outlet(self) -> Outlet:
        """
        The outlet that it was attached to last.
        """
        return self.outlets[-1]

    def attach(
        self, outlet: Outlet, sources: Sequence[Source], options: SubscribeOptions
    ) -> "MadeUp":
        if self._refusal is not None:
            raise self._refusal
        self.outlets.append(outlet)
        self.sources, self.options = sources, options
        return self

    @property
    def id(self) -> str:
        return "made-up"

    @property
    def topics(self) -> set[str] | None:
        return None

    def recheck(self) -> None:
        raise NotImplementedError

    def start(self) -> None:
        if self._at_once is not None:
            self._at_once(self.outlet)

    def detach(self) -> None:
        self.detached += 1

    def position_update(self) -> str | None:
        position, self.position = self.position, None
        return position

    def send(self, *messages: bytes) -> None:
        self.outlet.deliver(Batch([Frame(message) for message in messages]))
