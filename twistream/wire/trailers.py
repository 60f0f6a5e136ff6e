"""
Trailer fields: which names may follow a body, and whether a client asks for them.

Pure functions. What a response can carry is up to the server layer.
"""

from collections.abc import Iterable

from twistream.wire.fields import list_members, token

_REFUSED = {
    # RFC 9110 6.5.1: "message framing".
    "frames the message": ("Content-Length", "Trailer", "Transfer-Encoding"),
    # RFC 9110 7.6.1 and 7.8, RFC 9113 8.2.2.
    "belongs to the connection": (
        "Connection",
        "HTTP2-Settings",
        "Keep-Alive",
        "Proxy-Connection",
        "TE",
        "Upgrade",
    ),
    # RFC 9110 6.5.1: "routing"; the fields are in 7.2 and 7.6.
    "routes the message": ("Forwarded", "Host", "Max-Forwards", "Via"),
    # RFC 9110 6.5.1: "request modifiers"; the fields are in 10.1.1, 13.1 and 14.2.
    "modifies a request": (
        "Expect",
        "If-Match",
        "If-Modified-Since",
        "If-None-Match",
        "If-Range",
        "If-Unmodified-Since",
        "Pragma",
        "Range",
    ),
    # RFC 9110 6.5.1: "authentication"; the fields are in 11.6 and 11.7. RFC 6265 has cookies.
    # 11.6.3 allows Authentication-Info.
    "authenticates": (
        "Authorization",
        "Cookie",
        "Proxy-Authenticate",
        "Proxy-Authorization",
        "Set-Cookie",
        "WWW-Authenticate",
    ),
    # RFC 9110 6.5.1: "response controls"; the fields are in 6.6.1, 10.2, 12.5.5 and 15, and in
    # RFC 9111 5. The last three are evaluated before the body by browsers (Fetch 3.3, CSP, HSTS).
    "controls how the response is handled": (
        "Age",
        "Allow",
        "Cache-Control",
        "Date",
        "Expires",
        "Location",
        "Retry-After",
        "Vary",
        "Access-Control-Allow-Credentials",
        "Access-Control-Allow-Headers",
        "Access-Control-Allow-Methods",
        "Access-Control-Allow-Origin",
        "Access-Control-Expose-Headers",
        "Access-Control-Max-Age",
        "Content-Security-Policy",
        "Strict-Transport-Security",
    ),
    # RFC 9110 6.5.1: "content format"; the fields are in 8.3 to 8.8.2 and 14.4. RFC 6266 has
    # Content-Disposition. 8.8.3 allows ETag.
    "describes the content": (
        "Content-Disposition",
        "Content-Encoding",
        "Content-Language",
        "Content-Location",
        "Content-Range",
        "Content-Type",
        "Last-Modified",
    ),
}

REFUSED = {name.lower().encode(): reason for reason, names in _REFUSED.items() for name in names}
"""
The fields that are only valid before the body: what each of them does, by its name in lower case.
"""


def trailer_name(name: str | bytes) -> bytes:
    """
    Return the name of a trailer field as bytes.

    Raises:
        TypeError: It is neither str nor bytes.
        ValueError: It is not a token, or the field is only valid before the body (RFC 9110 6.5.1).
    """
    encoded = token(name, "trailer name")
    reason = REFUSED.get(encoded.lower())
    if reason is not None:
        msg = f"{encoded.decode()} {reason}, so it cannot be a trailer: send it as a header"
        raise ValueError(msg)
    return encoded


def accepts_trailers(values: Iterable[bytes]) -> bool:
    """
    Whether a client asks for trailers.

    Args:
        values: The values of its ``TE`` fields (RFC 9110 10.1.4).
    """
    return any(coding.lower() == b"trailers" for coding in list_members(values))


def unlisted(names: Iterable[bytes], values: Iterable[bytes]) -> list[bytes]:
    """
    The `names` that are not in the `values` of a field with a list of names, each once.
    """
    listed = {name.lower() for name in list_members(values)}
    found = {name.lower(): name for name in names if name.lower() not in listed}
    return list(found.values())
