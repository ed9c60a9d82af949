"""What a meter tells of itself once it has let us in: numbers, logical devices, clients, limits, services."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import FIRMWARE, LOGICAL_DEVICE_NAME, text_of
from dlms_mqtt.client.settings import AUTHENTICATIONS
from dlms_mqtt.cosem.object_list import decode_object_list, decode_object_list_sn
from dlms_mqtt.errors import DlmsMqttError, MeterRefused
from dlms_mqtt.meter.catalogue.lookup import is_energy
from dlms_mqtt.meter.finder.candidates import from_serial
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.obis import Obis

SERIAL_NUMBER = AttributeDescriptor(1, Obis((0, 0, 96, 1, 0, 255)), 2)
IMPORTED = AttributeDescriptor(3, Obis((1, 0, 1, 8, 0, 255)), 2)
SAP_ASSIGNMENT = AttributeDescriptor(17, Obis((0, 0, 41, 0, 0, 255)), 2)
_LONG_TIME = 6.0  # s: enough for a few full frames with one repetition; the rest of the list does not matter
_SLOW_LINE = 2400
_PAUSE = 0.4
_ASSOCIATIONS = tuple(
    AttributeDescriptor(15, Obis((0, 0, 40, 0, instance, 255)), attribute)
    for instance in range(1, 5)
    for attribute in (3, 6)
)
_SERVICES = {
    "lists": Conformance.MULTIPLE_REFERENCES,
    "selective_access": Conformance.SELECTIVE_ACCESS,
    "write": Conformance.SET | Conformance.WRITE,
    "general_block_transfer": Conformance.GENERAL_BLOCK_TRANSFER,
}


async def learn(client: DlmsClient) -> dict[str, Any]:
    """Facts of an open association; what the meter refuses is left out."""
    agreed = client.association
    facts: dict[str, Any] = {
        "referencing": client.settings.referencing,
        "max_pdu": agreed.max_pdu,
        "conformance": agreed.conformance.names(),
    } | {name: bool(agreed.conformance & bit) for name, bit in _SERVICES.items()}
    if client.link_parameters is not None:
        facts["max_info"] = client.link_parameters.max_info_transmit
        facts["window"] = client.link_parameters.window_transmit
    if agreed.system_title:
        facts["system_title"] = agreed.system_title.hex()
    # The name of the association ends in FF, as every OBIS code does: a path that swallows it fails here.
    with contextlib.suppress(MeterRefused):
        await client.keep_alive()
    return facts | await _identity(client) | await _devices(client) | await _long_frames(client)


def _shown(client: DlmsClient, octets: bytes) -> dict[str, Any]:
    """What the object list says: how many objects, and whether what people have a meter for is among them."""
    try:
        read = decode_object_list if client.settings.referencing == "ln" else decode_object_list_sn
        objects = read(octets)
    except DlmsMqttError:
        return {}
    return {"energy": any(is_energy(item.obis) for item in objects), "objects": len(objects)}


async def _long_frames(client: DlmsClient) -> dict[str, Any]:
    """Whether full frames get through, by the object list, which is long in every meter; and what it shows.

    Of a long list on a slow line only the beginning is read, which says nothing about energy.
    """
    statistics, line = client.statistics, client.transport.format
    if line is not None and line.baud < _SLOW_LINE:
        return {}
    class_id = 15 if client.settings.referencing == "ln" else 12
    before = statistics.frames if statistics else 0
    shown: dict[str, Any] = {}
    try:
        async with asyncio.timeout(_LONG_TIME):
            shown = _shown(client, await client.get_raw(AttributeDescriptor(class_id, client.settings.association, 2)))
    except MeterRefused:
        return {}
    except TimeoutError:
        await asyncio.sleep(_PAUSE)  # let the meter finish what it is saying before the link is taken down
    except DlmsMqttError:
        return {"long_frames": False} if statistics else {}
    return shown | ({"long_frames": statistics.frames > before} if statistics else {})


async def _identity(client: DlmsClient) -> dict[str, Any]:
    wanted = {"logical_device_name": LOGICAL_DEVICE_NAME, "serial_number": SERIAL_NUMBER, "firmware": FIRMWARE}
    try:
        *answers, imported = await client.get_many([*wanted.values(), IMPORTED])
    except MeterRefused:
        return {}
    texts = {name: text_of(answer) for name, answer in zip(wanted, answers, strict=True)}
    facts: dict[str, Any] = {name: text for name, text in texts.items() if text}
    if isinstance(imported, Data):  # known also where the list is too long for the line
        facts["energy"] = True
    formula = _formula(client, texts["serial_number"]) or _formula(client, texts["logical_device_name"])
    return facts | ({"address_from": formula} if formula else {})


def _formula(client: DlmsClient, number: str) -> str | None:
    """The formula that makes this meter's address of its number, so that others of its kind can be reached."""
    physical = client.settings.physical
    if physical is None or physical < 18:
        return None
    return next((station.source for station in from_serial(number) if station.physical == physical), None)


async def _devices(client: DlmsClient) -> dict[str, Any]:
    """Logical devices, and the other clients where the meter shows them; small meters refuse both."""
    if client.settings.referencing != "ln":
        return {}
    try:
        devices, *others = await client.get_many([SAP_ASSIGNMENT, *_ASSOCIATIONS])
    except DlmsMqttError:
        return {}
    facts: dict[str, Any] = {}
    if listed := _saps(devices):
        facts["logical_devices"] = listed
    if known := _clients(others):
        facts["clients"] = known
    return facts


def _saps(answer: Data | MeterRefused) -> list[dict[str, Any]]:
    rows = answer.value if isinstance(answer, Data) and isinstance(answer.value, tuple) else ()
    return [
        {"server": row.value[0].value, "name": text_of(row.value[1])}
        for row in rows
        if isinstance(row.value, tuple) and len(row.value) == 2
    ]


def _clients(answers: list[Data | MeterRefused]) -> list[dict[str, Any]]:
    """Pairs of associated_partners_id and mechanism name, one for each association object that may be read."""
    found = []
    for partners, mechanism in zip(answers[::2], answers[1::2], strict=True):
        number = _partner(partners)
        if number is not None:
            found.append({"client": number, "authentication": _mechanism(mechanism)})
    return found


def _partner(answer: Data | MeterRefused) -> int | None:
    items = answer.value if isinstance(answer, Data) and isinstance(answer.value, tuple) else ()
    first = items[0].value if items else None
    return first if isinstance(first, int) else None


def _mechanism(answer: Data | MeterRefused) -> str:
    """The last arc of the mechanism's name, in either of the two ways it is written."""
    value = answer.value if isinstance(answer, Data) else None
    last = value[-1].value if isinstance(value, tuple) and value else value[-1] if value else None
    return AUTHENTICATIONS[last] if isinstance(last, int) and last < len(AUTHENTICATIONS) else "unknown"
