"""``dlms-mqtt invoke OBIS:METHOD [VALUE]``: runs a method."""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from dlms_mqtt.cli.meter.write import parse_type
from dlms_mqtt.cli.options import Target, add_connection, open_meter, target
from dlms_mqtt.cli.output import print_json, say
from dlms_mqtt.client.procedures.objects import resolve
from dlms_mqtt.cosem.classes import find
from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.catalogue.reference import method_of
from dlms_mqtt.meter.json_shapes import invoked_json
from dlms_mqtt.protocol.apdu.descriptors import MethodDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType, parse_value

# What a method without a stated argument takes: most meters want integer 0, never a bare null.
DEFAULT_ARGUMENT = Data(DataType.INTEGER, 0)

EXAMPLE = "0.0.96.3.10.255:remote_reconnect --config config.yaml --meter house"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``invoke``."""
    parser.add_argument("object", metavar="OBIS:METHOD", help="[CLASS/]OBIS:METHOD, the method by number or name")
    parser.add_argument("value", metavar="VALUE", nargs="?", help="its argument (default: integer 0)")
    parser.add_argument("--type", metavar="TYPE", help="DLMS type of the argument (default: the method's own)")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Run the method and print what it returns."""
    wanted = method_of(args.object)
    if wanted.is_whole:
        raise ConfigError(f"which method of {wanted.obis}?", hint=f"Write {args.object}:1 for its first.")
    document = asyncio.run(_invoke(target(args), wanted, args.value, parse_type(args.type)))
    if args.json:
        print_json(document)
    else:
        returned = document["returned"]
        say(
            f"{document['class']}/{document['obis']}:{document['method']} done"
            + (f": {returned}" if returned is not None else "")
        )
    return 0


async def _invoke(where: Target, reference: ObjectRef, text: str | None, kind: DataType | None) -> dict[str, Any]:
    async with open_meter(where) as (client, store):
        (class_id,) = await resolve(client, [reference], store)
        method = MethodDescriptor(class_id, reference.obis, reference.method(class_id))
        returned = await client.invoke(method, argument(method, text, kind))
    return invoked_json(method, returned)


def argument(method: MethodDescriptor, text: str | None, kind: DataType | None) -> Data:
    """The argument with the type that was asked for, else the one the class states. ConfigError."""
    row = find(method.class_id)
    stated = row.method(method.method) if row else None
    kind = kind or (stated.type if stated else None)
    if text is None:
        return Data(kind, 0) if kind in (DataType.INTEGER, DataType.LONG, DataType.UNSIGNED) else DEFAULT_ARGUMENT
    if kind is None:
        raise ConfigError(f"the type of the argument of {method} is not known", hint="Give --type.")
    return parse_value(text, kind)
