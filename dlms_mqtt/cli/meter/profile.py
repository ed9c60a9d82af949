"""``dlms-mqtt profile OBIS``: load profile rows with column names and units."""

from __future__ import annotations

import argparse
import asyncio
import csv
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dlms_mqtt.cli import chart
from dlms_mqtt.cli.options import Target, add_connection, open_meter, target
from dlms_mqtt.cli.output import Progress, note, print_json, say, table
from dlms_mqtt.cli.print_values import shown
from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import identify
from dlms_mqtt.client.procedures.profile import LAST_ENTRY, Column, Profile, Selection, read_profile
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.catalogue.names import object_name
from dlms_mqtt.meter.catalogue.reference import object_of
from dlms_mqtt.meter.json_shapes import cell_value, cells_json, meter_json
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.times import parse_moment

_FORMATS = ("table", "csv", "json")
_EVERY = 0.3  # s between two looks at what has come
_TERMINAL = Path("-")

EXAMPLE = "1.0.99.1.0 --from 24h --config config.yaml --meter house --format csv"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``profile``."""
    parser.add_argument("object", metavar="OBIS", help="the profile, as in 1.0.99.1.0.255")
    parser.add_argument("--from", dest="start", metavar="TIME", help="first row: ISO 8601, or how long ago: 24h, 7d")
    parser.add_argument("--to", dest="end", metavar="TIME", help="last row (default: now)")
    parser.add_argument("--first", type=int, metavar="N", help="number of the first entry (1 is the meter's first)")
    parser.add_argument("--count", type=int, metavar="N", help="how many entries")
    parser.add_argument("--format", choices=_FORMATS, help="how to print (default table)")
    parser.add_argument("--json", action="store_true", help="the same as --format json")
    parser.add_argument(
        "--plot",
        nargs="?",
        const=_TERMINAL,
        type=_picture,
        metavar="FILE",
        help="draw the rows: in the terminal, or into FILE.svg or FILE.png (extra plot: pip install 'dlms-mqtt[plot]')",
    )
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Fetch and print the rows."""
    where = target(args)
    reference = object_of(args.object)
    selection = _selection(args, where)
    form = "json" if args.json else args.format
    if args.plot == _TERMINAL and form:
        raise ConfigError("a chart in the terminal is instead of other output", hint="--plot FILE.svg goes with it.")
    if args.plot:
        chart.need_library(picture=args.plot != _TERMINAL)
    meter, profile, time = asyncio.run(_profile(where, reference.obis, selection))
    for text in profile.notes:
        note(f"dlms-mqtt: {text}.")
    if form or not args.plot:
        _print(form or "table", meter, profile, time)
    return _plot(profile, where, args.plot) if args.plot else 0


def _picture(text: str) -> Path:
    file = Path(text)
    if file.suffix.lower() not in chart.PICTURES:
        raise argparse.ArgumentTypeError(f"'{text}' ends neither in .svg nor in .png (OBIS goes before --plot)")
    return file


def _plot(profile: Profile, where: Target, file: Path) -> int:
    """Draw; 1 when there is nothing to draw."""
    drawn = chart.chart_of(profile, where.zone)
    for gap in drawn.gaps:
        first, last = (moment.astimezone(where.zone).isoformat() for moment in (gap.first, gap.last))
        note(f"{gap.rows} row{'s' * (gap.rows != 1)} missing: {first}" + f" to {last}" * (gap.rows != 1))
    if not drawn.curves:
        note(f"dlms-mqtt: nothing to draw: {len(profile.rows)} rows, and no number in them.")
        return 1
    if file == _TERMINAL:
        from shutil import get_terminal_size  # brings archivers that no command needs otherwise

        say(chart.terminal_chart(drawn, get_terminal_size().columns))
    else:
        _write(drawn, file)
    note(f"{len(profile.rows)} rows drawn" + (f", {drawn.missing} missing" if drawn.missing else ""))
    return 0


def _write(drawn: chart.Chart, file: Path) -> None:
    try:
        chart.write_picture(drawn, file)
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from None


def _print(form: str, meter: dict[str, Any], profile: Profile, time: datetime) -> None:
    if form == "json":
        print_json({"meter": meter, "values": cells_json(profile, time), "errors": []})
    elif form == "csv":
        _print_csv(profile)
    else:
        say(table([_texts(profile, row) for row in profile.rows], [_head(c) for c in profile.columns]))
        note(f"{len(profile.rows)} row{'s' * (len(profile.rows) != 1)}")


def _selection(args: argparse.Namespace, where: Target) -> Selection:
    by_time = args.start is not None or args.end is not None
    if by_time and (args.first is not None or args.count is not None):
        raise ConfigError(
            "rows are chosen by time or by number, not both", hint="Leave out --from/--to or --first/--count."
        )
    if not all(number is None or 1 <= number <= LAST_ENTRY for number in (args.first, args.count)):
        raise ConfigError(f"--first and --count start at 1, and end at {LAST_ENTRY}")
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
