"""Envelopes around another APDU: general block transfer, the general and the service-specific ciphering.

What is inside stays raw here; ``protocol.security`` opens it.

Source: IEC 62056-5-3:2017, clause 8 (abstract syntax of ACSE and COSEM APDUs); Green Book ed. 8, clause 9.5.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Self

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.buffer import Reader, encode_length
from dlms_mqtt.protocol.layout import OCTETS, U8, Apdu, Codec, choice, optional, record

# A service-specific ciphered APDU has the plain tag plus a distance: short-name services and initiate +32 (glo) and
# +64 (ded), logical-name services +8 and +16. exception-response, ACCESS and data-notification have none.
_SHORT_NAME = (1, 5, 6, 8, 12, 13, 14, 22, 24)
_LOGICAL_NAME = (192, 193, 194, 195, 196, 197, 199)
GLO_TAGS: dict[int, int] = {tag: tag + 32 for tag in _SHORT_NAME} | {tag: tag + 8 for tag in _LOGICAL_NAME}
DED_TAGS: dict[int, int] = {tag: tag + 64 for tag in _SHORT_NAME} | {tag: tag + 16 for tag in _LOGICAL_NAME}
PLAIN_TAGS: dict[int, int] = {ciphered: plain for table in (GLO_TAGS, DED_TAGS) for plain, ciphered in table.items()}


@dataclass(frozen=True, slots=True)
class GeneralBlockTransfer(Apdu, head=(0xE0,), name="general-block-transfer"):
    """One numbered block of any APDU, with an acknowledgement of the other direction."""

    last: bool
    streaming: bool
    window: int
    block_number: int
    block_number_ack: int
    data: bytes

    def encode_body(self) -> bytes:
        """The octets after the head."""
        if not 0 <= self.window < 64:
            raise ValueError(f"a window of {self.window}")
        control = self.last << 7 | self.streaming << 6 | self.window
        numbers = self.block_number.to_bytes(2, "big") + self.block_number_ack.to_bytes(2, "big")
        return bytes((control,)) + numbers + encode_length(len(self.data)) + self.data

    @classmethod
    def read_body(cls, reader: Reader) -> Self:
        """Read what follows the head."""
        control = reader.u8("block-control")
        number, ack = reader.u16("block-number"), reader.u16("block-number-ack")
        return cls(control > 0x7F, control & 0x40 != 0, control & 0x3F, number, ack, reader.octets("block-data"))


@dataclass(frozen=True, slots=True)
class GeneralGloCiphering(Apdu, head=(0xDB,), name="general-glo-ciphering", layout=(OCTETS, OCTETS)):
    """Any APDU protected with a global key; ``body`` begins with the security control byte."""

    system_title: bytes
    body: bytes


@dataclass(frozen=True, slots=True)
class GeneralDedCiphering(Apdu, head=(0xDC,), name="general-ded-ciphering", layout=(OCTETS, OCTETS)):
    """Any APDU protected with the dedicated key."""

    system_title: bytes
    body: bytes


class IdentifiedKey(NamedTuple):
    """A key both sides have: 0 global-unicast-encryption-key, 1 global-broadcast-encryption-key."""

    key_id: int


class WrappedKey(NamedTuple):
    """A key sent along, wrapped with the key encrypting key ``kek_id`` (0: master key)."""

    kek_id: int
    ciphered_key: bytes


class AgreedKey(NamedTuple):
    """A key that both sides work out from these parameters."""

    parameters: bytes
    ciphered_data: bytes


_KEY_INFO_NUMBERS: dict[type, int] = {IdentifiedKey: 0, WrappedKey: 1, AgreedKey: 2}
KEY_INFO: Codec = choice(
    {0: record(IdentifiedKey, U8), 1: record(WrappedKey, U8, OCTETS), 2: record(AgreedKey, OCTETS, OCTETS)},
    lambda value: _KEY_INFO_NUMBERS[type(value)],
    "key-info",
)
_ADDRESSING = (OCTETS,) * 5


@dataclass(frozen=True, slots=True)
class GeneralCiphering(Apdu, head=(0xDD,), name="general-ciphering", layout=(*_ADDRESSING, optional(KEY_INFO), OCTETS)):
    """Any APDU protected with a key that the message itself names."""

    transaction_id: bytes
    originator_system_title: bytes
    recipient_system_title: bytes
    date_time: bytes
    other_information: bytes
    key_info: IdentifiedKey | WrappedKey | AgreedKey | None
    body: bytes


@dataclass(frozen=True, slots=True)
class GeneralSigning(Apdu, head=(0xDF,), name="general-signing", layout=(*_ADDRESSING, OCTETS, OCTETS)):
    """Any APDU with a signature behind it."""

    transaction_id: bytes
    originator_system_title: bytes
    recipient_system_title: bytes
    date_time: bytes
    other_information: bytes
    content: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class CipheredApdu(Apdu):
    """A service-specific glo- or ded-APDU; ``body`` begins with the security control byte."""

    NAME: ClassVar[str] = "ciphered-apdu"
    tag: int
    body: bytes

    @property
    def plain_tag(self) -> int:
        """The tag of the APDU inside."""
        return PLAIN_TAGS[self.tag]

    @property
    def dedicated(self) -> bool:
        """Is it protected with the dedicated key?"""
        return DED_TAGS.get(self.plain_tag) == self.tag

    def encode_body(self) -> bytes:
        """All octets: the tag is a field here."""
        return bytes((self.tag,)) + OCTETS.encode(self.body)

    @classmethod
    def read_body(cls, reader: Reader) -> Self:
        """Read tag and body."""
        tag = reader.u8("tag")
        if tag not in PLAIN_TAGS:
            raise DecodeError(f"{tag:02x} is no ciphered service", offset=reader.offset - 1)
        return cls(tag, reader.octets("ciphered service"))


APDUS: tuple[type[Apdu], ...] = (
    GeneralBlockTransfer,
    GeneralGloCiphering,
    GeneralDedCiphering,
    GeneralCiphering,
    GeneralSigning,
)
