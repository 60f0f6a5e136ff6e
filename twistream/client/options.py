"""
Checks of the arguments of an event source. Each error names its argument.

Layer: client, above `request`.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

from twistream.checks import check_clock, check_count, check_seconds, check_timer, kind
from twistream.client.request import headers_of

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")


_NO_ID: Final = frozenset("\r\n\0")


def data_options(data: bytes | str | Mapping[str, str] | None) -> dict[str, Any]:
    """
    Return how a body is passed to treq.
    """
    if data is None:
        return {}
    if isinstance(data, Mapping):
        return {"data": dict(data)}
    return {"data": data.encode() if isinstance(data, str) else data}


def check_options(source: dict[str, Any]) -> None:
    """
    Check the arguments of an `EventSource`, by their names.
    """
    for name in ("url", "method"):
        if not isinstance(source[name], str):
            msg = f"{name} must be a str, not {kind(source[name])}"
            raise TypeError(msg)
    check_url(source["url"])
    check_method(source["method"])
    if not callable(source["headers"]):
        headers_of(source["headers"])
    _check_body(source["data"], source["json"])
    if source["client"] is not None and source["agent"] is not None:
        msg = "client and agent exclude each other: the client has its agent"
        raise ValueError(msg)
    for name, methods in (("client", "request"), ("agent", "request"), ("random", "random")):
        if source[name] is not None and not callable(getattr(source[name], methods, None)):
            msg = f"{name} must have a method {methods}(), {kind(source[name])} has none"
            raise TypeError(msg)
    _check_last_id(source["last_event_id"])
    check_clock("reactor", source["reactor"])
    check_seconds("retry", source["retry"])
    check_seconds("max_delay", source["max_delay"])
    if source["head_timeout"] is not None:
        check_timer("head_timeout", source["head_timeout"])
    _check_statuses(source["retry_statuses"])


def _check_statuses(statuses: object) -> None:
    if isinstance(statuses, str | bytes) or not isinstance(statuses, Collection):
        msg = f"retry_statuses must be a collection of statuses, not {kind(statuses)}"
        raise TypeError(msg)
    for status in statuses:
        if check_count("retry_statuses", status, 400) > 599:
            msg = f"retry_statuses must be from 400 to 599, not {status}"
            raise ValueError(msg)


def check_method(method: str) -> None:
    """
    Check the name of a method.

    Raises:
        ValueError: It is not a token.
    """
    if not _TOKEN.fullmatch(method):
        msg = f"method must be the name of a method, such as 'GET', not {method!r}"
        raise ValueError(msg)


def check_url(url: str) -> None:
    """
    Check that a request can be sent to this URL.

    Raises:
        ValueError: It is not an http or https URL with a host.
    """
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        is_valid = False
    if not is_valid:
        msg = f"url must be an http or https URL with a host, not {url!r}"
        raise ValueError(msg)


def _check_body(data: object, json: object) -> None:
    if data is not None and json is not None:
        msg = "data and json exclude each other"
        raise ValueError(msg)
    if data is not None and not isinstance(data, bytes | str | Mapping):
        msg = f"data must be bytes, a str, a mapping or None, not {kind(data)}"
        raise TypeError(msg)


def _check_last_id(last_event_id: object) -> None:
    if last_event_id is None:
        return
    if not isinstance(last_event_id, str):
        msg = f"last_event_id must be a str or None, not {kind(last_event_id)}"
        raise TypeError(msg)
    if not _NO_ID.isdisjoint(last_event_id):
        msg = f"last_event_id must not contain CR, LF or NUL: {last_event_id!r}"
        raise ValueError(msg)
