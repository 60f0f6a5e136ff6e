"""
The demo: three streams, a ticker, a chat and a run, with pages that show them live.

``twistd twistream`` serves it by default, and its handlers are made to be copied. They are in
`twistream.demo.streams`, `twistream.demo.ticker`, `twistream.demo.chat` and
`twistream.demo.runs`; `twistream.demo.site` puts them into one resource tree.
"""

from twistream.demo.site import make_root

__all__ = ("make_root",)
