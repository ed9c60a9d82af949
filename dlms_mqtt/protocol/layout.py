"""What every message shares: a head that names it, and a layout, which is a row of field codecs.

A message class states its head, the standard's name and one codec per field; ``encode`` and ``decode`` follow. Encoding
raises LocalProtocolError for a value that does not fit its field. Decoding raises DecodeError; octets after the message
are left alone, because meters send some (the caller that cares uses ``apdu.decode_prefix``).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import IntEnum
from typing import Any, ClassVar, NamedTuple, Self

from dlms_mqtt.errors import DecodeError, LocalProtocolError
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.axdr.data import decode as decode_data
from dlms_mqtt.protocol.axdr.data import encode as encode_data
from dlms_mqtt.protocol.buffer import Reader, encode_length

UNENCODABLE = (ValueError, OverflowError, TypeError, LookupError, struct.error)


class Code(IntEnum):
    """A number with the standard's word for it."""

    @property
    def text(self) -> str:
        """The standard's name: ``object-undefined``."""
        return self.name.lower().replace("_", "-")

    @classmethod
    def of(cls, number: int) -> Self | int:
        """The member for this number, or the number itself when there is none."""
        member: Self | int = cls._value2member_map_.get(number, number)  # type: ignore[assignment]
        return member


def code_text(code: int) -> str:
    """The standard's name of a code, or ``code 123`` for one that it does not know."""
    return code.text if isinstance(code, Code) else f"code {int(code)}"


class Codec(NamedTuple):
    """How one field is read and written; ``least`` is the fewest octets it can take."""

    read: Callable[[Reader], Any]
    encode: Callable[[Any], bytes]
    least: int = 1


class Apdu:
    """A message: ``TAG`` is its first octet, ``NAME`` the standard's name for it."""

    __slots__ = ()
    __match_args__: ClassVar[tuple[str, ...]] = ()
    HEAD: ClassVar[bytes] = b""
    TAG: ClassVar[int] = -1
    NAME: ClassVar[str] = ""
    LAYOUT: ClassVar[tuple[Codec, ...]] = ()

    def __init_subclass__(cls, head: tuple[int, ...] = (), name: str = "", layout: tuple[Codec, ...] = ()) -> None:
        if head:  # dataclass(slots=True) makes the class a second time, without these arguments
            cls.HEAD, cls.TAG = bytes(head), head[0]
        cls.NAME = name or cls.NAME
        cls.LAYOUT = layout or cls.LAYOUT

    def encode(self) -> bytes:
        """The message as bytes."""
        try:
            return self.HEAD + self.encode_body()
        except UNENCODABLE as error:
            raise LocalProtocolError(f"{self.NAME} cannot be encoded: {error}") from error

    def encode_body(self) -> bytes:
        """The octets after the head."""
        fields = zip(self.__match_args__, self.LAYOUT, strict=True)
        return b"".join([codec.encode(getattr(self, name)) for name, codec in fields])

    @classmethod
    def decode(cls, source: bytes | Reader) -> Self:
        """Read one message, head included; DecodeError when it is another one or is cut."""
        reader = source if isinstance(source, Reader) else Reader(source)
        head = reader.take(len(cls.HEAD), f"head of {cls.NAME}")
        if head != cls.HEAD:
            raise DecodeError(f"{head.hex()} does not begin a {cls.NAME}", offset=reader.offset - len(head))
        return cls.read_body(reader)

    @classmethod
    def read_body(cls, reader: Reader) -> Self:
        """Read what follows the head."""
        return cls(*[codec.read(reader) for codec in cls.LAYOUT])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """``decode`` for a caller that has already looked at the head."""
        return cls.read_body(Reader(data, len(cls.HEAD)))


class LazyValue:
    """For messages that end in one value: it stays raw in ``data`` until somebody asks, and is then decoded once."""

    __slots__ = ("_decoded",)
    data: Any
    _decoded: tuple[Data, int]

    def _whole(self) -> tuple[Data, int]:
        """The value and where it ends; DecodeError."""
        found: tuple[Data, int] | None = getattr(self, "_decoded", None)
        if found is None:
            found = decode_data(self.data or b"")
            object.__setattr__(self, "_decoded", found)
        return found

    @property
    def value(self) -> Data:
        """The value; DecodeError."""
        return self._whole()[0]

    @property
    def trailing(self) -> bytes:
        """What the peer put after the value (some meters do), or b""."""
        raw: bytes = self.data or b""
        return raw[self._whole()[1] :] if raw else b""

    def trimmed(self) -> Self:
        """The same message without ``trailing``; DecodeError."""
        whole = self._whole()
        made = replace(self, data=self.data[: whole[1]])  # type: ignore[type-var]
        object.__setattr__(made, "_decoded", whole)
        return made


def _encode_flag(value: bool) -> bytes:
    return b"\x01" if value else b"\x00"


def _read_flag(reader: Reader) -> bool:
    return reader.u8("boolean") != 0  # A-XDR: any octet but 0 is TRUE


def _encode_octets(value: bytes) -> bytes:
    return encode_length(len(value)) + value


def _read_data(reader: Reader) -> Data:
    value, offset = decode_data(reader.data, reader.offset)
    reader.skip(offset - reader.offset, "value")
    return value


def _read_rest(reader: Reader) -> bytes:
    if not reader.remaining:
        raise DecodeError("the value is missing", offset=reader.offset)
    return reader.rest()


def _identity(value: bytes) -> bytes:
    return bytes(value)


def record(kind: Callable[..., Any], *codecs: Codec) -> Codec:
    """The fields of a tuple one after another."""
    return Codec(
        lambda reader: kind(*[codec.read(reader) for codec in codecs]),
        lambda value: b"".join([codec.encode(field) for codec, field in zip(codecs, value, strict=True)]),
        sum(codec.least for codec in codecs),
    )


def optional(codec: Codec) -> Codec:
    """An octet that says whether the field follows; None when it does not."""
    return Codec(
        lambda reader: codec.read(reader) if reader.u8("presence flag") else None,
        lambda value: b"\x00" if value is None else b"\x01" + codec.encode(value),
    )


def sequence(codec: Codec) -> Codec:
    """A count and so many items; the count is checked against what is there before anything is read."""

    def read(reader: Reader) -> tuple[Any, ...]:
        count = reader.length("number of items")
        if count * codec.least > reader.remaining:
            raise DecodeError(f"{count} items announced, {reader.remaining} octets left", offset=reader.offset)
        return tuple([codec.read(reader) for _ in range(count)])

    return Codec(read, lambda items: encode_length(len(items)) + b"".join(map(codec.encode, items)))


def choice(rows: Mapping[int, Codec], number: Callable[[Any], int], what: str) -> Codec:
    """An octet that picks the codec; ``number`` finds the octet for a value."""

    def read(reader: Reader) -> Any:
        picked = reader.u8(what)
        if picked not in rows:
            raise DecodeError(f"{what} {picked} is not known", offset=reader.offset - 1)
        return rows[picked].read(reader)

    def encode(value: Any) -> bytes:
        picked = number(value)
        return bytes((picked,)) + rows[picked].encode(value)

    return Codec(read, encode, 1 + min(codec.least for codec in rows.values()))


def _number(read: Callable[[Reader], int], form: str) -> Codec:
    packer = struct.Struct(form)
    return Codec(read, packer.pack, packer.size)


U8 = _number(Reader.u8, ">B")
I8 = _number(Reader.i8, ">b")
U16 = _number(Reader.u16, ">H")
U32 = _number(Reader.u32, ">I")
FLAG = Codec(_read_flag, _encode_flag)
OCTETS = Codec(Reader.octets, _encode_octets)
OPTIONAL_OCTETS = Codec(lambda reader: reader.octets() or None, lambda value: _encode_octets(value or b""))
REST = Codec(_read_rest, _identity)
DATA = Codec(_read_data, encode_data)
VALUES = sequence(DATA)
