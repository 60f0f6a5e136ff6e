"""
The program, the commands and the scripts of docs/formats.rst, run. `test_docs` runs the curl commands.
"""

from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread

from tests.e2e.net import serving
from tests.e2e.pages import BLANK, Page
from tests.e2e.test_docs_events import console

FORMATS = Page("docs/formats.rst")


@pytest.fixture
def names(monkeypatch: Any) -> dict[str, Any]:
    """
    The names that the page defines. Its tree gets a blank page for scripts to run in.
    """
    names = FORMATS.executed(monkeypatch)
    names["root"].putChild(b"", BLANK)
    return names


LAST_WIDTH = """
while (image.naturalWidth !== 48) await new Promise(resolve => setTimeout(resolve, 10));
console.log("the last image");
"""


@ensureDeferred
async def test_its_scripts_read_the_values(names: dict[str, Any], chromium: str) -> None:
    jsonp, array, image = FORMATS.blocks("javascript")
    async with serving(names["root"]) as server:
        called = await deferToThread(console, chromium, server.url(), jsonp, "Oslo")
        read = await deferToThread(console, chromium, server.url(), array, "Rome")
        shown = await deferToThread(console, chromium, server.url(), image + LAST_WIDTH, "last")
    assert called == ["Oslo"]
    assert shown == ["the last image"]
    assert read == ["Oslo", "Rome"]
