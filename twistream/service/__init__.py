"""
The command ``twistd twistream``: its options, and the service that they configure.

This is the top layer. Only here does the library deal with command lines, log files and
listening sockets.
"""

from twistream.service.maker import makeService
from twistream.service.options import Options

__all__ = ("Options", "makeService")
