"""
The smallest application: a function of one context.

Run it with ``twistd -n twistream --app handler_app:hello`` in this folder, then
``curl -N http://127.0.0.1:8080/``.
"""


async def hello(ctx):
    for word in ("Hello, ", "streaming ", "world\n"):
        ctx.write(word)
        await ctx.flush()
        await ctx.sleep(0.5)
