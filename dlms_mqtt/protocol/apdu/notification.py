"""Messages that a meter sends by itself: DataNotification (push) and EventNotification.

Source: IEC 62056-5-3:2017, clause 8 (abstract syntax of ACSE and COSEM APDUs); Green Book ed. 8, clause 9.5.
"""

from __future__ import annotations

from typing import Self

from dlms_mqtt.errors import DecodeError
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.apdu.descriptors import ATTRIBUTE, AttributeDescriptor
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.buffer import Reader, encode_length
from dlms_mqtt.protocol.layout import OCTETS, OPTIONAL_OCTETS, REST, U32, Apdu, LazyValue, optional

TAGGED_DATE_TIME = "date-time as tagged octet-string"


def _date_time(raw: bytes | None) -> DateTime | None:
    return DateTime.decode(raw) if raw is not None and len(raw) == 12 else None


@dataclass(frozen=True, slots=True)
class DataNotification(LazyValue, Apdu, head=(0x0F,), name="data-notification"):
    """A pushed value, raw in ``data``; ``date_time`` is None when left out; ``quirk`` names an oddity."""

    long_invoke: int
    date_time: bytes | None
    data: bytes
    quirk: str | None = None

    @property
    def time(self) -> DateTime | None:
        """``date_time`` understood, None when it is absent or is none."""
        return _date_time(self.date_time)

    def encode_body(self) -> bytes:
        """The octets after the head."""
        tag = b"\x09" if self.quirk == TAGGED_DATE_TIME else b""
        time = self.date_time or b""
        return self.long_invoke.to_bytes(4, "big") + tag + encode_length(len(time)) + time + self.data

    @classmethod
    def read_body(cls, reader: Reader) -> Self:
        """Read what follows the head."""
        invoke, quirk = reader.u32("long-invoke-id-and-priority"), None
        # Kaifa sends 09 0c as if the date-time were a Data; no date-time has nine octets.
        if reader.data[reader.offset : reader.offset + 2] == b"\x09\x0c":
            reader.u8()
            quirk = TAGGED_DATE_TIME
        time = reader.octets("date-time")
        if not reader.remaining:
            raise DecodeError("the notification ends before its body", offset=reader.offset)
        return cls(invoke, time or None, reader.rest(), quirk)


@dataclass(frozen=True, slots=True)
class DataNotificationConfirm(Apdu, head=(0x10,), name="data-notification-confirm", layout=(U32, OPTIONAL_OCTETS)):
    """The answer to a confirmed DataNotification."""

    long_invoke: int
    date_time: bytes | None


@dataclass(frozen=True, slots=True)
class EventNotification(
    LazyValue, Apdu, head=(0xC2,), name="event-notification-request", layout=(optional(OCTETS), ATTRIBUTE, REST)
):
    """An attribute that the meter reports by itself; ``date_time`` is None when left out."""

    date_time: bytes | None
    attribute: AttributeDescriptor
    data: bytes

    @property
    def time(self) -> DateTime | None:
        """``date_time`` understood, None when it is absent or is none."""
        return _date_time(self.date_time)


APDUS: tuple[type[Apdu], ...] = (DataNotification, DataNotificationConfirm, EventNotification)
