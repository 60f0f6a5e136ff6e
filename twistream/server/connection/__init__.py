"""
From a response to the transport: framing, flow control and the private names of Twisted.
"""
