"""
Renders values as YAML, MessagePack, JSONP and HTML made from Markdown.

Pure functions, which return the media type and the bytes, like those of
`twistream.wire.render`. The libraries of the extra ``formats`` are imported when they are needed.
"""

import re
from collections.abc import Callable
from datetime import date, datetime
from functools import cache
from importlib import import_module
from typing import Any

import msgspec

from twistream.errors import EncodeError, HTTPError
from twistream.wire.render import Rendered, encode_json, encode_text

MAX_CALLBACK = 128
"""
The maximum length of a JSONP callback, in characters. Libraries make names of about 40.
"""

_CALLBACK = re.compile(r"[A-Za-z_$][0-9A-Za-z_$]*(\.[A-Za-z_$][0-9A-Za-z_$]*)*")

_RESERVED = (
    "await break case catch class const continue debugger default delete do else enum export "
    "extends false finally for function if implements import in instanceof interface let new null "
    "package private protected public return static super switch this throw true try typeof var "
    "void while with yield"
)
"""
Words that are not names in JavaScript (ECMA-262 12.7.2), except after a dot.
"""

_JSONP_ESCAPES = {b"<": b"\\u003c", "\u2028".encode(): b"\\u2028", "\u2029".encode(): b"\\u2029"}
"""
Characters that are safe in JSON, and not in a script: ``</script`` and ``<!--`` have a meaning in HTML,
and the two others end a line in JavaScript before ECMAScript 2019.
"""

_YAML_NUMBER = re.compile(
    r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+|[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?"
)
"""
The numbers of the core schema (YAML 1.2.2, 10.3.2). PyYAML follows YAML 1.1, in which some of these are
strings, and would write such a string without quotes.
"""

_WIDTH = 2**31 - 1
"""
The width at which PyYAML folds lines: never.
"""


def yaml(value: object) -> Rendered:
    """
    Render YAML (RFC 9512) that parsers of YAML 1.1 and 1.2 read alike.

    The types are those of `twistream.wire.render.json`. Numbers may be NaN and infinite, and keys of
    mappings may be numbers, booleans, dates and None.

    Raises:
        EncodeError: The value, or a value in it, has an unsupported type, or contains itself; or a
            text has a lone surrogate.
        ImportError: PyYAML is not installed.
    """
    library = _extra("yaml", "PyYAML")
    try:
        plain = msgspec.to_builtins(value, builtin_types=(datetime, date))
        text = library.dump(
            plain, Dumper=_yaml_dumper(), allow_unicode=True, sort_keys=False, width=_WIDTH
        )
        return "application/yaml", text.encode()
    except Exception as err:
        raise _encode_error(value, "YAML", err) from err


def msgpack(value: object) -> Rendered:
    """
    Render MessagePack.

    The types are those of `twistream.wire.render.json`. Bytes stay bytes, and a datetime with a
    time zone becomes a timestamp. Numbers may be NaN and infinite.

    Raises:
        EncodeError: The value, or a value in it, has an unsupported type, is an int of more than
            64 bits, or contains itself; or a text has a lone surrogate.
    """
    try:
        return "application/msgpack", msgspec.msgpack.encode(value)
    except Exception as err:
        raise _encode_error(value, "MessagePack", err) from err


def jsonp(callback: str | None, value: object) -> Rendered:
    """
    Render JSONP: a script that calls `callback` with a JSON value.

    It begins with a comment. Otherwise, the client would choose the first bytes of the response, and
    could make it look like a file of another format.

    Raises:
        EncodeError: JSON cannot represent the value.
        HTTPError: 400, because clients choose it: the callback is None, or not a name in JavaScript,
            or names with dots between them, of at most `MAX_CALLBACK` ASCII characters.
        TypeError: The callback is neither a str nor None.
    """
    name = _checked_callback(callback)
    json = encode_json(value)
    for character, escape in _JSONP_ESCAPES.items():
        # Outside of strings, JSON has no such characters.
        json = json.replace(character, escape)
    return "text/javascript", b"/**/%b(%b);" % (name, json)


def markdown(text: str, *, allow_html: bool) -> Rendered:
    """
    Render Markdown (CommonMark, with tables and strikethrough) as HTML.

    Args:
        allow_html: Keep HTML in the text. Otherwise it is escaped, so that text from users
            contains no script. Links to scripts are never made.

    Raises:
        EncodeError: The text is not a str, or has a lone surrogate.
        ImportError: markdown-it-py is not installed.
    """
    encode_text(text)
    return "text/html", _markdown_renderer(bool(allow_html))(text).encode()


def _checked_callback(callback: str | None) -> bytes:
    if callback is None:
        raise HTTPError(400, "A callback must be given.")
    if not isinstance(callback, str):
        msg = f"callback must be a str, not {type(callback).__name__}"
        raise TypeError(msg)
    if (
        len(callback) > MAX_CALLBACK
        or not _CALLBACK.fullmatch(callback)
        or callback.partition(".")[0] in _RESERVED.split()
    ):
        raise HTTPError(
            400,
            "The callback must be the name of a function in JavaScript, such as "
            f"receive or app.receive, of at most {MAX_CALLBACK} characters.",
        )
    return callback.encode()


@cache
def _yaml_dumper() -> type[Any]:
    """
    A dumper of PyYAML that quotes what YAML 1.2 takes for numbers, and writes no anchors.
    """
    library = _extra("yaml", "PyYAML")
    # The dumper in C is missing where PyYAML was built without libyaml.
    base = getattr(library, "CSafeDumper", library.SafeDumper)
    dumper: Any = type("Dumper", (base,), {"ignore_aliases": lambda *_: True})

    def represent_text(dumper: Any, text: str) -> object:
        style = "'" if _YAML_NUMBER.fullmatch(text) else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)

    def represent_mapping(dumper: Any, mapping: dict[object, object]) -> object:
        for key in mapping:
            if isinstance(key, tuple):
                msg = "a key of a mapping must not be a sequence"
                raise EncodeError(msg)
        return dumper.represent_dict(mapping)

    dumper.add_representer(str, represent_text)
    dumper.add_representer(dict, represent_mapping)
    return dumper  # type: ignore[no-any-return]  # PyYAML has no types


@cache
def _markdown_renderer(allow_html: bool) -> Callable[[str], str]:  # noqa: FBT001 - the key of a cache
    library = _extra("markdown_it", "markdown-it-py")
    parser = library.MarkdownIt("commonmark", {"html": allow_html})
    render: Callable[[str], str] = parser.enable(["table", "strikethrough"]).render
    return render


def _extra(module: str, package: str) -> Any:
    """
    Import a library of the extra ``formats``.
    """
    try:
        return import_module(module)
    except ImportError as err:
        msg = f"this format needs {package}: pip install 'twistream[formats]'"
        raise ImportError(msg) from err


def _encode_error(value: object, format: str, err: Exception) -> EncodeError:
    # Libraries call code of the program, such as that of a time zone, which may raise anything.
    return EncodeError(f"cannot encode {type(value).__name__} as {format}: {err}")
