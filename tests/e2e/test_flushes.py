"""
Any sequence of writes and flushes, over a real connection.
"""

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pytest_twisted import ensureDeferred

from tests.e2e.net import Server, serving
from tests.harness import Response
from twistream import Context

DATA = st.one_of(
    st.binary(max_size=40),
    st.text(max_size=20),
    # Past the size at which a buffer goes out by itself, and past what one send takes.
    st.integers(1, 200_000).map(lambda size: b"x" * size),
)
FLUSH = None
STEPS = st.lists(st.one_of(DATA, st.just(FLUSH)), max_size=25)


def encoded(step: bytes | str) -> bytes:
    return step.encode() if isinstance(step, str) else step


def boundaries(pieces: list[bytes]) -> set[int]:
    """
    The offsets in a body at which its pieces end.
    """
    ends, end = set(), 0
    for piece in pieces:
        end += len(piece)
        ends.add(end)
    return ends


async def fetched(server: Server, version: bytes) -> Response:
    client = await server.get(b"GET / HTTP/%b\r\nConnection: close\r\n\r\n" % version)
    await client.end()
    return client.response()


@settings(max_examples=150, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, awaits=st.booleans(), version=st.sampled_from([b"1.1", b"1.0"]))
@ensureDeferred
async def test_the_body_is_what_was_written_with_a_boundary_at_each_flush(
    steps: list[bytes | str | None], awaits: bool, version: bytes
) -> None:
    async def handler(ctx: Context) -> None:
        for step in steps:
            if step is not FLUSH:
                ctx.write(step)
            elif awaits:
                await ctx.flush()
            else:
                ctx.flush()

    async with serving(handler) as server:
        response = await fetched(server, version)
    assert response.complete
    assert response.body == b"".join(encoded(step) for step in steps if step is not FLUSH)
    if response.header("Transfer-Encoding") is None:
        return
    assert response.header("Transfer-Encoding") == "chunked"
    assert b"".join(response.chunks) == response.body
    assert all(response.chunks)
    flushed_at, written = set(), 0
    for step in steps:
        if step is not FLUSH:
            written += len(encoded(step))
        elif written:
            flushed_at.add(written)
    assert flushed_at <= boundaries(response.chunks)
