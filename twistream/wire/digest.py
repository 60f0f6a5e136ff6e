"""
Digest fields (RFC 9530): their algorithms, their values, and which one a client prefers.

Pure. Which bytes a digest covers is up to the server layer.
"""

import re
from base64 import b64encode
from collections.abc import Iterable
from hashlib import sha256, sha512
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from twistream.wire.fields import list_members

if TYPE_CHECKING:
    from hashlib import _Hash

Algorithm: TypeAlias = Literal["sha-256", "sha-512"]
"""
The algorithms that RFC 9530 5 has for use. The others in its registry are deprecated.
"""

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
"""
All of them, the preferred one first: more clients have it.
"""

_FUNCTIONS = {"sha-256": sha256, "sha-512": sha512}

_PREFERENCE = re.compile(rb"([a-z*][a-z0-9_\-.*]*)[ \t]*=[ \t]*(\d\d?)(?=;|\Z)")
"""
A member of ``Want-Content-Digest``: an algorithm and a number from 0 to 10 (RFC 9530 4).
"""


class Digest:
    """
    The digest of content that is not complete yet.

    Attributes:
        algorithm: Its name.
        update: Adds bytes.
    """

    __slots__ = ("_hash", "algorithm", "update")

    def __init__(self, algorithm: Algorithm) -> None:
        self.algorithm = algorithm
        self._hash: _Hash = _FUNCTIONS[algorithm]()
        self.update = self._hash.update

    @property
    def member(self) -> bytes:
        """
        The member for ``Content-Digest``, with the digest as a byte sequence (RFC 8941 3.3.5).
        """
        return b"%b=:%b:" % (self.algorithm.encode(), b64encode(self._hash.digest()))


def check_algorithm(value: object) -> None:
    """
    Check that a value is the name of an algorithm.

    Raises:
        ValueError: It is not.
    """
    if value not in ALGORITHMS:
        known = " or ".join(f'"{name}"' for name in ALGORITHMS)
        msg = f"algorithm must be {known}, not {value!r}"
        raise ValueError(msg)


def preferred_algorithm(values: Iterable[bytes]) -> Algorithm | None:
    """
    The algorithm that a client prefers; None if it accepts none of them.

    An algorithm that it does not name is acceptable. Without a preference, it gets the first of
    `ALGORITHMS`.

    Args:
        values: The values of its ``Want-Content-Digest`` fields. Members with syntax errors are
            ignored.
    """
    matches = map(_PREFERENCE.match, list_members(values))
    weights = {match[1].decode(): int(match[2]) for match in matches if match}
    accepted = [name for name in ALGORITHMS if weights.get(name) != 0]
    return max(accepted, key=lambda name: weights.get(name, 0), default=None)
