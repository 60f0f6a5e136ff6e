"""
The demo: three streams, and a page that shows them live.

It is what ``twistd twistream`` serves by default, and a model to copy from: the handlers
are in `twistream.demo.streams`, the tree around them in `twistream.demo.site`.
"""

from twistream.demo.site import make_root

__all__ = ("make_root",)
