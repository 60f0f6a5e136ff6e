"""
Digest fields: their values, against RFC 9530, and the choice of an algorithm.
"""

import hashlib
from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from twistream.wire.digest import (
    ALGORITHMS,
    Algorithm,
    Digest,
    check_algorithm,
    preferred_algorithm,
)


def member(algorithm: Algorithm, *parts: bytes) -> bytes:
    digest = Digest(algorithm)
    for part in parts:
        digest.update(part)
    return digest.member


class DigestTests(SynchronousTestCase):
    def test_the_examples_of_the_standard(self) -> None:
        # RFC 9530 2 and B.1, with the content of both.
        self.assertEqual(
            member("sha-256", b'{"hello": "world"}\n'),
            b"sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:",
        )
        self.assertEqual(
            member("sha-512", b'{"hello": "world"}\n'),
            b"sha-512=:YMAam51Jz/jOATT6/zvHrLVgOYTGFy1d6GJiOHTohq4yP+pgk4vf2aCs"
            b"yRZOtw8MjkM7iw7yZ/WkppmM44T3qg==:",
        )

    @given(st.sampled_from(ALGORITHMS), st.lists(st.binary()))
    def test_it_covers_all_parts(self, algorithm: Algorithm, parts: list[bytes]) -> None:
        found = member(algorithm, *parts)
        start = f"{algorithm}=:".encode()
        self.assertEqual((found[: len(start)], found[-1:]), (start, b":"))
        expected = hashlib.new(algorithm.replace("-", ""), b"".join(parts)).digest()
        self.assertEqual(b64decode(found[len(start) : -1], validate=True), expected)

    def test_an_unknown_algorithm_is_refused(self) -> None:
        for algorithm in ALGORITHMS:
            check_algorithm(algorithm)
        values: tuple[object, ...] = ("md5", "sha-1", "unixsum", "SHA-256", None, 5, [])
        for value in values:
            self.assertRaises(ValueError, check_algorithm, value)


class PreferenceTests(SynchronousTestCase):
    def test_the_highest_number_wins(self) -> None:
        for values, expected in (
            ([], "sha-256"),
            ([b""], "sha-256"),
            ([b"sha-512=1"], "sha-512"),
            ([b"sha-256=1, sha-512=2"], "sha-512"),
            ([b"sha-512=3, sha-256=10, unixsum=0"], "sha-256"),  # RFC 9530 4
            ([b"sha-256=5", b"sha-512=5"], "sha-256"),
            ([b"sha-256=1", b"\tsha-512=9 "], "sha-512"),
            ([b"sha-256=0, sha-512=1"], "sha-512"),
            ([b"sha-512=0"], "sha-256"),
            ([b"sha-256=0"], "sha-512"),
            ([b"sha-256=0, sha-512=0, md5=10"], None),
            # Only algorithms that are unknown here.
            ([b"md5=10"], "sha-256"),
            # The last of two members with one key counts (RFC 8941 4.2.2).
            ([b"sha-512=9, sha-256=5, sha-512=1"], "sha-256"),
            ([b"sha-512=9;a=1, sha-256=5"], "sha-512"),
        ):
            self.assertEqual(preferred_algorithm(values), expected, values)

    def test_what_has_no_meaning_is_ignored(self) -> None:
        for value in (
            b"sha-512",
            b"sha-512=",
            b"sha-512=a",
            b"sha-512=-1",
            b"sha-512=1.5",
            b"\xff",
        ):
            self.assertEqual(preferred_algorithm([value]), "sha-256", value)

    @given(st.lists(st.binary() | st.sampled_from([b"sha-256=1", b"sha-512=2", b";", b"=", b"0"])))
    def test_nothing_that_a_client_sends_fails(self, values: list[bytes]) -> None:
        self.assertIn(preferred_algorithm(values), (*ALGORITHMS, None))
