"""ACCESS: specifications and outcomes of the three kinds, with and without a selector, and what is none."""

from __future__ import annotations

from dlms_mqtt.protocol.apdu.access import (
    AccessKind,
    AccessOutcome,
    AccessRequest,
    AccessResponse,
    AccessSpecification,
)
from dlms_mqtt.protocol.apdu.descriptors import (
    AttributeDescriptor,
    MethodDescriptor,
)
from dlms_mqtt.protocol.apdu.results import (
    ActionResult,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from tests.protocol.apdu.drive import drive

SEVEN = Data(DataType.UNSIGNED, 7)
TEXT = Data(DataType.VISIBLE_STRING, "x" * 200)


def test_access() -> None:
    get, switch = AttributeDescriptor(3, Obis(6), 2), MethodDescriptor(70, Obis(6), 1)
    specifications = (
        AccessSpecification(AccessKind.GET, get),
        AccessSpecification(AccessKind.SET, get, (1, SEVEN)),
        AccessSpecification(AccessKind.ACTION, switch),
    )
    nothing = Data(DataType.NULL_DATA, None)
    request = AccessRequest(0x40000001, None, specifications, (nothing, TEXT, SEVEN))
    octets = drive(request.encode()).encode()
    assert octets[:7].hex() == "d9400000010003"
    assert (octets[7], octets[17]) == (1, 5)
    results = (AccessOutcome(AccessKind.GET, 0), AccessOutcome(AccessKind.ACTION, ActionResult.OTHER_REASON))
    drive(AccessResponse(1, bytes(12), None, (TEXT, nothing), results).encode())
    drive(AccessResponse(1, None, specifications, (), ()).encode())
