"""
A channel with a history: every client receives every message, and can resume.

In this folder, run ``twistd -n twistream --app news:root``. Then

- read the news at http://127.0.0.1:8080/ or with ``curl -N http://127.0.0.1:8080/news``,
- publish with ``curl -d 'Rain' http://127.0.0.1:8080/publish``,
- resume after an id with
  ``curl -N -H 'Last-Event-ID: ...' http://127.0.0.1:8080/news``.
"""

from twisted.web.resource import Resource

from twistream import HTTPError, Hub, StreamResource

PAGE = """<!DOCTYPE html>
<meta charset="utf-8">
<title>News</title>
<ul id="news"></ul>
<script>
const add = text => {
    const item = document.createElement("li");
    item.textContent = text;
    document.getElementById("news").append(item);
};
const source = new EventSource("/news");
source.addEventListener("story", e => add(JSON.parse(e.data).title));
source.addEventListener("gap", e => add("Some news is missing: " + JSON.parse(e.data).reason));
</script>
"""

hub = Hub()
news = hub.channel("news", history=100, history_ttl=3600.0)


async def page(ctx):
    ctx.html(PAGE)


async def feed(ctx):
    await ctx.sse().subscribe(news)


async def publish(ctx):
    body = ctx.request.content.read(1001)
    if len(body) > 1000:
        raise HTTPError(400, "A title must not be longer than 1000 bytes.")
    try:
        title = body.decode().strip()
    except UnicodeDecodeError as err:
        raise HTTPError(400, "A title must be UTF-8.") from err
    if not title:
        raise HTTPError(400, "A title must not be empty.")
    ctx.status_code(201)
    return await news.publish({"title": title}, event="story") + "\n"


root = Resource()
root.putChild(b"", StreamResource(page))
root.putChild(b"news", StreamResource(feed))
root.putChild(b"publish", StreamResource(publish, methods=("POST",)))
