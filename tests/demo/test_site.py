"""
The files of the pages, and how they are served.
"""

import re
from typing import ClassVar

from twisted.python.filepath import FilePath
from twisted.web.resource import IResource, Resource
from zope.interface.verify import verifyObject

import twistream.demo
from tests.demo.served import DemoTest
from tests.harness import Response
from twistream.demo import make_root

FILES = FilePath(twistream.demo.__file__).sibling("static")


BROWSER = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
EVENTS = {"Accept": "text/event-stream"}


class PageTests(DemoTest):
    """
    The pages, and the files that they load
    """

    PAGES: ClassVar = {
        "/": ("index.html", "text/html; charset=utf-8"),
        "/events": ("events.html", "text/html; charset=utf-8"),
        "/chat": ("chat.html", "text/html; charset=utf-8"),
        "/runs": ("runs.html", "text/html; charset=utf-8"),
    }
    TYPES: ClassVar = PAGES | {
        "/demo.css": ("demo.css", "text/css; charset=utf-8"),
        "/demo.js": ("demo.js", "text/javascript; charset=utf-8"),
        "/events.js": ("events.js", "text/javascript; charset=utf-8"),
        "/chat.js": ("chat.js", "text/javascript; charset=utf-8"),
        "/runs.js": ("runs.js", "text/javascript; charset=utf-8"),
        "/source.js": ("source.js", "text/javascript; charset=utf-8"),
        "/storage.js": ("storage.js", "text/javascript; charset=utf-8"),
        "/feed.js": ("feed.js", "text/javascript; charset=utf-8"),
        "/pane.js": ("pane.js", "text/javascript; charset=utf-8"),
        "/icon.svg": ("icon.svg", "image/svg+xml"),
    }

    def visit(self, path: str, method: str = "GET") -> Response:
        """
        The response to a browser that navigates there.
        """
        return self.reply(path, method, BROWSER)

    def test_each_file_is_served_with_its_type(self) -> None:
        for path, (name, media_type) in self.TYPES.items():
            answer = self.visit(path)
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.header("content-type"), media_type)
            written = FILES.child(name).getContent()
            if path in self.PAGES:
                # The rest of a page is as it was written.
                shown = re.sub(rb"<code>[^<]*</code></pre>", b"", answer.body)
                written = re.sub(rb"<code>[^<]*</code></pre>", b"", written)
                self.assertEqual(shown, written)
            else:
                self.assertEqual(answer.body, written)

    def test_every_file_is_served(self) -> None:
        served = sorted(name for name, _ in self.TYPES.values())
        self.assertEqual(sorted(FILES.listdir()), served)

    def test_headers_forbid_stale_copies_guessed_types_and_foreign_content(
        self,
    ) -> None:
        for path in self.TYPES:
            response = self.visit(path)
            self.assertEqual(response.header("cache-control"), "no-cache")
            self.assertEqual(response.header("x-content-type-options"), "nosniff")
            self.assertEqual(response.header("content-security-policy"), "default-src 'self'")

    def test_head_has_the_headers_of_get_and_no_body(self) -> None:
        for path in self.TYPES:
            got, head = self.visit(path), self.visit(path, "HEAD")
            self.assertEqual((head.status, head.body), (200, b""))
            for name in ("content-type", "content-length", "content-security-policy"):
                self.assertEqual(len(got.values(name)), 1, name)
                self.assertEqual(head.values(name), got.values(name))

    def test_all_links_of_the_pages_lead_somewhere(self) -> None:
        common = {"demo.css", "icon.svg", "./", "events", "chat", "runs"}
        for path, own in {
            "/": {"demo.js", "numbers", "json", "clock"},
            "/events": {"events.js"},
            "/chat": {"chat.js"},
            "/runs": {"runs.js"},
        }.items():
            page = self.visit(path).body.decode()
            links = set(re.findall(r'(?:href|src|action|data-url)="([^"]*)"', page))
            self.assertEqual(links, common | own)
            for link in links:
                self.assertEqual(self.visit(f"/{link.removeprefix('./')}").status, 200, link)

    def test_they_contain_nothing_that_their_own_policy_forbids(self) -> None:
        for path in self.PAGES:
            page = self.visit(path).body.decode()
            self.assertNotRegex(page, r"<style|\sstyle=|\son\w+=|<script(?! src=)|https?://")

    def test_without_javascript_they_say_so_and_show_the_curl_command(self) -> None:
        for path in self.PAGES:
            page = self.visit(path).body.decode()
            self.assertRegex(page, r"<noscript>.*Without JavaScript this page cannot .*</noscript>")
            self.assertIn("<code>curl -N ", page)

    def test_clients_that_do_not_accept_html_receive_the_stream(self) -> None:
        for path in ("/events", "/chat", "/runs"):
            for method in ("GET", "HEAD"):
                for accept in ({}, {"Accept": "*/*"}, EVENTS):
                    answer = self.reply(path, method, accept)
                    self.assertEqual(answer.status, 200)
                    media_type = answer.header("content-type")
                    self.assertEqual(media_type, "text/event-stream; charset=utf-8")

    def test_the_response_varies_with_accept(self) -> None:
        for path in ("/events", "/chat", "/runs"):
            for headers in BROWSER, EVENTS:
                self.assertEqual(self.reply(path, headers=headers).header("vary"), "Accept")

    def test_other_paths_are_not_found(self) -> None:
        for path in (
            *("/nothing", "/static", "/index.html", "/demo.css/", "/numbers/1", "/../demo.js"),
            *("/%FF", "//", "/Numbers"),
        ):
            answer = self.reply(path)
            self.assertEqual(answer.status, 404, path)
            self.assertIn(b"Try /, /numbers, /json, /clock, /events, /chat or /runs.", answer.body)

    def test_it_may_be_mounted_below_another_path(self) -> None:
        top = Resource()
        top.putChild(b"demo", make_root())
        for path, status in ("/demo/", 200), ("/demo/numbers", 200), ("/demo/nothing", 404):
            self.assertEqual(self.answer(top, path=path).status, status, path)

    def test_only_the_chat_and_the_run_can_be_posted_to(self) -> None:
        for path in ("/", "/events", "/feed.js"):
            self.assertEqual(self.reply(path, "POST").status, 405, path)
        for method in ("PUT", "DELETE", "PATCH"):
            for path in "/chat", "/runs":
                answer = self.reply(path, method)
                self.assertEqual((answer.status, answer.header("allow")), (405, "GET, HEAD, POST"))


class RootTests(DemoTest):
    """
    make_root()
    """

    def test_it_is_a_resource(self) -> None:
        verifyObject(IResource, make_root())

    def test_each_call_creates_a_new_one(self) -> None:
        self.reply("/chat", "POST", body=b"hello")
        other = self.get(make_root(), clock=self.clock, path="/chat")
        self.assertNotIn(b"hello", other.read_raw())
