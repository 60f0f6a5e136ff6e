"""
What --app may name, and the messages for what it may not.
"""

import colorsys
import sys
from contextlib import chdir
from importlib import invalidate_caches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted import internet
from twisted.internet.testing import MemoryReactorClock
from twisted.python.usage import UsageError
from twisted.web.resource import IResource, Resource

from tests.harness import StreamTest
from twistream import StreamResource
from twistream.service.application import load_application

APP = """
import functools
from unittest.mock import Mock
from twisted.internet.defer import fail, succeed
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

def of_keywords(a, *, b, c):
    pass

def failing():
    raise RuntimeError("no\\n  database")

def leaving():
    raise SystemExit("bye")

async def late():
    return Page()

def late_items():
    yield "one"

def make_late():
    return late()

def make_failed():
    return fail(RuntimeError())

def hello():
    return "hello"

class Called:
    def __call__(self, ctx):
        return "called"

make_handler = lambda: handler
make_class = lambda: Page
make_mock = lambda: Mock()

def traced(handler):
    async def wrapper(*args, **options):
        return await handler(*args, **options)
    return wrapper

decorated = traced(handler)

async def optional(ctx=None):
    return str(ctx and None)

async def generated(*parts):
    for part in parts:
        yield str(len(parts))

class Proxy:
    def __getattr__(self, name):
        raise RuntimeError("not connected")

nothing = None
plain_object = Plain()
site = Plain()
site.pages = page
proxy = Proxy()
generator = late_items()
fired = succeed(None)
"""

KLEIN = """
from klein import Klein
from twistream import StreamResource

app = Klein()

@app.route("/count/<int:last>")
def count(request, last):
    return StreamResource(lambda ctx: "".join(f"{n}\\n" for n in range(last)))

def make_app():
    return app

class Store:
    app = app
"""

OTHERS = """
from twisted.application import service as services
from twisted.web.resource import Resource
from twisted.web.server import Site

async def asgi(scope, receive, send):
    pass

class FastAPI:
    async def __call__(self, scope, receive, send):
        pass

def wsgi(environ, start_response):
    pass

class Flask:
    def __call__(self, environ, start_response):
        pass

class Pages:
    def __init__(self, environ, start_response):
        pass

class Application:
    def __call__(self):
        return self

class Tornado:
    def __call__(self, request):
        pass

Application.__module__ = "aiohttp.web_app"
Tornado.__module__ = "tornado.web"
fast, flask, aio, tornado = FastAPI(), Flask(), Application(), Tornado()
site = Site(Resource())
application = services.Application("others")
service = services.MultiService()
"""

FORM = "--app must have the form package.module:name, such as app:root, not "


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

    def test_a_klein_application_is_served(self) -> None:
        self.module("shop", KLEIN)
        for name in ("app", "make_app", "Store.app", "app.resource"):
            response = self.answer(load_application(f"shop:{name}"), path="/count/2")
            self.assertEqual(response.body, b"0\n1\n", name)

    def test_a_decorated_handler_may_have_any_signature(self) -> None:
        for name, body in (("decorated", b"async"), ("optional", b"None"), ("generated", b"1")):
            self.assertEqual(self.served(f"app:{name}"), body, name)

    def test_a_malformed_name(self) -> None:
        for name in ("", ":", "a b:c", "nowhere", "nowhere:", ".", "/", "~/x:y"):
            self.assertEqual(self.error(name), f"{FORM}{name!r}", name)

    def test_a_malformed_name_that_can_be_corrected(self) -> None:
        (self.folder / "shops" / "deep").mkdir(parents=True)
        (self.folder / "shops" / "deep" / "one.py").write_text("from app import page")
        self.module("single", "def greet(ctx): return 'x'\n_private = greet")
        for name in ("single", "shops", "shops.deep", "shops.deep.one"):
            self.addCleanup(sys.modules.pop, name, None)
        for name, meant in (
            ("single", "single:greet"),
            ("single.py", "single:greet"),
            ("single:", "single:greet"),
            ("./single.py", "single:greet"),
            ("./single:greet", "single:greet"),
            ("single.greet", "single:greet"),
            ("single/greet", "single:greet"),
            ("single:greet()", "single:greet"),
            ("single:greet(1)", "single:greet"),
            (" single:greet", "single:greet"),
            ("greet", "single:greet"),
            (":greet", "single:greet"),
            (f"{self.folder.resolve()}/single.py:greet", "single:greet"),
            ("shops/deep/one:page", "shops.deep.one:page"),
            ("shops/deep/one.py", "shops.deep.one:page"),
        ):
            self.assertEqual(self.error(name), f"{FORM}{name!r}; did you mean {meant}?")

    def test_an_incomplete_name_lists_what_can_be_served(self) -> None:
        self.module(
            "three", "from app import *\ndef a(ctx): 1\ndef b(x, y): 1\ndef c(): 1\nd = page"
        )
        for name in ("three", "three.py", "three:"):
            meant = "three:page, three:shop, three:partial, three:a or three:c"
            self.assertEqual(self.error(name), f"{FORM}{name!r}; did you mean {meant}?")

    def test_an_incomplete_name_of_a_module_that_fails(self) -> None:
        self.module("bad", "raise RuntimeError")
        self.assertEqual(self.error("bad"), f"{FORM}'bad'")

    def test_a_file_that_cannot_be_named(self) -> None:
        (self.folder / "my-app.py").write_text("")
        for name in ("my-app:page", "my-app.py", "./my-app.py:page"):
            self.assertEqual(
                self.error(name),
                f"{FORM}{name!r}; Python can only import names of letters, digits and _, so "
                "rename my-app.py",
            )
        (self.folder / "below").mkdir()
        with chdir("below"):
            self.assertEqual(
                self.error("../app:page"),
                f"{FORM}'../app:page'; app.py is in another folder, so run twistd in "
                f"{self.folder.resolve()}",
            )

    def test_a_missing_module(self) -> None:
        (self.folder / "shops").mkdir()
        (self.folder / "shops" / "one.py").write_text("from app import page")
        self.addCleanup(sys.modules.pop, "shops", None)
        for name, missing, meant in (
            ("nowhere:page", "nowhere", ""),
            ("nowhere.at.all:page", "nowhere", ""),
            ("email.zzz:page", "email.zzz", ""),
            ("email.mesage:page", "email.mesage", "email.message:page"),
            ("app.py:page", "app.py", "app:page"),
            ("ap:page", "ap", "app:page"),
            ("App:page", "App", "app:page"),
            ("shop:page", "shop", "shops:page"),
            ("shops.oen:page", "shops.oen", "shops.one:page"),
            ("shosp.one:page", "shosp", "shops.one:page"),
            ("app.shop:page", "app.shop", "app:shop.page"),
            ("make_page:app", "make_page", "app:make_page"),
        ):
            hint = f"; did you mean {meant}?" if meant else ""
            self.assertEqual(
                self.error(name),
                f"--app {name}: no module {missing} in the current folder or on the Python path{hint}",
            )

    def test_a_missing_attribute(self) -> None:
        for name, hint in (
            ("plian", "; did you mean app:plain?"),
            ("HANDLER", "; did you mean app:handler?"),
            ("pages", "; did you mean app:page?"),
            ("shop.handlr", "; did you mean app:shop.handler?"),
            ("shop.zzz", ""),
            ("zzz", "; it has app:Page, app:page, app:make_page, app:shop, app:make_with_options"),
        ):
            self.assertEqual(
                self.error(f"app:{name}"),
                f"--app app:{name}: module app has no attribute {name}{hint}",
            )

    def test_imported_names_are_suggested_if_they_are_meant(self) -> None:
        self.module("three", "from app import handler, text\nimport email, twisted.web")
        self.assertEqual(
            self.error("three:handle"),
            "--app three:handle: module three has no attribute handle; did you mean three:handler?",
        )

    def test_an_attribute_that_is_in_a_module_below(self) -> None:
        for package in ("plain", "real"):
            folder = self.folder / package
            folder.mkdir()
            (folder / "one.py").write_text("from app import page\ndef hello(ctx): pass")
            self.addCleanup(sys.modules.pop, package, None)
        (self.folder / "real" / "__init__.py").write_text("")
        for package, nothing in (
            ("plain", "; plain is a folder without an __init__.py, so name a module in it"),
            ("real", ""),
        ):
            for name, hint in (
                ("hello", f"; did you mean {package}.one:hello?"),
                ("one", f"; one is a module in it, so name an object in {package}.one"),
                ("zzz", nothing),
            ):
                self.assertEqual(
                    self.error(f"{package}:{name}"),
                    f"--app {package}:{name}: module {package} has no attribute {name}{hint}",
                )

    def test_an_attribute_of_a_program(self) -> None:
        self.module("program", "if __name__ == '__main__':\n    root = 1\nelse:\n    main = 2")
        self.assertEqual(
            self.error("program:root"),
            "--app program:root: module program has no attribute root; root is defined below if "
            "__name__ == '__main__': only; define it before that",
        )

    def test_a_package_with_the_name_of_a_module(self) -> None:
        self.module("twin", "root = 1")
        (self.folder / "twin").mkdir()
        self.module("twin/__init__", "")
        self.assertEqual(
            self.error("twin:root"),
            "--app twin:root: module twin has no attribute root; Python found the folder twin "
            "before twin.py, so rename one of them",
        )

    def test_a_module_with_the_name_of_one_of_pythons(self) -> None:
        self.module("colorsys", "from app import page")
        sys.modules["colorsys"] = colorsys
        self.assertEqual(
            self.error("colorsys:page"),
            "--app colorsys:page: module colorsys has no attribute page; Python found another module "
            f"of this name ({colorsys.__file__}) first, so rename yours",
        )

    def test_a_module_is_not_an_application(self) -> None:
        self.module("three", "import app, functools")
        for name, hint in (
            (
                "app",
                "; did you mean app:Page, app:page, app:make_page, app:shop or app:make_with_options?",
            ),
            ("functools", ""),
        ):
            self.assertEqual(
                self.error(f"three:{name}"),
                f"--app three:{name}: it is a module; name an object in it{hint}",
            )

    def test_any_wrong_name_is_a_message(self) -> None:
        parts = st.text(
            st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12
        )

        @settings(database=None, max_examples=200)
        @given(
            st.lists(st.one_of(parts, st.sampled_from([*":./-()", "app", "a" * 300])), max_size=6)
        )
        def check(words: list[str]) -> None:
            name = "".join(words)
            try:
                load_application(name)
            except UsageError as err:
                self.assertTrue(str(err).startswith("--app "))

        check()

    def test_a_module_that_fails(self) -> None:
        for source, what in (
            (
                "\nraise ValueError('no such\\n colour')",
                (
                    'ValueError: no such\n   colour\n  File "bad.py", line 2, in <module>\n'
                    "    raise ValueError('no such\\n colour')"
                ),
            ),
            (
                "import nowhere",
                (
                    "ModuleNotFoundError: No module named 'nowhere'\n"
                    '  File "bad.py", line 1, in <module>\n    import nowhere\n'
                    f"  nowhere is not in the current folder, nor installed in {sys.prefix}"
                ),
            ),
            ("def (", 'SyntaxError: invalid syntax\n  File "bad.py", line 1\n    def (\n        ^'),
            (
                "raise SystemExit(0)",
                'SystemExit: 0\n  File "bad.py", line 1, in <module>\n    raise SystemExit(0)',
            ),
            (
                "raise KeyError",
                'KeyError\n  File "bad.py", line 1, in <module>\n    raise KeyError',
            ),
        ):
            self.module("bad", source)
            invalidate_caches()
            self.assertEqual(
                self.error("bad:page"), f"--app bad:page: cannot import module bad: {what}"
            )

    def test_a_misspelt_import(self) -> None:
        self.module("helper", "")
        for package in ("shop", "json"):
            (self.folder / package).mkdir()
        self.module("shop/models", "")
        self.module("json/later", "")  # Python finds its own package first
        self.addCleanup(sys.modules.pop, "shop", None)
        here = f"in the current folder, nor installed in {sys.prefix}"
        for source, advice in (
            ("import helpr", f"\n  helpr is not {here}; did you mean helper?"),
            ("from helpr.models import x", f"\n  helpr is not {here}; did you mean helper?"),
            ("import helper_app", f"\n  helper_app is not {here}"),
            ("import shop.modls", "\n  did you mean shop.models?"),
            ("import json.later", "\n  Python found another module json first, so rename yours"),
            ("import json.nowhere", "\n    import json.nowhere"),
        ):
            self.module("bad", source)
            invalidate_caches()
            error = self.error("bad:page")
            self.assertTrue(error.endswith(advice), error)

    def test_a_module_that_imports_itself(self) -> None:
        advice = "  clash.py imports itself; rename it to import another module named clash"
        for source in ("from clash import app", "import clash\nclash.app"):
            self.module("clash", source)
            invalidate_caches()
            self.assertEqual(self.error("clash:app").splitlines()[3:], [advice])
        for source in ("from twistream import nothing", "import sys\nsys.nothing"):
            self.module("clash", source)
            invalidate_caches()
            self.assertEqual(self.error("clash:app").splitlines()[3:], [])

    def test_a_relative_import_outside_a_package(self) -> None:
        for name, more in (
            ("shop", f", or run twistd in {self.folder.resolve()} with --app shop.bad:..."),
            ("my-shop", ""),
        ):
            folder = self.folder / name
            folder.mkdir()
            self.module(f"{name}/bad", "from . import helper")
            with chdir(folder):
                error = self.error("bad:page")
            advice = f"\n  write the import without a leading dot{more}"
            self.assertTrue(error.endswith(advice), error)

    def test_ctrl_c_during_import_ends_the_program(self) -> None:
        self.module("bad", "raise KeyboardInterrupt")
        self.assertRaises(KeyboardInterrupt, load_application, "bad:page")

    def test_a_module_that_is_cancelled(self) -> None:
        self.module("bad", "import asyncio\nraise asyncio.CancelledError")
        self.assertIn("cannot import module bad: CancelledError\n", self.error("bad:page"))
        self.module("late", "import asyncio\ndef make():\n    raise asyncio.CancelledError")
        self.assertIn("the factory raised CancelledError\n", self.error("late:make"))

    def test_an_application_that_runs_the_reactor(self) -> None:
        reactor = MemoryReactorClock()
        reactor.hasRun = False  # an older Twisted begins with True
        self.patch(sys, "modules", {**sys.modules, "twisted.internet.reactor": reactor})
        self.patch(internet, "reactor", reactor)
        run = "from twisted.internet import reactor\nreactor.run()"
        why = (
            "RuntimeError: twistd runs the reactor; put this call below if __name__ == '__main__':"
        )
        for source, name, start in (
            (run, "page", "cannot import module runs:"),
            (f"def make():\n  {run.replace(chr(10), '; ')}", "make", "the factory raised"),
        ):
            self.module("runs", source)
            invalidate_caches()
            sys.modules.pop("runs", None)
            error = self.error(f"runs:{name}")
            self.assertTrue(error.startswith(f"--app runs:{name}: {start} {why}\n"), error)
            self.assertFalse(reactor.hasRun)
        reactor.run()
        self.assertTrue(reactor.hasRun)

    def test_an_application_that_installs_a_reactor(self) -> None:
        self.module(
            "bad",
            "from twisted.internet.error import ReactorAlreadyInstalledError as Installed\n"
            "raise Installed('reactor already installed')",
        )
        error = self.error("bad:page")
        self.assertIn("ReactorAlreadyInstalledError: reactor already installed\n", error)
        self.assertTrue(
            error.endswith(
                "\n  twistd installs the reactor; choose it as in twistd --reactor=asyncio"
            )
        )

    def test_an_attribute_that_fails(self) -> None:
        self.module("bad", "def __getattr__(name):\n    raise RuntimeError(name)")
        self.assertEqual(
            self.error("bad:page"),
            '--app bad:page: reading page raised RuntimeError: page\n  File "bad.py", line 2, '
            "in __getattr__\n    raise RuntimeError(name)",
        )

    def test_a_property_that_fails_with_the_error_of_a_missing_attribute(self) -> None:
        self.module(
            "bad",
            "from twisted.web import resource\nclass Shop:\n    @property\n    def root(self):\n        return self.pages\n\n"
            "shop = Shop()\nshop.index = resource.Resource()\n\ndef __getattr__(name):\n    raise AttributeError('no')",
        )
        self.assertEqual(
            self.error("bad:shop.root"),
            "--app bad:shop.root: reading shop.root raised AttributeError: 'Shop' object has no "
            "attribute 'pages'\n  File \"bad.py\", line 5, in root\n    return self.pages",
        )
        for name, what in (
            ("shop.rot", "shop.rot; did you mean bad:shop.root?"),
            ("shop.indx", "shop.indx; did you mean bad:shop.index?"),
            ("page", "page"),
        ):
            self.assertEqual(
                self.error(f"bad:{name}"), f"--app bad:{name}: module bad has no attribute {what}"
            )

    def test_an_object_that_cannot_be_served(self) -> None:
        form = (
            "cannot be served; name a resource, a handler (a function of one argument), or a "
            "factory (a function without arguments that returns a resource)"
        )
        itself = "cannot be served; name the function itself, without calling it"
        one = "a handler takes one argument, the context"
        none = "a factory takes none"
        method = "is a method; name the method of an instance"
        for name, what in (
            ("text", f"a str {form}"),
            ("a_list", f"a list {form}"),
            ("nothing", f"None {form}"),
            ("plain_object", f"a Plain {form}"),
            ("site", "a Plain cannot be served; did you mean its attribute pages?"),
            ("proxy", f"a Proxy {form}"),
            ("of_two", f"function of_two requires 2 arguments (a, b), but {one}, and {none}"),
            ("of_a_keyword", f"function of_a_keyword requires a keyword argument (ctx); {one}"),
            ("of_keywords", f"function of_keywords requires keyword arguments (b, c); {one}"),
            ("late", f"function late takes no arguments; {one}, and a factory is not async"),
            ("late_items", f"function late_items takes no arguments; {one}"),
            ("Shop.handler", f"function handler {method}"),
            ("Shop.page", f"function page {method}"),
            ("Picky", "class Picky requires an argument (text), but a factory takes none"),
            ("generator", f"a generator {itself}"),
            ("fired", f"a Deferred {itself}"),
        ):
            self.assertEqual(self.error(f"app:{name}"), f"--app app:{name}: {what}")

    def test_a_coroutine_is_not_an_application(self) -> None:
        self.module("called", "from app import handler\nmain = handler(None)")
        self.assertIn("called:main: a coroutine cannot be served", self.error("called:main"))

    def test_a_mock_is_not_an_application(self) -> None:
        self.module("mocked", "from unittest.mock import Mock\nmock = Mock()")
        self.assertEqual(
            self.error("mocked:mock"),
            "--app mocked:mock: its resource() returned a Mock, not a resource",
        )

    def test_an_application_for_another_server(self) -> None:
        self.module("others", OTHERS)
        asgi = "it is an ASGI application; an ASGI server such as uvicorn serves it"
        wsgi = (
            "it is a WSGI application; make a resource of it with twisted.web.wsgi.WSGIResource, "
            "or serve it with twistd web --wsgi"
        )
        service = "it is a service; run it with twistd -y, or name the resource that it serves"
        for name, what in (
            ("asgi", asgi),
            ("fast", asgi),
            ("wsgi", wsgi),
            ("flask", wsgi),
            ("Pages", wsgi),
            ("aio", "it is an aiohttp application; run it with aiohttp's own server"),
            ("tornado", "it is a Tornado application; run it with tornado's own server"),
            ("site", "it is a Site; name the resource that it serves"),
            ("application", service),
            ("service", service),
        ):
            self.assertEqual(self.error(f"others:{name}"), f"--app others:{name}: {what}")

    def test_a_factory_of_an_application_for_another_server(self) -> None:
        self.module("others", f"{OTHERS}\ndef make_app():\n    return flask")
        self.assertIn("the factory returned a Flask; it is a WSGI", self.error("others:make_app"))

    def test_a_factory_that_returns_no_resource(self) -> None:
        one = " (a handler takes one argument, the context)"
        for name, what in (
            (
                "failing",
                (
                    f'raised RuntimeError: no\n    database\n  File "app.py", line '
                    f'{self.line("database")}, in failing\n    raise RuntimeError("no\\n  database")'
                ),
            ),
            (
                "leaving",
                (
                    f'raised SystemExit: bye\n  File "app.py", line {self.line("bye")}, in leaving\n'
                    '    raise SystemExit("bye")'
                ),
            ),
            ("Plain", "returned a Plain, not a resource"),
            ("hello", f"returned a str, not a resource{one}"),
            ("make_late", f"returned a coroutine, not a resource{one}"),
            ("make_failed", f"returned a Deferred, not a resource{one}"),
            ("a_list.clear", "returned None, not a resource"),
            ("Called", "returned a Called, which is a handler; name an instance"),
            (
                "make_handler",
                "returned function handler, which is a handler; return a StreamResource of it",
            ),
            ("make_class", "returned class Page, not an instance of it"),
            ("make_mock", "returned a Mock; resource() returned a Mock, not a resource"),
        ):
            self.assertEqual(self.error(f"app:{name}"), f"--app app:{name}: the factory {what}")

    def line(self, text: str) -> int:
        return next(n for n, line in enumerate(APP.splitlines(), 1) if text in line)

    def test_the_demo_is_an_application(self) -> None:
        resource: Any = load_application("twistream.demo:make_root")
        self.assertTrue(IResource.providedBy(resource))
        self.assertIsInstance(resource, Resource)
