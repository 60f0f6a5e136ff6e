"""
A proxy for a language model. It streams the tokens, and stops the model when the client leaves.

In this folder, run ``twistd -n twistream --app llm_proxy:root``, then
``curl -N -d 'Tell me a story' http://127.0.0.1:8080/chat``. Press Ctrl-C: the log says at once that
the model has stopped. A slow client slows down the model, too. The model here is a stand-in, which
repeats the words of the prompt. The proxy needs ``pip install treq``.
"""

from itertools import cycle

import treq
from twisted.web.resource import Resource

from twistream import HTTPError, StreamResource, StreamTruncated


async def chat(ctx):
    url = f"http://127.0.0.1:{ctx.request.getHost().port}/model"
    prompt = ctx.request.content.read()
    response = await treq.post(url, data=prompt, unbuffered=True)
    ctx.status_code(response.code)
    try:
        await ctx.pipe(response, copy_headers=["Content-Type", "Cache-Control"])
    except StreamTruncated as err:
        if err.received:
            raise  # The client sees that the answer is incomplete.
        raise HTTPError(502, "The model does not answer.") from err


async def model(ctx):
    words = ctx.request.content.read().decode().split()
    if not words:
        raise HTTPError(400, "A prompt must not be empty.")
    events, sent = ctx.sse(), 0
    try:
        for word in cycle(words):
            await events.send({"token": word})
            sent += 1
            await ctx.sleep(0.05)
    finally:
        ctx.log.info("the model has stopped after {sent} tokens", sent=sent)


root = Resource()
root.putChild(b"chat", StreamResource(chat, methods=("POST",)))
root.putChild(b"model", StreamResource(model, methods=("POST",)))
