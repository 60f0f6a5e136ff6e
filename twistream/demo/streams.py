"""
The handlers of the demo: three ways to write a stream.

Each reads its pace from ``?interval=``.
"""

import re
from datetime import UTC, datetime
from reprlib import repr as shortened
from urllib.parse import parse_qs

from twisted.internet.defer import Deferred

from twistream import ClientDisconnected, Context, HTTPError, StopStream

NUMBERS = (1, 2, 3, 5, 7, 9, 11, 13, 15, 17, 23, 29)

SHORTEST, LONGEST = 0.05, 60.0
"""
Seconds between two messages: what eyes can still follow, and what patience still bears.
"""


async def numbers(ctx: Context) -> None:
    """
    Twelve messages in HTML, from a function that is called until it says stop.
    """
    ctx.content_type("text/html")
    pending = iter(NUMBERS)

    def write_next(w: Context) -> None:
        n = next(pending, None)
        if n is None:
            raise StopStream
        w.writef("Message number %d<br>", n)

    try:
        await ctx.stream_writer(write_next, interval=pace(ctx, default=0.5))
    except ClientDisconnected as err:
        ctx.log.info("stream: {err}", err=err)


async def json_numbers(ctx: Context) -> None:
    """
    Twelve lines of JSON, from a loop.
    """
    interval = pace(ctx, default=0.5)
    try:
        for n in NUMBERS:
            await ctx.json_line({"number": n})
            await ctx.sleep(interval)
        ctx.log.info("Loop end.")
    except ClientDisconnected:
        ctx.log.info("Connection closed, loop end.")


def clock(ctx: Context) -> Deferred[None]:
    """
    The time of day, until the client leaves.
    """
    ctx.content_type("text/plain")
    return ctx.stream_writer(write_time, interval=pace(ctx, default=1.0))


def write_time(ctx: Context) -> None:
    """
    Write one line: the time of day, in UTC.
    """
    ctx.writef("%s\n", datetime.now(UTC).isoformat(timespec="milliseconds"))


def pace(ctx: Context, *, default: float) -> float:
    """
    The seconds between two messages that the client asks for with ``?interval=``.

    Raises:
        HTTPError: 400, if that is anything but one decimal number within the bounds.
    """
    # Not request.args, which leaves out what has no "=".
    query = ctx.request.uri.decode("latin-1").partition("?")[2]
    given = parse_qs(query, keep_blank_values=True, errors="backslashreplace").get("interval")
    if given is None:
        return default
    if len(given) > 1:
        raise HTTPError(400, f"interval is given {len(given)} times, and can be given once.")
    value = given[0]
    if re.fullmatch(r"[0-9]*\.?[0-9]+", value) and SHORTEST <= float(value) <= LONGEST:
        return float(value)
    raise HTTPError(
        400,
        f"interval is a number of seconds from {SHORTEST:g} to {LONGEST:g}, such as 0.5; "
        f"{shortened(value)} is not.",
    )
