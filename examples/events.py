"""
Server-Sent Events: a countdown that clients can resume after a disconnect.

In this folder, run ``twistd -n twistream --app events:root``, then
``curl -N http://127.0.0.1:8080/``. To resume after the event with id 3, run
``curl -N -H 'Last-Event-ID: 3' http://127.0.0.1:8080/``.
"""

from twistream import Context, StreamResource

IDS = {str(n) for n in range(10)}


async def countdown(ctx: Context):
    events = ctx.sse(retry=1.0)
    last = events.last_event_id
    left = int(last) if last in IDS else 10  # The client may send anything.
    if left == 0:
        events.stop_reconnecting()
        return
    for n in reversed(range(left)):
        await events.send({"left": n}, event="tick", id=str(n))
        await ctx.sleep(0.5)


root = StreamResource(countdown)
