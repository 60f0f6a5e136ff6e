"""
The programs and the commands of docs/threads.rst, run.
"""

from pathlib import Path
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread

from tests.e2e.net import serving
from tests.e2e.pages import Page, run_curl
from twistream.scheduling.iteration import _MAX_BYTES
from twistream.scheduling.jobs import SPARE
from twistream.server.base.blocking import AHEAD

THREADS = Page("docs/threads.rst")


@pytest.fixture
def names(monkeypatch: Any, tmp_path: Path) -> dict[str, Any]:
    """
    The names that the page defines.
    """
    monkeypatch.chdir(tmp_path)
    return THREADS.executed(monkeypatch)


@ensureDeferred
async def test_its_curl_lines_print_what_it_says(names: dict[str, Any], tmp_path: Path) -> None:
    async with serving(names["root"]) as server:
        await deferToThread(run_curl, THREADS.commands("curl"), server.number, tmp_path)


@pytest.mark.parametrize(
    ("name", "body"),
    [
        ("table", b"cellar,12\r\nroof,21\r\nroof,22\r\n"),
        ("report", b"place,celsius\nroof,21\ncellar,12\nroof,22\n"),
    ],
)
@ensureDeferred
async def test_its_other_handlers_send_the_table(
    names: dict[str, Any], name: str, body: bytes
) -> None:
    async with serving(names[name]) as server:
        client = await server.get(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        await client.end()
        assert client.response().body == body


def test_the_application_that_it_serves_exists(names: dict[str, Any]) -> None:
    (command,) = THREADS.commands("twistd")
    assert command.line.endswith(" readings:root")
    assert names["root"]


def test_its_numbers_are_those_of_the_code() -> None:
    for number in (f"items ({AHEAD})", f"{_MAX_BYTES // 1024} KiB"):
        assert number in THREADS.text
    assert SPARE == 2
    assert "the last two threads" in THREADS.text
