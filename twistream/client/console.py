"""
The console client: it prints a stream as it arrives.

Layer: client, at the top.
"""

import os
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import AsyncIterable, Sequence
from typing import Any, Final, cast

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure
from twisted.web.http_headers import Headers

from twistream.client.errors import UnexpectedResponse
from twistream.client.excerpt import excerpt_of
from twistream.client.items import Items, iter_bytes, iter_events, iter_json, media_type
from twistream.client.options import check_method, check_url
from twistream.client.progress import Progress
from twistream.client.request import NETWORK_ERRORS, Request, explained, treq_client
from twistream.client.source import EVENT_STREAM, EventSource
from twistream.errors import DecodeError, StreamTruncated
from twistream.wire.sse import ServerSentEvent

COMPLETE: Final = 0
REFUSED: Final = 1
TRUNCATED: Final = 3
UNREACHABLE: Final = 4
INTERRUPTED: Final = 130
CLOSED_OUTPUT: Final = 141

_EPILOG = """\
The media type decides how a stream is printed. For an event, this is its name, if it has one, and its
data. JSON Lines and JSON text sequences are printed as one value per line, and anything else as it
arrives.

exit status:
  0    the stream was complete, or the server ended it with 204
  1    the server refused the request: an error status, or with --reconnect no event stream
  2    the arguments are wrong
  3    the stream broke off, was silent for --idle-timeout, or is malformed
  4    there was no connection or no response
  130  Ctrl-C
  141  the output was closed, as by "head"
"""

_ACCEPT = (
    "text/event-stream, application/jsonl, application/x-ndjson, application/json-seq, */*;q=0.9"
)

_JSON_TYPES: Final = {
    "application/jsonl",
    "application/jsonlines",
    "application/ndjson",
    "application/x-jsonlines",
    "application/x-ndjson",
    "application/json-seq",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run the client.

    Args:
        arguments: The arguments. By default, those of the process.

    Returns:
        The exit status.
    """
    options = _parser().parse_args(arguments)
    from twisted.internet import reactor  # noqa: PLC0415 - only a program that runs installs one

    core = cast("Any", reactor)
    statuses: list[int] = []
    is_stopping = False

    def start() -> None:
        task = Deferred.fromCoroutine(_run(core, options))
        core.addSystemEventTrigger("before", "shutdown", interrupt, task)
        task.addBoth(end)

    def interrupt(task: Deferred[int]) -> None:
        nonlocal is_stopping
        is_stopping = True
        task.cancel()

    def end(result: int | Failure) -> None:
        if isinstance(result, int):
            statuses.append(result)
        elif not result.check(CancelledError):
            result.printTraceback(sys.stderr)
            statuses.append(TRUNCATED)
        if not is_stopping:
            core.stop()

    core.callWhenRunning(start)
    core.run()
    return statuses[0] if statuses else INTERRUPTED


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="python -m twistream",
        description="Print a stream as it arrives: text, JSON Lines, or Server-Sent Events.",
        epilog=_EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
    )
    parser.add_argument("url", metavar="URL", type=_url, help="an http or https URL")
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON value per line: events as objects, and any other body as JSON Lines",
    )
    parser.add_argument(
        "--reconnect",
        action="store_true",
        help="follow an event stream as a browser does: reconnect, with the last id, until 204",
    )
    parser.add_argument(
        "--last-event-id", metavar="ID", help="continue after this event", default=""
    )
    parser.add_argument(
        "-H",
        "--header",
        metavar="'NAME: VALUE'",
        action="append",
        type=_field,
        default=[],
        help="send this header; may be repeated",
    )
    parser.add_argument(
        "-d", "--data", metavar="TEXT", help="send this body; the method is POST by default"
    )
    parser.add_argument("-X", "--method", type=_method, help="the method, by default GET")
    parser.add_argument(
        "--idle-timeout",
        metavar="SECONDS",
        type=_seconds,
        help="give up (or reconnect) after this time without data",
    )
    parser.add_argument(
        "--allow-close-delimited",
        action="store_true",
        help="accept the end of the connection as the end of a body that has no other",
    )
    parser.add_argument(
        "-q", "--quiet", action="store_true", help="show no progress on the terminal"
    )
    return parser


def _url(text: str) -> str:
    try:
        check_url(text)
    except ValueError:
        msg = f"must be an http or https URL, not {text!r}"
        raise ArgumentTypeError(msg) from None
    return text


def _method(text: str) -> str:
    try:
        check_method(text)
    except ValueError as err:
        raise ArgumentTypeError(str(err)) from None
    return text


def _field(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        msg = f"must be 'NAME: VALUE', not {text!r}"
        raise ArgumentTypeError(msg)
    return name.strip(), value.strip()


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1e-3 <= seconds <= 1e9:
        msg = f"must be from 0.001 to 1e9 seconds, not {text}"
        raise ArgumentTypeError(msg)
    return seconds


async def _run(reactor: Any, options: Namespace) -> int:
    """
    Print the stream, and return the exit status.
    """
    progress = Progress(reactor, is_shown=sys.stderr.isatty() and not options.quiet)
    ticks = LoopingCall(progress.show)
    ticks.clock = reactor
    ticks.start(0.5, now=False)
    problem = ""
    try:
        await _print(reactor, options, progress)
        status = COMPLETE
    except BrokenPipeError:
        discard_output()
        status = CLOSED_OUTPUT
    except UnexpectedResponse as err:
        status, problem = REFUSED, str(err)
    except (StreamTruncated, DecodeError, ImportError) as err:
        status, problem = TRUNCATED, str(err)
    except NETWORK_ERRORS as err:
        status, problem = UNREACHABLE, f"no response: {explained(err)}"
    finally:
        ticks.stop()
        progress.end()
    if problem:
        print(f"twistream: {problem}", file=sys.stderr)  # noqa: T201 - a program of the console
    return status


def discard_output() -> None:
    """
    Replace a closed output: Python flushes it at its exit, which would fail again.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


async def _print(reactor: Any, options: Namespace, progress: Progress) -> None:
    method = options.method or ("GET" if options.data is None else "POST")
    headers = Headers()
    for name, value in options.header:
        headers.addRawHeader(name, value)
    if options.reconnect:
        source = EventSource(
            options.url,
            method=method,
            headers=headers,
            data=options.data,
            last_event_id=options.last_event_id,
            idle_timeout=options.idle_timeout,
            reactor=reactor,
        )
        await _print_items(source, options, progress)
        return
    data = {} if options.data is None else {"data": options.data.encode()}
    request = Request(method=method.upper(), url=options.url, headers=headers, options=data)
    fields = {} if headers.hasHeader("Accept") else {"Accept": _ACCEPT}
    if options.last_event_id:
        fields["Last-Event-ID"] = options.last_event_id
    response, _ = await request.send(treq_client(reactor, None), reactor, fields)
    if response.code >= 400:
        kinds = response.headers.getRawHeaders("Content-Type", [""])
        excerpt = await excerpt_of(response, reactor)
        raise UnexpectedResponse(response.code, kinds[-1], excerpt, expected="a stream")
    await _print_items(_items_of(response, options, reactor), options, progress)


def _items_of(response: Any, options: Namespace, reactor: Any) -> Items[Any]:
    kind = media_type(response)
    reading: Any = {
        "idle_timeout": options.idle_timeout,
        "allow_close_delimited": options.allow_close_delimited,
        "clock": reactor,
    }
    if kind == EVENT_STREAM:
        return iter_events(response, last_event_id=options.last_event_id, **reading)
    if options.json or kind in _JSON_TYPES or kind.endswith("+json-seq"):
        return iter_json(response, **reading)
    return iter_bytes(response, **reading)


async def _print_items(
    items: Items[Any] | EventSource, options: Namespace, progress: Progress
) -> None:
    progress.follow(items)
    async with items:
        async for item in cast("AsyncIterable[Any]", items):
            progress.count(item)
            progress.clear()
            sys.stdout.buffer.write(_shown(item, as_json=options.json))
            sys.stdout.buffer.flush()


def _shown(item: Any, *, as_json: bool) -> bytes:
    """
    What is printed of an item.
    """
    if isinstance(item, bytes):
        return item
    if not isinstance(item, ServerSentEvent):
        return msgspec.json.encode(item) + b"\n"
    if as_json:
        fields = {"event": item.event or "message", "id": item.id or "", "data": item.data}
        return msgspec.json.encode(fields) + b"\n"
    name = f"{item.event}: " if item.event else ""
    return f"{name}{item.data}\n".encode()
