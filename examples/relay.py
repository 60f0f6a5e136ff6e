"""
Relay the events of another server to a browser.

In this folder, run ``twistd -n twistream --app relay:root``, and open http://127.0.0.1:8080/. The
other server is a part of this program, so that there is something to relay. It needs
``pip install treq``.
"""

from itertools import count

import treq
from twisted.web.resource import Resource

from twistream import Context, StreamResource

PAGE = """<!DOCTYPE html>
<meta charset="utf-8">
<title>Relay</title>
<ul id="numbers"></ul>
<script>
new EventSource("/relay").onmessage = e => {
    const item = document.createElement("li");
    item.textContent = e.data;
    document.getElementById("numbers").append(item);
};
</script>
"""


async def relay(ctx: Context):
    url = f"http://127.0.0.1:{ctx.request.getHost().port}/numbers"
    response = await treq.get(url, unbuffered=True)
    ctx.sse()  # Sends the head now, and pings while the other server is silent.
    await ctx.pipe(response)


async def numbers(ctx: Context):
    events = ctx.sse()
    for n in count(1):
        await events.send(n)
        await ctx.sleep(0.5)


async def page(ctx: Context):
    ctx.html(PAGE)


root = Resource()
root.putChild(b"", StreamResource(page))
root.putChild(b"relay", StreamResource(relay))
root.putChild(b"numbers", StreamResource(numbers))
