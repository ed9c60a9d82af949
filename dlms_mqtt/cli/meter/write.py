"""``dlms-mqtt write OBIS:ATTRIBUTE VALUE``: with the type of the object, read back; ``--dry-run`` shows the bytes."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from dlms_mqtt.cli.meter.read import attributes_of
from dlms_mqtt.cli.options import Target, add_connection, open_meter, target
from dlms_mqtt.cli.output import complain, print_json, say
from dlms_mqtt.client.procedures.objects import held, resolve_again, type_of
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.errors import ConfigError, DlmsMqttError
from dlms_mqtt.meter.catalogue.reference import object_of
from dlms_mqtt.meter.json_shapes import read_back_json, written_json
from dlms_mqtt.meter.readings import date_time_of
from dlms_mqtt.protocol.apdu.set import SetRequestNormal
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode, parse_value

_INVOKE = 0xC1

_DIFFERS = "the meter took {}, but shows {}: it may round, limit or refuse without a word"

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
    if document.get("differs"):
        complain(DlmsMqttError(_DIFFERS.format(document["value"], document["read_back"])))
        return 1
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
        if wanted.class_id is None:  # the class may be guessed: what is written must not go astray
            found_there = await client.get_many([attribute])
            for class_id in (await resolve_again(client, [wanted], found_there, store)).values():
                attribute = attribute._replace(class_id=class_id)
        value = parse_value(text, kind or await type_of(client, attribute))
        document = written_json(attribute, value)
        if dry_run:
            request = SetRequestNormal(_INVOKE, attribute, None, encode(value)).encode()
            return document | {"bytes": request.hex()}
        await client.set(attribute, value)
        found = await held(client, attribute)
        return document | read_back_json(found) | ({"differs": True} if _differs(value, found) else {})


def _differs(written: Data, found: Data | None) -> bool:
    """Does the meter show another value than it took? A time goes on, and what cannot be read back says nothing."""
    if found is None or date_time_of(written) is not None:
        return False
    return bool(found.plain() != written.plain())
