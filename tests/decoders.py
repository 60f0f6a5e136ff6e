"""
Decoders of the content codings, which read a body as it arrives.
"""

import sys
import zlib
from importlib import import_module
from typing import Any, Protocol

import brotli


class Decoder(Protocol):
    def feed(self, data: bytes) -> bytes:
        """
        Everything that can be decoded so far, from where the last call ended.
        """

    @property
    def complete(self) -> bool:
        """
        The end of the coding has been read.
        """


class _Zlib:
    def __init__(self, wbits: int) -> None:
        self._object = zlib.decompressobj(wbits)

    def feed(self, data: bytes) -> bytes:
        decoded = self._object.decompress(data)
        assert not self._object.unused_data, "bytes follow the end of the coding"
        return decoded

    @property
    def complete(self) -> bool:
        return self._object.eof


class _Brotli:
    def __init__(self) -> None:
        self._object: Any = brotli.Decompressor()

    def feed(self, data: bytes) -> bytes:
        decoded: bytes = self._object.process(data)
        return decoded

    @property
    def complete(self) -> bool:
        return bool(self._object.is_finished())


class _Zstd:
    def __init__(self) -> None:
        self._object: Any
        if sys.version_info >= (3, 14):
            self._object = import_module("compression.zstd").ZstdDecompressor()
        else:
            self._object = import_module("zstandard").ZstdDecompressor().decompressobj()

    def feed(self, data: bytes) -> bytes:
        decoded: bytes = self._object.decompress(data) if data else b""
        assert not self._object.unused_data, "bytes follow the end of the coding"
        return decoded

    @property
    def complete(self) -> bool:
        return bool(self._object.eof)


class _Plain:
    complete = True

    def feed(self, data: bytes) -> bytes:
        return data


def decoder(coding: str | None) -> Decoder:
    """
    A decoder of a coding, or of a body without one.
    """
    if coding is None:
        return _Plain()
    if coding == "br":
        return _Brotli()
    if coding == "zstd":
        return _Zstd()
    return _Zlib({"gzip": 31, "deflate": 15}[coding])


def decoded(coding: str | None, body: bytes) -> bytes:
    """
    A complete body, decoded.
    """
    reader = decoder(coding)
    data = reader.feed(body)
    assert reader.complete, f"the {coding} body is incomplete"
    return data
