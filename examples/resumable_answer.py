"""
An answer of a language model that survives a reload of the page. The model is a fake.

In this folder, run ``twistd -n twistream --app resumable_answer:root``. Then

- ask at http://127.0.0.1:8080/, reload the page while it answers, open it a second time, and stop the
  answer,
- or ask with ``curl -d 'Why?' http://127.0.0.1:8080/ask`` and follow the answer with
  ``curl -N 'http://127.0.0.1:8080/answer?name=...'``.
"""

import secrets

from twisted.internet import reactor
from twisted.internet.defer import CancelledError
from twisted.internet.task import deferLater
from twisted.web.resource import Resource

from twistream import HTTPError, Hub, StreamResource

PAGE = """<!DOCTYPE html>
<meta charset="utf-8">
<title>Answer</title>
<form id="form">
  <input id="question" value="Why does it survive a reload?">
  <button>Ask</button>
  <button type="button" id="stop">Stop</button>
</form>
<p id="answer"></p>
<p id="state"></p>
<script>
const element = id => document.getElementById(id);
let name = location.hash.slice(1);
let source;

function follow() {
    source?.close();
    element("answer").textContent = "";
    element("state").textContent = "writing";
    source = new EventSource("/answer?name=" + name);
    source.onmessage = e => { element("answer").textContent += e.data; };
    source.addEventListener("end", e => { element("state").textContent = JSON.parse(e.data).state; });
    source.onerror = () => {
        if (source.readyState === EventSource.CLOSED) element("state").textContent += ", closed";
    };
}

element("form").onsubmit = async e => {
    e.preventDefault();
    const response = await fetch("/ask", {method: "POST", body: element("question").value});
    name = (await response.text()).trim();
    location.hash = name;
    follow();
};
element("stop").onclick = () => fetch("/stop?name=" + name, {method: "POST"});
if (name) follow();
</script>
"""

hub = Hub()


async def fake_model(question):
    answer = f"You asked: {question} The run goes on without you, and its history has every word."
    for word in answer.split():
        await deferLater(reactor, 0.1)
        yield f"{word} "


async def page(ctx):
    ctx.html(PAGE)


async def ask(ctx):
    question = ctx.request.content.read(1000).decode("utf-8", "replace")

    async def write_answer(run):
        try:
            async for token in fake_model(question):
                await run.publish(token)
        except CancelledError:
            await run.publish("[stopped]")

    run = hub.run(secrets.token_urlsafe(8), write_answer, idle_timeout=60.0)
    return f"{run.name}\n"


def asked_run(ctx):
    run = hub.get_run(ctx.query("name", ""))
    if run is None:
        raise HTTPError(404, "There is no such answer.")
    return run


async def answer(ctx):
    await ctx.sse(retry=0.5).subscribe(asked_run(ctx))


async def stop(ctx):
    state = await asked_run(ctx).stop("the user pressed stop")
    return f"{state.value}\n"


root = Resource()
root.putChild(b"", StreamResource(page))
root.putChild(b"ask", StreamResource(ask, methods=("POST",)))
root.putChild(b"answer", StreamResource(answer))
root.putChild(b"stop", StreamResource(stop, methods=("POST",)))
