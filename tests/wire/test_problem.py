"""
Problem details (RFC 9457).
"""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from tests.strategies import TEXTS
from twistream import EncodeError, HTTPError
from twistream.wire.problem import error_problem, problem

MEMBERS = ("type", "title", "status", "detail", "instance")


def read(rendered: tuple[str, bytes]) -> dict[str, Any]:
    media_type, data = rendered
    assert media_type == "application/problem+json"
    members: dict[str, Any] = json.loads(data)
    return members


class ProblemTests(SynchronousTestCase):
    def test_the_title_is_the_phrase_of_the_status(self) -> None:
        self.assertEqual(read(problem(404)), {"title": "Not Found", "status": 404})
        self.assertEqual(read(problem(499)), {"status": 499})

    def test_all_members(self) -> None:
        self.assertEqual(
            list(
                read(
                    problem(
                        403,
                        "Your balance is 30.",
                        type="https://example.org/problems/out-of-credit",
                        title="You do not have enough credit.",
                        instance="/account/12%20345/msgs/abc?a=[1]#b",
                        extensions={"balance": 30, "accounts": ["/account/1"]},
                    )
                ).items()
            ),
            [
                ("type", "https://example.org/problems/out-of-credit"),
                ("title", "You do not have enough credit."),
                ("status", 403),
                ("detail", "Your balance is 30."),
                ("instance", "/account/12%20345/msgs/abc?a=[1]#b"),
                ("balance", 30),
                ("accounts", ["/account/1"]),
            ],
        )

    @given(
        st.integers(400, 599),
        st.none() | TEXTS,
        st.none() | TEXTS,
        st.dictionaries(TEXTS.filter(lambda name: name not in MEMBERS), TEXTS, max_size=3),
    )
    def test_what_is_given_comes_back(
        self, status: int, detail: str | None, title: str | None, extensions: dict[str, str]
    ) -> None:
        members = read(problem(status, detail, title=title, extensions=extensions))
        assert members.pop("status") == status
        assert members.pop("detail", None) == detail
        given_title = members.pop("title", None)
        assert title in (None, given_title)
        assert members == extensions

    def test_wrong_arguments_are_named(self) -> None:
        for kind, name, wrong in (
            (TypeError, "status", (None, "404", 404.0, True)),
            (ValueError, "status", (200, 399, 600, 10**5000, -404)),
            (TypeError, "detail", (5, b"a", ["a"])),
            (TypeError, "title", (5, b"a", ["a"])),
            (TypeError, "type", (5, b"a", ["a"])),
            (ValueError, "type", ("a b", "<a>", "ż", "a\n", "100%", "%zz", 'a"', "a\\b")),
            (TypeError, "instance", (5, b"a", ["a"])),
            (ValueError, "instance", ("a b", "\0")),
            (TypeError, "extensions", (5, "a", [("a", 1)], {5: 1})),
            (ValueError, "extensions", ({each: 1} for each in MEMBERS)),
        ):
            for value in wrong:
                with self.assertRaisesRegex(kind, f"^{name} must"):
                    problem(**{"status": 404, name: value})  # type: ignore[arg-type]  # wrong on purpose

    def test_what_json_cannot_hold_is_an_encode_error(self) -> None:
        for call in (
            lambda: problem(404, "\ud800"),
            lambda: problem(404, title="\ud800"),
            lambda: problem(404, extensions={"a": object()}),
            lambda: problem(404, extensions={"a": float("nan")}),
            lambda: problem(404, extensions={"\ud800": 1}),
        ):
            self.assertRaises(EncodeError, call)

    def test_an_http_error_becomes_one(self) -> None:
        self.assertEqual(
            read(error_problem(HTTPError(404, "no <room>"))),
            {"title": "Not Found", "status": 404, "detail": "no <room>"},
        )
        self.assertEqual(read(error_problem(HTTPError(599))), {"status": 599})
