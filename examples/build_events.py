"""
The events of a build server: each client chooses the topics that it follows, and changes them later.

In this folder, run ``twistd -n twistream --app build_events:root``. Then

- follow build 12 with ``curl -N http://127.0.0.1:8080/events/builds/12/``; the first event has the
  id of the stream,
- also follow build 13 with ``curl -X POST http://127.0.0.1:8080/add/ID/builds/13/``, and no longer
  with ``curl -X POST http://127.0.0.1:8080/remove/ID/builds/13/``,
- report the result of a step with
  ``curl -d passed http://127.0.0.1:8080/report/builds/12/steps/1``.

A path that ends with ``/`` stands for everything below it: ``builds/12/`` for ``builds/12/#``. One
segment may be ``*``, as in ``workers/*``.
"""

from urllib.parse import unquote

from twisted.web.resource import Resource

from twistream import HTTPError, Hub, StreamResource

hub = Hub()
events = hub.channel("events", history=1000, history_ttl=3600.0)

HIDDEN = "workers/hidden"


def rest_of_path(ctx):
    """
    The segments of the path after the name of the resource.
    """
    return [unquote(segment.decode()) for segment in ctx.request.postpath]


def pattern_of(segments):
    *parents, last = segments
    return "/".join([*parents, last or "#"])


def may_see(topic):
    return topic != HIDDEN


async def follow(ctx):
    segments = rest_of_path(ctx)
    topics = [pattern_of(segments)] if any(segments) else []
    try:
        waiting = ctx.sse().subscribe(events, topics=topics, may_see=may_see, announce=True)
    except ValueError as err:  # A pattern that is not allowed.
        raise HTTPError(400, str(err)) from err
    await waiting


def requested(ctx):
    """
    The topics of the stream that a request names, and a pattern.
    """
    id_, *segments = rest_of_path(ctx)
    subscription = hub.subscriptions.get(id_)
    if subscription is None:
        raise HTTPError(404, "There is no such stream, or it has ended.")
    if not segments:
        raise HTTPError(400, "The path names no topic.")
    return subscription.topics, pattern_of(segments)


async def add(ctx):
    topics, pattern = requested(ctx)
    try:
        topics.add(pattern)
    except ValueError as err:
        raise HTTPError(400, str(err)) from err
    ctx.json(sorted(topics))


async def remove(ctx):
    topics, pattern = requested(ctx)
    topics.discard(pattern)
    ctx.json(sorted(topics))


async def report(ctx):
    topic = "/".join(rest_of_path(ctx))
    result = ctx.request.content.read(1000).decode("utf-8", "replace")
    try:
        published = events.publish({"topic": topic, "result": result}, topic=topic)
    except ValueError as err:
        raise HTTPError(400, str(err)) from err
    return await published + "\n"


root = Resource()
root.putChild(b"events", StreamResource(follow))
root.putChild(b"add", StreamResource(add, methods=("POST",)))
root.putChild(b"remove", StreamResource(remove, methods=("POST",)))
root.putChild(b"report", StreamResource(report, methods=("POST",)))
