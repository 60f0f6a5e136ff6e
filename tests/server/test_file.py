"""
A context as a file: writers of the standard library write a response.
"""

import csv
import gzip
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

from tests.harness import StreamTest
from twistream import Context


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

    def test_what_a_file_says_of_itself(self) -> None:
        async def handler(ctx: Context) -> None:
            self.context = ctx
            can = (ctx.writable(), ctx.readable(), ctx.seekable(), ctx.isatty(), ctx.closed)
            self.assertEqual(can, (True, False, False, False, False))
            for refused in (ctx.tell, ctx.fileno, lambda: ctx.seek(0)):
                self.assertRaises(io.UnsupportedOperation, refused)
            ctx.close()
            ctx.write("goes on")

        self.assert_complete(self.answer(handler), b"goes on")
        self.assertTrue(self.context.closed)
