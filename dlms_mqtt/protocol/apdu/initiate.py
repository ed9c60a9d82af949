"""xDLMS initiate: what AARQ and AARE carry as user-information to agree on version, services and message size.

Source: IEC 62056-5-3:2017, clause 8 (abstract syntax of ACSE and COSEM APDUs); Green Book ed. 8, clause 9.5.
"""

from __future__ import annotations

from dataclasses import field

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.layout import FLAG, I8, OCTETS, U8, U16, Apdu, Codec, optional
from dlms_mqtt.protocol.secret import Secret

LN_VAA = 0x0007
SN_VAA = 0xFA00
DLMS_VERSION = 6

CONFORMANCE = Codec(Conformance.decode, Conformance.encode, 6)
# response-allowed is DEFAULT TRUE: left out (00) when it is.
_DEFAULT_TRUE = Codec(
    lambda reader: reader.u8("presence flag") == 0 or FLAG.read(reader),
    lambda value: b"\x00" if value else b"\x01\x00",
)
_KEY = Codec(lambda reader: Secret(reader.octets("dedicated-key")), OCTETS.encode)


@dataclass(frozen=True, slots=True)
class InitiateRequest(
    Apdu,
    head=(0x01,),
    name="initiate-request",
    layout=(optional(_KEY), _DEFAULT_TRUE, optional(I8), U8, CONFORMANCE, U16),
):
    """What the client proposes; a ``max_pdu_size`` of 0 means no limit."""

    dedicated_key: Secret | None = None
    response_allowed: bool = True
    quality_of_service: int | None = None
    dlms_version: int = DLMS_VERSION
    conformance: Conformance = field(default=Conformance(0))
    max_pdu_size: int = 0xFFFF


@dataclass(frozen=True, slots=True)
class InitiateResponse(Apdu, head=(0x08,), name="initiate-response", layout=(optional(I8), U8, CONFORMANCE, U16, U16)):
    """What the meter agrees to; ``vaa`` is LN_VAA, with short names the base name of the association."""

    quality_of_service: int | None = None
    dlms_version: int = DLMS_VERSION
    conformance: Conformance = field(default=Conformance(0))
    max_pdu_size: int = 0xFFFF
    vaa: int = LN_VAA


APDUS: tuple[type[Apdu], ...] = (InitiateRequest, InitiateResponse)
