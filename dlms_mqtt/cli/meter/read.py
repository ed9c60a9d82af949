"""``dlms-mqtt read OBIS[:ATTRIBUTE]...``: attributes in as few round trips as the meter allows."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from dlms_mqtt.cli.configuration import usual_config
from dlms_mqtt.cli.options import Target, add_connection, open_meter, target
from dlms_mqtt.cli.output import complain, note, print_json, say, table
from dlms_mqtt.cli.print_values import print_values, shown
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import LOGICAL_DEVICE_NAME, Identity, identify, read_named, resolve, text_of
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.errors import ConfigError, DlmsMqttError, MeterRefused
from dlms_mqtt.meter.catalogue.reference import object_of
from dlms_mqtt.meter.json_shapes import error_json, meter_json, value_json
from dlms_mqtt.meter.readings import Reading
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor

EXAMPLE = "1-0:1.8.0 1-0:32.7.0 0-0:1.0.0:3 --tcp 192.168.1.20:4059 --json"
_NAME = ObjectRef(*LOGICAL_DEVICE_NAME)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``read``."""
    parser.add_argument(
        "objects",
        nargs="*",
        metavar="OBIS[:ATTRIBUTE]",
        help="[CLASS/]OBIS[:ATTRIBUTE] (2 if left out), or a key such as energy_import; none: what the bridge reads",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Read and print; 1 when every object was refused."""
    wanted = [object_of(text) for text in args.objects]
    if not wanted:
        return _as_the_bridge(args)
    where = target(args)
    document, refusals = asyncio.run(_read(where, wanted))
    if args.json:
        print_json(document)
    else:
        print_values(document["values"])
    for refusal in refusals:
        complain(refusal)
    return 0 if document["values"] else 1


async def _read(where: Target, wanted: Sequence[ObjectRef]) -> tuple[dict[str, Any], list[MeterRefused]]:
    async with open_meter(where) as (client, store):
        # Who answers is asked in the same round trip.
        *pairs, (_, name) = await read_named(client, [*wanted, _NAME], store)
        time = datetime.now(where.zone)
    title = client.association.system_title.hex()
    identity = Identity(title, text_of(name.data) if isinstance(name, Measured) else "", "")
    refused = [(attribute, answer) for attribute, answer in pairs if isinstance(answer, MeterRefused)]
    document = {
        "meter": meter_json(identity),
        "values": [value_json(answer, time) for _, answer in pairs if isinstance(answer, Measured)],
        "errors": [error_json(attribute, answer) for attribute, answer in refused],
    }
    return document, [answer for _, answer in refused]


def _as_the_bridge(args: argparse.Namespace) -> int:
    """What the bridge would publish: the same keys, units and transforms. ConfigError."""
    from dlms_mqtt.bridge.config.speaking import polls

    where = target(args) if args.config or usual_config() else None
    if where is None or where.meter is None:
        raise ConfigError(
            "which object?",
            hint="Name its OBIS code or key (1.0.1.8.0, energy_import), or give --config FILE: what the bridge reads.",
        )
    if not polls(where.meter, where.settings.line):
        if where.meter.is_computed:
            raise ConfigError("this meter is computed of others", hint="Read those.")
        raise ConfigError("the bridge only listens to this meter", hint="See what it sends: dlms-mqtt listen.")
    document, readings, refused = asyncio.run(_read_once(where))
    if args.json:
        print_json(document)
    elif readings:
        rows = [(reading.key, shown(reading.value), reading.unit) for reading in readings]
        say(table(rows, ("KEY", "VALUE", "UNIT"), right=(1,)))
    for key, error in refused.items():
        note(f"dlms-mqtt: {key}: {error.told}")
    return 0 if readings else 1


async def _read_once(where: Target) -> tuple[dict[str, Any], Sequence[Reading], Mapping[str, DlmsMqttError]]:
    from dlms_mqtt.bridge.meters.once import read_once

    async with open_meter(where) as (client, store):
        once = await read_once(where.meter, client, store, where.zone)
        identity = await identify(client)
    document = {
        "meter": meter_json(identity),
        "values": [_reading_json(reading, once.sent.get(reading.key)) for reading in once.readings],
        "errors": [_refusal_json(key, once.requested.get(key), error) for key, error in once.refused.items()],
    }
    return document, once.readings, once.refused


def _refusal_json(key: str, attribute: AttributeDescriptor | None, error: DlmsMqttError) -> dict[str, Any]:
    refusal = (
        error_json(attribute, error) if attribute and isinstance(error, MeterRefused) else {"message": error.message}
    )
    return {**refusal, "key": key}


def _reading_json(reading: Reading, sent: Measured | None) -> dict[str, Any]:
    """A row as of any value, with its key, and ``value`` and ``unit`` as in topics; ``raw_unit`` is the meter's."""
    row: dict[str, Any] = {"obis": str(reading.obis), "class": reading.class_id, "attribute": reading.attribute}
    row |= {"name": reading.key, "raw": reading.raw, "scaler": None, "value": None, "unit": None, "type": None}
    row |= {"time": reading.time.isoformat(timespec="seconds")}
    row |= value_json(sent, reading.time) if sent else {}
    own = {"value": reading.value, "unit": reading.unit or None, "key": reading.key}
    return {**row, **own, "raw_unit": row["unit"], "quality": str(reading.quality)}


async def attributes_of(client: DlmsClient, store: Store, wanted: Sequence[ObjectRef]) -> list[AttributeDescriptor]:
    """The attributes that were named, with their classes and numbers."""
    classes = await resolve(client, wanted, store)
    return [
        AttributeDescriptor(class_id, reference.obis, reference.attribute(class_id))
        for reference, class_id in zip(wanted, classes, strict=True)
    ]
