"""
The one message that all servers send, and what it is on the wire.
"""

from typing import Final

MESSAGE: Final = b"data: " + b"x" * 92 + b"\n\n"
"""
An event of 100 bytes.
"""

CHUNK: Final = b"%x\r\n%b\r\n" % (len(MESSAGE), MESSAGE)
"""
The message as a chunk of its own (RFC 9112 7.1): 106 bytes.
"""

LAST_CHUNK: Final = b"0\r\n\r\n"
"""
The end of a chunked body.
"""

MEDIA_TYPE: Final = "text/event-stream"
"""
What every stream is declared as.
"""
