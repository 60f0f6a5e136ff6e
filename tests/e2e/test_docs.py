"""
The programs and commands of the pages whose commands need nothing but the program.
"""

from pathlib import Path
from typing import Any

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread

from tests.e2e.net import serving
from tests.e2e.pages import Page, run_curl


@pytest.fixture(params=["channels", "compression", "events", "formats", "trailers"])
def page(request: Any) -> Page:
    return Page(f"docs/{request.param}.rst")


@pytest.fixture
def names(page: Page, monkeypatch: Any) -> dict[str, Any]:
    """
    The names that the page defines.
    """
    return page.executed(monkeypatch)


@ensureDeferred
async def test_its_curl_lines_print_what_it_says(
    page: Page, names: dict[str, Any], tmp_path: Path
) -> None:
    commands = page.commands("curl")
    assert commands
    async with serving(names["root"]) as server:
        await deferToThread(run_curl, commands, server.number, tmp_path)


def test_the_application_that_it_serves_exists(page: Page, names: dict[str, Any]) -> None:
    commands = page.commands("twistd")
    assert commands
    for command in commands:
        assert command.line.rpartition(":")[2] in names
