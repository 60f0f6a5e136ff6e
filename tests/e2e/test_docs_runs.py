"""
The program and the commands of docs/runs.rst, run.
"""

import re
from inspect import signature
from pathlib import Path
from typing import Any, get_args

import pytest
from pytest_twisted import ensureDeferred
from twisted.internet.threads import deferToThread

from tests.e2e.net import serving
from tests.e2e.pages import Command, Page, run_curl
from twistream import Hub, RunState
from twistream.channels.run_options import OnFull

RUNS = Page("docs/runs.rst")


@pytest.fixture
def names(monkeypatch: Any) -> dict[str, Any]:
    """
    The names that the page defines.
    """
    return RUNS.executed(monkeypatch)


@ensureDeferred
async def test_its_curl_lines_print_what_it_says(names: dict[str, Any], tmp_path: Path) -> None:
    async with serving(names["root"]) as server:
        # Each stream ends, so each command can be awaited.
        commands = [
            Command(line.replace("curl -N", "curl"), output)
            for line, output in RUNS.commands("curl")
        ]
        await deferToThread(run_curl, commands, server.number, tmp_path)
    names["hub"].close()


def test_the_first_program_has_less_than_20_lines(names: dict[str, Any]) -> None:
    first = RUNS.blocks("python")[0]
    assert len(first.splitlines()) < 20
    assert names["hub"].runs == {}


def test_the_page_names_every_final_state_policy_and_limit() -> None:
    tables = RUNS.tables()
    for state in RunState:
        assert (state.value in tables.split()) == state.is_final
    assert set(get_args(OnFull)) == set(re.findall('^"([a-z]+)"', tables, re.MULTILINE))
    options = set(signature(Hub.run).parameters) - {"self", "name", "producer"}
    assert options <= set(re.findall(r"``(\w+)``", RUNS.text)) | set(
        re.findall(r"``[^`]*?(\w+)=", RUNS.text)
    )
