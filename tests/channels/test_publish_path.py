"""
How many modules a published message goes through on its way to a socket.
"""

import sys
from pathlib import Path
from types import FrameType

import twistream
from tests.channels.case import ChannelTest
from tests.harness.wires import Steps
from twistream import Context, Hub

PACKAGE = Path(twistream.__file__).parent

MOST = 9


class PublishPathTests(ChannelTest):
    def test_a_message_to_a_live_subscriber_enters_few_modules(self) -> None:
        clock = Steps()
        news = Hub(clock=clock).channel("news", history=10)

        async def feed(ctx: Context) -> None:
            await ctx.sse(ping=None).subscribe(news)

        client = self.start(feed, clock=clock, tcp=True)
        client.receive()
        entered: set[str] = set()

        def note(frame: FrameType, event: str, _: object) -> None:
            path = Path(frame.f_code.co_filename)
            if event == "call" and path.is_relative_to(PACKAGE):
                entered.add(str(path.relative_to(PACKAGE)))

        before = sys.getprofile()
        sys.setprofile(note)
        try:
            news.publish("plain text")
            clock.advance(0)
        finally:
            sys.setprofile(before)
        self.assertIn(b"data: plain text\n\n", client.read())
        self.assertLessEqual(len(entered), MOST, entered)
