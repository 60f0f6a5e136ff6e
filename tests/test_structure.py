"""
The rules of the code that no linter holds.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import twistream

PACKAGE = Path(twistream.__file__).parent
TESTS = Path(__file__).parent

MODULE_LINES = 400
FUNCTION_LINES = 50


def modules() -> Iterator[tuple[str, str]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield str(path.relative_to(PACKAGE)), path.read_text()


def length(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """
    The lines of a function without its docstring, which is reference and may be long.
    """
    first = node.body[0]
    docstring = first if ast.get_docstring(node) is not None else None
    lines = (node.end_lineno or 0) - node.lineno + 1
    return lines - ((docstring.end_lineno or 0) - docstring.lineno + 1 if docstring else 0)


class StructureTests(SynchronousTestCase):
    """
    Every module of the package.
    """

    def test_no_module_has_more_than_400_lines(self) -> None:
        long = [name for name, text in modules() if len(text.splitlines()) > MODULE_LINES]
        self.assertEqual(long, [])

    def test_no_function_has_more_than_50_lines(self) -> None:
        long = [
            (name, node.name)
            for name, text in modules()
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and length(node) > FUNCTION_LINES
        ]
        self.assertEqual(long, [])

    def test_only_the_connection_touches_private_names(self) -> None:
        # The linter refuses them everywhere; these are the exceptions that say why.
        allowed = {"scheduling/waits.py", "service/maker.py"}
        marked = {
            name
            for name, text in modules()
            if "noqa: SLF001" in text and not name.startswith("server/connection/")
        }
        self.assertEqual(marked - allowed, set())
        self.assertEqual(allowed - marked, set())

    def test_nothing_walks_the_stack(self) -> None:
        self.assertEqual([name for name, text in modules() if "_getframe" in text], [])

    def test_every_module_says_what_it_is(self) -> None:
        silent = [name for name, text in modules() if not ast.get_docstring(ast.parse(text))]
        self.assertEqual(silent, ["_version.py"] if "_version.py" in silent else [])


class ScriptTests(SynchronousTestCase):
    def test_trial_runs_all_tests_without_sockets(self) -> None:
        found = {path.stem for path in TESTS.glob("test_*.py")}
        found |= {path.parent.name for path in TESTS.glob("*/__init__.py")} - {"e2e"}
        script = (TESTS.parent / "scripts" / "test").read_text()
        self.assertEqual(set(re.findall(r"\btests\.(\w+)", script)), found)
