"""
A channel as lines of JSON, of which each client gets those that it asks for.

Run it with ``twistd -n twistream --app json_lines_channel:root`` in this folder, then
``curl -N http://127.0.0.1:8080/``, or ``curl -N http://127.0.0.1:8080/cellar`` for one
place only, and tell a temperature with ``curl -d 12.5 http://127.0.0.1:8080/cellar``.
``curl -N 'http://127.0.0.1:8080/?last_event_id=...'`` gives those after an id.
"""

from twistream import HTTPError, Hub, StreamResource

hub = Hub()
temperatures = hub.channel("temperatures", history=1000)


async def read_or_tell(ctx):
    place = ctx.path.strip("/")
    if ctx.method == "POST":
        await tell(ctx, place)
        return

    def is_asked_for(message):
        return place in ("", message.data["place"])

    await ctx.subscribe(temperatures, filter=is_asked_for)


async def tell(ctx, place):
    try:
        celsius = float(ctx.request.content.read(100))
        published = temperatures.publish({"place": place, "celsius": celsius})
    except (TypeError, ValueError) as err:  # JSON has no infinity: that is an EncodeError.
        raise HTTPError(400, "A temperature is a number.") from err
    ctx.json({"id": await published})
    ctx.write("\n")


root = StreamResource(read_or_tell, methods=("GET", "HEAD", "POST"))
