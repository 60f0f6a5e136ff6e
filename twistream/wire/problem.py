"""
Renders problem details for HTTP APIs (RFC 9457).

Pure functions.
"""

import re
from collections.abc import Mapping
from http import HTTPStatus

from twistream.checks import kind, shown
from twistream.errors import HTTPError
from twistream.wire.render import Rendered, encode_json, encode_text

MEDIA_TYPE = "application/problem+json"

_MEMBERS = ("type", "title", "status", "detail", "instance")

_URI_REFERENCE = re.compile(r"(?:[-A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})*")
"""
The characters of a URI reference (RFC 3986 2), not its grammar.
"""


def problem(  # noqa: PLR0913 - the members of a problem, by keyword
    status: int,
    detail: str | None = None,
    *,
    type: str | None = None,  # noqa: A002 - the name in the format
    title: str | None = None,
    instance: str | None = None,
    extensions: Mapping[str, object] | None = None,
) -> Rendered:
    """
    Render a problem. See ``Context.problem``.

    Raises:
        EncodeError: JSON cannot represent an extension, or a text has a lone surrogate.
        TypeError: An argument has the wrong type.
        ValueError: The status is not from 400 to 599, a reference is not a URI reference, or an
            extension has the name of a member.
    """
    if isinstance(status, bool) or not isinstance(status, int):
        msg = f"status must be an int, not {kind(status)}"
        raise TypeError(msg)
    if not 400 <= status <= 599:
        msg = f"status must be from 400 to 599, not {shown(status)}"
        raise ValueError(msg)
    _check_texts(detail=detail, title=title, type=type, instance=instance)
    _check_references(type=type, instance=instance)
    members: dict[str, object] = {
        "type": type,
        "title": phrase(status) if title is None else title,
        "status": int(status),
        "detail": detail,
        "instance": instance,
    }
    present = {name: value for name, value in members.items() if value is not None}
    return MEDIA_TYPE, encode_json({**present, **_checked_extensions(extensions)})


def error_problem(error: HTTPError) -> Rendered:
    """
    Render an `HTTPError` as a problem.
    """
    return problem(error.status, error.message or None)


def phrase(status: int) -> str | None:
    """
    Return the standard phrase of a status, or None.
    """
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return None


def _check_texts(**texts: object) -> None:
    for name, text in texts.items():
        if text is None:
            continue
        if not isinstance(text, str):
            msg = f"{name} must be a str, not {kind(text)}"
            raise TypeError(msg)
        encode_text(text, name)


def _check_references(**references: str | None) -> None:
    for name, reference in references.items():
        if reference is not None and not _URI_REFERENCE.fullmatch(reference):
            msg = f"{name} must be a URI reference, such as /problems/no-funds, not {reference!r}"
            raise ValueError(msg)


def _checked_extensions(extensions: Mapping[str, object] | None) -> dict[str, object]:
    if extensions is None:
        return {}
    if not isinstance(extensions, Mapping):
        msg = f"extensions must be a mapping, not {kind(extensions)}"
        raise TypeError(msg)
    for name in extensions:
        if not isinstance(name, str):
            msg = f"extensions must have str as names, not {kind(name)}"
            raise TypeError(msg)
        if name in _MEMBERS:
            msg = f"extensions must not contain {name!r}, which is an argument"
            raise ValueError(msg)
    return dict(extensions)
