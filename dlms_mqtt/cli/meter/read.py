"""``dlms-mqtt read OBIS[:ATTRIBUTE]...``: attributes in as few round trips as the meter allows."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dlms_mqtt.cli.options import Target, add_connection, open_meter, target
from dlms_mqtt.cli.output import complain, print_json
from dlms_mqtt.cli.print_values import print_values
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import LOGICAL_DEVICE_NAME, Identity, resolve, resolve_again, text_of
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.errors import MeterRefused
from dlms_mqtt.meter.catalogue.reference import object_of
from dlms_mqtt.meter.json_shapes import error_json, meter_json, value_json
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor

EXAMPLE = "1-0:1.8.0 1-0:32.7.0 0-0:1.0.0:3 --tcp 192.168.1.20:4059 --json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``read``."""
    parser.add_argument(
        "objects",
        nargs="+",
        metavar="OBIS[:ATTRIBUTE]",
        help="[CLASS/]OBIS[:ATTRIBUTE] (2 if left out), or a key such as energy_import",
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Read and print; 1 when every object was refused."""
    wanted = [object_of(text) for text in args.objects]
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
        attributes = await attributes_of(client, store, wanted)
        # Who answers is asked in the same round trip.
        *answers, name = await client.read([*attributes, LOGICAL_DEVICE_NAME])
        for index, class_id in (await resolve_again(client, wanted, answers, store)).items():
            attributes[index] = attributes[index]._replace(class_id=class_id)
            (answers[index],) = await client.read([attributes[index]])
        time = datetime.now(where.zone)
    title = client.association.system_title.hex()
    identity = Identity(title, text_of(name.data) if isinstance(name, Measured) else "", "")
    pairs = list(zip(attributes, answers, strict=True))
    refused = [(attribute, answer) for attribute, answer in pairs if isinstance(answer, MeterRefused)]
    document = {
        "meter": meter_json(identity),
        "values": [value_json(answer, time) for _, answer in pairs if isinstance(answer, Measured)],
        "errors": [error_json(attribute, answer) for attribute, answer in refused],
    }
    return document, [answer for _, answer in refused]


async def attributes_of(client: DlmsClient, store: Store, wanted: Sequence[ObjectRef]) -> list[AttributeDescriptor]:
    """The attributes that were named, with their classes and numbers."""
    classes = await resolve(client, wanted, store)
    return [
        AttributeDescriptor(class_id, reference.obis, reference.attribute(class_id))
        for reference, class_id in zip(wanted, classes, strict=True)
    ]
