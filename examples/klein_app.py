"""
A stream as the response of a Klein route, with the arguments of the route.

In this folder, run ``twistd -n twistream --app klein_app:root``, then
``curl -N http://127.0.0.1:8080/countdown/3``. It needs ``pip install klein``.
"""

from klein import Klein

from twistream import Context, StreamResource

app = Klein()


@app.route("/countdown/<int:start>")
def countdown(request, start):
    async def handler(ctx: Context):
        for n in range(start, 0, -1):
            ctx.writef("%d\n", n)
            await ctx.flush()
            await ctx.sleep(0.5)
        return "lift-off\n"

    return StreamResource(handler)


root = app.resource
