"""
The demo: three streams, a ticker of events and a chat, and pages that show them live.

It is what ``twistd twistream`` serves by default, and a model to copy from: the handlers
are in `twistream.demo.streams`, `twistream.demo.ticker` and `twistream.demo.chat`, the tree
around them in `twistream.demo.site`.
"""

from twistream.demo.site import make_root

__all__ = ("make_root",)
