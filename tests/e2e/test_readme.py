"""
What the README says, done.
"""

import re
import sys
import unittest
from pathlib import Path
from types import ModuleType
from typing import Any

from docutils.core import publish_doctree
from docutils.nodes import literal_block, table
from pytest_twisted import ensureDeferred
from twisted.web.resource import Resource

import twistream
from tests.e2e.net import serving
from twistream import Context, StreamResource

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.rst").read_text()


def blocks(language: str) -> list[str]:
    """
    The code blocks of the README in one language.
    """
    tree = publish_doctree(
        README, settings_overrides={"syntax_highlight": "none", "report_level": 1, "halt_level": 2}
    )
    return [
        block.astext()
        for block in tree.findall(literal_block)
        if language in block.attributes["classes"]
    ]


class _Endpoints:
    """
    Keeps the site that a block would serve.
    """

    def __init__(self) -> None:
        self.sites: list[Any] = []

    def from_string(self, _: object, text: str) -> "_Endpoints":
        assert text.startswith("tcp:8080")
        return self

    def listen(self, site: Any) -> None:
        self.sites.append(site)


def executed(monkeypatch: Any) -> tuple[dict[str, Any], _Endpoints]:
    """
    The names that the Python blocks define, one after the other, and what they serve.
    """
    endpoints = _Endpoints()
    monkeypatch.setattr("twisted.internet.endpoints.serverFromString", endpoints.from_string)
    module = ModuleType("readme")
    monkeypatch.setitem(sys.modules, "readme", module)
    for block in blocks("python"):
        exec(compile(block, "README.rst", "exec"), vars(module))  # noqa: S102 - our own
    return vars(module), endpoints


@ensureDeferred
async def test_the_handlers_stream(monkeypatch: Any) -> None:
    names, endpoints = executed(monkeypatch)
    root = Resource()
    for name in ("hello", "numbers", "ticks"):
        root.putChild(name.encode(), StreamResource(names[name]))
    request = b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n"
    async with serving(root) as server:
        hello = await server.get(request % b"hello")
        numbers = await server.get(request % b"numbers")
        ticks = await server.get(request % b"ticks")
        await hello.holds(b"7\r\nHello, \r\n")
        await numbers.holds(b"Message number 1<br>")
        await ticks.holds(b"\n\r\n")
    async with serving(endpoints.sites[0].resource) as server:
        ticks = await server.get(request % b"ticks")
        await ticks.holds(b"\n\r\n")
    async with serving(names["app"].resource()) as server:
        count = await server.get(request % b"count/3")
        await count.holds(b"2\r\n0\n\r\n2\r\n1\n\r\n2\r\n2\n\r\n0\r\n\r\n")


def test_its_test_passes_and_can_fail(monkeypatch: Any) -> None:
    names, _ = executed(monkeypatch)
    case: type[unittest.TestCase] = names["TicksTests"]
    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert (result.testsRun, result.errors, result.failures) == (1, [], [])
    names["ticks"] = lambda ctx: "nothing ticks"
    unittest.defaultTestLoader.loadTestsFromTestCase(case).run(result)
    assert len(result.failures) == 1


def test_the_table_names_what_is_there() -> None:
    tree = publish_doctree(README, settings_overrides={"syntax_highlight": "none"})
    text = "\n".join(each.astext() for each in tree.findall(table))
    for name in set(re.findall(r"ctx\.([a-z_]+)", text)):
        assert hasattr(Context, name), name
    assert hasattr(twistream, "StopStream")


def test_the_commands_are_there() -> None:
    makefile = (ROOT / "Makefile").read_text()
    console = "\n".join(blocks("console"))
    targets = re.findall(r"\$ make (\S+)", console)
    assert targets == ["demo", "test"]
    assert all(f"\n{target}:" in makefile for target in targets)


def test_the_links_lead_somewhere() -> None:
    for target in re.findall(r"<([^>:]+)>`_", README):
        assert (ROOT / target).exists(), target
