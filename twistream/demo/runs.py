"""
The handlers of /runs: a text that writes itself for twenty seconds, whoever reads it.
"""

import re
from collections.abc import Sequence
from itertools import cycle

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from twistream import Context, HTTPError, Hub, Run
from twistream.demo.requests import body_of

INTERVAL = 0.8
"""
The time from one message of a text to the next, in seconds.
"""

TEXTS = (
    (
        "A river does not know who is watching. It left the mountains long before you sat down on "
        "this bank, and it will reach the sea whether you stay or go. Close your eyes for a moment, "
        "and some water passes that you have not seen. Here the water is kept: when you look again, "
        "the river first brings you what you missed, and then goes on from there. Nothing is lost, "
        "and nothing is shown twice."
    ),
    (
        "The night train leaves at nine. Some passengers sleep, some read, and one of them walks to "
        "the dining car and comes back an hour later. The train did not wait for him at the door of "
        "his compartment. It crossed two borders meanwhile, and somebody wrote down every station in "
        "a small blue notebook. He reads the page, nods, and looks out of the window again, exactly "
        "where everybody else is looking."
    ),
    (
        "Grandmother told stories while she cooked, and she never stopped for anybody. If you ran out "
        "to see the snow, the story went on without you. But my sister remembered every word. When "
        "you came in again, with cold ears, she whispered into one of them: the wolf asked for soup, "
        "the king said no, the bridge is gone. Then the two of us listened on together, until the pot "
        "was empty and the story was over."
    ),
)


class Writer:
    """
    One text at a time, which all clients share.
    """

    def __init__(
        self, hub: Hub, clock: IReactorTime | None = None, *, interval: float = INTERVAL
    ) -> None:
        self._hub = hub
        self._clock = clock
        self._interval = interval
        self._texts = cycle(TEXTS)

    async def write(self, run: Run) -> None:
        """
        The producer: publish the next text, a few words at a time.
        """
        for words in pieces(next(self._texts)):
            await run.publish(words)
            await self._pause()

    async def follow(self, ctx: Context) -> None:
        """
        Send the text as events, and then its end. Without a text, start one.
        """
        events = ctx.sse(retry=1.0)
        if ctx.method == "GET":  # A HEAD request starts nothing.
            await events.subscribe(self._hub.run("text", self.write))

    async def control(self, ctx: Context) -> None:
        """
        Handle a POST: the body ``stop`` stops the text, and ``new`` starts the next one.

        Raises:
            HTTPError: 400, if the body is something else. 404, if there is no text to stop.
        """
        order = body_of(ctx, 4).strip()
        if order not in (b"stop", b"new"):
            raise HTTPError(400, 'The body must be "stop" or "new".')
        if run := self._hub.get_run("text"):
            await run.stop("a reader asked for it")
        if order == b"new":
            self._hub.run("text", self.write, restart=True)
        self.state(ctx)

    def state(self, ctx: Context) -> None:
        """
        Send the state of the text, and the number of its messages so far. The end is one, too.

        Raises:
            HTTPError: 404, if there is no text.
        """
        run = self._hub.get_run("text")
        if run is None:
            raise HTTPError(404, "There is no text yet. Open the page, or read it with curl.")
        ctx.json({"state": run.state.value, "published": run.published})

    def _pause(self) -> Deferred[None]:
        if self._clock is None:
            from twisted.internet import reactor  # noqa: PLC0415 - not before a clock is needed

            self._clock = IReactorTime(reactor)
        return deferLater(self._clock, self._interval)


def pieces(text: str) -> Sequence[str]:
    """
    Split a text into pieces of three words, or fewer at its end. Together they are the text.
    """
    return re.findall(r"(?:\S+\s*){1,3}", text)
