"""
What is shown of an exception in the code of an application.
"""

import sys
from contextlib import chdir
from importlib import import_module, invalidate_caches

from tests.service.folder import InFolder
from twistream.service.failures import failure_in_code


class FailureTests(InFolder):
    """
    The current folder of each test is empty.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(sys, "path", [str(self.folder), *sys.path])
        self.patch(sys, "dont_write_bytecode", True)

    def write(self, name: str, source: str | bytes) -> None:
        path = self.folder / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(source if isinstance(source, bytes) else source.encode())
        self.addCleanup(sys.modules.pop, name.replace("/", "."), None)
        invalidate_caches()

    def shown(self, source: str | bytes, name: str = "bad") -> str:
        """
        What is shown for a module that fails.
        """
        self.write(name, source)
        try:
            import_module(name)
        except Exception as err:
            return failure_in_code(err)
        raise AssertionError

    def test_an_error_that_was_never_raised_has_no_line(self) -> None:
        self.assertEqual(failure_in_code(ValueError("x")), "ValueError: x")

    def test_the_line_is_the_innermost_of_the_users_files(self) -> None:
        self.write("below", "import json\n\ndef load():\n    json.loads('{')\n")
        for call, place in (
            ("json.loads('{')", "File \"bad.py\", line 2, in <module>\n    json.loads('{')"),
            ("below.load()", "File \"below.py\", line 4, in load\n    json.loads('{')"),
            (
                "twistream.StreamResource(5)",
                'File "bad.py", line 2, in <module>\n    twistream.StreamResource(5)',
            ),
        ):
            _, _, rest = self.shown(f"import below, json, twistream\n{call}").partition("\n")
            self.assertEqual(rest, f"  {place}", call)

    def test_a_library_in_the_users_folder_is_a_library(self) -> None:
        self.write("site-packages/library", "def fail():\n    raise ValueError('x')")
        self.patch(sys, "path", [str(self.folder / "site-packages"), *sys.path])
        self.addCleanup(sys.modules.pop, "library", None)
        self.assertEqual(
            self.shown("import library\nlibrary.fail()"),
            'ValueError: x\n  File "bad.py", line 2, in <module>\n    library.fail()',
        )

    def test_an_application_in_a_library_is_shown(self) -> None:
        self.patch(sys, "path", [str(self.folder / "site-packages"), *sys.path])
        self.write("site-packages/installed", "raise ValueError('x')")
        self.addCleanup(sys.modules.pop, "installed", None)
        error = self.assertRaises(ValueError, import_module, "installed")
        self.assertEqual(
            failure_in_code(error),
            'ValueError: x\n  File "site-packages/installed.py", line 1, in <module>\n'
            "    raise ValueError('x')",
        )

    def test_a_file_elsewhere_has_its_whole_path(self) -> None:
        self.write("bad", "raise ValueError('x')")
        error = self.assertRaises(ValueError, import_module, "bad")
        (self.folder / "sub").mkdir()
        with chdir("sub"):
            self.assertIn(f'File "{self.folder}/bad.py", line 1', failure_in_code(error))

    def test_a_syntax_error_has_its_file_and_line(self) -> None:
        self.write("below", "x = 1\nif x:\ny = 2\n")
        for source, message, place in (
            (
                "def f():\n    print('a'\n",
                "SyntaxError: '(' was never closed",
                "File \"bad.py\", line 2\n    print('a'\n         ^",
            ),
            (
                "import below",
                "IndentationError: expected an indented block after 'if' statement on line 2",
                'File "below.py", line 3\n    y = 2\n    ^',
            ),
        ):
            self.assertEqual(self.shown(source), f"{message}\n  {place}")

    def test_a_syntax_error_in_no_file_of_the_user_has_the_users_line_too(self) -> None:
        self.assertEqual(
            self.shown("import ast\nast.literal_eval('1 +')"),
            'SyntaxError: invalid syntax\n  File "<unknown>", line 1\n    1 +\n'
            "  File \"bad.py\", line 2, in <module>\n    ast.literal_eval('1 +')",
        )

    def test_a_file_that_is_not_text(self) -> None:
        self.assertRegex(
            self.shown(b"x = '\xff'"), "^SyntaxError: .*utf-8.*\n  File .bad.py., line 1"
        )
        self.assertEqual(
            self.shown(b"# coding: no-such"),
            'SyntaxError: unknown encoding: no-such\n  File "bad.py"',
        )
        self.assertRegex(self.shown(b"x = 1\0"), "^(Syntax|Value)Error: .* null bytes")

    def test_a_long_text_is_cut(self) -> None:
        text = self.shown("raise ValueError('\\n'.join('x' * n for n in range(1, 1000)))")
        lines = text.splitlines()
        self.assertEqual(
            lines[:7], ["ValueError: x", *("  " + "x" * n for n in range(2, 7)), "  ..."]
        )
        self.assertEqual(len(lines), 9)
        self.assertLess(max(map(len, self.shown("x = '" + "y" * 5000).splitlines())), 200)

    def test_notes_are_shown(self) -> None:
        text = self.shown("err = ValueError('x')\nerr.add_note('first')\nraise err")
        self.assertEqual(text.splitlines()[:2], ["ValueError: x", "  first"])

    def test_the_errors_that_caused_it_are_shown(self) -> None:
        text = self.shown(
            "try:\n    try:\n        {}['url']\n    except KeyError as err:\n"
            "        raise ValueError('no\\nurl') from err\n"
            "except ValueError as err:\n    raise RuntimeError('x') from err"
        )
        self.assertEqual(
            text.splitlines()[:4],
            [
                "RuntimeError: x",
                "  because of ValueError: no",
                "  because of KeyError: 'url'",
                '  File "bad.py", line 7, in <module>',
            ],
        )
        error, cause = ValueError("x"), ValueError("y")
        error.__cause__, cause.__cause__ = cause, error
        self.assertEqual(failure_in_code(error), "ValueError: x\n  because of ValueError: y")

    def test_the_errors_of_a_group_are_shown(self) -> None:
        text = self.shown("raise ExceptionGroup('two', [ValueError('x'), KeyError('y')])")
        self.assertEqual(
            text.splitlines()[:3],
            ["ExceptionGroup: two (2 sub-exceptions)", "  ValueError: x", "  KeyError: 'y'"],
        )

    def test_pythons_own_suggestion_is_shown(self) -> None:
        for source, text, suggestion in (
            ("name = 1\nnam", "NameError: name 'nam' is not defined", "Did you mean: 'name'?"),
            (
                "import json\njson.lods",
                "AttributeError: module 'json' has no attribute 'lods'",
                "Did you mean: 'loads'?",
            ),
            (
                "re.compile('x')",
                "NameError: name 're' is not defined",
                "Did you forget to import 're'",
            ),
        ):
            first, second, *_ = self.shown(source).splitlines()
            self.assertEqual(first, text)
            # Python 3.11 makes suggestions only when a program ends.
            following = f"  {suggestion}" if sys.version_info >= (3, 12) else '  File "bad.py"'
            self.assertTrue(second.startswith(following), second)
