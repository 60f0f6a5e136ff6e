"""
The handlers of the first page: three ways to write a stream.

Each reads its interval from ``?interval=``.
"""

import re
from datetime import UTC, datetime
from reprlib import repr as shortened

from twisted.internet.defer import Deferred

from twistream import ClientDisconnected, Context, HTTPError, StopStream

NUMBERS = (1, 2, 3, 5, 7, 9, 11, 13, 15, 17, 23, 29)

SHORTEST, LONGEST = 0.05, 60.0
"""
The shortest and the longest interval between two messages, in seconds.
"""


async def numbers(ctx: Context) -> None:
    """
    Twelve messages in HTML, from a function that is called until it raises `StopStream`.
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
    The time of day, until the client disconnects.
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
    Read the seconds between two messages from ``?interval=``.

    Raises:
        HTTPError: 400, if it is not a single decimal number within the limits.
    """
    given = ctx.queries("interval")
    if not given:
        return default
    if len(given) > 1:
        raise HTTPError(400, f"interval must be given once, not {len(given)} times.")
    value = given[0]
    if re.fullmatch(r"[0-9]*\.?[0-9]+", value) and SHORTEST <= float(value) <= LONGEST:
        return float(value)
    raise HTTPError(
        400,
        f"interval must be a number of seconds from {SHORTEST:g} to {LONGEST:g}, such as 0.5, "
        f"not {shortened(value)}.",
    )
