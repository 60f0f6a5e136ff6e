"""
Content codings: what is negotiated, and what the coders write.
"""

import subprocess
import sys
import zlib
from itertools import pairwise
from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.decoders import decoded, decoder
from twistream import Compression
from twistream.wire import compression
from twistream.wire.accept import Choice, choose_coding
from twistream.wire.compression import CODINGS

RANGES = {
    "gzip": ((0, 9), (9, 15)),
    "deflate": ((0, 9), (9, 15)),
    "zstd": ((1, 22), (10, 23)),
    "br": ((0, 11), (10, 24)),
}
"""
The levels and the windows of each coding, as documented.
"""

EVENT = b'id: %d\nevent: trade\ndata: {"symbol":"ABC","price":%d.5,"time":"12:00:%02d"}\n\n'


PIECES = st.lists(
    st.tuples(
        st.binary(max_size=200)
        | st.integers(0, 99).map(lambda n: EVENT % (n, n, n % 60))
        | st.binary(min_size=1, max_size=4).map(lambda part: part * 3000),
        st.booleans(),
    ),
    max_size=12,
)
"""
Pieces of a body, and whether each is followed by a flush.
"""


class CoderTests(SynchronousTestCase):
    @given(st.sampled_from(CODINGS), PIECES, st.data())
    def test_after_each_flush_everything_can_be_decoded(
        self, coding: str, pieces: list[tuple[bytes, bool]], data: st.DataObject
    ) -> None:
        levels, windows = RANGES[coding]
        level = data.draw(st.none() | st.integers(levels[0], min(levels[1], 9)))
        window = data.draw(st.none() | st.integers(windows[0], 15))
        options = Compression(codings=[coding], level=level, window=window)
        coder, reader = options.coder(coding), decoder(coding)
        written = read = b""
        for piece, flushed in pieces:
            written += piece
            read += reader.feed(coder.compress(piece))
            self.assertTrue(written.startswith(read))
            if flushed:
                read += reader.feed(coder.flush())
                self.assertEqual(read, written)
                self.assertFalse(reader.complete)
        self.assertFalse(reader.complete)
        read += reader.feed(coder.finish())
        self.assertEqual(read, written)
        self.assertTrue(reader.complete)

    def test_all_levels_and_windows(self) -> None:
        body = b"".join(EVENT % (n, n * 7, n % 60) for n in range(100))
        for coding, limits in RANGES.items():
            for name, (least, most) in zip(("level", "window"), limits, strict=True):
                for size in (least, most):
                    options = Compression(codings=[coding], **{name: size})
                    coder = options.coder(coding)
                    data = coder.compress(body) + coder.flush() + coder.finish()
                    self.assertEqual(decoded(coding, data), body, (coding, name, size))
                for size in (least - 1, most + 1):
                    with self.assertRaises(ValueError) as caught:
                        Compression(codings=[coding], **{name: size})
                    says = f"{name} must be from {least} to {most} for {coding}, not {size}"
                    self.assertEqual(str(caught.exception), says)

    def test_one_window_covers_the_whole_body(self) -> None:
        # Without it, each of these random messages would take its whole size again.
        message = b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(100))
        for coding in CODINGS:
            coder = Compression(codings=[coding]).coder(coding)
            sizes = [len(coder.compress(message) + coder.flush()) for _ in range(4)]
            self.assertGreaterEqual(sizes[0], len(message), coding)
            for size in sizes[1:]:
                self.assertLess(size, len(message) / 4, coding)

    def test_the_window_is_the_one_that_was_given(self) -> None:
        # What repeats farther back than the window is not found.
        filling = b"".join(zlib.crc32(b"%d" % n).to_bytes(4, "big") for n in range(2000))
        message = filling[:400]
        for coding in CODINGS:
            small, large = (
                Compression(codings=[coding], window=window).coder(coding) for window in (10, 15)
            )
            sizes = []
            for coder in (small, large):
                coder.compress(filling)
                coder.flush()
                sizes.append(len(coder.compress(message) + coder.flush()))
            self.assertGreater(sizes[0], 400, coding)
            self.assertLess(sizes[1], 100, coding)

    def test_a_higher_level_makes_less(self) -> None:
        body = b"".join(EVENT % (n, n * n, n % 60) for n in range(500))
        for coding in CODINGS:
            sizes = []
            for level in (1, 9):
                coder = Compression(codings=[coding], level=level).coder(coding)
                sizes.append(len(coder.compress(body) + coder.finish()))
            self.assertTrue(all(more > less for more, less in pairwise(sizes)), (coding, sizes))


class OptionTests(SynchronousTestCase):
    def test_everything_that_is_installed_is_offered(self) -> None:
        self.assertEqual(Compression().codings, ("gzip", "zstd", "br", "deflate"))

    def test_the_order_of_codings_is_the_server_s_preference(self) -> None:
        options = Compression(codings=(name for name in ("br", "gzip", "br")))
        self.assertEqual(options.codings, ("br", "gzip"))
        self.assertEqual(choose_coding(b"gzip, br", options.codings), Choice("br", identity=True))

    def test_levels_and_windows_by_coding(self) -> None:
        body = b"".join(EVENT % (n, n * n, n % 60) for n in range(500))
        best = Compression(level={"gzip": 9}, window={"gzip": 15})
        usual, both = Compression(), Compression(level=9, window=15)

        def size(options: Compression, coding: str) -> int:
            coder = options.coder(coding)
            return len(coder.compress(body) + coder.finish())

        self.assertEqual(size(best, "gzip"), size(both, "gzip"))
        self.assertLess(size(best, "gzip"), size(usual, "gzip"))
        self.assertEqual(size(best, "br"), size(usual, "br"))

    def test_the_level_of_all_codings_has_to_fit_each(self) -> None:
        with self.assertRaises(ValueError) as caught:
            Compression(level=10)
        says = "level must be from 0 to 9 for gzip, not 10"
        self.assertEqual(str(caught.exception), says)
        Compression(codings=["zstd", "br"], level=10)

    def test_without_the_packages_only_gzip_and_deflate_are_offered(self) -> None:
        self.patch(compression, "found", lambda name: None)
        self.assertEqual(Compression().codings, ("gzip", "deflate"))
        for coding in ("br", "zstd"):
            with self.assertRaises(ImportError) as caught:
                Compression(codings=["gzip", coding])
            self.assertIn("pip install 'twistream[compression]'", str(caught.exception))
            self.assertIn(coding, str(caught.exception))
        with self.assertRaises(ValueError):
            Compression(level=0)  # Which options are refused does not depend on packages.

    def test_nothing_is_imported_before_it_is_needed(self) -> None:
        program = (
            "import sys, twistream; names = {'brotli', 'zstandard', 'compression.zstd'}\n"
            "assert not names & set(sys.modules)\n"
            "twistream.Compression(codings=['gzip'])\n"
            "assert not names & set(sys.modules)\n"
            "twistream.Compression()\n"
            "assert 'brotli' in sys.modules"
        )
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)

    def test_zstd_by_the_standard_library_of_python_3_14(self) -> None:
        calls: list[object] = []

        class Compressor:
            FLUSH_BLOCK, FLUSH_FRAME = "block", "frame"

            def __init__(self, options: dict[str, int]) -> None:
                calls.append(options)

            def compress(self, data: bytes) -> bytes:
                calls.append(data)
                return b""

            def flush(self, mode: str) -> bytes:
                calls.append(mode)
                return mode.encode()

        names = ("compression_level", "window_log", "hash_log", "chain_log")
        module = SimpleNamespace(
            ZstdCompressor=Compressor,
            CompressionParameter=SimpleNamespace(**{name: name for name in names}),
        )
        found = {"compression.zstd": module}
        self.patch(compression, "found", found.get)
        coder = Compression(codings=["zstd"], level=5, window=20).coder("zstd")
        self.assertEqual(
            (coder.compress(b"a"), coder.flush(), coder.finish()), (b"", b"block", b"frame")
        )
        options = dict(zip(names, (5, 20, 16, 16), strict=True))
        self.assertEqual(calls, [options, b"a", "block", "frame"])

    def test_zstd_of_the_standard_library_takes_precedence(self) -> None:
        expected = "_StandardZstd" if sys.version_info >= (3, 14) else "_Zstandard"
        coder = Compression(codings=["zstd"]).coder("zstd")
        self.assertEqual(type(coder).__name__, expected)
