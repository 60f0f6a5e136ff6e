"""
What --app may name, and the messages for what it may not.
"""

import sys
from contextlib import chdir
from importlib import invalidate_caches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.python.usage import UsageError
from twisted.web.resource import IResource, Resource

from tests.harness import StreamTest
from twistream import StreamResource
from twistream.service.application import load_application

APP = """
import functools
from twisted.web.resource import Resource

class Page(Resource):
    isLeaf = True

    def __init__(self, text=b"a page"):
        super().__init__()
        self.text = text

    def render_GET(self, request):
        return self.text

class Shop:
    def __init__(self, text):
        self.text = text

    def page(self):
        return Page(self.text)

    def handler(self, ctx):
        return self.text

    def __call__(self, ctx):
        return b"called " + self.text

class Picky(Resource):
    def __init__(self, text):
        super().__init__()

class Plain:
    pass

page = Page()
make_page = lambda: Page(b"made")
shop = Shop(b"of a shop")

def make_with_options(text=b"by default", *args, **options):
    return Page(text)

async def handler(ctx):
    return "async"

def plain(ctx, greeting="hello"):
    return greeting

async def items(ctx):
    yield "one "
    yield "two"

partial = functools.partial(lambda text, ctx: text, "partial")

text = "text"
a_list = []

def of_two(a, b):
    pass

def of_a_keyword(*, ctx):
    pass

def failing():
    raise RuntimeError("no\\n  database")

def leaving():
    raise SystemExit("bye")

async def late():
    return Page()
"""


class LoadTests(StreamTest):
    """
    The current folder of each test has the module ``app``.
    """

    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        elsewhere = chdir(folder.name)
        elsewhere.__enter__()
        self.addCleanup(elsewhere.__exit__, None, None, None)
        # As under twistd: without the current folder.
        here = ("", ".", folder.name, str(Path.cwd()))
        self.patch(sys, "path", [entry for entry in sys.path if entry not in here])
        self.module("app", APP)

    def module(self, name: str, source: str) -> None:
        (self.folder / f"{name}.py").write_text(source)
        self.addCleanup(sys.modules.pop, name, None)

    def served(self, name: str) -> bytes:
        return self.answer(load_application(name)).body

    def error(self, name: str) -> str:
        return str(self.assertRaises(UsageError, load_application, name))

    def test_a_resource_is_served_as_it_is(self) -> None:
        resource = load_application("app:page")
        self.assertIs(resource, sys.modules["app"].page)

    def test_what_is_called_without_arguments_makes_the_resource(self) -> None:
        for name, body in (
            ("make_page", b"made"),
            ("make_with_options", b"by default"),
            ("Page", b"a page"),
            ("shop.page", b"of a shop"),
        ):
            self.assertEqual(self.served(f"app:{name}"), body, name)

    def test_a_function_of_one_argument_is_a_handler(self) -> None:
        for name, body in (
            ("handler", b"async"),
            ("plain", b"hello"),
            ("items", b"one two"),
            ("partial", b"partial"),
            ("shop.handler", b"of a shop"),
            ("shop", b"called of a shop"),
        ):
            resource = load_application(f"app:{name}")
            self.assertIsInstance(resource, StreamResource, name)
            self.assertEqual(self.answer(resource).body, body, name)

    def test_the_current_folder_comes_first(self) -> None:
        self.module("wave", "from app import page")  # also in the standard library
        self.patch(sys, "modules", {k: v for k, v in sys.modules.items() if k != "wave"})
        load_application("wave:page")

    def test_the_path_does_not_grow(self) -> None:
        load_application("app:page")
        load_application("app:page")
        self.assertEqual(sys.path.count(str(Path.cwd())), 1)

    def test_a_module_in_a_package(self) -> None:
        (self.folder / "shops").mkdir()
        (self.folder / "shops" / "one.py").write_text("from app import page")
        for name in ("shops", "shops.one"):
            self.addCleanup(sys.modules.pop, name, None)
        load_application("shops.one:page")

    def test_a_malformed_name(self) -> None:
        for name in ("", "app", "app:", ":page", ".app:page", "my-app:page", "app:page:x", "a b:c"):
            self.assertEqual(
                self.error(name),
                f"--app must have the form package.module:name, such as app:root, not {name!r}",
                name,
            )

    def test_a_missing_module_or_attribute(self) -> None:
        places = "in the current folder or on the Python path"
        for name, message in (
            ("nowhere:page", f"no module nowhere {places}"),
            ("nowhere.at.all:page", f"no module nowhere {places}"),
            ("email.nowhere:page", f"no module email.nowhere {places}"),
            ("app.py:page", f"no module app.py {places}; omit the .py: --app app:page"),
            ("app:nothing", "module app has no attribute nothing"),
            ("app:page.nothing", "module app has no attribute page.nothing"),
        ):
            self.assertEqual(self.error(name), f"--app {name}: {message}")

    def test_a_module_that_fails(self) -> None:
        for source, what in (
            (
                "\nraise ValueError('no such\\n colour')",
                "ValueError: no such colour (bad.py, line 2)",
            ),
            ("import nowhere", "ModuleNotFoundError: No module named 'nowhere' (bad.py, line 1)"),
            ("def (", "SyntaxError: invalid syntax (bad.py, line 1)"),
            ("raise SystemExit(0)", "SystemExit: 0 (bad.py, line 1)"),
            ("raise KeyError", "KeyError (bad.py, line 1)"),
        ):
            self.module("bad", source)
            invalidate_caches()
            self.assertEqual(
                self.error("bad:page"), f"--app bad:page: cannot import module bad: {what}"
            )

    def test_ctrl_c_during_import_ends_the_program(self) -> None:
        self.module("bad", "raise KeyboardInterrupt")
        self.assertRaises(KeyboardInterrupt, load_application, "bad:page")

    def test_an_object_that_cannot_be_served(self) -> None:
        for name, what in (
            ("text", "a str"),
            ("a_list", "a list"),
            ("of_two", "a function"),
            ("of_a_keyword", "a function"),
            ("Picky", "class Picky"),
            ("functools", "a module"),
        ):
            self.assertEqual(
                self.error(f"app:{name}"),
                f"--app app:{name}: {what} cannot be served; name a resource, a handler "
                "(a function of one argument), or a factory (a function without arguments "
                "that returns a resource)",
            )
        self.assertIn(
            "class StreamResource cannot be served", self.error("twistream:StreamResource")
        )
        self.assertIn("cannot be served", self.error("builtins:print.__self__"))

    def test_a_factory_that_returns_no_resource(self) -> None:
        for name, what in (
            (
                "failing",
                f"raised RuntimeError: no database (app.py, line {self.line('database')})",
            ),
            ("leaving", f"raised SystemExit: bye (app.py, line {self.line('bye')})"),
            ("Plain", "returned a Plain, not a resource"),
            ("late", "returned a coroutine, not a resource"),
            ("a_list.clear", "returned None, not a resource"),
        ):
            self.assertEqual(self.error(f"app:{name}"), f"--app app:{name}: the factory {what}")

    def line(self, text: str) -> int:
        return next(n for n, line in enumerate(APP.splitlines(), 1) if text in line)

    def test_the_demo_is_an_application(self) -> None:
        resource: Any = load_application("twistream.demo:make_root")
        self.assertTrue(IResource.providedBy(resource))
        self.assertIsInstance(resource, Resource)
