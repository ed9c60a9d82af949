"""``dlms-mqtt dump``: an anonymised capture of one session for a bug report; ``simulate --replay`` serves it."""

from __future__ import annotations

import argparse
import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from dlms_mqtt import __version__
from dlms_mqtt.cli.options import Target, add_connection, target
from dlms_mqtt.cli.output import Progress, note, print_json, say
from dlms_mqtt.errors import ConfigError

EXAMPLE = "--tcp 192.168.1.20:4059 --output capture.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``dump``."""
    parser.add_argument("--output", type=Path, metavar="FILE", help="the file to write (default: standard output)")
    parser.add_argument(
        "--values", type=int, default=60, metavar="N", help="objects whose values are read (default 60)"
    )
    parser.add_argument(
        "--hide", action="append", default=[], metavar="TEXT", help="one more text to replace (a name, a number)"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document instead of YAML")
    add_connection(parser)


def run(args: argparse.Namespace) -> int:
    """Record and write; 1 when the session failed (what was said until then is written all the same)."""
    if args.output is not None and args.output.exists():
        raise ConfigError(f"{args.output} exists already", hint="Give --output another name.")
    if args.output is not None and not args.output.parent.is_dir():
        raise ConfigError(f"{args.output.parent} is no folder", hint="Give --output a file in a folder that is there.")
    document = asyncio.run(_dump(target(args), args))
    if document["exchanges"] or args.json:
        _write(document, args)
    if "error" in document["facts"]:
        note(f"the session ended early: {document['facts']['error']}")
        return 1
    return 0


async def _dump(where: Target, args: argparse.Namespace) -> dict[str, Any]:
    from dlms_mqtt.client.capture.anonymiser import SHORTEST
    from dlms_mqtt.client.state.store import Store
    from dlms_mqtt.meter.dump import dump_session
    from dlms_mqtt.transport import transport_for

    hide = [text.encode() for text in args.hide]
    if any(len(text) < SHORTEST for text in hide):
        raise ConfigError("--hide needs a text of four characters or more", hint="A shorter one is in too many places.")
    with Store(where.state) as store, Progress("dump") as progress:
        document = await dump_session(
            where.settings,
            transport=transport_for(where.settings),
            store=store,
            salt=os.urandom(32),
            objects=args.values,
            hide=hide,
            progress=progress.update,
        )
    head = {"made": datetime.now(UTC).date().isoformat(), "by": f"dlms-mqtt {__version__}"}
    return {"format": document.pop("format"), **head, **document}


def _write(document: dict[str, Any], args: argparse.Namespace) -> None:
    if args.json:
        print_json(document)
        return
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, default_flow_style=None, width=1 << 20)
    if args.output is None:
        say(text.rstrip())
        return
    args.output.write_text(text, encoding="utf-8")
    note(f"{args.output}: {len(document['exchanges'])} exchanges; look through it before you publish it")
