"""
Bytes in, bytes out: framing, encoding and validation.

This layer does not use Twisted, clocks, I/O or logs.
"""
