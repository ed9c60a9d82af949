"""``dlms-mqtt write OBIS:ATTRIBUTE VALUE``: with the type of the object, read back; ``--dry-run`` shows the bytes."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from dlms_mqtt.cli.meter.read import attributes_of
from dlms_mqtt.cli.options import Target, add_connection, open_meter, target
from dlms_mqtt.cli.output import print_json, say
from dlms_mqtt.client.procedures.objects import held, type_of
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.catalogue.reference import object_of
from dlms_mqtt.meter.json_shapes import read_back_json, written_json
from dlms_mqtt.protocol.apdu.set import SetRequestNormal
from dlms_mqtt.protocol.axdr.data import DataType, encode, parse_value

_INVOKE = 0xC1

EXAMPLE = "1.0.0.4.2.255:2 50 --config config.yaml --meter house --dry-run"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``write``."""
    parser.add_argument("object", metavar="OBIS:ATTRIBUTE", help="[CLASS/]OBIS:ATTRIBUTE, or a key of the catalogue")
    parser.add_argument(
        "value", metavar="VALUE", help="a number, true, hex octets, text:..., 2026-12-31T08:30:00, or JSON"
    )
    parser.add_argument("--type", metavar="TYPE", help="DLMS type, such as long-unsigned (default: the object's own)")
    parser.add_argument("--dry-run", action="store_true", help="show the bytes and write nothing")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_connection(parser)


def parse_type(name: str | None) -> DataType | None:
    """The type of that name. ConfigError."""
    if name is None:
        return None
    found = DataType.from_text(name)
    if found is None:
        raise ConfigError(f"'{name}' is no DLMS type", hint=f"Types: {', '.join(t.text for t in DataType)}.")
    return found


def run(args: argparse.Namespace) -> int:
    """Write and read back."""
    wanted = object_of(args.object)
    if wanted.is_whole:
        raise ConfigError(f"which attribute of {wanted.obis}?", hint=f"Write {args.object}:2 for its value.")
    where, kind = target(args), parse_type(args.type)
    document = asyncio.run(_write(where, wanted, args.value, kind, args.dry_run))
    if args.json:
        print_json(document)
    else:
        say(_sentence(document))
    return 0


def _sentence(document: dict[str, Any]) -> str:
    target_text = f"{document['class']}/{document['obis']}:{document['attribute']}"
    if "bytes" in document:
        return f"would write {document['value']} ({document['type']}) to {target_text}: {document['bytes']}"
    read_back = document["read_back"]
    shown = "it cannot be read back" if read_back is None else f"read back: {read_back}"
    return f"{target_text} = {document['value']} ({document['type']}); {shown}"


async def _write(where: Target, wanted: ObjectRef, text: str, kind: DataType | None, dry_run: bool) -> dict[str, Any]:
    async with open_meter(where) as (client, store):
        (attribute,) = await attributes_of(client, store, [wanted])
        value = parse_value(text, kind or await type_of(client, attribute))
        document = written_json(attribute, value)
        if dry_run:
            request = SetRequestNormal(_INVOKE, attribute, None, encode(value)).encode()
            return document | {"bytes": request.hex()}
        await client.set(attribute, value)
        return document | read_back_json(await held(client, attribute))
