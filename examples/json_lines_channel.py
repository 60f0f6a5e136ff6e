"""
A channel of temperatures, sent as JSON Lines and filtered for each client.

In this folder, run ``twistd -n twistream --app json_lines_channel:root``. Then

- read all temperatures with ``curl -N http://127.0.0.1:8080/``,
- read those of one place with ``curl -N http://127.0.0.1:8080/cellar``,
- publish one with ``curl -d 12.5 http://127.0.0.1:8080/cellar``,
- resume after an id with ``curl -N 'http://127.0.0.1:8080/?last_event_id=...'``.
"""

from twistream import HTTPError, Hub, StreamResource

hub = Hub()
temperatures = hub.channel("temperatures", history=1000)


async def read_or_publish(ctx):
    place = ctx.path.strip("/")
    if ctx.method == "POST":
        await publish(ctx, place)
        return

    def is_requested(message):
        return place in ("", message.data["place"])

    await ctx.subscribe(temperatures, filter=is_requested)


async def publish(ctx, place):
    try:
        celsius = float(ctx.request.content.read(100))
        published = temperatures.publish({"place": place, "celsius": celsius})
    except (TypeError, ValueError) as err:  # Infinity raises EncodeError, which is a TypeError.
        raise HTTPError(400, "A temperature must be a number.") from err
    ctx.json({"id": await published})
    ctx.write("\n")


root = StreamResource(read_or_publish, methods=("GET", "HEAD", "POST"))
