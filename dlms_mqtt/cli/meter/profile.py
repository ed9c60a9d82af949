"""``dlms-mqtt profile OBIS``: load profile rows with column names and units."""

from __future__ import annotations

import argparse
import asyncio
import csv
import sys
from datetime import UTC, datetime
from typing import Any

from dlms_mqtt.cli.options import Target, add_connection, open_meter, target
from dlms_mqtt.cli.output import Progress, note, print_json, say, table
from dlms_mqtt.cli.print_values import shown
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import identify
from dlms_mqtt.client.procedures.profile import Column, Profile, Selection, read_profile
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.catalogue.names import object_name
from dlms_mqtt.meter.catalogue.reference import object_of
from dlms_mqtt.meter.json_shapes import cell_value, cells_json, meter_json
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.times import parse_moment

_FORMATS = ("table", "csv", "json")
_EVERY = 0.3  # s between two looks at what has come

EXAMPLE = "1.0.99.1.0 --from 24h --config config.yaml --meter house --format csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``profile``."""
    parser.add_argument("object", metavar="OBIS", help="the profile, as in 1.0.99.1.0.255")
    parser.add_argument("--from", dest="start", metavar="TIME", help="first row: ISO 8601, or how long ago: 24h, 7d")
    parser.add_argument("--to", dest="end", metavar="TIME", help="last row (default: now)")
    parser.add_argument("--first", type=int, metavar="N", help="number of the first entry (1 is the meter's first)")
    parser.add_argument("--count", type=int, metavar="N", help="how many entries")
    parser.add_argument("--format", choices=_FORMATS, default="table", help="how to print (default table)")
    parser.add_argument("--json", action="store_true", help="the same as --format json")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Fetch and print the rows."""
    where = target(args)
    reference = object_of(args.object)
    selection = _selection(args, where)
    meter, profile, time = asyncio.run(_profile(where, reference.obis, selection))
    for text in profile.notes:
        note(f"dlms-mqtt: {text}.")
    form = "json" if args.json else args.format
    if form == "json":
        print_json({"meter": meter, "values": cells_json(profile, time), "errors": []})
    elif form == "csv":
        _print_csv(profile)
    else:
        say(table([_texts(profile, row) for row in profile.rows], [_head(c) for c in profile.columns]))
        note(f"{len(profile.rows)} row{'s' * (len(profile.rows) != 1)}")
    return 0


def _selection(args: argparse.Namespace, where: Target) -> Selection:
    by_time = args.start is not None or args.end is not None
    if by_time and (args.first is not None or args.count is not None):
        raise ConfigError(
            "rows are chosen by time or by number, not both", hint="Leave out --from/--to or --first/--count."
        )
    if (args.first is not None and args.first < 1) or (args.count is not None and args.count < 1):
        raise ConfigError("--first and --count start at 1")
    now = datetime.now(UTC)
    start = parse_moment(args.start, where.zone, now) if args.start else None
    end = parse_moment(args.end, where.zone, now) if args.end else None
    if start is None and end is not None:
        raise ConfigError("--to needs --from")
    return Selection(start, end, args.first, args.count)


async def _profile(where: Target, obis: Obis, selection: Selection) -> tuple[dict[str, Any], Profile, datetime]:
    with Progress("profile") as bar:
        async with open_meter(where) as (client, _store):
            shown = asyncio.create_task(_show(client, bar))
            try:
                identity = await identify(client)
                profile = await read_profile(client, obis, selection, tz=where.zone)
            finally:
                shown.cancel()
    return meter_json(identity), profile, datetime.now(where.zone)


async def _show(client: DlmsClient, bar: Progress) -> None:
    """Meters do not say how much will come, so what came is counted."""
    while client.statistics is not None:
        bar.update(0, 0, f"{client.statistics.frames} frames received")
        await asyncio.sleep(_EVERY)


def _head(column: Column) -> str:
    source = column.source
    unit = column.scaler_unit.unit if column.scaler_unit else ""
    name = object_name(source.obis, source.class_id, source.attribute)
    return f"{name} [{unit}]" if unit else name


def _texts(profile: Profile, row: tuple[Any, ...]) -> list[str]:
    return [shown(cell_value(column, raw)) for column, raw in zip(profile.columns, row, strict=False)]


def _print_csv(profile: Profile) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow([_head(column) for column in profile.columns])
    writer.writerows(_texts(profile, row) for row in profile.rows)
