"""
Starlette as in `benchmarks.servers.starlette_`, on granian.
"""

import sys

import uvloop
from starlette.applications import Starlette

from benchmarks.servers.granian_ import serve
from benchmarks.servers.starlette_ import RESPONSES

if __name__ == "__main__":
    uvloop.run(serve(Starlette(routes=RESPONSES), int(sys.argv[1])))
