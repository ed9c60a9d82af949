"""The conformance block: the 24 services that client and meter agree on when they associate.

Bit 0 of the standard is the first bit on the line, so it is the most significant one here.

Source: IEC 62056-5-3:2017, clause 7 (the conformance block); Green Book ed. 8, clause 9.4.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntFlag

from dlms_mqtt.errors import ConfigError, DecodeError
from dlms_mqtt.protocol.buffer import Reader

_HEADER = b"\x5f\x1f\x04\x00"  # [APPLICATION 31], length 4, no unused bits


class Conformance(IntFlag):
    """What an association may use; the names are the standard's, in the order of its bits."""

    RESERVED_ZERO = 1 << 23
    GENERAL_PROTECTION = 1 << 22
    GENERAL_BLOCK_TRANSFER = 1 << 21
    READ = 1 << 20
    WRITE = 1 << 19
    UNCONFIRMED_WRITE = 1 << 18
    DELTA_VALUE_ENCODING = 1 << 17
    RESERVED_SEVEN = 1 << 16
    ATTRIBUTE0_SUPPORTED_WITH_SET = 1 << 15
    PRIORITY_MGMT_SUPPORTED = 1 << 14
    ATTRIBUTE0_SUPPORTED_WITH_GET = 1 << 13
    BLOCK_TRANSFER_WITH_GET_OR_READ = 1 << 12
    BLOCK_TRANSFER_WITH_SET_OR_WRITE = 1 << 11
    BLOCK_TRANSFER_WITH_ACTION = 1 << 10
    MULTIPLE_REFERENCES = 1 << 9
    INFORMATION_REPORT = 1 << 8
    DATA_NOTIFICATION = 1 << 7
    ACCESS = 1 << 6
    PARAMETERIZED_ACCESS = 1 << 5
    GET = 1 << 4
    SET = 1 << 3
    SELECTIVE_ACCESS = 1 << 2
    EVENT_NOTIFICATION = 1 << 1
    ACTION = 1 << 0

    def names(self) -> list[str]:
        """The services that are in, as the standard writes them (``block-transfer-with-get-or-read``), in bit order."""
        return [name for name, bit in _BITS.items() if bit & self]

    @classmethod
    def from_names(cls, names: Iterable[str]) -> Conformance:
        """The block of these services; ConfigError for a name that is none."""
        block = cls(0)
        for name in names:
            bit = _BITS.get(name.strip().lower().replace("_", "-"))
            if bit is None:
                raise ConfigError(f"'{name}' is no conformance bit", hint=f"Known are: {', '.join(_BITS)}.")
            block |= bit
        return block

    def encode(self) -> bytes:
        """The seven octets ``5f 1f 04 00 ..`` of an initiate request or response."""
        return _HEADER + int(self).to_bytes(3, "big")

    @classmethod
    def decode(cls, reader: Reader) -> Conformance:
        """Read the block from an initiate request or response; DecodeError when it is none."""
        start = reader.offset
        tag = reader.u8("conformance tag")
        if tag == 0x5F and reader.peek() == 0x1F:  # older meters write the tag as 5F alone
            reader.u8()
        bits = Reader(reader.octets("conformance"))
        unused = bits.u8("unused bits")
        if tag != 0x5F or unused or bits.remaining != 3:
            raise DecodeError("a conformance block is 5f 1f 04 00 and three octets", offset=start)
        return cls(int.from_bytes(bits.rest(), "big"))


_BITS = {bit.name.lower().replace("_", "-"): bit for bit in Conformance if bit.name}
