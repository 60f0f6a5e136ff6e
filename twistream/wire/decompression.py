"""
Decoders of content codings (RFC 9110 8.4.1), which limit how much they expand at once.

Pure: bytes in, bytes out. ``br`` and ``zstd`` need the extra ``compression``.
"""

import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Protocol

from twistream.errors import DecodeError
from twistream.wire.packages import found, required

PIECE: Final = 2**16
"""
The maximum size of a decoded piece in bytes.
"""

MAX_CODINGS: Final = 4
"""
The maximum number of codings of one body. More than one is rare.
"""

_ZSTD_INPUT = 64
"""
Bytes that a zstd decoder takes at once. Its package cannot limit the output: a block of 4 bytes expands
to 128 KiB, so this limits it to 2 MiB.
"""

_ZSTD_WINDOW = 2**23
"""
The largest window of zstd in bytes (RFC 9659).
"""


class Stage(Protocol):
    """
    Decodes one coding of a body.
    """

    def feed(self, data: bytes) -> None:
        """
        Take the next piece of the input, after `read` has returned nothing.
        """

    def read(self) -> bytes:
        """
        Return the next piece of the output: at most `PIECE` bytes, or nothing if it needs more input.

        Raises:
            Exception: The input is malformed. The class depends on the coding.
        """

    @property
    def is_complete(self) -> bool:
        """
        Whether the input may end here.
        """


class _Zlib:
    """
    gzip (RFC 1952), with any number of members.
    """

    def __init__(self) -> None:
        self._object = self._new(b"")
        self._input = b""
        self._is_fresh = True  # Nothing of the current member was fed.

    def _new(self, start: bytes) -> Any:  # noqa: ARG002 - the start of a body says nothing of gzip
        return zlib.decompressobj(16 + zlib.MAX_WBITS)

    def feed(self, data: bytes) -> None:
        self._input += data

    def read(self) -> bytes:
        while self._input:
            if self._object.eof:
                # Padding with zeros may follow the last member, as gzip itself accepts.
                self._input = self._input.lstrip(b"\0")
                if not self._input:
                    break
                self._object, self._is_fresh = self._new(self._input), True
            output: bytes = self._object.decompress(self._input, PIECE)
            self._is_fresh = False
            self._input = self._object.unconsumed_tail or self._object.unused_data
            if output:
                return output
        if self._is_fresh or self._object.eof:
            return b""
        # What zlib still holds: it may have stopped at the limit of the output.
        held: bytes = self._object.decompress(b"", PIECE)
        return held

    @property
    def is_complete(self) -> bool:
        return self._is_fresh or self._object.eof


class _Deflate(_Zlib):
    """
    deflate: the zlib format (RFC 1950), or the plain one (RFC 1951) that some servers send.
    """

    def read(self) -> bytes:
        if self._is_fresh:
            if len(self._input) < 2:
                return b""
            self._object = self._new(self._input)
        elif self._object.eof and self._input:
            msg = "data after the end of the coding"
            raise ValueError(msg)
        return super().read()

    def _new(self, start: bytes) -> Any:
        # The method is 8, and the first two bytes are a multiple of 31.
        is_zlib = len(start) < 2 or (start[0] & 15 == 8 and int.from_bytes(start[:2]) % 31 == 0)
        return zlib.decompressobj(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)

    @property
    def is_complete(self) -> bool:
        return super().is_complete and not self._input


class _Brotli:
    """
    br (RFC 7932).
    """

    def __init__(self) -> None:
        self._object = required("brotli").Decompressor()
        self._input = b""
        self._output: deque[bytes] = deque()
        self._is_fresh = True

    def feed(self, data: bytes) -> None:
        self._input += data

    def read(self) -> bytes:
        if not self._output:
            self._output.extend(_cut(self._decoded()))
        return self._output.popleft() if self._output else b""

    def _decoded(self) -> bytes:
        if self._is_fresh and not self._input:
            return b""
        self._is_fresh = False
        if self._object.is_finished():
            if self._input:
                msg = "data after the end of the coding"
                raise ValueError(msg)
            return b""
        data = b""
        if self._object.can_accept_more_data():
            data, self._input = self._input, b""
        # The limit is approximate.
        output: bytes = self._object.process(data, output_buffer_limit=PIECE)
        return output

    @property
    def is_complete(self) -> bool:
        return self._is_fresh or bool(self._object.is_finished())


class _Zstd:
    """
    zstd (RFC 8878), with any number of frames.
    """

    def __init__(self) -> None:
        self._new = _zstd_factory()
        self._object: Any = None
        self._input = b""
        self._position = 0
        self._output: deque[bytes] = deque()

    def feed(self, data: bytes) -> None:
        self._input = data
        self._position = 0

    def read(self) -> bytes:
        while not self._output and self._position < len(self._input):
            if self._object is None or self._object.eof:
                self._object = self._new()
            piece = self._input[self._position : self._position + _ZSTD_INPUT]
            output = self._object.decompress(piece)
            self._position += len(piece)
            if self._object.eof:
                self._position -= len(self._object.unused_data)
            self._output.extend(_cut(output))
        return self._output.popleft() if self._output else b""

    @property
    def is_complete(self) -> bool:
        return self._object is None or bool(self._object.eof)


_STAGES: Final[dict[str, tuple[Callable[[], Stage], tuple[str, ...]]]] = {
    "gzip": (_Zlib, ()),
    "x-gzip": (_Zlib, ()),
    "deflate": (_Deflate, ()),
    "br": (_Brotli, ("brotli",)),
    "zstd": (_Zstd, ("compression.zstd", "zstandard")),
}
"""
For each coding, its decoder, and alternative modules that it needs.
"""


class Decompressor:
    """
    Decodes a body with any number of content codings, piece by piece.

    Each piece has at most 64 KiB. So a small body that expands to a huge one takes little memory, and
    the caller can stop at any time.

    Args:
        codings: The codings in the order in which they were applied, from ``Content-Encoding``.

    Raises:
        DecodeError: A coding is unknown, or there are more than four.
        ImportError: A coding needs a package that is not installed.
    """

    __slots__ = ("_codings", "_received", "_stages")

    def __init__(self, codings: Iterable[str]) -> None:
        self._codings = [name for name in codings if name != "identity"]
        self._received = 0
        if len(self._codings) > MAX_CODINGS:
            msg = f"more than {MAX_CODINGS} content codings"
            raise DecodeError(msg, 0)
        self._stages = [_stage(name) for name in reversed(self._codings)]

    def __bool__(self) -> bool:
        """
        Whether there is a coding at all.
        """
        return bool(self._stages)

    def feed(self, data: bytes) -> None:
        """
        Take the next piece of the body, after `read` has returned nothing.
        """
        self._received += len(data)
        self._stages[0].feed(data)

    def read(self) -> bytes:
        """
        Return the next decoded piece, or nothing if that needs more of the body.

        Raises:
            DecodeError: The body does not have its coding. The offset is approximate.
        """
        # Every stage but the last is read only when the next one has used up its input.
        index = len(self._stages) - 1
        while index >= 0:
            try:
                output = self._stages[index].read()
            except Exception as err:  # noqa: BLE001 - each package has its own class of errors
                name = self._codings[len(self._stages) - 1 - index]
                msg = f"the body does not have the content coding {name!r} ({err})"
                raise DecodeError(msg, self._received) from None
            if not output:
                index -= 1
            elif index == len(self._stages) - 1:
                return output
            else:
                index += 1
                self._stages[index].feed(output)
        return b""

    @property
    def is_complete(self) -> bool:
        """
        Whether the body may end here.
        """
        return all(stage.is_complete for stage in self._stages)


def supported() -> list[str]:
    """
    Return the names of the codings that can be decoded.
    """
    return [name for name in ("gzip", "deflate", "br", "zstd") if _missing(name) is None]


def _cut(output: bytes) -> Iterator[bytes]:
    return (output[i : i + PIECE] for i in range(0, len(output), PIECE))


def _stage(name: str) -> Stage:
    if name not in _STAGES:
        msg = f"the content coding {name!r} is unknown"
        raise DecodeError(msg, 0)
    missing = _missing(name)
    if missing is not None:
        msg = f"the content coding {name!r} needs {missing}: pip install 'twistream[compression]'"
        raise ImportError(msg)
    return _STAGES[name][0]()


def _missing(name: str) -> str | None:
    """
    Return the package that a coding lacks, if any.
    """
    modules = _STAGES[name][1]
    if not modules:
        return None
    module = next(filter(None, map(found, modules)), None)
    if module is None:
        return modules[-1]
    if name == "br" and not hasattr(module.Decompressor, "can_accept_more_data"):
        return "brotli>=1.2"  # Older ones expand their input without a limit.
    return None


def _zstd_factory() -> Callable[[], Any]:
    standard: Any = found("compression.zstd")
    if standard is not None:
        window = {standard.DecompressionParameter.window_log_max: _ZSTD_WINDOW.bit_length() - 1}
        return lambda: standard.ZstdDecompressor(options=window)
    factory: Callable[[], Any]
    factory = required("zstandard").ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj
    return factory
