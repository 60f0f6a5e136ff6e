"""
The program and the commands of docs/compression.rst, run. `test_docs` runs the curl commands.
"""

import re
from typing import Any

import pytest
from pytest_twisted import ensureDeferred

from tests.decoders import decoded
from tests.e2e.net import serving
from tests.e2e.pages import Page
from twistream import Compression
from twistream.wire.compression import CODINGS

COMPRESSION = Page("docs/compression.rst")


@pytest.fixture
def names(monkeypatch: Any) -> dict[str, Any]:
    """
    The names that the page defines.
    """
    return COMPRESSION.executed(monkeypatch)


@pytest.mark.parametrize(
    ("path", "coding"), [("ticks", "gzip"), ("report", "gzip"), ("quick", "zstd")]
)
@ensureDeferred
async def test_each_resource_is_compressed(names: dict[str, Any], path: str, coding: str) -> None:
    head = f"GET /{path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip, zstd\r\n\r\n"
    async with serving(names["root"]) as server:
        client = await server.get(head.encode())
        await client.until(lambda: client.response().complete)
        response = client.response()
    assert response.header("Content-Encoding") == coding
    body = decoded(coding, response.body)
    assert body.startswith(b"0,0\n" if path == "report" else b"data: {")


def test_the_levels_windows_and_the_order_are_those_of_the_code() -> None:
    text = " ".join(COMPRESSION.tables().split())
    assert ", ".join(CODINGS) in text
    # Each range is stated once: the numbers inside it are accepted, and those outside are not.
    for name in ("level", "window"):
        for coding in CODINGS:
            ranges = re.findall(rf"{coding}(?: and deflate)?(?: have)? (\d+) to (\d+)", text)
            if coding == "deflate":
                ranges = re.findall(r"gzip and deflate have (\d+) to (\d+)", text)
            least, most = map(int, ranges[("level", "window").index(name)])
            for size in (least, most):
                Compression(codings=[coding], **{name: size})
            for size in (least - 1, most + 1):
                with pytest.raises(ValueError, match=f"from {least} to {most} for {coding}"):
                    Compression(codings=[coding], **{name: size})
