"""``dlms-mqtt counter``: shows the stored invocation counters; ``--raise N`` raises one, nothing ever lowers one."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from dlms_mqtt.cli.configuration import usual_config
from dlms_mqtt.cli.options import add_connection, option, target
from dlms_mqtt.cli.output import print_json, say, table
from dlms_mqtt.client.association.ciphering import Ciphering
from dlms_mqtt.client.option_values import parse_int
from dlms_mqtt.client.state.state_file import default_path
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.security import key_id

_NUMBER = parse_int(0, 0xFFFFFFFE)

EXAMPLE = "--config config.yaml --meter house --raise 5000"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``counter``."""
    parser.add_argument(
        "--raise", dest="number", metavar="N", help="let N be the next counter of this connection's key"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Show all, or raise one and show it. No meter is asked."""
    rows = _show(args) if args.number is None else _raise(args, option(args, "number", "--raise", _NUMBER))
    if args.json:
        print_json({"counters": rows})
    elif rows:
        say(table([tuple(row.values()) for row in rows], ("KEY", "SYSTEM TITLE", "NEXT COUNTER"), right=(2,)))
    else:
        say("no counter is stored: none of our keys has protected a message yet")
    return 0


def _show(args: argparse.Namespace) -> list[dict[str, Any]]:
    configured = args.config or (args.state is None and usual_config())
    path: Path = target(args).state if configured else args.state or default_path()
    if not path.exists():
        return []
    with Store(path) as store:
        return [{"key": row.key_id, "system_title": row.system_title, "next": row.next} for row in store.counters()]


def _raise(args: argparse.Namespace, number: int) -> list[dict[str, Any]]:
    where = target(args)
    with Store(where.state) as store:
        ciphering = Ciphering(where.settings, store, os.urandom, None)
        if ciphering.counter is None:
            raise ConfigError(
                "which counter? Each key has its own", key="encryption_key", hint="Give --encryption-key, or --config."
            )
        ciphering.counter.raise_to(number)
        return [
            {"key": key_id(where.settings.encryption_key or b""), "system_title": ciphering.title.hex(), "next": number}
        ]
