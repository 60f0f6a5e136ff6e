"""
Serve a stream next to other resources, in a program that runs its own reactor.

Run ``python embedded.py``, then ``curl -N http://127.0.0.1:8080/ticks``. To listen on
another port, on all addresses of the machine, run ``python embedded.py tcp:8081``.
"""

import sys

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import react
from twisted.logger import globalLogBeginner, textFileLogObserver
from twisted.web.resource import Resource
from twisted.web.server import Site
from twisted.web.static import Data

from twistream import Context, StreamResource


async def ticks(ctx: Context):
    """
    A handler can be an async generator. Each item is written and flushed.
    """
    while True:
        yield f"{ctx.clock.seconds():.1f}\n"
        await ctx.sleep(0.5)


async def main(reactor, endpoint="tcp:8080:interface=127.0.0.1"):
    root = Resource()
    root.putChild(b"", Data(b"Try /ticks\n", "text/plain"))
    root.putChild(b"ticks", StreamResource(ticks))
    port = await serverFromString(reactor, endpoint).listen(Site(root))
    print(f"serving on http://127.0.0.1:{port.getHost().port}/", flush=True)
    await Deferred()  # Until Ctrl-C.


if __name__ == "__main__":
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)])
    react(lambda reactor: Deferred.fromCoroutine(main(reactor, *sys.argv[1:])))
