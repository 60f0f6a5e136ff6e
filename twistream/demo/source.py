"""
The source code that the pages show: that of the handlers that serve them.
"""

import ast
import re
from collections.abc import Callable, Mapping
from html import escape
from inspect import getsource
from textwrap import dedent
from typing import Any, cast

_PLACE = re.compile(r"\{\{source: ([\w. ]+)\}\}")


def with_source(page: str, functions: Mapping[str, Callable[..., Any]]) -> str:
    """
    Replace each ``{{source: first second}}`` by the source code of these functions.

    Raises:
        KeyError: There is no function of this name.
    """

    def include(place: re.Match[str]) -> str:
        return escape("\n".join(source_of(functions[name]) for name in place[1].split()))

    return _PLACE.sub(include, page)


def source_of(function: Callable[..., Any]) -> str:
    """
    The source code of a function, without its docstring and without indentation.
    """
    code = dedent(getsource(function))
    lines = code.splitlines(keepends=True)
    definition = cast("ast.FunctionDef | ast.AsyncFunctionDef", ast.parse(code).body[0])
    if ast.get_docstring(definition) is not None:
        docstring = definition.body[0]
        del lines[docstring.lineno - 1 : docstring.end_lineno]
    return "".join(lines)
