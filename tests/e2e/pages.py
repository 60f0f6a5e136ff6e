"""
The pages of the documentation, done: their code runs, and their commands print what they say.
"""

import re
import shlex
import subprocess
import sys
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from docutils.core import publish_doctree
from docutils.nodes import document, literal_block, table

from tests.e2e.conftest import program
from tests.e2e.twistd import until
from twistream import Context, StreamResource

ROOT = Path(__file__).parents[2]


def _blank(ctx: Context) -> str:
    ctx.content_type("text/html")
    return "<!DOCTYPE html><link rel='icon' href='data:,'>"


BLANK = StreamResource(_blank)
"""
A page for scripts to run in.
"""

_EPOCH = re.compile("[0-9a-f]{16}")


class Command(NamedTuple):
    """
    A line that a page has after ``$``, and what it prints.
    """

    line: str
    output: str = ""


class Endpoints:
    """
    Keeps the sites that a page would serve.
    """

    def __init__(self) -> None:
        self.sites: list[Any] = []

    def from_string(self, _: object, text: str) -> "Endpoints":
        assert text.startswith("tcp:8080")
        return self

    def listen(self, site: Any) -> None:
        self.sites.append(site)


class Page:
    """
    One page. It must be without a fault of markup.
    """

    def __init__(self, name: str) -> None:
        self.path = ROOT / name
        self.text = self.path.read_text()

    def tree(self) -> document:
        settings = {"syntax_highlight": "none", "report_level": 1, "halt_level": 2}
        return publish_doctree(self.text, settings_overrides=settings)

    def blocks(self, language: str) -> list[str]:
        """
        The code blocks in one language.
        """
        return [
            block.astext()
            for block in self.tree().findall(literal_block)
            if language in block.attributes["classes"]
        ]

    def executed(self, monkeypatch: Any) -> tuple[dict[str, Any], Endpoints]:
        """
        The names that the Python blocks define, one after the other, and what they serve.
        """
        endpoints = Endpoints()
        monkeypatch.setattr("twisted.internet.endpoints.serverFromString", endpoints.from_string)
        module = ModuleType("page")
        monkeypatch.setitem(sys.modules, "page", module)
        for block in self.blocks("python"):
            exec(compile(block, self.path.name, "exec"), vars(module))  # noqa: S102 - our own
        return vars(module), endpoints

    def commands(self, name: str) -> list[Command]:
        """
        The commands that call one program, in order.
        """
        parts = [part for block in self.blocks("console") for part in _commands(block)]
        return [command for command in parts if shlex.split(command.line)[0] == name]

    def missing_links(self) -> list[str]:
        """
        The files that it leads to, or shows, and that are not there.
        """
        targets = re.findall(r"<([^>:]+)>`_", self.text)
        targets += re.findall(r"(?:image|figure):: (\S+)", self.text)
        return [target for target in targets if not (self.path.parent / target).exists()]

    def tables(self) -> str:
        """
        What stands in its tables.
        """
        return "\n".join(each.astext() for each in self.tree().findall(table))


def _commands(block: str) -> list[Command]:
    # A line that ends in a backslash goes on in the next.
    parts = re.split(r"(?m)^\$ ", block.replace("\\\n", ""))
    assert not parts[0], f"a console block begins with $: {block}"
    return [Command(*part.rstrip().partition("\n")[::2]) for part in parts[1:]]


def run_curl(commands: Iterable[Command], port: int, folder: Path) -> None:
    """
    Run these commands, each in a terminal of its own, and compare what they print.

    One with ``-N`` runs on while others do, and is let go when it has printed what it
    should. What is served at 127.0.0.1:8080 on the page is at `port`. Each epoch of ids
    stands for another one, which is learned where it is printed first.
    """
    epochs: dict[str, str] = {}
    streams: list[tuple[str, Path, subprocess.Popen[bytes]]] = []
    try:
        for number, (line, expected) in enumerate(commands):
            output = folder / f"{number}.txt"
            known = _EPOCH.sub(lambda epoch: epochs.get(epoch[0], epoch[0]), line)
            arguments = shlex.split(known.replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
            with output.open("wb") as file:
                process = subprocess.Popen(
                    [program("curl"), "--silent", "--show-error", *arguments[1:]],
                    stdout=file,
                    stderr=file,
                )
            if "-N" in arguments:
                streams.append((expected, output, process))
                until(output.read_bytes, f"{line} prints something")
            else:
                process.wait(20)
                assert _fits(expected, output, epochs, whole=True), (line, output.read_text())
        for expected, output, _ in streams:
            until(
                partial(_fits, expected, output, epochs),
                f"{output} begins with {expected}",
            )
    finally:
        for _, _, process in streams:
            process.kill()
            process.wait()


def _fits(expected: str, output: Path, epochs: dict[str, str], *, whole: bool = False) -> bool:
    """
    Whether it is what is expected, but for epochs that are not known yet.
    """
    known = _EPOCH.sub(lambda epoch: epochs.get(epoch[0], epoch[0]), expected)
    pattern = re.escape(known)
    unknown = set(_EPOCH.findall(expected)) - set(epochs)
    for number, epoch in enumerate(unknown):
        first, *others = pattern.split(epoch)
        rest = f"(?P=epoch{number})".join(others)
        pattern = f"{first}(?P<epoch{number}>{_EPOCH.pattern}){rest}"
    printed = output.read_text()
    match = re.fullmatch(pattern, printed.rstrip()) if whole else re.match(pattern, printed)
    if match:
        epochs |= {epoch: match[f"epoch{number}"] for number, epoch in enumerate(unknown)}
    return match is not None
