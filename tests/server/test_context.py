"""
What a handler writes, in which formats, and what it logs.
"""

import csv
from array import array

from tests.harness import Client, StreamTest
from twistream import (
    Context,
    EncodeError,
)


class WriteTests(StreamTest):
    """
    What may be written, and what is sent.
    """

    def test_text_and_everything_bytes_like(self) -> None:
        counts: list[int] = []

        def handler(ctx: Context) -> None:
            buffer = bytearray(b"array")
            counts.extend(
                (
                    ctx.write("zażółć "),
                    ctx.write(b"bytes "),
                    ctx.write(buffer),
                    ctx.write(memoryview(b"-view-")[::2]),
                    ctx.write(array("H", [0x4141])),  # type: ignore[arg-type]  # wrong on purpose
                    ctx.write(""),
                )
            )
            buffer[:] = b"later"

        self.assertEqual(self.get(handler).read(), "zażółć bytes array-iwAA".encode())
        self.assertEqual(counts, [11, 6, 5, 3, 2, 0])

    def test_text_that_utf_8_cannot_encode_is_an_encode_error(self) -> None:
        def handler(ctx: Context) -> None:
            self.assertRaises(EncodeError, ctx.write, "\ud800")

        self.assertEqual(self.get(handler).read(), b"")

    def test_any_other_type_is_a_type_error(self) -> None:
        def handler(ctx: Context) -> None:
            for wrong in ({}, None, 1, 1.5, ["x"], object()):
                with self.assertRaises(TypeError) as caught:
                    ctx.write(wrong)  # type: ignore[arg-type]  # wrong on purpose
                self.assertIn(type(wrong).__name__, str(caught.exception))

        self.assertEqual(self.get(handler).read(), b"")

    def test_writef_formats_as_logging_does(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.writef("%d of %s, ", 1, "two")
            ctx.writef("100%")
            with self.assertRaises(TypeError):
                ctx.writef("%d", "x")

        self.assertEqual(self.get(handler).read(), b"1 of two, 100%")

    def test_print_and_csv_accept_it_as_a_file(self) -> None:
        def handler(ctx: Context) -> None:
            print("a", 1, file=ctx, flush=True)
            csv.writer(ctx).writerow(["b", 2])

        self.assertEqual(self.get(handler).read(), b"a 1\nb,2\r\n")

    def test_the_formats_set_their_type_if_none_is_set(self) -> None:
        for method, value, media_type, body in (
            ("text", "<b>", "text/plain; charset=utf-8", b"<b>"),
            ("html", "<b>", "text/html; charset=utf-8", b"<b>"),
            ("json", {"a": [1, None]}, "application/json", b'{"a":[1,null]}'),
            ("json_line", [1], "application/jsonl", b"[1]\n"),
            ("binary", b"\0\1", "application/octet-stream", b"\0\1"),
        ):
            for preset in (None, "x/y"):

                def handler(
                    ctx: Context,
                    method: str = method,
                    value: object = value,
                    preset: str | None = preset,
                ) -> None:
                    if preset:
                        ctx.content_type(preset)
                    getattr(ctx, method)(value)

                response = self.answer(handler)
                self.assertEqual(response.header("Content-Type"), preset or media_type)
                self.assert_complete(response, body)

    def test_json_line_is_flushed(self) -> None:
        async def handler(ctx: Context) -> None:
            for number in (1, 2):
                await ctx.json_line({"number": number})
                await ctx.sleep(1)

        client = self.get(handler)
        self.assertEqual(client.read(), b'{"number":1}\n')
        client.clock.advance(1)
        self.assertEqual(client.read(), b'{"number":2}\n')

    def test_a_value_that_json_cannot_represent_writes_nothing(self) -> None:
        def handler(ctx: Context) -> str:
            for wrong in (object(), {"a": float("nan")}, [float("inf")]):
                with self.assertRaises(EncodeError):
                    ctx.json(wrong)
                with self.assertRaises(EncodeError):
                    ctx.json_line(wrong)
            with self.assertRaises(EncodeError):
                ctx.text(1)  # type: ignore[arg-type]  # wrong on purpose
            with self.assertRaises(TypeError):
                ctx.binary("text")  # type: ignore[arg-type]  # wrong on purpose
            return "fine"

        response = self.answer(handler)
        self.assertEqual(response.header("Content-Type"), "text/plain; charset=utf-8")
        self.assert_complete(response, b"fine")


class LogTests(StreamTest):
    """
    The context's logger names the context.
    """

    def test_events_have_the_context_as_their_source(self) -> None:
        events = self.log_events()

        def handler(ctx: Context) -> None:
            ctx.log.info("hello {name}", name="x")
            self.assertIs(ctx.log, ctx.log)
            self.assertEqual(repr(ctx), "<Context GET / HEAD, 0 bytes written, 0 waiting>")
            self.context = ctx

        self.get(handler)
        (event,) = [event for event in events if event.get("name") == "x"]
        self.assertIs(event["log_source"], self.context)

    def test_a_disconnect_is_logged_once_at_debug(self) -> None:
        events = self.log_events()

        async def handler(ctx: Context) -> None:
            await ctx.sleep(1)

        client: Client = self.get(handler)
        events.clear()
        client.disconnect()
        mine = [e for e in events if e["log_namespace"].startswith("twistream")]
        self.assertEqual([e["log_level"].name for e in mine], ["debug"])
