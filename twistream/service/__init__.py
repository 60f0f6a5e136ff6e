"""
The command ``twistd twistream``: its options, and the service that they describe.

The top layer. It knows the servers' command line, log and sockets, and nothing below it
does.
"""

from twistream.service.maker import makeService
from twistream.service.options import Options

__all__ = ("Options", "makeService")
