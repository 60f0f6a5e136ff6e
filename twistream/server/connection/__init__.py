"""
The way of a response's bytes to the transport, on HTTP/1 and HTTP/2.
"""
