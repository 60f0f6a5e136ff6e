"""
The page's files and how they are served.
"""

import re
from typing import ClassVar

from twisted.python.filepath import FilePath
from twisted.web.resource import IResource, Resource
from zope.interface.verify import verifyObject

import twistream.demo
from tests.demo.served import DemoTest
from tests.glue import Connection
from twistream.demo import make_root

FILES = FilePath(twistream.demo.__file__).sibling("static")


class PageTests(DemoTest):
    """
    / and the files that it loads
    """

    TYPES: ClassVar = {
        "/": ("index.html", "text/html; charset=utf-8"),
        "/demo.css": ("demo.css", "text/css; charset=utf-8"),
        "/demo.js": ("demo.js", "text/javascript; charset=utf-8"),
        "/icon.svg": ("icon.svg", "image/svg+xml"),
    }

    def test_each_file_is_served_with_its_type(self) -> None:
        for path, (name, media_type) in self.TYPES.items():
            answer = self.answer(path)
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.headers["content-type"], media_type)
            self.assertEqual(answer.body, FILES.child(name).getContent())

    def test_every_file_is_served(self) -> None:
        served = sorted(name for name, _ in self.TYPES.values())
        self.assertEqual(sorted(FILES.listdir()), served)

    def test_the_browser_is_told_to_ask_again_to_guess_nothing_and_to_load_only_from_here(
        self,
    ) -> None:
        for path in self.TYPES:
            headers = self.answer(path).headers
            self.assertEqual(headers["cache-control"], "no-cache")
            self.assertEqual(headers["x-content-type-options"], "nosniff")
            self.assertEqual(headers["content-security-policy"], "default-src 'self'")

    def test_head_has_the_headers_of_get_and_no_body(self) -> None:
        for path in self.TYPES:
            got, head = self.answer(path), self.answer(path, "HEAD")
            self.assertEqual((head.status, head.body), (200, b""))
            for name in ("content-type", "content-length", "content-security-policy"):
                self.assertEqual(head.headers[name], got.headers[name])

    def test_all_that_the_page_links_is_there(self) -> None:
        page = self.answer("/").body.decode()
        links = set(re.findall(r'(?:href|src|action)="([^"]*)"', page))
        self.assertEqual(links, {"demo.css", "demo.js", "icon.svg", "numbers", "json", "clock"})
        for link in links:
            self.assertEqual(self.answer(f"/{link}").status, 200)

    def test_it_has_nothing_that_its_own_policy_forbids(self) -> None:
        page = self.answer("/").body.decode()
        self.assertNotRegex(page, r"<style|\sstyle=|\son\w+=|<script(?! src=)|https?://")

    def test_other_paths_are_not_found(self) -> None:
        for path in (
            *("/nothing", "/static", "/index.html", "/demo.css/", "/numbers/1", "/../demo.js"),
            *("/%FF", "//", "/Numbers"),
        ):
            answer = self.answer(path)
            self.assertEqual(answer.status, 404, path)
            self.assertIn(b"Look at /, /numbers, /json and /clock.", answer.body)

    def test_it_may_be_mounted_below_another_path(self) -> None:
        top = Resource()
        top.putChild(b"demo", make_root())
        for path, status in ("/demo/", 200), ("/demo/numbers", 200), ("/demo/nothing", 404):
            client = Connection(top)
            self.addCleanup(client.leave)
            client.send(b"GET %s HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
            self.assertTrue(client.received().startswith(b"HTTP/1.1 %d " % status), path)

    def test_files_cannot_be_posted_to(self) -> None:
        self.assertEqual(self.answer("/", "POST", ["Content-Length: 0"]).status, 405)


class RootTests(DemoTest):
    """
    make_root()
    """

    def test_it_is_a_resource(self) -> None:
        verifyObject(IResource, make_root())

    def test_it_is_a_new_one_each_time(self) -> None:
        make_root().putChild(b"numbers", Resource())
        self.assertEqual(self.answer("/numbers").status, 200)
