"""
The rules of WHATWG HTML 9.2.6, each with a stream that shows it.
"""

from typing import NamedTuple

from twistream import ServerSentEvent as Event


class Rule(NamedTuple):
    """
    A stream, and what a reader makes of it.
    """

    name: str
    stream: bytes
    events: list[Event]
    last_event_id: str = ""
    retry_ms: int | None = None


RULES = [
    Rule("nothing", b"", []),
    Rule("blank lines", b"\n\r\r\n\n", []),
    Rule("an event", b"data: a\n\n", [Event("a")]),
    Rule("two events", b"data: a\n\ndata: b\n\n", [Event("a"), Event("b")]),
    Rule("more blank lines", b"data: a\n\n\n\ndata: b\n\n", [Event("a"), Event("b")]),
    Rule("CR ends lines", b"data: a\rdata: b\r\r", [Event("a\nb")]),
    Rule("CRLF ends lines", b"data: a\r\ndata: b\r\n\r\n", [Event("a\nb")]),
    Rule("line ends are mixed", b"data: a\rdata: b\ndata: c\r\n\n", [Event("a\nb\nc")]),
    Rule("LF CR is two ends", b"data: a\n\rdata: b\n\r", [Event("a"), Event("b")]),
    Rule("CR CRLF is two ends", b"data: a\r\r\ndata: b\n\n", [Event("a"), Event("b")]),
    Rule("CRLF twice is one blank line", b"data: a\r\n\r\nid: 1\n\r\n", [Event("a")], "1"),
    Rule(
        "nothing else ends a line",
        "data: a\vb\fc\x1cd\x1de\x1ef\x85g\u2028h\u2029i\n\n".encode(),
        [Event("a\vb\fc\x1cd\x1de\x1ef\x85g\u2028h\u2029i")],
    ),
    Rule("a BOM at the start is no part", b"\xef\xbb\xbfdata: a\n\n", [Event("a")]),
    Rule("only one BOM is taken off", b"\xef\xbb\xbf\xef\xbb\xbfdata: a\n\n", []),
    Rule("only at the start", b"\n\xef\xbb\xbfdata: a\n\ndata: b\n\n", [Event("b")]),
    Rule("a BOM in a value is text", b"data:\xef\xbb\xbfa\n\n", [Event("\ufeffa")]),
    Rule("a BOM alone", b"\xef\xbb\xbf", []),
    Rule("a blank line after a BOM", b"\xef\xbb\xbf\ndata: a\n\n", [Event("a")]),
    Rule("data of several lines", b"data: a\ndata:\ndata: b\n\n", [Event("a\n\nb")]),
    Rule("one space is taken off", b"data:  a \n\n", [Event(" a ")]),
    Rule("no space is needed", b"data:a\n\n", [Event("a")]),
    Rule("a tab is not a space", b"data:\ta\n\n", [Event("\ta")]),
    Rule("colons in a value", b"data: a: b::\n\n", [Event("a: b::")]),
    Rule("a space before the colon is of the name", b"data : a\n\n", []),
    Rule("a space before the name is of the name", b" data: a\n\n", []),
    Rule("empty data is an event", b"data:\n\n", [Event("")]),
    Rule("empty data after a space", b"data: \n\n", [Event("")]),
    Rule("data without a colon", b"data\n\n", [Event("")]),
    Rule("two empty lines of data", b"data\ndata:\n\n", [Event("\n")]),
    Rule("NUL in data", b"data: a\0b\n\n", [Event("a\0b")]),
    Rule("comments", b": a\n:data: b\n:\ndata: c\n: d\n\n", [Event("c")]),
    Rule("a comment alone", b": ping\n\n", []),
    Rule(
        "names have a case",
        b"Data: a\nDATA: b\nID: 1\nEvent: c\nRetry: 1\ndata: d\n\n",
        [Event("d")],
    ),
    Rule("other fields", b"datum: a\ndat: b\ndataa: c\nfoo\ndata: d\n\n", [Event("d")]),
    Rule("a name", b"event: story\ndata: a\n\n", [Event("a", event="story")]),
    Rule("a name after the data", b"data: a\nevent: story\n\n", [Event("a", event="story")]),
    Rule(
        "the last name holds", b"event: b\nevent: story\ndata: a\n\n", [Event("a", event="story")]
    ),
    Rule(
        "an empty name is none",
        b"event:\ndata: a\n\nevent: \ndata: b\n\n",
        [Event("a"), Event("b")],
    ),
    Rule("a name of one space", b"event:  \ndata: a\n\n", [Event("a", event=" ")]),
    Rule("an empty name after another", b"event: story\nevent\ndata: a\n\n", [Event("a")]),
    Rule(
        "a name is of one event",
        b"event: story\ndata: a\n\ndata: b\n\n",
        [Event("a", event="story"), Event("b")],
    ),
    Rule("a name without data", b"event: story\n\ndata: b\n\n", [Event("b")]),
    Rule("an id", b"id: 1\ndata: a\n\n", [Event("a", id="1")], "1"),
    Rule(
        "an id holds on",
        b"id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: c\n\n",
        [Event("a", id="1"), Event("b", id="1"), Event("c", id="2")],
        "2",
    ),
    Rule("the last id holds", b"id: 1\nid: 2\ndata: a\n\n", [Event("a", id="2")], "2"),
    Rule(
        "an empty id unsets it",
        b"id: 1\ndata: a\n\nid\ndata: b\n\n",
        [Event("a", id="1"), Event("b", id="")],
    ),
    Rule("an id without data", b"id: 1\n\ndata: a\n\n", [Event("a", id="1")], "1"),
    Rule("an id and the end", b"data: a\n\nid: 1\n\n", [Event("a")], "1"),
    Rule(
        "an id with a NUL",
        b"id: 1\ndata: a\n\nid: 2\0\ndata: b\n\n",
        [Event("a", id="1"), Event("b", id="1")],
        "1",
    ),
    Rule("an id after the data", b"data: a\nid: 1\n\n", [Event("a", id="1")], "1"),
    Rule(
        "an id of text",
        "id: \u017c \U0001f600\ndata: a\n\n".encode(),
        [Event("a", id="\u017c \U0001f600")],
        "\u017c \U0001f600",
    ),
    Rule("an event that has not ended", b"data: a\n\ndata: b\n", [Event("a")]),
    Rule("a line that has not ended", b"data: a\n\ndata: b", [Event("a")]),
    Rule(
        "an id that has not ended",
        b"id: 1\ndata: a\n\nid: 2\ndata: b\n",
        [Event("a", id="1")],
        "1",
    ),
    Rule("a blank line is enough", b"data: a\r\r", [Event("a")]),
    Rule("retry", b"retry: 10\ndata: a\n\n", [Event("a", retry_ms=10)], retry_ms=10),
    Rule("retry holds at once", b"retry: 10\n", [], retry_ms=10),
    Rule("the last retry holds", b"retry: 9\nretry: 10\n\ndata: a\n\n", [Event("a")], retry_ms=10),
    Rule("zeros before a retry", b"retry: %b10\n\n" % (b"0" * 5000), [], retry_ms=10),
    Rule("a retry of zero", b"retry: 0\ndata: a\n\n", [Event("a", retry_ms=0)], retry_ms=0),
    Rule(
        "a retry of digits only",
        "retry\nretry:\nretry: 1.5\nretry: -1\nretry: +1\nretry: 1 \nretry:  1\nretry: 1_0\n"
        "retry: 0x1\nretry: \u0661\nretry: 1a\n\n".encode(),
        [],
    ),
    Rule(
        "characters of several bytes",
        "data: \u017c\u20ac\U0001f600\n\n".encode(),
        [Event("\u017c\u20ac\U0001f600")],
    ),
    Rule("what is no UTF-8", b"data: \xff\xfea\xc0\xaf\n\n", [Event("\ufffd\ufffda\ufffd\ufffd")]),
    Rule("surrogates", b"data: \xed\xa0\x80\n\n", [Event("\ufffd\ufffd\ufffd")]),
    Rule("what breaks off", b"data: \xe2\x82\ndata: \xf0\x9f\x98a\n\n", [Event("\ufffd\n\ufffda")]),
    Rule("what is too high", b"data: \xf4\x90\x80\x80\n\n", [Event("\ufffd" * 4)]),
    Rule("what is too long", b"data: \xf0\x80\x80\x80\n\n", [Event("\ufffd" * 4)]),
    Rule(
        "NUL in a name is of the name",
        b"data\0: a\n\0data: b\nid\0: 1\nda-ta: c\ndata_d\ndata: e\n\n",
        [Event("e")],
    ),
    Rule("a long comment", b":%b\ndata: a\n\n" % (b"x" * 10_000), [Event("a")]),
    Rule("an empty retry in an event", b"retry\ndata: a\n\n", [Event("a")]),
    Rule("an empty id at the start", b"id\ndata: a\n\n", [Event("a", id="")]),
    Rule("no UTF-8 in a name", b"dat\xe1: a\n\xffdata: b\ndata\xff: c\n\n", []),
]
"""
One row for each rule.
"""
