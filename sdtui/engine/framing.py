"""Messages as bytes: a 4-byte big-endian length, then one MessagePack message."""

from __future__ import annotations

import struct
from typing import Any, Generic, TypeVar

import msgspec

from sdtui.errors import SdtuiError

LIMIT = 16 * 2**20
"""Bytes that one message may take; the largest, a snapshot of a long queue, takes far less."""

_LENGTH = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()

T = TypeVar("T")


class FramingError(SdtuiError):
    """The other side sent what is no message, or one that is too long."""

    def __init__(self, why: str) -> None:
        super().__init__("a message of the engine cannot be read", why, "run `sdtui engine stop`")


def frame(message: msgspec.Struct) -> bytes:
    """``message`` ready to be sent. Raises :class:`FramingError` when it is longer than LIMIT."""
    body = _encoder.encode(message)
    if len(body) > LIMIT:
        raise FramingError(f"it takes {len(body)} bytes, the limit is {LIMIT}")
    return _LENGTH.pack(len(body)) + body


class Unframer(Generic[T]):
    """Cuts a stream of bytes into messages of the type ``messages`` (a union of tagged structs)."""

    def __init__(self, messages: Any) -> None:
        self._decoder: msgspec.msgpack.Decoder[T] = msgspec.msgpack.Decoder(messages)
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[T]:
        """The messages that are complete with ``data``. Raises :class:`FramingError`."""
        self._pending += data
        messages: list[T] = []
        start = 0
        while len(self._pending) - start >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._pending, start)
            if length > LIMIT:
                raise FramingError(f"it claims {length} bytes, the limit is {LIMIT}")
            body = start + _LENGTH.size
            if len(self._pending) - body < length:
                break
            start = body + length
            messages.append(self._decode(self._pending[body:start]))
        del self._pending[:start]
        return messages

    def _decode(self, body: bytearray) -> T:
        try:
            return self._decoder.decode(body)
        except (msgspec.DecodeError, SdtuiError, UnicodeDecodeError) as error:
            raise FramingError(str(error)) from error
