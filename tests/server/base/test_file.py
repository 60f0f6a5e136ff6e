"""
A context as a file: writers of the standard library write a response.
"""

import bz2
import codecs
import csv
import gzip
import io
import json
import lzma
import os
import pickle
import shutil
import tarfile
import zipfile
from array import array
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any
from xml.etree import ElementTree as ET

from tests.harness import StreamTest
from twistream import ClientDisconnected, Context


class WriterTests(StreamTest):
    """
    Each writes a body, which is read back.
    """

    def written(self, write: Callable[[Any], object]) -> bytes:
        def handler(ctx: Context) -> None:
            write(ctx)

        response = self.answer(handler)
        self.assertTrue(response.complete)
        return response.body

    def test_text(self) -> None:
        def write(ctx: Any) -> None:
            text = io.TextIOWrapper(ctx, "utf-8", newline="\r\n")
            text.write("grün\n")
            csv.writer(text).writerow([1, "a,b"])
            json.dump({"a": 1}, text)
            print("!", file=text)
            text.close()
            print("after", file=ctx)

        expected = 'grün\r\n1,"a,b"\r\r\n{"a": 1}!\r\nafter\n'
        self.assertEqual(self.written(write).decode(), expected)

    def test_a_wrapper_that_is_dropped_flushes(self) -> None:
        self.assertEqual(self.written(lambda ctx: io.TextIOWrapper(ctx).write("x") and None), b"x")

    def test_archives(self) -> None:
        def zipped(ctx: Any) -> None:
            with zipfile.ZipFile(ctx, "w", zipfile.ZIP_DEFLATED) as archive:
                archive.writestr("a.txt", "x" * 50_000)

        def tarred(ctx: Any) -> None:
            with tarfile.open(mode="w|", fileobj=ctx) as archive:
                info = tarfile.TarInfo("a.txt")
                info.size = 50_000
                archive.addfile(info, io.BytesIO(b"x" * 50_000))

        def packed(ctx: Any) -> None:
            with gzip.GzipFile(fileobj=ctx, mode="wb") as file:
                file.write(b"x" * 50_000)

        with zipfile.ZipFile(io.BytesIO(self.written(zipped))) as archive:
            self.assertEqual(archive.read("a.txt"), b"x" * 50_000)
        with tarfile.open(fileobj=io.BytesIO(self.written(tarred))) as tar:
            file = tar.extractfile("a.txt")
            assert file is not None
            self.assertEqual(file.read(), b"x" * 50_000)
        self.assertEqual(gzip.decompress(self.written(packed)), b"x" * 50_000)

    def test_bytes(self) -> None:
        def write(ctx: Any) -> None:
            shutil.copyfileobj(io.BytesIO(b"a" * 100_000), ctx)
            ctx.writelines([b"b", b"c"])
            buffered = io.BufferedWriter(ctx)
            buffered.write(b"d")
            buffered.flush()
            buffered.detach()

        self.assertEqual(self.written(write), b"a" * 100_000 + b"bcd")

    def test_other_compressors_and_writers(self) -> None:
        def packed(ctx: Any) -> None:
            for open_file in (bz2.open, lzma.open, gzip.open):
                with open_file(ctx, "wb") as file:
                    file.write(b"x" * 50_000)

        def others(ctx: Any) -> None:
            codecs.getwriter("utf-8")(ctx).write("\xe4")
            pickle.dump([1, 2], ctx)
            array("B", b"ab").tofile(ctx)
            ET.ElementTree(ET.Element("a")).write(ctx)
            with redirect_stdout(ctx):
                print("printed", end="", flush=True)  # noqa: T201 - what is tested

        data = self.written(packed)
        unpack = bz2.BZ2Decompressor()
        self.assertEqual(unpack.decompress(data), b"x" * 50_000)
        unlzma = lzma.LZMADecompressor()
        self.assertEqual(unlzma.decompress(unpack.unused_data), b"x" * 50_000)
        self.assertEqual(gzip.decompress(unlzma.unused_data), b"x" * 50_000)
        pickled = pickle.dumps([1, 2])
        self.assertEqual(self.written(others), b"\xc3\xa4" + pickled + b"ab<a />printed")

    def test_streams_of_tar_files(self) -> None:
        for compression in ("gz", "bz2", "xz"):

            def write(ctx: Any, mode: Any = f"w|{compression}") -> None:
                with tarfile.open(mode=mode, fileobj=ctx) as archive:
                    archive.addfile(tarfile.TarInfo("empty.txt"))

            with tarfile.open(fileobj=io.BytesIO(self.written(write))) as tar:
                self.assertEqual(tar.getnames(), ["empty.txt"])

    def test_an_archive_that_fails_is_never_complete(self) -> None:
        def zipped(ctx: Any) -> None:
            with zipfile.ZipFile(ctx, "w") as archive:
                archive.writestr("a.txt", "x")  # It flushes.
                raise KeyError

        def packed(ctx: Any) -> None:
            with gzip.GzipFile(fileobj=ctx, mode="wb") as file:
                file.write(b"x")
                raise KeyError

        for handler, status in ((zipped, 200), (packed, 500)):
            response = self.answer(handler)
            self.assertEqual((response.status, response.truncated), (status, status == 200))
            self.logged(KeyError)

    def test_after_an_early_end_a_wrapper_raises_the_reason(self) -> None:
        seen: list[type[BaseException]] = []

        async def handler(ctx: Any) -> None:
            text, packed = io.TextIOWrapper(ctx), gzip.GzipFile(fileobj=ctx, mode="wb")
            await ctx.flush()
            try:
                await ctx.sleep(1)
            finally:
                for write in (
                    lambda: text.write("x" * 10_000),
                    packed.close,
                    lambda: ctx.write("x"),
                ):
                    try:
                        write()
                    except Exception as err:
                        seen.append(type(err))

        self.get(handler).disconnect()
        self.assertEqual(seen, [ClientDisconnected] * 3)

    def test_a_client_that_leaves_in_the_middle_of_an_archive_is_not_logged(self) -> None:
        async def zipped(ctx: Any) -> None:
            with zipfile.ZipFile(ctx, "w") as archive:
                archive.writestr("a.txt", "x")
                await ctx.flush()
                await ctx.sleep(1)

        async def text(ctx: Any) -> None:
            with io.TextIOWrapper(ctx) as file:
                file.write("x")
                await ctx.flush()
                await ctx.sleep(1)

        for handler in (zipped, text):
            self.get(handler).disconnect()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_head_of_a_file_is_answered_without_a_word_in_the_log(self) -> None:
        def text(ctx: Any) -> None:
            with io.TextIOWrapper(ctx) as file:
                for _ in range(100):
                    file.write("x" * 1000)

        def flushed(ctx: Any) -> None:
            for _ in range(2):
                print("x", file=ctx, flush=True)

        def archive(ctx: Any) -> None:
            with zipfile.ZipFile(ctx, "w") as file:
                file.writestr("a.txt", "x" * 100_000)

        def packed(ctx: Any) -> None:
            with gzip.GzipFile(fileobj=ctx, mode="wb") as file:
                file.write(os.urandom(100_000))
                file.flush()
                file.write(os.urandom(100_000))

        for handler in (text, flushed, archive, packed):
            self.assert_complete(self.answer(handler, "HEAD"), b"")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_what_a_file_says_of_itself(self) -> None:
        async def handler(ctx: Context) -> None:
            self.context = ctx
            can = (ctx.writable(), ctx.readable(), ctx.seekable(), ctx.isatty(), ctx.closed)
            self.assertEqual(can, (True, False, False, False, False))
            self.assertEqual(ctx.name, "")
            for refused in (
                ctx.tell,
                ctx.fileno,
                ctx.read,
                lambda: ctx.seek(0),
                lambda: ctx.truncate(0),
            ):
                self.assertRaises(io.UnsupportedOperation, refused)
            ctx.close()
            with ctx as file:
                file.write(b"goes ")
            ctx.write("on")

        self.assert_complete(self.answer(handler), b"goes on")
        self.assertTrue(self.context.closed)
