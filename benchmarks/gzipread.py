"""
One long compressed response, read and decoded by a client that keeps up.

How many events share a flush is up to the server. All events are different, as those of real
streams are, so that there is something to compress.
"""

import time
import zlib
from collections.abc import Callable
from contextlib import closing
from typing import Final

from benchmarks.client import Client
from benchmarks.machine import NotMeasuredError
from benchmarks.message import TRADES
from benchmarks.processes import ServerProcess, using

_ENDLESS: Final = 10**12  # events
_PERIOD: Final = b"".join(TRADES)
_EXPECTED: Final = _PERIOD * 8  # more than one chunk holds

clock = time.perf_counter


class Reader:
    """
    Decodes the chunks of a response that repeats `TRADES`, and compares every byte.

    Attributes:
        chunks: The number of chunks so far.
        decoded: The number of bytes so far, decoded.
        received: The number of bytes of the body so far, without the framing.
    """

    def __init__(self, client: Client, coding: str = "gzip") -> None:
        self._client = client
        self._decode = decoder(coding)
        self.chunks = self.decoded = self.received = 0

    def read_chunk(self) -> None:
        """
        Read one chunk. It must end with an event.
        """
        chunk = self._client.take_chunk()
        data = self._decode(chunk)
        at = self.decoded % len(_PERIOD)
        if not data.endswith(b"\n\n") or not _EXPECTED.startswith(data, at):
            msg = f"a chunk holds {data[:100]!r}, which are not whole events"
            raise NotMeasuredError(msg)
        self.chunks += 1
        self.decoded += len(data)
        self.received += len(chunk)

    @property
    def events(self) -> float:
        """
        The number of events so far.
        """
        return self.decoded / len(_PERIOD) * len(TRADES)


def decoder(coding: str) -> Callable[[bytes], bytes]:
    """
    A function that decodes the parts of a body.
    """
    if coding == "br":
        import brotli  # noqa: PLC0415 - only for this coding

        decode: Callable[[bytes], bytes] = brotli.Decompressor().process
        return decode
    if coding == "zstd":
        import zstandard  # noqa: PLC0415 - only for this coding

        return zstandard.ZstdDecompressor().decompressobj().decompress
    if coding == "identity":
        return bytes
    return zlib.decompressobj({"gzip": 31, "deflate": 15}[coding]).decompress


def measure(process: ServerProcess, *seconds: float) -> dict[str, float]:
    """
    Read the middle of a response that never ends. Only the last of the times counts.
    """
    with closing(Client(process)) as client:
        client.get(f"/gzip?n={_ENDLESS}", accept_encoding="gzip")
        reader = Reader(client)
        for time_to_read in seconds:
            events, received, chunks = reader.events, reader.received, reader.chunks
            end = clock() + time_to_read
            with using(process) as use:
                reader.read_chunk()
                while clock() < end:
                    reader.read_chunk()
            events = reader.events - events
    values = {"CPU, microseconds": use.server / events * 1e6, "events/s": events / use.seconds}
    values["bytes for an event"] = (reader.received - received) / events
    values["events in a flush"] = events / (reader.chunks - chunks)
    return values | use.shares()
