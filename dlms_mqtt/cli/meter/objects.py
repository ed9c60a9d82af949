"""``dlms-mqtt objects``: what the meter has for this client and what we may do with it; values on demand."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from dlms_mqtt.cli.options import Target, add_connection, open_meter, target
from dlms_mqtt.cli.output import Progress, note, print_json, say, table
from dlms_mqtt.cli.print_values import shown
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import identify, list_or_why
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.classes import find
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.errors import MeterRefused
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.meter.json_shapes import error_json, meter_json, object_json, value_json
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis

_CHUNK = 20  # attributes between two steps of the progress bar
_BUFFERS = {(7, 2), (15, 2), (12, 2)}  # long ones, which have commands of their own
_WIDEST = 100  # characters of a value

EXAMPLE = "--tcp 192.168.1.20:4059 --client 32 --authentication low --password text:12345678 --values"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``objects``."""
    parser.add_argument("--values", action="store_true", help="read every readable attribute too")
    parser.add_argument("--suggest", action="store_true", help="print a `read:` block for the configuration")
    parser.add_argument("--fresh", action="store_true", help="ask the meter, even if its list is kept")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Read and print the object list."""
    document, objects, without = asyncio.run(_objects(target(args), args.values, args.fresh))
    if without:
        note(f"dlms-mqtt: {without}")
    if args.json:
        print_json(document)
    elif args.suggest:
        say(suggestion(objects))
    else:
        _print(document)
    return 0 if objects else 1


async def _objects(where: Target, values: bool, fresh: bool) -> tuple[dict[str, Any], Sequence[ObjectInfo], str]:
    with Progress("objects") as progress:
        async with open_meter(where) as (client, store):
            progress.update(0, 0, "reading the object list")
            identity = await identify(client)
            objects, without = await _offered(client, store, fresh)
            document = {"meter": meter_json(identity), "objects": [object_json(item) for item in objects]}
            if values:
                document |= await _values(client, objects, progress, where)
    return document, objects, without


async def _offered(client: DlmsClient, store: Store, fresh: bool) -> tuple[Sequence[ObjectInfo], str]:
    """The meter's list; without one the well-known objects that answer, and a sentence that says so."""
    objects, why = await list_or_why(client, store, fresh=fresh)
    if objects:
        return objects, ""
    from dlms_mqtt.bridge.reading.plan import WELL_KNOWN

    answers = await client.read([AttributeDescriptor(item.class_id, item.obis, 2) for item in WELL_KNOWN])
    there = [item for item, answer in zip(WELL_KNOWN, answers, strict=True) if isinstance(answer, Measured)]
    shown = "these of the well-known objects answer" if there else "none of the well-known objects answers"
    return there, f"the meter gives no object list ({why}); {shown}. Another --client may be shown more."


async def _values(
    client: DlmsClient, objects: Sequence[ObjectInfo], progress: Progress, where: Target
) -> dict[str, Any]:
    attributes = [attribute for item in objects for attribute in _readable(item)]
    values: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    for start in range(0, len(attributes), _CHUNK):
        chunk = attributes[start : start + _CHUNK]
        progress.update(start, len(attributes), str(chunk[0].obis))
        for attribute, answer in zip(chunk, await client.read(chunk), strict=True):
            if isinstance(answer, Measured):
                values.append(value_json(answer, datetime.now(where.zone)))
            elif isinstance(answer, MeterRefused):
                errors.append(error_json(attribute, answer))
    return {"values": values, "errors": errors}


def _readable(item: ObjectInfo) -> list[AttributeDescriptor]:
    """The attributes the list allows us to read; where it states no rights, those of the class."""
    row = find(item.class_id, item.version)
    numbers = sorted(item.attribute_access) or ([a.index for a in row.attributes] if row else [2])
    return [
        AttributeDescriptor(item.class_id, item.obis, number)
        for number in numbers
        if item.readable(number) and (item.class_id, number) not in _BUFFERS
    ]


def _print(document: dict[str, Any]) -> None:
    values: dict[str, str] = {}
    for value in document.get("values", ()):
        if value["attribute"] == 2:
            values[value["obis"]] = _short(f"{shown(value['value'])} {value['unit'] or ''}".strip())
    rows = [
        (o["class"], o["obis"], o["name"], _rights(o), values.get(o["obis"], ""))
        for o in sorted(document["objects"], key=lambda o: (Obis.parse(o["obis"]), o["class"]))
    ]
    head = ("CLASS", "OBIS", "NAME", "ACCESS", "VALUE")
    columns = 5 if "values" in document else 4
    say(table([row[:columns] for row in rows], head[:columns], right=(0,)))


def _short(text: str) -> str:
    """Some values are thousands of octets: a table has their beginning, ``read`` and ``--json`` have all."""
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}... ({len(text)} characters)"


def _rights(item: dict[str, Any]) -> str:
    """Short: attributes by number with r, w or rw, then methods."""
    short = {"read-only": "r", "write-only": "w", "read-and-write": "rw", "no-access": "-"}
    rights = [f"{a['attribute']}:{short.get(a['access'], a['access'])}" for a in item["attributes"]]
    methods = [f"m{m['method']}" for m in item["methods"] if m["access"] != "no-access"]
    return " ".join(rights + methods)


def suggestion(objects: Sequence[ObjectInfo]) -> str:
    """A ``read:`` block that names each object with a meaning, the core set first."""
    lines = ["read:", "  set: core", "  also:"]
    for item in objects:
        found = quantity(item.obis, item.class_id)
        if not found.key.startswith("obis_") and not found.core and item.readable(2):
            lines.append(
                f"    - {{obis: {item.obis}, class: {item.class_id}, key: {found.key}}}  # {found.name_in('en')}"
            )
    return "\n".join(lines if len(lines) > 3 else lines[:2])
