"""
The response behind a context, for tests of what it is made of.
"""

from twistream import Context
from twistream.server.response.response import Response


def response_of(context: Context) -> Response:
    """
    The response that this context is the face of.
    """
    return context._response
