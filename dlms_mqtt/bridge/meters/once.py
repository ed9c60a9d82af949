"""One meter read once, as the bridge would read it: for commands that show what would be published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, tzinfo

from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.reading.derived import Readings, derive
from dlms_mqtt.bridge.reading.interpret import Moment, reading_of
from dlms_mqtt.bridge.reading.latest_values import lifetime
from dlms_mqtt.bridge.reading.plan import WELL_KNOWN, Plan, needs_object_list, plan_for
from dlms_mqtt.bridge.reading.virtual import computed
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import list_or_why
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.errors import ConfigError, DlmsMqttError, MeterRefused
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.meter.readings import Reading
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor


@dataclass(frozen=True, slots=True)
class Once:
    """What was asked for by key, what was read, what the meter sent for it, and why the rest could not be read."""

    requested: Mapping[str, AttributeDescriptor]
    readings: tuple[Reading, ...]
    sent: Mapping[str, Measured]
    refused: Mapping[str, DlmsMqttError]


async def offered(client: DlmsClient, store: Store, *, fresh: bool = False) -> tuple[Sequence[ObjectInfo], str]:
    """The meter's list; without one, or with an empty one, what nearly every meter has, and why."""
    found, why = await list_or_why(client, store, fresh=fresh)
    return found or WELL_KNOWN, why


async def plan_of(meter: Meter, client: DlmsClient, store: Store, zone: tzinfo) -> Plan:
    """What the bridge would read of this meter."""
    objects = (await offered(client, store))[0] if needs_object_list(meter) else ()
    return await plan_for(meter, objects, zone)


async def read_once(meter: Meter, client: DlmsClient, store: Store, zone: tzinfo) -> Once:
    """Everything of the plan, in one go, with what follows from it."""
    plan = await plan_of(meter, client, store, zone)
    attributes = list(dict.fromkeys(item.attribute for item in plan.items))
    answers = dict(zip(attributes, await client.read(attributes), strict=True)) if attributes else {}
    moment = Moment(datetime.now(zone), zone)
    readings: Readings = {}
    refused: dict[str, DlmsMqttError] = {}
    for item in plan.items:
        try:
            answer = _measured(answers[item.attribute])
            readings[item.key] = (item, reading_of(item, answer, moment), lifetime(item.schedule))
        except (MeterRefused, ConfigError) as error:
            refused[item.key] = error
    sent = {key: answers[item.attribute] for key, (item, _, _) in readings.items()}
    readings |= derive(readings, plan.derived, plan.by_key)
    _compute(meter, readings, refused)
    measured = {key: answer for key, answer in sent.items() if isinstance(answer, Measured)}
    requested = {item.key: item.attribute for item in plan.items}
    return Once(requested, tuple(reading for _, reading, _ in readings.values()), measured, refused)


def _measured(answer: Measured | MeterRefused) -> Measured:
    if isinstance(answer, MeterRefused):
        raise answer
    return answer


def _compute(meter: Meter, readings: Readings, refused: dict[str, DlmsMqttError]) -> None:
    """What the user computes of them (``derive``), and of each other."""
    for key, formula in meter.derive.items():
        try:
            row = computed(key, formula, {name: (item, reading) for name, (item, reading, _) in readings.items()}, 0.0)
        except ConfigError as error:
            refused[key] = error
        else:
            readings |= {key: row} if row else {}
