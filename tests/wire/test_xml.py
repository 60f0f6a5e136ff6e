"""
XML documents, read by ElementTree.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from xml.etree import ElementTree as ET

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistream import EncodeError
from twistream.wire.xml import xml

CHARACTERS = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
TEXTS = st.text(CHARACTERS | st.sampled_from("\t\n\r\x85\u2028<>&\"']-"), max_size=8)
NAMES = st.from_regex(r"[A-Za-z_][-.0-9A-Za-z_]{0,5}", fullmatch=True) | st.sampled_from(
    ["ż", "日本", "Ключ"]
)
VALUES = st.recursive(
    TEXTS,
    lambda inner: st.dictionaries(NAMES, st.lists(inner, max_size=3) | inner, max_size=3),
    max_leaves=10,
)


@dataclass
class Point:
    x: int
    label: str | None = None


class Struct(msgspec.Struct, tag_field="kind"):
    value: float


def read(data: bytes) -> ET.Element:
    return ET.fromstring(data)  # noqa: S314 - our own


def same(element: ET.Element, value: object) -> bool:
    """
    Whether an element is what a value becomes.
    """
    if not isinstance(value, dict):
        return len(element) == 0 and (element.text or "") == value
    expected = [
        (key, item)
        for key, items in value.items()
        for item in (items if isinstance(items, list) else [items])
    ]
    return len(expected) == len(element) and all(
        child.tag == key and same(child, item)
        for child, (key, item) in zip(element, expected, strict=True)
    )


class ValueTests(SynchronousTestCase):
    @given(VALUES)
    @example("\r\n]]>")
    def test_what_xml_can_hold_comes_back(self, value: object) -> None:
        media_type, data = xml(value)
        assert media_type == "text/xml"
        document = read(data)
        assert document.tag == "root"
        assert same(document, value)

    def test_values_and_their_elements(self) -> None:
        for value, body in (
            ("a", "<root>a</root>"),
            (None, "<root />"),
            (True, "<root>true</root>"),
            ({"a": False}, "<root><a>false</a></root>"),
            ({"a": [1, 2.5]}, "<root><a>1</a><a>2.5</a></root>"),
            ({"a": []}, "<root />"),
            ({"a": [[1, 2], []]}, "<root><a><item>1</item><item>2</item></a><a /></root>"),
            ([1, None, {"b": 2}], "<root><item>1</item><item /><item><b>2</b></item></root>"),
            ((1,), "<root><item>1</item></root>"),
            (float("inf"), "<root>INF</root>"),
            (float("-inf"), "<root>-INF</root>"),
            (float("nan"), "<root>NaN</root>"),
            (Decimal("1.50"), "<root>1.50</root>"),
            (b"\0\1", "<root>AAE=</root>"),
            (datetime(2024, 1, 2, tzinfo=UTC), "<root>2024-01-02T00:00:00Z</root>"),
            (Point(1), "<Point><x>1</x><label /></Point>"),
            ([Point(1)], "<root><item><x>1</x><label /></item></root>"),
            (Struct(1.5), "<Struct><kind>Struct</kind><value>1.5</value></Struct>"),
            ("a\r\nb", "<root>a&#13;\nb</root>"),
        ):
            expected = f'<?xml version="1.0" encoding="UTF-8"?>\n{body}'.encode()
            self.assertEqual(xml(value)[1], expected)

    def test_the_name_of_the_root(self) -> None:
        for value in (Point(1), {"x": 1}, [1], "a"):
            self.assertEqual(read(xml(value, "ż")[1]).tag, "ż")

    def test_a_wrong_name_of_the_root_is_refused(self) -> None:
        for name in ("", "1a", "a b", "a:b", "<a", "a>", "-a", ".a", "a\0", "\ud800", "a/", "a\n"):
            with self.assertRaisesRegex(ValueError, "^root must"):
                xml(1, name)
        for wrong in (5, b"a", ["a"]):
            with self.assertRaisesRegex(TypeError, "^root must"):
                xml(1, wrong)  # type: ignore[arg-type]  # wrong on purpose

    def test_what_xml_cannot_hold_is_an_encode_error(self) -> None:
        loop: list[object] = []
        loop.append(loop)
        deep: Any = 1
        for _ in range(100_000):
            deep = [deep]
        for value in (
            *("\0", "\x08", "\x1b", "\ufffe", "\uffff", "\ud800", {"a": ["\x0b"]}),
            *(
                {"a b": 1},
                {"": 1},
                {1: 2},
                {"a": {"b<": 1}},
                {"a:b": 1},
                {None: 1},
                {"\U00010000": 1},
            ),
            *(object(), [object()], loop, 1 + 2j, {(1, 2): 3}, deep, 10**5000),
        ):
            self.assertRaises(EncodeError, xml, value)

    @given(st.text(max_size=5))
    def test_every_name_that_is_accepted_is_parsed(self, name: str) -> None:
        try:
            data = xml({name: 1})[1]
        except EncodeError:
            return
        assert read(data)[0].tag == name


def document(change: Callable[[ET.Element], object] = lambda _: None) -> ET.Element:
    """
    A document, changed.
    """
    element = ET.Element("a", {"b": "1"})
    ET.SubElement(element, "c").text = "d"
    change(element)
    return element


class ElementTests(SynchronousTestCase):
    """
    Elements that the program makes.
    """

    def test_they_are_the_document(self) -> None:
        namespace = "http://www.w3.org/2005/Atom"
        element: Any = ET.Element("a", {"a": '1<"\r\n\t'})
        element.tag = ET.QName(namespace, "feed")
        element.append(ET.Comment(" a < b "))
        element.append(ET.ProcessingInstruction("style", 'href="a"'))
        entry = ET.SubElement(element, f"{{{namespace}}}entry")
        entry.text, entry.tail = "x & \r", "tail\r"
        entry.set("{http://www.w3.org/XML/1998/namespace}lang", "pl")
        data = xml(element)[1]
        self.assertIn(b"<!-- a < b -->", data)
        self.assertIn(b'<?style href="a"?>', data)
        self.assertEqual(
            ET.canonicalize(data.decode(), with_comments=True),
            ET.canonicalize(ET.tostring(element).replace(b"\r", b"&#13;"), with_comments=True),
        )

    def test_text_after_the_document_is_not_written(self) -> None:
        element = document()
        element.tail = "after"
        self.assertTrue(xml(element)[1].endswith(b"</a>"))
        self.assertEqual(element.tail, "after")

    def test_a_wrong_part_is_an_encode_error(self) -> None:
        changes: list[Callable[[Any], object]] = [
            lambda e: setattr(e, "tag", "a b"),
            lambda e: setattr(e, "tag", "p:a"),
            lambda e: setattr(e, "tag", "{}a"),
            lambda e: setattr(e, "tag", "{http://www.w3.org/2000/xmlns/}a"),
            lambda e: setattr(e, "tag", "{a}"),
            lambda e: setattr(e, "tag", "{a"),
            lambda e: setattr(e, "tag", "{\0}a"),
            lambda e: setattr(e, "tag", None),
            lambda e: setattr(e, "tag", 5),
            lambda e: setattr(e, "text", "\0"),
            lambda e: setattr(e, "text", 5),
            lambda e: setattr(e[0], "tail", "\x01"),
            lambda e: setattr(e[0], "tag", "<"),
            lambda e: e.set("a b", "1"),
            lambda e: e.set("xmlns:a", "b"),
            lambda e: e.set("a", "\ud800"),
            lambda e: e.set("a", 5),
            lambda e: e.append(ET.Comment("a--b")),
            lambda e: e.append(ET.Comment("a-")),
            lambda e: e.append(ET.Comment("\0")),
            lambda e: e.append(ET.Comment("\r")),
            lambda e: e.append(ET.ProcessingInstruction("a", "?>")),
            lambda e: e.append(ET.ProcessingInstruction("1")),
            lambda e: e.append(e),
        ]
        for number, change in enumerate(changes):
            try:
                xml(document(change))
            except EncodeError:
                pass
            else:
                self.fail(f"change {number} is accepted")
        for part in (ET.Comment("a"), ET.ProcessingInstruction("a")):
            self.assertRaises(EncodeError, xml, part)

    def test_unchanged_it_is_accepted(self) -> None:
        self.assertEqual(read(xml(document())[1])[0].text, "d")
