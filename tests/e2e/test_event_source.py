"""
The EventSource of a real browser reads streams as `EventDecoder` does, and connects as ours does.
"""

from contextlib import suppress
from typing import Any

from pytest_twisted import ensureDeferred
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.threads import deferToThread

from tests.e2e.browser import SECONDS, launched
from tests.e2e.event_servers import BEHAVIOURS, Answer, Behaviour, EventServer, served
from tests.e2e.net import LIMIT, Server, reactor, serving
from tests.wire.event_streams import RULES, Rule
from twistream import Context, EventDecoder, ServerSentEvent
from twistream.client import EventSource, UnexpectedResponse

NAMES = sorted({event.event or "message" for rule in RULES for event in rule.events})

SERVED = [rule for rule in RULES if rule.name != "a blank line after a BOM"]
"""
The rules that Chromium keeps. It does not look whether what follows a BOM is the end of a
line.
"""

LISTEN = """
({count, names, seconds}) => Promise.all(Array.from({length: count}, (_, n) =>
    new Promise(resolve => {
        const source = new EventSource(`/${n}`);
        const events = [];
        for (const name of names)
            source.addEventListener(name, e => events.push([e.type, e.data, e.lastEventId]));
        source.onerror = () => {
            if (source.readyState === EventSource.CLOSED) resolve(events);
        };
        setTimeout(() => resolve("it did not end"), seconds * 1000);
    })))
"""
"""
What each stream holds, once the browser has given up asking for more of it.
"""


class Streams:
    """
    Serves the stream of a rule once, in two pieces; whoever asks again is told to stop.

    Attributes:
        ids: The Last-Event-ID of each rule's second request, by the rule's number.
    """

    def __init__(self) -> None:
        self._served: set[int] = set()
        self.ids: dict[int, bytes | None] = {}

    async def __call__(self, ctx: Context) -> None:
        path = ctx.path.strip("/")
        if not path.isdecimal():
            ctx.html("<!DOCTYPE html>")
            return
        number = int(path)
        if number in self._served:
            self.ids[number] = ctx.request.getHeader(b"Last-Event-ID")
            ctx.status_code(204)
            return
        self._served.add(number)
        ctx.content_type("text/event-stream")
        stream = SERVED[number].stream
        for piece in (stream[: len(stream) // 2], stream[len(stream) // 2 :]):
            ctx.write(piece)
            await ctx.flush()
            await ctx.sleep(0.01)


def seen_by(chromium: str, server: Server) -> list[Any]:
    """
    What the browser makes of each rule's stream.
    """
    with launched(chromium) as browser:
        page = browser.new_page()
        page.goto(server.url())
        arguments = {"count": len(SERVED), "names": NAMES, "seconds": SECONDS}
        seen: list[Any] = page.evaluate(LISTEN, arguments)
        return seen


def decoded(rule: Rule) -> tuple[list[list[str | None]], bytes | None]:
    """
    What the decoder makes of a rule's stream, in a browser's terms.
    """
    decoder = EventDecoder()
    events = [
        [event.event or "message", event.data, event.id or ""]
        for event in decoder.feed(rule.stream)
    ]
    return events, decoder.last_event_id.encode() or None


@ensureDeferred
async def test_a_browser_and_the_decoder_agree_on_every_rule(chromium: str) -> None:
    streams = Streams()
    async with serving(streams) as server:
        seen = await deferToThread(seen_by, chromium, server)
    by_browser = {
        rule.name: (events, streams.ids.get(number))
        for number, (rule, events) in enumerate(zip(SERVED, seen, strict=True))
    }
    assert by_browser == {rule.name: decoded(rule) for rule in SERVED}


COMPARED = [
    *(Behaviour(rule.name, (Answer(b"retry: 10\n\n" + rule.stream),)) for rule in SERVED),
    *BEHAVIOURS,
]
"""
The rules as streams of a server, and the behaviours of servers.
"""

ALL_NAMES = sorted({*NAMES, "gap", "x"})


def seen_of_sources(chromium: str, url: str) -> list[Any]:
    """
    What the browser makes of each behaviour.
    """
    with launched(chromium) as browser:
        page = browser.new_page()
        page.goto(url)
        arguments = {"count": len(COMPARED), "names": ALL_NAMES, "seconds": SECONDS}
        seen: list[Any] = page.evaluate(LISTEN, arguments)
        return seen


async def read(url: str) -> list[list[str]]:
    """
    What our source makes of it, in a browser's terms.
    """
    events: list[ServerSentEvent] = []
    async with EventSource(url, retry=0.01, max_delay=0.01) as source:
        with suppress(UnexpectedResponse):
            async for event in source:
                events.append(event)  # noqa: PERF401 - an error ends it
    return [[event.event or "message", event.data or "", event.id or ""] for event in events]


def outcomes(server: EventServer, seen: list[Any]) -> dict[str, Any]:
    return {
        behaviour.name: (events, log.requests)
        for behaviour, events, log in zip(COMPARED, seen, server.logs, strict=True)
    }


@ensureDeferred
async def test_a_browser_and_our_source_agree_on_every_behaviour(chromium: str) -> None:
    async with served(COMPARED) as (server, url):
        browser = outcomes(server, await deferToThread(seen_of_sources, chromium, url))
    async with served(COMPARED) as (server, url):
        reading = [
            Deferred.fromCoroutine(read(f"{url}/{number}")).addTimeout(LIMIT, reactor)
            for number in range(len(COMPARED))
        ]
        ours = outcomes(server, await gatherResults(reading))
    assert {name: seen for name, seen in ours.items() if seen != browser[name]} == {}
    for behaviour in BEHAVIOURS:
        # Each answer was asked for, and the one that ends the source, unless it had failed.
        _, requests = ours[behaviour.name]
        assert len(requests) == len(behaviour.answers) + (not behaviour.fails), behaviour.name
