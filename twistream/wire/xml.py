"""
Renders values as XML 1.0 documents.

Pure functions. Mappings and sequences become elements; for attributes and namespaces, a program makes an
`xml.etree.ElementTree.Element`, which is checked and written.
"""

import re
from copy import copy
from functools import lru_cache
from math import inf, isnan
from typing import Any
from xml.etree import ElementTree as ET
from xml.parsers import expat

import msgspec

from twistream.errors import EncodeError
from twistream.wire.render import Rendered

_ITEM = "item"
"""
The name of an element for an item of a sequence, if no key of a mapping names it.
"""

_NAME = re.compile(r"[A-Za-z_\x80-\U0010ffff][-.0-9A-Za-z_\x80-\U0010ffff]*")
_ASCII_NAME = re.compile(r"[A-Za-z_][-.0-9A-Za-z_]*")
_DECLARATIONS = "http://www.w3.org/2000/xmlns/"
"""
The namespace that no document may declare (Namespaces in XML 1.0, 3).
"""

_FORBIDDEN = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""
Matches what no document contains, not even as a character reference (XML 1.0, 2.2).
"""


def xml(value: object, root: str | None = None) -> Rendered:
    """
    Render an XML document.

    - A mapping, or an object with fields, becomes an element for each key, in order. The key is the
      name of the element.
    - A sequence becomes an element for each item. In a mapping, all have the name of its key;
      elsewhere their name is ``item``.
    - None becomes an empty element, a bool ``true`` or ``false``, and any other value its text in JSON
      (RFC 3339 for a datetime, base64 for bytes), without quotes. Infinity is ``INF``, as in XML
      Schema.
    - An `xml.etree.ElementTree.Element` is the document.

    Args:
        root: The name of the outermost element. None for the name of the class of an object with
            fields, and for ``root`` elsewhere. An Element keeps its own name.

    Raises:
        EncodeError: The value, or a value in it, has an unsupported type, or contains itself; a key
            is not a name of an element; or a text has a character that XML does not allow.
        TypeError: `root` is not a str.
        ValueError: `root` is not a name of an element.
    """
    if root is not None:
        _check_root(root)
    try:
        if ET.iselement(value):
            element: Any = copy(value)
            element.tail = None  # After the document there is no text.
            _check_qualified(element.tag)  # It is not a comment.
            _check_tree(element)
        else:
            plain = msgspec.to_builtins(value)
            element = _element(root or _default_root(value, plain), plain)
        document = ET.tostring(element, encoding="unicode")
    except EncodeError:
        raise
    except Exception as err:  # msgspec runs code of the program, such as that of a time zone.
        msg = f"cannot encode {type(value).__name__} as XML: {err}"
        raise EncodeError(msg) from err
    # A parser takes a CR for the end of a line. In attributes it is escaped already.
    document = document.replace("\r", "&#13;")
    return "text/xml", f'<?xml version="1.0" encoding="UTF-8"?>\n{document}'.encode()


def _check_root(root: str) -> None:
    if not isinstance(root, str):
        msg = f"root must be a str, not {type(root).__name__}"
        raise TypeError(msg)
    if not _is_name(root):
        msg = f"root must be the name of an XML element, not {root!r}"
        raise ValueError(msg)


def _default_root(value: object, plain: object) -> str:
    name = type(value).__name__
    # A dict is not an object with fields: an element named ``dict`` would say nothing.
    is_object = isinstance(plain, dict) and not isinstance(value, dict)
    return name if is_object and _is_name(name) else "root"


def _element(name: object, value: object) -> ET.Element:
    """
    Make an element from what `msgspec.to_builtins` returns.
    """
    if not (isinstance(name, str) and _is_name(name)):
        msg = f"a key must be the name of an XML element, not {name!r}"
        raise EncodeError(msg)
    element = ET.Element(name)
    if isinstance(value, dict):
        for key, item in value.items():
            items = item if isinstance(item, list | tuple) else (item,)
            element.extend(_element(key, each) for each in items)
    elif isinstance(value, list | tuple):
        element.extend(_element(_ITEM, each) for each in value)
    elif value is not None:
        element.text = _checked_text(_scalar(value))
    return element


def _scalar(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and (isnan(value) or value in (inf, -inf)):
        return "NaN" if isnan(value) else f"{value}".upper()
    return str(value)


def _check_tree(element: Any) -> None:
    """
    Check an element that the program has made: ElementTree writes whatever it is.
    """
    for text in (element.text, element.tail):
        if text is not None:
            _checked_text(text)
    if element.tag is ET.Comment or element.tag is ET.ProcessingInstruction:
        _check_hidden(element)
        return
    _check_qualified(element.tag)
    for name, value in element.items():
        _check_qualified(name)
        _checked_text(value)
    for child in element:
        _check_tree(child)


def _check_hidden(element: Any) -> None:
    text = element.text or ""
    is_comment = element.tag is ET.Comment
    ends = ("--" in text or text.endswith("-")) if is_comment else "?>" in text
    named = is_comment or _is_name(text.partition(" ")[0])
    if ends or not named or "\r" in text or len(element):
        msg = f"this is not allowed in a comment or a processing instruction: {text!r}"
        raise EncodeError(msg)


def _check_qualified(tag: object) -> None:
    """
    Check the name of an element or an attribute, ``name`` or ``{namespace}name``.
    """
    name = tag.text if isinstance(tag, ET.QName) else tag
    local = name
    if isinstance(name, str) and name.startswith("{"):
        namespace, _, local = name[1:].rpartition("}")
        if not _checked_text(namespace) or namespace == _DECLARATIONS:
            msg = f"an element or attribute must not have the namespace {namespace!r}"
            raise EncodeError(msg)
    if not (isinstance(local, str) and _is_name(local)):
        msg = f"an element or attribute must have the name of an XML element, not {tag!r}"
        raise EncodeError(msg)


def _checked_text(text: object) -> str:
    if not isinstance(text, str):
        msg = f"text in XML must be a str, not {type(text).__name__}"
        raise EncodeError(msg)
    forbidden = _FORBIDDEN.search(text)
    if forbidden:
        msg = f"XML does not allow the character {forbidden[0]!r}"
        raise EncodeError(msg)
    return text


def _is_name(name: str) -> bool:
    """
    Whether it is a name without a namespace prefix that parsers accept.
    """
    if _ASCII_NAME.fullmatch(name):
        return True
    return _NAME.fullmatch(name) is not None and _is_accepted(name)


@lru_cache(maxsize=1024)
def _is_accepted(name: str) -> bool:
    # Many parsers, expat among them, allow only the letters of XML 1.0 up to its fourth edition.
    try:
        expat.ParserCreate().Parse(f"<{name}/>".encode(), True)  # noqa: FBT003 - expat's signature
    except (expat.ExpatError, UnicodeEncodeError):
        return False
    return True
