"""
The program and the commands of docs/pipes.rst, run.
"""

from pathlib import Path
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread

from tests.e2e.net import serving
from tests.e2e.pages import Page, run_curl

PIPES = Page("docs/pipes.rst")


@pytest.fixture
def names(monkeypatch: Any, tmp_path: Path) -> dict[str, Any]:
    """
    The names that the page defines, in a folder with the file that it sends.
    """
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("Buy milk\n")
    return PIPES.executed(monkeypatch)


@ensureDeferred
async def test_its_curl_lines_print_what_it_says(names: dict[str, Any], tmp_path: Path) -> None:
    async with serving(names["root"]) as server:
        names["SOURCE"] = server.url("/notes")
        await deferToThread(run_curl, PIPES.commands("curl"), server.number, tmp_path)


@pytest.mark.parametrize("path", ["careful", "send", "transfer"])
@ensureDeferred
async def test_its_other_handlers_send_the_file(names: dict[str, Any], path: str) -> None:
    async with serving(names["root"]) as server:
        names["SOURCE"] = server.url("/notes")
        client = await server.get(f"GET /{path} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
        await client.until(lambda: client.response().complete)
        assert client.response().body == b"Buy milk\n"


def test_the_application_that_it_serves_exists(names: dict[str, Any]) -> None:
    for command in PIPES.commands("twistd"):
        assert command.line.rpartition(":")[2] in names
