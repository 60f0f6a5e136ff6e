"""
What a handler reads from the request.
"""

from typing import assert_type

from tests.harness import StreamTest
from twistream import Context


class QueryTests(StreamTest):
    def test_it_returns_the_first_value_all_values_or_the_default(self) -> None:
        def handler(ctx: Context) -> None:
            assert_type(ctx.query("a"), str | None)
            assert_type(ctx.query("a", ""), str)
            assert_type(ctx.query("a", 5), str | int)
            ctx.json(
                [
                    ctx.query("a"),
                    ctx.queries("a"),
                    ctx.query("flag"),
                    ctx.query("none"),
                    ctx.query("none", "default"),
                    ctx.query("none", 5),
                    ctx.queries("none"),
                ]
            )

        response = self.start(handler, path="/x?a=1+2&flag&a=%C5%BC").receive()
        self.assert_complete(response, '["1 2",["1 2","ż"],"",null,"default",5,[]]'.encode())

    def test_without_a_query_there_is_nothing(self) -> None:
        for path in ("/", "/?", "/a=1"):
            response = self.start(lambda ctx: ctx.json(ctx.queries("a")), path=path).receive()
            self.assert_complete(response, b"[]")

    def test_what_cannot_be_decoded_is_a_400_if_it_is_read(self) -> None:
        client = self.start(lambda ctx: ctx.query("a"), path="/?a=%FF")
        self.assert_complete(
            client.receive(), b"400 Bad Request\nThe query parameter a must be UTF-8.\n", 400
        )
        client.request(path="/?b=%FF&a=1")
        self.assert_complete(client.receive(), b"1")
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_a_query_has_a_limit(self) -> None:
        client = self.start(lambda ctx: ctx.query("a"), path="/?" + "&" * 1000)
        self.assertEqual(client.receive().status, 400)
        client.request(path="/?" + "&" * 998 + "a=1")
        self.assert_complete(client.receive(), b"1")


class CookieTests(StreamTest):
    def test_they_are_a_mapping(self) -> None:
        def handler(ctx: Context) -> None:
            ctx.json([ctx.cookies["theme"], ctx.cookies.get("none", "?"), dict(ctx.cookies)])

        response = self.answer(
            handler, headers=[("Cookie", 'theme="dark"; a=1'), ("Cookie", "a=2; b=3")]
        )
        self.assert_complete(response, b'["dark","?",{"theme":"dark","a":"1","b":"3"}]')

    def test_without_the_header_there_are_none(self) -> None:
        self.assert_complete(self.answer(lambda ctx: ctx.json(dict(ctx.cookies))), b"{}")

    def test_a_cookie_that_is_not_utf_8_is_a_400_if_it_is_read(self) -> None:
        bad = {"Cookie": b"a=\xff; b=1"}
        response = self.answer(lambda ctx: ctx.cookies["a"], headers=bad)
        self.assert_complete(response, b"400 Bad Request\nThe cookie a must be UTF-8.\n", 400)
        self.assert_complete(self.answer(lambda ctx: ctx.cookies["b"], headers=bad), b"1")
        self.assertEqual(self.flushLoggedErrors(), [])
