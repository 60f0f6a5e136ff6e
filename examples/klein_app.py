"""
A stream as the response of a Klein route, with the arguments of the route and an error page.

In this folder, run ``twistd -n twistream --app klein_app:root``, then
``curl -N http://127.0.0.1:8080/countdown/3``. It needs ``pip install klein``.
"""

from klein import Klein

from twistream import Context, HTTPError, StreamResource

app = Klein()


@app.handle_errors(HTTPError)
def failed(request, failure):
    return StreamResource(lambda _: failure.raiseException())


@app.route("/countdown/<int:start>")
def countdown(request, start):
    if start > 10:
        raise HTTPError(404, "The countdown starts at ten.")

    async def handler(ctx: Context):
        for n in range(start, 0, -1):
            ctx.writef("%d\n", n)
            await ctx.flush()
            await ctx.sleep(0.5)
        return "lift-off\n"

    return StreamResource(handler)


root = app.resource
