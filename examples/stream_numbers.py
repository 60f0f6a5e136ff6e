"""
A message every half second, until the client disconnects or the numbers run out.

In this folder, run ``twistd -n twistream --app stream_numbers:root``, then
``curl -N http://127.0.0.1:8080/``.
"""

from twistream import ClientDisconnected, Context, StopStream, StreamResource

NUMBERS = (1, 2, 3, 5, 7, 9, 11, 13, 15, 17, 23, 29)


async def numbers(ctx: Context):
    ctx.content_type("text/html")
    pending = iter(NUMBERS)

    def write_next(w: Context):
        n = next(pending, None)
        if n is None:
            raise StopStream
        w.writef("Message number %d<br>", n)

    try:
        await ctx.stream_writer(write_next, interval=0.5)
    except ClientDisconnected as err:  # press Ctrl-C in curl to see this
        ctx.log.info("stream: {err}", err=err)


root = StreamResource(numbers)
