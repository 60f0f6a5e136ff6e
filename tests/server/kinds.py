"""
Handlers of every kind and format, to compare what they answer to different methods.
"""

import io
import json
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from twisted.internet.defer import Deferred

from twistream import Context, HTTPError, Hub, StopStream

FRAMING = {"connection", "content-length", "date", "transfer-encoding"}
"""
Fields in which the answers to GET and HEAD may differ.
"""

NEWS = Hub().channel("news", history=10)
NEWS.publish("first")


async def flushed(ctx: Context) -> None:
    ctx.write("x")
    await ctx.flush()


async def empty_flush(ctx: Context) -> None:
    await ctx.flush()


async def later(ctx: Context) -> None:
    await ctx.sleep(0)
    ctx.html("x")
    await ctx.flush()


async def large(ctx: Context) -> None:
    for _ in range(20):
        ctx.write("x" * 1000)


def text(ctx: Context) -> Deferred[None]:
    ctx.text("x")
    return ctx.flush()


def html(ctx: Context) -> None:
    ctx.html("x")


def binary(ctx: Context) -> None:
    ctx.binary(b"x" * 20_000)


def json_value(ctx: Context) -> None:
    ctx.json({"a": 1})


async def json_lines(ctx: Context) -> None:
    for number in range(3):
        await ctx.json_line(number)


def whole(ctx: Context) -> str:
    ctx.cookie("a", "b")
    ctx.request.addCookie("c", "d")
    return "x"


def nothing(ctx: Context) -> None:
    ctx.header("X-A", "1")


def redirect(ctx: Context) -> None:
    ctx.request.redirect(b"/elsewhere")


def not_found(ctx: Context) -> None:
    raise HTTPError(404, "no such thing")


def no_content(ctx: Context) -> None:
    ctx.status_code(204)


def not_modified(ctx: Context) -> None:
    ctx.status_code(304)
    ctx.header("ETag", '"1"')


def tagged(ctx: Context) -> Deferred[None]:
    ctx.request.setLastModified(1000)
    ctx.request.setETag(b'"a"')
    ctx.header("Connection", "close")
    return ctx.stream(["x"])


def declared(ctx: Context) -> Deferred[None]:
    ctx.header("Content-Length", "3")
    ctx.write("abc")
    return ctx.flush()


def no_items(ctx: Context) -> Deferred[None]:
    return ctx.stream([])


def generator(ctx: Context) -> Iterator[str]:
    ctx.content_type("text/csv")
    yield "x"


def empty_generator(ctx: Context) -> Iterator[str]:
    ctx.content_type("text/csv")
    yield from ()


async def async_generator(ctx: Context) -> AsyncIterator[str]:
    ctx.content_type("text/csv")
    yield "x"


async def empty_async_generator(ctx: Context) -> AsyncIterator[str]:
    ctx.content_type("text/csv")
    items: tuple[str, ...] = ()
    for item in items:
        yield item


def xml_value(ctx: Context) -> None:
    ctx.xml({"a": 1})


def problem(ctx: Context) -> None:
    ctx.problem(409, "made up", extensions={"a": 1})


async def json_array(ctx: Context) -> None:
    array = ctx.json_array()
    await array.send(1)
    await array.send(2)


def empty_json_array(ctx: Context) -> None:
    ctx.json_array()


def rows_of_csv(ctx: Context) -> Deferred[None]:
    return ctx.csv(["a"]).send_all([[number] for number in range(3)])


async def events(ctx: Context) -> None:
    await ctx.sse(retry=3, allow_origin="*").send("x")


def opened_events(ctx: Context) -> None:
    ctx.sse(ping=None)


async def subscribed_events(ctx: Context) -> None:
    await ctx.sse(ping=None).subscribe(NEWS, after=NEWS.oldest)


async def subscribed(ctx: Context) -> None:
    await ctx.subscribe(NEWS, after=NEWS.oldest)


def looped(write: Callable[[Context], Any], interval: float | None = None) -> Any:
    """
    A handler with a loop that writes once.
    """

    def step(ctx: Context) -> None:
        write(ctx)
        raise StopStream

    return lambda ctx: ctx.stream_writer(step, interval)


def archive(ctx: Context) -> None:
    with io.TextIOWrapper(ctx) as file:
        for number in range(10_000):
            json.dump(number, file)


EVERY: dict[str, Any] = {
    handler.__name__: handler
    for handler in (
        flushed,
        empty_flush,
        later,
        large,
        text,
        html,
        binary,
        json_value,
        json_lines,
        whole,
        nothing,
        redirect,
        not_found,
        no_content,
        not_modified,
        tagged,
        declared,
        no_items,
        generator,
        empty_generator,
        async_generator,
        empty_async_generator,
        xml_value,
        problem,
        json_array,
        empty_json_array,
        rows_of_csv,
        events,
        opened_events,
        subscribed_events,
        subscribed,
        archive,
    )
} | {
    "loop_of_text": looped(lambda ctx: ctx.write("x")),
    "loop_of_headers": looped(lambda ctx: ctx.header("X-A", "1")),
    "loop_of_html": looped(lambda ctx: ctx.html("x"), interval=1.0),
    "loop_of_json_lines": looped(lambda ctx: ctx.json_line(1)),
    "loop_of_nothing": looped(lambda ctx: None),
}
