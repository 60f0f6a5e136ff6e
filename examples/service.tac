"""
Serve a stream as a service of a Twisted application.

In this folder, run ``twistd -ny service.tac``, then ``curl -N http://127.0.0.1:8080/``. To
listen on another address, set the environment variable LISTEN to a Twisted endpoint.
"""

import os

from twisted.application.internet import StreamServerEndpointService
from twisted.application.service import Application
from twisted.internet import reactor
from twisted.internet.endpoints import serverFromString
from twisted.web.server import Site

from twistream import StreamResource


def count(ctx):
    for n in range(5):
        yield f"{n}\n"


endpoint = serverFromString(reactor, os.environ.get("LISTEN", "tcp:8080:interface=127.0.0.1"))
application = Application("count")
StreamServerEndpointService(endpoint, Site(StreamResource(count))).setServiceParent(application)
