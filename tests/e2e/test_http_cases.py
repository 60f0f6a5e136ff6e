"""
The bytes of whole responses on real sockets, and how each connection ends.
"""

from dataclasses import dataclass
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.error import ConnectionDone, ConnectionLost

from tests.e2e.conftest import Log
from tests.e2e.net import serving
from tests.harness import Ending
from twistream import ContentLengthMismatch, Context

# What ends a response.
HANDLER, FAILURE, CLIENT = "handler", "failure", "client"

# How a connection ends: it stays open, it closes in good order (FIN, and close_notify on
# TLS), or it breaks (RST, or FIN without close_notify on TLS).
OPEN, CLOSED, BROKEN = "open", "closed", "broken"


@dataclass(frozen=True)
class Case:
    """
    One row of the table.
    """

    version: str = "1.1"
    method: str = "GET"
    status: int = 200
    ended_by: str = HANDLER
    length: int | None = None
    close: bool = False
    body: bytes = b"3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n"
    ends: str = OPEN
    chunked: bool = True

    @property
    def bodyless(self) -> bool:
        return self.method == "HEAD" or self.status in (204, 205, 304)

    @property
    def ending(self) -> Ending:
        """
        How the response has ended, as its client sees it.
        """
        if self.bodyless or (self.ended_by == HANDLER and self.length != 9):
            return Ending.COMPLETE
        return Ending.ABORTED if self.ends == BROKEN else Ending.TRUNCATED

    def __str__(self) -> str:
        parts = [self.version, self.method, str(self.status), self.ended_by]
        if self.length is not None:
            parts.append(f"length {self.length}")
        if self.close:
            parts.append("close")
        return " ".join(parts)


def identity(body: bytes = b"onetwo", ends: str = CLOSED, **row: Any) -> Case:
    return Case(body=body, ends=ends, chunked=False, **row)


TABLE = [
    # HTTP/1.1: chunks, and the terminator only where all went well.
    Case(),
    Case(status=404),
    Case(status=500),
    Case(close=True, ends=CLOSED),
    Case(ended_by=FAILURE, body=b"3\r\none\r\n", ends=CLOSED),
    Case(ended_by=FAILURE, status=404, body=b"3\r\none\r\n", ends=CLOSED),
    Case(ended_by=CLIENT, body=b"3\r\none\r\n"),
    Case(method="POST"),
    Case(method="POST", ended_by=FAILURE, body=b"3\r\none\r\n", ends=CLOSED),
    # HTTP/1.1 with a Content-Length: no chunks, and short of it where it failed.
    identity(length=6, ends=OPEN),
    identity(length=6, close=True),
    identity(length=6, ended_by=FAILURE, body=b"one"),
    identity(length=9, body=b"onetwo"),  # Too little.
    identity(length=6, ended_by=CLIENT, body=b"one", ends=OPEN),
    # HTTP/1.0: to the end of the connection. A failure must not look like that end.
    identity(version="1.0"),
    identity(version="1.0", status=404),
    identity(version="1.0", method="POST"),
    identity(version="1.0", ended_by=FAILURE, body=b"one", ends=BROKEN),
    identity(version="1.0", ended_by=CLIENT, body=b"one", ends=OPEN),
    identity(version="1.0", length=6),
    identity(version="1.0", length=6, ended_by=FAILURE, body=b"one"),
    # No body, whoever asks and however the handler ends.
    *(
        identity(b"", version=version, method=method, status=status, ended_by=ended_by,
                 ends=OPEN if version == "1.1" else CLOSED)
        for version in ("1.1", "1.0")
        for method, status in (
            ("HEAD", 200),
            ("HEAD", 404),
            ("GET", 204),
            ("POST", 204),
            ("GET", 205),
            ("GET", 304),
            ("HEAD", 204),
        )
        for ended_by in (HANDLER, FAILURE)
    ),
]  # fmt: skip


def handler_of(case: Case) -> Any:
    async def handler(ctx: Context) -> None:
        ctx.status_code(case.status)
        if case.length is not None:
            ctx.header("Content-Length", str(case.length))
        if case.close:
            ctx.header("Connection", "close")
        ctx.write("one")
        await ctx.flush()
        if case.ended_by == CLIENT:
            await ctx.sleep(60)
        if case.ended_by == FAILURE:
            raise KeyError("made to fail")
        ctx.write("two")
        await ctx.flush()

    return handler


@pytest.mark.parametrize("tls", [False, True], ids=["tcp", "tls"])
@pytest.mark.parametrize("case", TABLE, ids=str)
@ensureDeferred
async def test_the_bytes_and_the_end(case: Case, tls: bool, log: Log) -> None:
    async with serving(handler_of(case), tls=tls, methods=("GET", "HEAD", "POST")) as server:
        client = await server.get(
            f"{case.method} / HTTP/{case.version}\r\nHost: a\r\nContent-Length: 0\r\n\r\n".encode()
        )
        await client.holds(b"\r\n\r\n" + case.body)
        if case.ended_by == CLIENT:
            assert client.reason is None
            client.leave()
        if case.ends == OPEN and case.ended_by != CLIENT:
            # The connection is fit for another request, and nothing stray is on it.
            first = client.data
            client.send(b"HEAD /again HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            data = (await client.end())[: len(first)]
            response, again = client.responses(case.method, "HEAD")
            assert again.complete
            assert isinstance(client.reason and client.reason.value, ConnectionDone)
        else:
            data = await client.end()
            response = client.response(case.method)

        assert data.partition(b"\r\n\r\n")[2] == case.body
        assert (response.version, response.status) == (case.version, case.status)
        assert response.header("Transfer-Encoding") == ("chunked" if case.chunked else None)
        assert len(response.values("Content-Length")) == (
            case.length is not None or (case.status == 205 and case.method != "HEAD")
        )
        assert response.values("Connection") == ["close"] * case.close
        if case.ended_by != CLIENT:
            assert response.ending is case.ending
        end = client.reason and client.reason.value
        if case.ends == CLOSED:
            assert isinstance(end, ConnectionDone)
        elif case.ends == BROKEN:
            assert isinstance(end, ConnectionLost)

    # A failure is logged once, and so is a promise of length that was not kept. Where no
    # body may be, the flush has ended the handler before it could fail.
    assert log.failures(KeyError) == (case.ended_by == FAILURE and not case.bodyless)
    assert log.failures(ContentLengthMismatch) == (case.length == 9)
