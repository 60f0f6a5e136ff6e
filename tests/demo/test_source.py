"""
The source code that the pages show.
"""

import re
from html import unescape
from inspect import getsource
from textwrap import dedent

from twisted.trial.unittest import SynchronousTestCase

from tests.demo.served import DemoTest
from twistream.demo import chat, runs, streams, ticker
from twistream.demo.source import source_of, with_source

FUNCTIONS = {
    "/": (streams.numbers, streams.json_numbers, streams.clock, streams.write_time),
    "/events": (ticker.Ticker.__init__, ticker.Ticker.stream, ticker.Ticker.tick),
    "/chat": (chat.Room.__init__, chat.Room.listen, chat.Room.say),
    "/runs": (runs.Writer.write, runs.Writer.follow, runs.Writer.control),
}


def plain() -> str:
    return 'a < b & "c"'


class Documented:
    """
    For the tests.
    """

    def method(self) -> int:
        """
        A docstring.
        """
        # A comment.
        return 1


class PageTests(DemoTest):
    """
    The code on the pages
    """

    def test_each_page_shows_the_code_of_its_handlers(self) -> None:
        for path, functions in FUNCTIONS.items():
            page = self.reply(path, headers={"Accept": "text/html"}).body.decode()
            shown = "\n".join(re.findall(r"<pre[^>]*><code>([^<]*)</code></pre>", page))
            for function in functions:
                code = dedent(getsource(function))
                # All of it, but for the docstring.
                without = re.sub(r'\n +""".*?"""(?=\n)', "", code, count=1, flags=re.DOTALL)
                self.assertIn(without, unescape(shown))
            self.assertEqual(
                unescape(shown).count("def "),
                "".join(dedent(getsource(function)) for function in functions).count("def "),
            )
            self.assertNotIn("{{", page)

    def test_it_is_short(self) -> None:
        for path, functions in FUNCTIONS.items():
            lines = sum(source_of(function).count("\n") for function in functions)
            self.assertLess(lines, 32 if path == "/" else 25, path)


class SourceTests(SynchronousTestCase):
    """
    source_of() and with_source()
    """

    def test_it_has_no_docstring_and_no_indentation(self) -> None:
        expected = "def method(self) -> int:\n    # A comment.\n    return 1\n"
        self.assertEqual(source_of(Documented.method), expected)

    def test_a_function_without_a_docstring_is_whole(self) -> None:
        self.assertEqual(source_of(plain), getsource(plain))

    def test_it_is_escaped_in_a_page(self) -> None:
        page = with_source(
            "<code>{{source: plain method}}</code> {{other}}",
            {
                "plain": plain,
                "method": Documented.method,
            },
        )
        code = "def plain() -&gt; str:\n    return &#x27;a &lt; b &amp; &quot;c&quot;&#x27;\n"
        self.assertEqual(page.count(code), 1)
        self.assertTrue(page.startswith(f"<code>{code}\ndef method(self)"))
        self.assertTrue(page.endswith("return 1\n</code> {{other}}"))

    def test_a_page_that_names_no_function_fails_when_it_is_loaded(self) -> None:
        self.assertRaises(KeyError, with_source, "{{source: nothing}}", {"plain": plain})
