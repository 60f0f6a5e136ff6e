"""
The program, the commands and the scripts of docs/formats.rst, run.
"""

from pathlib import Path
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread

from tests.e2e.net import serving
from tests.e2e.pages import BLANK, Page, run_curl
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


@ensureDeferred
async def test_its_curl_lines_print_what_it_says(names: dict[str, Any], tmp_path: Path) -> None:
    async with serving(names["root"]) as server:
        await deferToThread(run_curl, FORMATS.commands("curl"), server.number, tmp_path)


def test_the_application_that_it_serves_exists(names: dict[str, Any]) -> None:
    for command in FORMATS.commands("twistd"):
        assert command.line.rpartition(":")[2] in names


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
