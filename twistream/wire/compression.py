"""
Content codings: the coders that compress a body as it is sent, and their options.

Pure. `twistream.wire.accept` chooses the coding for a client. ``server.response.coding`` decides
whether a response is compressed, and flushes the coders.
"""

import zlib
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from types import ModuleType
from typing import Any, Final, NamedTuple, Protocol, TypeAlias

from attrs import field, frozen

from twistream.checks import checked_names, shown
from twistream.wire.packages import found, required

Sizes: TypeAlias = int | Mapping[str, int] | None
"""
A level or a window: one for all codings, some by coding, or None for the defaults.
"""


class Coder(Protocol):
    """
    Compresses one body.
    """

    def compress(self, data: bytes) -> bytes:
        """
        Compress `data`. Returns what is ready, which may be nothing.
        """

    def flush(self) -> bytes:
        """
        Return the rest of what is compressed so far: with it, a client can decode all of it.
        """

    def finish(self) -> bytes:
        """
        Return the rest, and the end of the coding.
        """


class _Zlib:
    """
    gzip (RFC 1952), and deflate in the zlib format (RFC 1950).
    """

    __slots__ = ("_object", "compress")

    def __init__(self, level: int, window: int, *, gzip: bool = False) -> None:
        # The tables shrink with the window: they have zlib's default size if the window has.
        wbits, memory_level = window + 16 * gzip, window - 7
        self._object = zlib.compressobj(level, zlib.DEFLATED, wbits, memory_level)
        self.compress: Callable[[bytes], bytes] = self._object.compress

    def flush(self) -> bytes:
        return self._object.flush(zlib.Z_SYNC_FLUSH)

    def finish(self) -> bytes:
        return self._object.flush(zlib.Z_FINISH)


class _Brotli:
    """
    br (RFC 7932).
    """

    __slots__ = ("compress", "finish", "flush")

    def __init__(self, module: ModuleType, level: int, window: int) -> None:
        compressor = module.Compressor(quality=level, lgwin=window)
        self.compress: Callable[[bytes], bytes] = compressor.process
        self.flush: Callable[[], bytes] = compressor.flush
        self.finish: Callable[[], bytes] = compressor.finish


class _Zstandard:
    """
    zstd (RFC 8878), by the package ``zstandard``.
    """

    __slots__ = ("_module", "_object", "compress")

    def __init__(self, module: ModuleType, level: int, window: int) -> None:
        tables = min(window, _ZSTD_TABLES)
        parameters = module.ZstdCompressionParameters(
            compression_level=level, window_log=window, hash_log=tables, chain_log=tables
        )
        self._module = module
        self._object = module.ZstdCompressor(compression_params=parameters).compressobj()
        self.compress: Callable[[bytes], bytes] = self._object.compress

    def flush(self) -> bytes:
        data: bytes = self._object.flush(self._module.COMPRESSOBJ_FLUSH_BLOCK)
        return data

    def finish(self) -> bytes:
        data: bytes = self._object.flush(self._module.COMPRESSOBJ_FLUSH_FINISH)
        return data


class _StandardZstd:
    """
    zstd (RFC 8878), by ``compression.zstd`` of Python 3.14.
    """

    __slots__ = ("_object", "compress")

    def __init__(self, module: ModuleType, level: int, window: int) -> None:
        tables = min(window, _ZSTD_TABLES)
        name: Any = module.CompressionParameter
        options = {
            name.compression_level: level,
            name.window_log: window,
            name.hash_log: tables,
            name.chain_log: tables,
        }
        self._object = module.ZstdCompressor(options=options)
        self.compress: Callable[[bytes], bytes] = self._object.compress

    def flush(self) -> bytes:
        data: bytes = self._object.flush(self._object.FLUSH_BLOCK)
        return data

    def finish(self) -> bytes:
        data: bytes = self._object.flush(self._object.FLUSH_FRAME)
        return data


_ZSTD_TABLES: Final = 16
"""
The largest base-2 logarithm of the tables in which zstd finds repetitions. By default it sizes them
by its level alone, which takes 820 KB for the smallest window.
"""


def _gzip(level: int, window: int) -> Coder:
    return _Zlib(level, window, gzip=True)


def _brotli(level: int, window: int) -> Coder:
    return _Brotli(required("brotli"), level, window)


def _zstd(level: int, window: int) -> Coder:
    if (module := found("compression.zstd")) is not None:
        return _StandardZstd(module, level, window)
    return _Zstandard(required("zstandard"), level, window)


class _Kind(NamedTuple):
    """
    How to make the coder of one coding, and its smallest, largest and default level and window.

    The defaults suit long streams, because each one has a coder: they save memory, not bytes.
    """

    make: Callable[[int, int], Coder]
    level: tuple[int, int, int]
    window: tuple[int, int, int]
    modules: tuple[str, ...] = ()  # It needs one of these.


_KINDS: Final = {
    "gzip": _Kind(_gzip, (0, 9, 6), (9, 15, 12)),
    # Clients need not support a larger window (RFC 9659).
    "zstd": _Kind(_zstd, (1, 22, 3), (10, 23, 12), ("compression.zstd", "zstandard")),
    "br": _Kind(_brotli, (0, 11, 5), (10, 24, 12), ("brotli",)),
    "deflate": _Kind(_Zlib, (0, 9, 6), (9, 15, 12)),
}
"""
All codings, in the order of preference: by the memory that a stream takes, as measured. Some clients
expect deflate without the zlib format, so it is last.
"""

CODINGS: Final = tuple(_KINDS)
"""
The names of all codings, in the order of preference.
"""


def _is_usable(coding: str) -> bool:
    modules = _KINDS[coding].modules
    return not modules or any(found(name) for name in modules)


@frozen(init=False)
class Compression:
    """
    How responses are compressed.

    Attributes:
        codings: The codings that are offered, in the server's order of preference.
        level: The argument.
        window: The argument.
    """

    codings: tuple[str, ...]
    level: Sizes
    window: Sizes
    _sizes: Mapping[str, tuple[int, int]] = field(repr=False)

    def __init__(
        self,
        *,
        codings: Iterable[str] | None = None,
        level: Sizes = None,
        window: Sizes = None,
    ) -> None:
        """
        Args:
            codings: The codings to offer, in order of preference. If a client gives several the same
                weight, it gets the first of them. By default ``"gzip"``, ``"zstd"``, ``"br"`` and
                ``"deflate"``; zstd and br only if ``twistream[compression]`` is installed.
            level: How hard the coders try, and so how slow they are: a number, or a dict of
                numbers by coding. gzip and deflate have 0 to 9 (by default 6), zstd 1 to 22 (3),
                br 0 to 11 (5).
            window: How far back the coders look for repetitions, as the number of bits of that
                distance in bytes: a number, or a dict of numbers by coding. A stream takes more
                memory with each bit. gzip and deflate have 9 to 15, zstd 10 to 23, br 10 to 24.
                The default is 12, which means 4 KiB.

        Raises:
            ImportError: A coding is named, and its package is not installed.
            TypeError: An argument has the wrong type.
            ValueError: There is no such coding, or it does not have this level or window.
        """
        # Only `codings` depends on what is installed. Wrong levels and windows are refused anywhere.
        named = CODINGS if codings is None else _checked_codings(codings)
        levels, windows = _by_coding("level", level, named), _by_coding("window", window, named)
        self.__attrs_init__(
            codings=tuple(filter(_is_usable, named)),
            level=level,
            window=window,
            sizes={name: (levels[name], windows[name]) for name in named},
        )

    def coder(self, coding: str) -> Coder:
        """
        Make the coder of one body.
        """
        return _KINDS[coding].make(*self._sizes[coding])


def _checked_codings(codings: Iterable[str]) -> tuple[str, ...]:
    names = checked_names("codings", codings, "('gzip',)")
    for name in names:
        if not isinstance(name, str):
            msg = f"codings must be names, not {type(name).__name__}"
            raise TypeError(msg)
        if name not in _KINDS:
            msg = f"codings must be among {', '.join(CODINGS)}, not {name!r}"
            raise ValueError(msg)
        if not _is_usable(name):
            msg = f"codings has {name!r}, which needs pip install 'twistream[compression]'"
            raise ImportError(msg)
    return tuple(dict.fromkeys(names))


def _by_coding(name: str, given: Sizes, codings: tuple[str, ...]) -> dict[str, int]:
    """
    The level or the window of each coding.
    """
    sizes: dict[str, int] = {coding: getattr(_KINDS[coding], name)[2] for coding in codings}
    if given is None:
        return sizes
    chosen = given if isinstance(given, Mapping) else dict.fromkeys(codings, given)
    for coding, size in chosen.items():
        if coding not in sizes:
            msg = f"{name} must be for {', '.join(sizes) or 'no coding'}, not for {coding!r}"
            raise ValueError(msg)
        if isinstance(size, bool) or not isinstance(size, int):
            msg = f"{name} must be an int, or a dict of them by coding, not {type(size).__name__}"
            raise TypeError(msg)
        least, most, _ = getattr(_KINDS[coding], name)
        if not least <= size <= most:
            msg = f"{name} must be from {least} to {most} for {coding}, not {shown(size)}"
            raise ValueError(msg)
    return sizes | dict(chosen)


@cache
def default_compression() -> Compression:
    """
    The compression of a program that has chosen nothing.
    """
    return Compression()
