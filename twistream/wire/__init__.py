"""
Bytes in, bytes out: framing, encoding and validation.

Nothing here knows Twisted, a clock, I/O or a log.
"""
