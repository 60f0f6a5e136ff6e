"""
YAML, MessagePack, JSONP and Markdown, read by independent decoders.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from unittest.mock import patch

import msgpack
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.strategies import TEXTS
from twistream import EncodeError, HTTPError
from twistream.wire import formats

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | TEXTS
NUMBERS = st.floats(allow_nan=False)


def nested(scalars: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
        max_leaves=12,
    )


@dataclass
class Point:
    x: int
    label: str | None = None


def looping() -> list[object]:
    loop: list[object] = []
    loop.append(loop)
    return loop


def nothing_can_encode() -> tuple[object, ...]:
    return (object(), [object()], {"a": lambda: None}, 1 + 2j, looping(), "\ud800", {"\ud800": 1})


class YAMLTests(SynchronousTestCase):
    @given(nested(SCALARS | NUMBERS | st.datetimes() | st.dates()))
    @example(["=", "<<", "~", "yes", "1:30", "2024-01-02", "", " a ", "a: b", "# a", "\ufeff"])
    @example(["x" * 200 + " y" * 100, "a\n b\n\n", "\x85\u2028", "\0\x7f", "- a", "!a", "%", "@"])
    def test_what_yaml_can_hold_comes_back(self, value: object) -> None:
        media_type, data = formats.yaml(value)
        assert media_type == "application/yaml"
        assert yaml.safe_load(data) == value

    def test_a_dumper_without_libyaml_writes_the_same_values(self) -> None:
        value = {"a": ["1e5", 1e5, None, "x\ny", "ż"], "b": {}}
        formats._yaml_dumper.cache_clear()
        self.addCleanup(formats._yaml_dumper.cache_clear)
        with patch.object(yaml, "CSafeDumper", yaml.SafeDumper):
            self.assertEqual(yaml.safe_load(formats.yaml(value)[1]), value)

    def test_strings_that_look_like_numbers_of_yaml_1_2_have_quotes(self) -> None:
        for text in ("1e5", "1E-5", "0o17", "08", "+1", "0x1F", "1.", ".5", "-12e03"):
            self.assertEqual(formats.yaml([text])[1], f"- '{text}'\n".encode())

    def test_other_types(self) -> None:
        moment = datetime(2024, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2)))
        for value, expected in (
            (Point(1), {"x": 1, "label": None}),
            ((1, 2), [1, 2]),
            (moment, moment),
            (Decimal("1.50"), "1.50"),
            (b"\0\1", "AAE="),
            ({1: "a", None: "b", 1.5: "c"}, {1: "a", None: "b", 1.5: "c"}),
            (float("-inf"), float("-inf")),
        ):
            self.assertEqual(yaml.safe_load(formats.yaml(value)[1]), expected, repr(value))
        self.assertEqual(formats.yaml([float("nan")])[1], b"- .nan\n")

    def test_keys_keep_their_order_and_letters_stay_readable(self) -> None:
        self.assertEqual(formats.yaml({"ż": 1, "a": [1]})[1], "ż: 1\na:\n- 1\n".encode())

    def test_what_occurs_twice_is_written_twice(self) -> None:
        day = date(2024, 1, 2)
        self.assertEqual(formats.yaml([day, day])[1], b"- 2024-01-02\n- 2024-01-02\n")

    def test_what_yaml_cannot_hold_is_an_encode_error(self) -> None:
        for value in (*nothing_can_encode(), {(1, 2): 3}, {"a": {frozenset((1,)): 2}}):
            with self.assertRaisesRegex(EncodeError, "YAML"):
                formats.yaml(value)


class MessagePackTests(SynchronousTestCase):
    @given(nested(SCALARS | NUMBERS | st.binary(max_size=20)))
    def test_what_messagepack_can_hold_comes_back(self, value: object) -> None:
        media_type, data = formats.msgpack(value)
        assert media_type == "application/msgpack"
        assert msgpack.unpackb(data) == value

    def test_other_types(self) -> None:
        moment = datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC)
        for value, expected in (
            (Point(1), {"x": 1, "label": None}),
            (moment, moment),
            ({1: 2}, {1: 2}),
            (float("inf"), float("inf")),
        ):
            data = formats.msgpack(value)[1]
            decoded = msgpack.unpackb(data, strict_map_key=False, timestamp=3)
            self.assertEqual(decoded, expected)

    def test_what_messagepack_cannot_hold_is_an_encode_error(self) -> None:
        for value in (*nothing_can_encode(), 2**64, [-(2**63) - 1]):
            with self.assertRaisesRegex(EncodeError, "MessagePack"):
                formats.msgpack(value)


class JSONPTests(SynchronousTestCase):
    @given(nested(SCALARS | st.floats(allow_nan=False, allow_infinity=False)))
    @example("</script><!--\u2028\u2029")
    def test_the_argument_is_the_value_in_json(self, value: object) -> None:
        media_type, data = formats.jsonp("app.receive", value)
        assert media_type == "text/javascript"
        script = data.decode()
        assert script.startswith("/**/app.receive(")
        assert script.endswith(");")
        assert not set("<\u2028\u2029\r\n") & set(script)
        assert json.loads(script[len("/**/app.receive(") : -len(");")]) == value

    def test_names_of_functions(self) -> None:
        for name in ("a", "_", "$", "jQuery1124_99", "a.b.c", "a.delete", "iff", "A" * 128):
            self.assertEqual(formats.jsonp(name, 1)[1], f"/**/{name}(1);".encode())

    def test_any_other_name_is_a_400(self) -> None:
        for name in (
            *(None, "", " a", "a ", "a\n", "1a", "a.", ".a", "a..b", "a.1", "a-b", "a b", "a;b"),
            *("a(", "a[0]", "alert(1)//", "<script>", "ż", "a\u2028", "A" * 129, "delete", "new.a"),
            *("a\0", "/a", "a,b", "a=b", "a\\u0062", "function", "null", "\ud800"),
        ):
            error = self.assertRaises(HTTPError, formats.jsonp, name, 1)
            self.assertEqual(error.status, 400)
            self.assertIn("callback must", error.message)

    def test_a_name_that_is_no_text_is_a_type_error(self) -> None:
        for name in (5, b"a", ["a"]):
            with self.assertRaisesRegex(TypeError, "^callback must be a str"):
                formats.jsonp(name, 1)  # type: ignore[arg-type]  # wrong on purpose

    def test_what_json_cannot_hold_is_an_encode_error(self) -> None:
        for value in (*nothing_can_encode(), float("nan")):
            self.assertRaises(EncodeError, formats.jsonp, "a", value)


class MarkdownTests(SynchronousTestCase):
    def test_it_becomes_html(self) -> None:
        for text, html in (
            ("# Title", "<h1>Title</h1>\n"),
            (
                "*a* **b** `c` ~~d~~",
                "<p><em>a</em> <strong>b</strong> <code>c</code> <s>d</s></p>\n",
            ),
            ("- ż", "<ul>\n<li>ż</li>\n</ul>\n"),
            (
                "[a](https://example.org/?b&c)",
                '<p><a href="https://example.org/?b&amp;c">a</a></p>\n',
            ),
            ("", ""),
        ):
            self.assertEqual(formats.markdown(text, allow_html=False), ("text/html", html.encode()))
        self.assertIn(b"<table>", formats.markdown("|a|\n|-|\n|1|", allow_html=False)[1])

    def test_html_is_escaped_unless_it_is_allowed(self) -> None:
        text = "<script>a</script>\n\nb <img onerror=c>"
        self.assertEqual(
            formats.markdown(text, allow_html=False)[1],
            b"<p>&lt;script&gt;a&lt;/script&gt;</p>\n<p>b &lt;img onerror=c&gt;</p>\n",
        )
        self.assertEqual(
            formats.markdown(text, allow_html=True)[1],
            b"<script>a</script>\n<p>b <img onerror=c></p>\n",
        )

    def test_links_to_scripts_are_not_made(self) -> None:
        for target in (
            "javascript:a",
            "JaVaScRiPt:a",
            "vbscript:a",
            "data:text/html,a",
            "file:///a",
        ):
            for text in (
                f"[a]({target})",
                f"![a]({target})",
                f"<{target}>",
                f"[a]\n\n[a]: {target}",
            ):
                html = formats.markdown(text, allow_html=False)[1]
                for attribute in (b"href", b"src"):
                    self.assertNotIn(attribute, html, text)

    @given(TEXTS | st.text("<>&\"'`*[]()!\\\n#- ax:", max_size=40))
    def test_any_text_becomes_html_without_its_own_tags(self, text: str) -> None:
        html = formats.markdown(text, allow_html=False)[1].decode()
        assert "<a>" not in html
        assert "<x" not in html

    def test_what_is_no_text_is_an_encode_error(self) -> None:
        for value in (None, 5, b"a", "\ud800"):
            with self.assertRaisesRegex(EncodeError, "^text"):
                formats.markdown(value, allow_html=False)  # type: ignore[arg-type]  # wrong on purpose


class ExtraTests(SynchronousTestCase):
    """
    The libraries of the extra.
    """

    def test_importing_the_package_does_not_import_them(self) -> None:
        check = (
            "import sys, twistream; "
            "assert not {'yaml', 'markdown_it', 'msgpack'} & set(sys.modules), sys.modules"
        )
        subprocess.run([sys.executable, "-c", check], check=True)

    def test_without_them_the_error_names_the_extra(self) -> None:
        for cached in (formats._yaml_dumper, formats._markdown_renderer):
            cached.cache_clear()
        with patch.dict(sys.modules, {"yaml": None, "markdown_it": None}):
            for render in (
                lambda: formats.yaml(1),
                lambda: formats.markdown("a", allow_html=False),
            ):
                error = self.assertRaises(ImportError, render)
                self.assertIn("pip install 'twistream[formats]'", str(error))
        self.assertEqual(formats.yaml(["a"])[1], b"- a\n")
