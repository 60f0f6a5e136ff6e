"""
JSON values one by one, each sent as soon as it is written.

In this folder, run ``twistd -n twistream --app json_numbers:root``, then
``curl -N http://127.0.0.1:8080/``.
"""

from twistream import ClientDisconnected, Context, StreamResource

NUMBERS = (1, 2, 3, 5, 7, 9, 11, 13, 15, 17, 23, 29)


async def json_numbers(ctx: Context):
    try:
        for n in NUMBERS:
            ctx.json({"number": n})
            ctx.write("\n")
            await ctx.flush()
            await ctx.sleep(0.5)
        ctx.log.info("Loop end.")
    except ClientDisconnected:
        ctx.log.info("Connection closed, loop end.")


root = StreamResource(json_numbers)
