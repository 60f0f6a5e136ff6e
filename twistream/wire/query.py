"""
Parses the query of a request target.

Pure functions. The query of a URL in a browser is encoded like a form (WHATWG URL 5.1), and so are
the queries that most programs send.
"""

from urllib.parse import unquote_to_bytes

from twistream.errors import HTTPError

MAX_PARAMETERS = 1000
"""
Parameters of one query. No form that a person fills in has more.
"""


def values(query: bytes, name: str) -> list[str]:
    """
    Return the values of all parameters with this name, in order.

    A parameter without ``=`` has an empty value. ``+`` is a space. A ``%`` that two hexadecimal
    digits do not follow is kept, as browsers keep it.

    Args:
        query: The part of the request target after ``?``.

    Raises:
        HTTPError: 400, if one of the values is not UTF-8, or the query has more than
            `MAX_PARAMETERS` parameters.
    """
    if query.count(b"&") >= MAX_PARAMETERS:
        raise HTTPError(400, f"The query must have at most {MAX_PARAMETERS} parameters.")
    # As bytes, so that other parameters may have any encoding. No query contains a lone surrogate.
    wanted = name.encode("utf-8", "surrogatepass")
    found = []
    for parameter in query.split(b"&"):
        key, _, value = parameter.partition(b"=")
        if parameter and _decoded(key) == wanted:
            found.append(_decoded(value))
    try:
        return [value.decode() for value in found]
    except UnicodeDecodeError:
        raise HTTPError(400, f"The query parameter {name} must be UTF-8.") from None


def _decoded(text: bytes) -> bytes:
    return unquote_to_bytes(text.replace(b"+", b" "))
