"""
Run what the pages of the documentation show: their code, and their commands.
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
from docutils.nodes import document, literal, literal_block, paragraph, table

from tests.e2e.conftest import program
from tests.e2e.twistd import until
from twistream import Context, StreamResource

ROOT = Path(__file__).parents[2]


def _blank(ctx: Context) -> str:
    ctx.content_type("text/html")
    return "<!DOCTYPE html><link rel='icon' href='data:,'>"


BLANK = StreamResource(_blank)
"""
An empty page for scripts to run in.
"""

_EPOCH = re.compile("[0-9a-f]{16}")


class Command(NamedTuple):
    """
    A command line that a page shows after ``$``, and the output it shows below.
    """

    line: str
    output: str = ""


class Page:
    """
    One page of the documentation. Invalid markup raises an error.
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
        return [block.astext() for block in self._blocks(language)]

    def _blocks(self, language: str) -> list[literal_block]:
        return [
            block
            for block in self.tree().findall(literal_block)
            if language in block.attributes["classes"]
        ]

    def executed(self, monkeypatch: Any) -> dict[str, Any]:
        """
        Run the Python blocks in order, as one module, and return the names that they define.
        """
        module = ModuleType("page")
        monkeypatch.setitem(sys.modules, "page", module)
        for block in self.blocks("python"):
            exec(compile(block, self.path.name, "exec"), vars(module))  # noqa: S102 - our own
        return vars(module)

    def files(self) -> dict[str, str]:
        """
        The Python blocks by file name: the name that the paragraph before the block gives last.
        """
        found = {}
        for block in self._blocks("python"):
            before = block.parent[block.parent.index(block) - 1]
            assert isinstance(before, paragraph), block
            names = [each.astext() for each in before.findall(literal)]
            *_, name = [name for name in names if name.endswith(".py")]
            found[name] = block.astext()
        return found

    def commands(self, *names: str) -> list[Command]:
        """
        The commands that call one of these programs, in order.
        """
        parts = [part for block in self.blocks("console") for part in _commands(block)]
        return [command for command in parts if shlex.split(command.line)[0] in names]

    def missing_links(self) -> list[str]:
        """
        Linked files and images that do not exist.
        """
        targets = re.findall(r"<([^>:]+)>`_", self.text)
        targets += re.findall(r"(?:image|figure):: (\S+)", self.text)
        return [target for target in targets if not (self.path.parent / target).exists()]

    def tables(self) -> str:
        """
        The text of its tables.
        """
        return "\n".join(each.astext() for each in self.tree().findall(table))


def _commands(block: str) -> list[Command]:
    # A backslash at the end of a line continues the command on the next line.
    parts = re.split(r"(?m)^\$ ", block.replace("\\\n", ""))
    assert not parts[0], f"a console block begins with $: {block}"
    return [Command(*part.rstrip().partition("\n")[::2]) for part in parts[1:]]


def run_curl(commands: Iterable[Command], port: int, folder: Path) -> None:
    """
    Run curl commands, each in its own process, and compare their output with the page.

    Commands with ``-N`` run in the background until all output has arrived. The address
    127.0.0.1:8080 stands for `port`. Each epoch in an id stands for a real one, which is
    learned when it is printed first.
    """
    epochs: dict[str, str] = {}
    streams: list[tuple[str, Path, subprocess.Popen[bytes]]] = []
    try:
        for number, (line, expected) in enumerate(commands):
            output, head = folder / f"{number}.txt", folder / f"{number}.head"
            known = _EPOCH.sub(lambda epoch: epochs.get(epoch[0], epoch[0]), line)
            arguments = shlex.split(known.replace("127.0.0.1:8080", f"127.0.0.1:{port}"))
            with output.open("wb") as file:
                process = subprocess.Popen(
                    [program("curl"), "-sS", "-D", str(head), *arguments[1:]],
                    stdout=file,
                    stderr=file,
                )
            if "-N" in arguments:
                streams.append((expected, output, process))
                until(partial(_is_written, head), f"{line} is answered")
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


def _is_written(path: Path) -> bool:
    return path.exists() and bool(path.read_bytes())


def _fits(expected: str, output: Path, epochs: dict[str, str], *, whole: bool = False) -> bool:
    """
    Whether the output is as expected, whatever epochs are still unknown.
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
