"""The objects of the current association, whose values depend on who asks: Association LN and Association SN."""

from __future__ import annotations

from collections.abc import Sequence

from dlms_mqtt.cosem.object_list import encode_access_rights_sn, encode_object_list, encode_object_list_sn
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.simulator.server.associations import CURRENT_LN, CURRENT_SN
from dlms_mqtt.simulator.server.objects import Context, CosemObject, named


def object_list(context: Context) -> bytes:
    """Attribute 2 of Association LN, as this client sees it."""
    return encode_object_list(context.view.values())


def object_list_sn(context: Context) -> bytes:
    """Attribute 2 of Association SN."""
    return encode_object_list_sn(context.view.values())


def access_rights_sn(context: Context) -> bytes:
    """Attribute 3 of Association SN."""
    return encode_access_rights_sn(context.view.values())


def partners(context: Context) -> Data:
    """Attribute 3 of Association LN: client and server addresses."""
    return named("structure", (named("integer", context.association.client & 0x7F), named("long-unsigned", 1)))


def context_name(context: Context) -> Data:
    """Attribute 4 of Association LN: the object identifier of the application context."""
    number = (1 if context.referencing == "ln" else 2) + (2 if context.association.keys else 0)
    return named("octet-string", bytes.fromhex("60857405080100")[:-1] + bytes((number,)))


def mechanism_name(context: Context) -> Data:
    """Attribute 6 of Association LN: the object identifier of the mechanism."""
    return named("octet-string", bytes.fromhex("60857405080200")[:-1] + bytes((context.association.mechanism,)))


def xdlms_info(context: Context) -> Data:
    """Attribute 5 of Association LN: conformance, sizes, version."""
    services = int(context.association.ln_services)
    return named(
        "structure",
        (
            named("bit-string", f"{services:024b}"),
            named("long-unsigned", context.association.max_pdu),
            named("long-unsigned", context.association.max_pdu),
            named("unsigned", 6),
            named("integer", 0),
            named("octet-string", b""),
        ),
    )


def association_objects() -> Sequence[CosemObject]:
    """The current association, under both ways of referencing."""
    empty, setup = named("octet-string", b""), named("octet-string", bytes((0, 0, 43, 0, 0, 255)))
    ln_values = (object_list, partners, context_name, xdlms_info, mechanism_name, empty, named("enum", 2), setup)
    sn_values = (object_list_sn, access_rights_sn, setup)
    return (
        CosemObject(15, CURRENT_LN[1], 1, dict(enumerate(ln_values, start=2)), see=0, writable=frozenset((7,))),
        CosemObject(12, CURRENT_SN[1], 2, dict(enumerate(sn_values, start=2)), see=0),
    )
