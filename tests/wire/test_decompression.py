"""
Content codings: any split decodes to the same bytes, and no piece is large.
"""

import gzip
import sys
import tracemalloc
import zlib
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any
from unittest import mock

import brotli
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.strategies import pieces
from twistream import DecodeError
from twistream.wire import decompression
from twistream.wire.decompression import PIECE, Decompressor, supported


def raw_deflate(data: bytes) -> bytes:
    coder = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return coder.compress(data) + coder.flush()


def zstd_flushed(data: bytes) -> bytes:
    """
    A part of a frame that a client can decode.
    """
    if STANDARD:
        coder = ZSTD.ZstdCompressor()
        return bytes(coder.compress(data, coder.FLUSH_BLOCK))
    coder = ZSTD.ZstdCompressor().compressobj()
    return bytes(coder.compress(data) + coder.flush(ZSTD.COMPRESSOBJ_FLUSH_BLOCK))


STANDARD = sys.version_info >= (3, 14)
ZSTD: Any = import_module("compression.zstd" if STANDARD else "zstandard")

ENCODERS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", brotli.compress),
    ("zstd", ZSTD.compress),
]


def decoded(codings: Sequence[str], fed: list[bytes]) -> tuple[bytes, bool]:
    """
    The body, and whether it was complete.
    """
    decoder = Decompressor(codings)
    parts = []
    for piece in fed:
        decoder.feed(piece)
        while part := decoder.read():
            assert len(part) <= PIECE
            parts.append(part)
    return b"".join(parts), decoder.is_complete


class CodingTests(SynchronousTestCase):
    """
    Each coding.
    """

    @given(st.sampled_from(ENCODERS), st.binary(max_size=300), st.data())
    def test_any_split(
        self, coding: tuple[str, Callable[[bytes], bytes]], body: bytes, data: st.DataObject
    ) -> None:
        name, encode = coding
        fed = data.draw(pieces(st.just(encode(body * 9))))
        self.assertEqual(decoded([name], fed), (body * 9, True))

    def test_codings_are_undone_in_reverse(self) -> None:
        body = bytes(range(256)) * 1000
        coded = brotli.compress(zlib.compress(gzip.compress(body)))
        fed = [coded[i : i + 7] for i in range(0, len(coded), 7)]
        self.assertEqual(decoded(["gzip", "identity", "deflate", "br"], fed), (body, True))

    def test_a_flushed_part_is_decoded_at_once(self) -> None:
        gzipper = zlib.compressobj(wbits=31)
        squeezer = brotli.Compressor()
        for name, part in [
            ("gzip", gzipper.compress(b"abc") + gzipper.flush(zlib.Z_SYNC_FLUSH)),
            ("br", squeezer.process(b"abc") + squeezer.flush()),
            ("zstd", zstd_flushed(b"abc")),
        ]:
            self.assertEqual(decoded([name], [part]), (b"abc", False), name)

    def test_a_body_that_breaks_off_is_not_complete(self) -> None:
        for name, encode in ENCODERS:
            coded = encode(b"abc" * 100)
            for end in range(1, len(coded)):
                self.assertFalse(decoded([name], [coded[:end]])[1], (name, end))

    def test_an_empty_body_is_complete(self) -> None:
        for name, _ in ENCODERS:
            self.assertEqual(decoded([name], []), (b"", True))

    def test_several_members(self) -> None:
        for name, encode in (("gzip", gzip.compress), ("zstd", ZSTD.compress)):
            coded = encode(b"ab") + encode(b"") + encode(b"c")
            self.assertEqual(decoded([name], [coded]), (b"abc", True), name)
            single = [coded[i : i + 1] for i in range(len(coded))]
            self.assertEqual(decoded([name], single), (b"abc", True), name)
            self.assertFalse(decoded([name], [coded[:-1]])[1])

    def test_zeros_may_follow_gzip(self) -> None:
        self.assertEqual(decoded(["gzip"], [gzip.compress(b"a") + bytes(9)]), (b"a", True))

    def test_other_data_after_the_end_is_an_error(self) -> None:
        for name, encode in ENCODERS:
            with self.assertRaisesRegex(DecodeError, name):
                decoded([name], [encode(b"a"), b"more"])

    def test_no_coding(self) -> None:
        for name, _ in ENCODERS:
            with self.assertRaisesRegex(DecodeError, f"content coding '{name}'"):
                decoded([name], [b"\xff\xee this is something else" * 20])

    def test_a_bomb_expands_piece_by_piece(self) -> None:
        size = 2**26
        for name, encode in ENCODERS:
            coded = encode(bytes(size))
            decoder = Decompressor([name])
            tracemalloc.start()
            try:
                decoder.feed(coded)
                count = 0
                while part := decoder.read():
                    count += len(part)
                    self.assertLessEqual(len(part), PIECE)
                _, peak = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            self.assertEqual((count, decoder.is_complete), (size, True), name)
            self.assertLess(peak, 2**23, name)

    def test_a_bomb_of_zstd_blocks(self) -> None:
        # Each block of 4 bytes repeats one byte 128 KiB times (RFC 8878 3.1.1.2).
        block = (2**17 << 3 | 1 << 1).to_bytes(3, "little") + b"a"
        last = (2**17 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"a"
        frame = b"\x28\xb5\x2f\xfd\x00\x58" + block * 999 + last
        decoder = Decompressor(["zstd"])
        decoder.feed(frame)
        tracemalloc.start()
        try:
            count = 0
            while part := decoder.read():
                count += len(part)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertEqual((count, decoder.is_complete), (1000 * 2**17, True))
        self.assertLess(peak, 2**23)


class NameTests(SynchronousTestCase):
    """
    Names of codings, and the packages that they need.
    """

    def test_without_a_coding_it_is_false(self) -> None:
        self.assertFalse(Decompressor([]))
        self.assertFalse(Decompressor(["identity"]))
        self.assertTrue(Decompressor(["gzip"]))

    def test_an_unknown_coding(self) -> None:
        with self.assertRaisesRegex(DecodeError, "'compress' is unknown"):
            Decompressor(["gzip", "compress"])

    def test_too_many_codings(self) -> None:
        Decompressor(["gzip"] * 4)
        with self.assertRaisesRegex(DecodeError, "more than 4"):
            Decompressor(["gzip"] * 5)

    def test_a_missing_package_is_named(self) -> None:
        with mock.patch.object(decompression, "found", return_value=None):
            self.assertEqual(supported(), ["gzip", "deflate"])
            for name, package in (("br", "brotli"), ("zstd", "zstandard")):
                with self.assertRaisesRegex(ImportError, package) as caught:
                    Decompressor([name])
                self.assertIn("pip install 'twistream[compression]'", str(caught.exception))
        self.assertEqual(supported(), ["gzip", "deflate", "br", "zstd"])

    def test_a_brotli_without_limits_is_refused(self) -> None:
        class Old:
            class Decompressor:
                pass

        with (
            mock.patch.object(decompression, "found", return_value=Old),
            self.assertRaisesRegex(ImportError, r"brotli>=1\.2"),
        ):
            Decompressor(["br"])
