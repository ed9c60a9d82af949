"""One meter read once, as the bridge would read it: for commands that show what would be published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from dlms_mqtt.bridge.config.sections import Meter
from dlms_mqtt.bridge.reading.derived import Readings, derive
from dlms_mqtt.bridge.reading.interpret import Moment, reading_of
from dlms_mqtt.bridge.reading.latest_values import lifetime
from dlms_mqtt.bridge.reading.plan import WELL_KNOWN, Plan, make_plan, needs_object_list
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import read_objects
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.errors import MeterRefused, RemoteProtocolError, ResponseTimeout
from dlms_mqtt.meter.readings import Reading


@dataclass(frozen=True, slots=True)
class Once:
    """What was read, and the keys of what the meter refused."""

    readings: tuple[Reading, ...]
    refused: tuple[str, ...]


async def plan_of(meter: Meter, client: DlmsClient, store: Store, zone: tzinfo) -> Plan:
    """What the bridge would read of this meter."""
    objects = await _objects(client, store) if needs_object_list(meter) else ()
    return make_plan(meter, objects, zone)


async def _objects(client: DlmsClient, store: Store) -> Sequence[ObjectInfo]:
    """The meter's list; without one what nearly every meter has."""
    try:
        return await read_objects(client, store) or WELL_KNOWN
    except (MeterRefused, RemoteProtocolError, ResponseTimeout) as error:
        await client.recover(error)
        return WELL_KNOWN


async def read_once(meter: Meter, client: DlmsClient, store: Store, zone: tzinfo) -> Once:
    """Everything of the plan, in one go, with what follows from it."""
    plan = await plan_of(meter, client, store, zone)
    attributes = list(dict.fromkeys(item.attribute for item in plan.items))
    answers = dict(zip(attributes, await client.read(attributes), strict=True)) if attributes else {}
    moment = Moment(datetime.now(zone), zone)
    readings: Readings = {}
    refused = []
    for item in plan.items:
        answer = answers[item.attribute]
        if isinstance(answer, Measured):
            readings[item.key] = (item, reading_of(item, answer, moment), lifetime(item.schedule))
        else:
            refused.append(item.key)
    found = readings | derive(readings, plan.derived, plan.by_key)
    return Once(tuple(reading for _, reading, _ in found.values()), tuple(refused))
