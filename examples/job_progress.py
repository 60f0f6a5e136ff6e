"""
The progress of a job that blocks, and so runs in a thread. Everybody sees the same job.

In this folder, run ``twistd -n twistream --app job_progress:root``. Then

- start the job, and follow it, with ``curl -N http://127.0.0.1:8080/``, in several terminals,
- stop it with ``curl -X DELETE http://127.0.0.1:8080/``.
"""

import time

from twisted.internet.threads import deferToThread

from twistream import HTTPError, Hub, StreamResource

STEPS = 5

hub = Hub()


def copy_files(run):
    for step in range(1, STEPS + 1):
        time.sleep(0.1)  # Anything that blocks.
        # If the run was stopped, this raises RunEnded, which ends the job.
        run.publish_from_thread({"step": step, "of": STEPS}, event="progress")
    return {"files": STEPS}


def job(run):
    return deferToThread(copy_files, run)


async def follow_or_stop(ctx):
    if ctx.method == "DELETE":
        run = hub.get_run("job")
        if run is None:
            raise HTTPError(404, "The job does not run.")
        return f"{(await run.stop('by request')).value}\n"
    # Each GET without an id starts the job again if it has ended.
    run = hub.run("job", job, restart=ctx.last_event_id is None)
    await ctx.sse().subscribe(run)
    return None


root = StreamResource(follow_or_stop, methods=("GET", "HEAD", "DELETE"))
