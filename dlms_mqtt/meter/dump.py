"""What a dump asks: who the meter is, its object list, and values of the objects that matter most."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from dlms_mqtt.client.capture.capture import record_session
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import FIRMWARE, LOGICAL_DEVICE_NAME, read_objects, text_of
from dlms_mqtt.client.procedures.profile import PROFILE_GENERIC, Selection, read_profile
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.classes import SCALERS, VALUES
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.errors import DecodeError, DlmsMqttError, MeterRefused
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.transport import Transport

_CHUNK = 10
_PROFILES, _ROWS = 3, 2
#: Groups of OBIS codes whose values name a meter, a site or a person: device numbers, names, addresses.
_NAMING = (
    lambda obis: obis[2:4] == bytes((96, 1)),
    lambda obis: obis[2:4] == bytes((42, 0)),
    lambda obis: obis[0] == 1 and obis[2:4] == bytes((0, 0)),
    lambda obis: obis[2:4] in (bytes((25, 2)), bytes((25, 1)), bytes((96, 13))),
)


async def dump_session(
    settings: ConnectionSettings,
    *,
    transport: Transport,
    salt: bytes,
    store: Store | None = None,
    objects: int = 60,
    hide: Iterable[bytes] = (),
    progress: Callable[[int, int, str], None] | None = None,
    failed: Callable[[DlmsMqttError], None] = lambda _error: None,
) -> dict[str, Any]:
    """The capture of one session, anonymised: what goes to YAML, or into the reply of a bridge.

    ``failed`` is told the error that ended the session early, for whoever counts refused passwords.
    """

    async def work(client: DlmsClient, facts: dict[str, Any], names: list[bytes]) -> None:
        await _ask(client, objects, progress or _ignore, facts, names)

    clock = asyncio.get_running_loop().time
    return await record_session(
        settings, transport=transport, clock=clock, salt=salt, work=work, store=store, hide=hide, failed=failed
    )


async def _ask(
    client: DlmsClient,
    limit: int,
    progress: Callable[[int, int, str], None],
    facts: dict[str, Any],
    names: list[bytes],
) -> None:
    """Facts of the association, and everything read that names the meter, noted at once: a session may break off."""
    agreed = client.association
    facts |= {"conformance": agreed.conformance.names(), "max_pdu": agreed.max_pdu}
    names += map(_octets, await client.get_many([LOGICAL_DEVICE_NAME]))
    facts["firmware"] = text_of(*await client.get_many([FIRMWARE]))
    try:
        listed = await read_objects(client)
    except MeterRefused as error:
        facts["object_list"] = error.message
        return
    wanted, done = _wanted(listed, limit), 0
    while done < len(wanted):
        progress(done, len(wanted), "values")
        # What names the meter is asked for alone, so that none is read and not noted when the session breaks off.
        chunk = wanted[done : done + (1 if _names(wanted[done]) else _CHUNK)]
        answers = await client.get_many(chunk)
        names += [_octets(answer) for item, answer in zip(chunk, answers, strict=True) if _names(item)]
        done += len(chunk)
    await _profiles(client, listed, facts)


async def _profiles(client: DlmsClient, listed: Sequence[ObjectInfo], facts: dict[str, Any]) -> None:
    """Columns and the two oldest rows of the first profiles, where the meter can pick rows; never a whole buffer."""
    if not client.association.conformance & (Conformance.SELECTIVE_ACCESS | Conformance.PARAMETERIZED_ACCESS):
        return
    profiles = [item for item in listed if item.class_id == PROFILE_GENERIC and item.readable(2)]
    for item in profiles[:_PROFILES]:
        try:
            await read_profile(client, item.obis, Selection(first=1, count=_ROWS))
        except (MeterRefused, DecodeError) as error:
            facts.setdefault("profiles", []).append(f"{item.obis}: {error.message}")


def _wanted(listed: Sequence[ObjectInfo], limit: int) -> list[AttributeDescriptor]:
    """Values of registers, numbers and clocks with their scalers, the core set first; no buffers and lists."""
    plain = [item for item in listed if item.class_id in VALUES and item.readable(VALUES[item.class_id][0])]
    plain.sort(key=lambda item: (not _named_object(item), not quantity(item.obis, item.class_id).core))
    return [
        AttributeDescriptor(item.class_id, item.obis, number)
        for item in plain[:limit]
        for number in (VALUES[item.class_id][0], SCALERS.get(item.class_id))
        if number is not None and item.readable(number)
    ]


def _named_object(item: ObjectInfo) -> bool:
    return any(rule(bytes(item.obis)) for rule in _NAMING)


def _names(attribute: AttributeDescriptor) -> bool:
    return attribute.attribute == 2 and any(rule(bytes(attribute.obis)) for rule in _NAMING)


def _octets(answer: Data | MeterRefused) -> bytes:
    value = answer.value if isinstance(answer, Data) else b""
    return value if isinstance(value, bytes) else str(value).encode() if isinstance(value, str | int) else b""


def _ignore(_done: int, _total: int, _stage: str) -> None:
    """Nobody watches."""
