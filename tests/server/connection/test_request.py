"""
A borrowed request: the head that is joined here is the one that Twisted would write.
"""

from typing import Any
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Request, Site

from twistream.server.connection.request import BorrowedRequest

NAMES = st.sampled_from(
    ["Content-Type", "content-length", "ETag", "x-b", "X-A", "Set-Cookie", "Date", "last-modified"]
)
VALUES = st.sampled_from([b"", b"0", b"12", b"text/plain", b" a  b ", b"\xff"])

TYPED = ("Content-Type", b"text/plain")
FIELDS = st.one_of(
    st.just([TYPED]),
    st.lists(st.tuples(NAMES, VALUES), max_size=5),
    st.lists(st.tuples(NAMES, VALUES), max_size=3).map(lambda fields: [TYPED, *fields]),
)

HEADS = st.fixed_dictionaries(
    {
        "method": st.sampled_from([b"GET", b"GET", b"POST", b"HEAD"]),
        "clientproto": st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0"]),
        "cookies": st.sampled_from([[], [], [b"a=b"], [b"a=b", b"c=d"]]),
        "etag": st.sampled_from([None, None, None, b'"tag"']),
        "lastModified": st.sampled_from([None, None, None, 1]),
        "defaultContentType": st.sampled_from([b"text/html", None]),
        "_inFakeHead": st.sampled_from([False, False, False, True]),
        "_disconnected": st.sampled_from([False, False, False, True]),
    }
)


class OtherRequest(Request):
    """
    A request that does more when it writes.
    """

    def write(self, data: bytes) -> None:
        self.setHeader(b"X-Added", b"by a subclass")
        super().write(data)


def recorded(
    kind: type[Request], code: int, fields: list[tuple[str, bytes]], attributes: dict[str, Any]
) -> tuple[bytes, object]:
    """
    The head of such a request, and what the request says afterwards.
    """
    protocol: Any = Site(Resource(), reactor=Clock()).buildProtocol(None)
    protocol.makeConnection(StringTransport())
    request: Any = kind(protocol._channel, False)
    for name, value in fields:
        request.responseHeaders.addRawHeader(name, value)
    request.setResponseCode(code)
    vars(request).update(attributes, cookies=list(attributes["cookies"]))
    borrowed = BorrowedRequest(request)
    head = borrowed.record_head()
    return head, (request.startedWriting, request.chunked, request.sentLength, type(request).write)


class HeadTests(SynchronousTestCase):
    """
    Any head, written in both ways.
    """

    @settings(max_examples=500)
    @given(
        st.sampled_from([Request, Request, OtherRequest]),
        st.sampled_from([200, 200, 204, 304, 404, 599]),
        FIELDS,
        HEADS,
    )
    def test_it_is_the_head_that_twisted_writes(
        self,
        kind: type[Request],
        code: int,
        fields: list[tuple[str, bytes]],
        attributes: dict[str, Any],
    ) -> None:
        with patch.object(BorrowedRequest, "_has_usual_head", return_value=False):
            expected = recorded(kind, code, fields, attributes)
        self.assertEqual(recorded(kind, code, fields, attributes), expected)

    def test_a_usual_head_is_not_written_by_twisted(self) -> None:
        attributes = {"method": b"GET", "clientproto": b"HTTP/1.1", "cookies": []}
        with patch.object(BorrowedRequest, "write_head", side_effect=AssertionError):
            head, _ = recorded(Request, 200, [("Content-Type", b"text/plain")], attributes)
        self.assertEqual(
            head,
            b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n",
        )
