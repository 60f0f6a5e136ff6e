"""
What Hypothesis may try.
"""

from hypothesis import strategies as st

from twistream import ServerSentEvent
from twistream.wire.sse import MAX_RETRY_MS
from twistream.wire.trailers import REFUSED

TEXTS = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\r\n\0\v\x85\u2028 :"))
"""
Texts that UTF-8 can hold, many with what may be taken for the end of a line.
"""

LINES = TEXTS.map(lambda text: text.translate(dict.fromkeys(map(ord, "\r\n\0"))))
"""
Texts for the fields that hold but one line.
"""

EVENTS = st.builds(
    ServerSentEvent,
    data=TEXTS,
    event=st.none() | LINES,
    id=st.none() | LINES,
    retry_ms=st.none() | st.integers(0, MAX_RETRY_MS),
    comment=st.none() | TEXTS,
)
"""
Events that a reader shows.
"""


TRAILERS = st.lists(
    st.tuples(
        st.text(
            "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
            min_size=1,
            max_size=20,
        ).filter(lambda name: name.lower().encode() not in REFUSED),
        st.lists(
            st.sampled_from(
                [b"\t", b" ", b":", *(bytes([c]) for c in (*range(33, 127), *range(128, 256)))]
            )
        ).map(lambda parts: b"".join(parts).strip(b" \t")),
    ),
    max_size=8,
)
"""
Names and values of fields that may follow a body, with every character that HTTP allows (RFC 9110 5).
"""


def _joined(*parts: bytes) -> st.SearchStrategy[bytes]:
    return st.lists(st.sampled_from(parts), max_size=40).map(b"".join)


LINE_STREAMS = _joined(b"\n", b"\r", b"\r\n", b"a", b"bcd", b"\0", b"\v", b"\x85")
"""
Streams of short lines with all ends.
"""

EVENT_STREAMS = st.binary(max_size=60) | _joined(
    *(b"\n", b"\r", b"\r\n", b"\n\n", b"\n\n", b"data", b"data: ", b"event:", b"id", b"id:"),
    *(b"retry: ", b":", b" ", b"a", b"1", b"0", b"\0", b"\xef\xbb\xbf", b"\xe2\x82", b"\xff"),
    *(b"\xac", "\u017c".encode(), b"foo: ", b"DATA: ", b"\v", b"9" * 30),
)
"""
Event streams, or nearly so.
"""


@st.composite
def pieces(draw: st.DrawFn, streams: st.SearchStrategy[bytes]) -> list[bytes]:
    """
    A stream that is cut somewhere: its pieces, of which some may be empty.
    """
    stream = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]


_SEGMENTS = st.sampled_from(["a", "b", "aa", "é"])

TOPICS = st.lists(_SEGMENTS, min_size=1, max_size=4).map("/".join)
"""
Topics of few segments, so that patterns often match them.
"""

PATTERNS = st.builds(
    lambda segments, rest: "/".join([*segments, *rest]),
    st.lists(_SEGMENTS | st.just("*"), min_size=1, max_size=4),
    st.sampled_from([[], [], ["#"]]),
) | st.just("#")
"""
Patterns of few segments.
"""

PRODUCER_STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.sampled_from([0, 1, 100, 16_384, 16_385, 70_000])),
        st.sampled_from([("pause", 0), ("resume", 0), ("turn", 0), ("follow", 0)]),
    ),
    max_size=40,
)
"""
What a producer, its client and the reactor do, in turns.
"""
