"""
The smallest application: a handler, which is a function that takes a context.

In this folder, run ``twistd -n twistream --app handler_app:hello``, then
``curl -N http://127.0.0.1:8080/``.
"""


async def hello(ctx):
    for word in ("Hello, ", "streaming ", "world\n"):
        ctx.write(word)
        await ctx.flush()
        await ctx.sleep(0.5)
