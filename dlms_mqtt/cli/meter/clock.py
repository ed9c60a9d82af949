"""``dlms-mqtt clock``: meter time, deviation, status and drift; ``--set`` sets the meter to this computer's time."""

from __future__ import annotations

import argparse
import asyncio
import time
from datetime import UTC, datetime
from typing import Any

from dlms_mqtt.cli.options import Target, add_connection, open_meter, target
from dlms_mqtt.cli.output import print_json, say
from dlms_mqtt.client.procedures.clock import ClockReading, read_clock, set_clock
from dlms_mqtt.meter.catalogue.reference import object_of
from dlms_mqtt.meter.json_shapes import clock_json
from dlms_mqtt.protocol.obis import Obis

EXAMPLE = "--config config.yaml --meter house --set"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``clock``."""
    parser.add_argument("--set", action="store_true", help="set the meter's clock to this computer's time")
    parser.add_argument(
        "--object", default="0.0.1.0.0.255", metavar="OBIS", help="the clock object (default 0.0.1.0.0.255)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Show the clock, after setting it where that was asked."""
    reading = asyncio.run(_clock(target(args), object_of(args.object).obis, args.set))
    document = clock_json(reading) | ({"set": True} if args.set else {})
    if args.json:
        print_json(document)
    else:
        _print(document)
    return 0


async def _clock(where: Target, obis: Obis, wanted: bool) -> ClockReading:
    def now() -> datetime:
        return datetime.fromtimestamp(time.time(), UTC)

    async with open_meter(where) as (client, _store):
        reading = await read_clock(client, obis, tz=where.zone, now=now)
        if wanted:
            await set_clock(client, reading, tz=where.zone, now=now)
            reading = await read_clock(client, obis, tz=where.zone, now=now)
        return reading


def _print(document: dict[str, Any]) -> None:
    say(f"time       {document['time'] or 'not set'}")
    deviation = document["deviation"]
    say(f"deviation  {'not stated' if deviation is None else f'{deviation} min'}")
    say(f"status     {', '.join(document['status']) or 'good'}")
    drift = document["drift"]
    say(f"drift      {'unknown' if drift is None else f'{drift:+.1f} s (positive: the meter is ahead)'}")
