"""
Parses the cookies of a request.

Pure. `twistream.wire.fields.set_cookie` encodes those of a response.
"""

from collections.abc import Iterable, Iterator, Mapping

from twistream.errors import HTTPError


class Cookies(Mapping[str, str]):
    """
    The cookies of one request: names and values, read-only.

    Of several cookies with one name, the first counts. Browsers send the one with the longest path
    first (RFC 6265 5.4). Quotes around a value are removed. Values are not decoded: ``%20`` and
    backslashes stay. A part without ``=``, or without a name, is ignored.

    Looking up a cookie raises an `HTTPError` with the status 400 if its value is not UTF-8. Other
    cookies can still be read, because the client may have got such a cookie from another program.

    Args:
        headers: The values of the header ``Cookie``. HTTP/2 allows several (RFC 9113 8.2.3).
    """

    __slots__ = ("_values",)

    def __init__(self, headers: Iterable[bytes]) -> None:
        self._values: dict[str, bytes] = {}
        for header in headers:
            for part in header.split(b";"):
                name, equals, value = part.partition(b"=")
                # Latin-1 decodes any name. That of a cookie that a program looks up is in ASCII.
                key = name.strip(b" \t").decode("latin-1")
                if key and equals:
                    self._values.setdefault(key, value.strip(b" \t"))

    def __getitem__(self, name: str) -> str:
        value = self._values[name]
        if len(value) > 1 and value[:1] == value[-1:] == b'"':
            value = value[1:-1]
        try:
            return value.decode()
        except UnicodeDecodeError:
            raise HTTPError(400, f"The cookie {name} must be UTF-8.") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __repr__(self) -> str:
        # Not the values: they are often secret, and logs contain representations.
        return f"<{type(self).__name__} {', '.join(self._values)}>"
