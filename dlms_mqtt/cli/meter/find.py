"""``dlms-mqtt find``: works out how to talk to an unknown meter on the one line that is named."""

from __future__ import annotations

import argparse
import asyncio
import logging
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml

from dlms_mqtt.cli.options import Target, configured, given_options
from dlms_mqtt.cli.output import Progress, note, print_json, say, table
from dlms_mqtt.client.line.opening import STEP
from dlms_mqtt.client.option_values import parse_seconds
from dlms_mqtt.client.settings import CALLED_LINES, LINE_SECRETS, NETWORK_LINES, SECRET_KEYS, ConnectionSettings
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.finder import Found, Limits, find
from dlms_mqtt.meter.finder.diagnosis import SPEAKS
from dlms_mqtt.meter.finder.engine import CREDENTIALS, forget
from dlms_mqtt.meter.presets.preset import matching
from dlms_mqtt.transport.base import format_address

_LOG = logging.getLogger(__name__)
_EQUIPMENT = ("dtr", "rts", "opening_delay", "wake_up", "wake_up_break", "iec_address")
#: What a search finds out by itself, so that nobody is asked for it.
_NOT_ASKED = {"challenge_length", "gbt_window", "no_release", "octet_timeout", "exchange_timeout", "pre_established"}

EXAMPLE = "--serial /dev/ttyUSB0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``find``: the line, what the user happens to know, and limits."""
    from dlms_mqtt.cli.options import add_configuration, add_option

    line = parser.add_argument_group("which line (without one, the serial ports are listed)")
    add_configuration(line, "search the line of a meter of this configuration, with its client, password and keys")
    known = parser.add_argument_group("what you know (everything else is found out)")
    for row in fields(ConnectionSettings):
        if row.name not in _NOT_ASKED:
            add_option(line if row.name in CALLED_LINES else known, row)
    known.add_argument("--number", action="append", default=[], metavar="TEXT", help="number printed on the meter")
    parser.add_argument("--seconds", default="600", metavar="S", help="time limit of the search (default 600)")
    parser.add_argument(
        "--go-on",
        action="store_true",
        help="ask on where it is known what is there (a meter that speaks by itself, an echo alone)",
    )
    parser.add_argument("--state", metavar="FILE", type=Path, help="state file (what was found last time)")
    parser.add_argument(
        "--fresh", action="store_true", help="forget what was found, and which passwords were refused, last time"
    )
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(args: argparse.Namespace) -> int:
    """Search and print a ``connection:`` block; 1 when no meter was found."""
    given: dict[str, Any] = dict(given_options(args))
    if args.config is not None:
        where = configured(args, {})
        given, args.state = _kept(where, given) | given, where.state
    elif args.meter is not None:
        raise ConfigError("--meter names a meter of a configuration", hint="Give --config FILE too.")
    limits = Limits(seconds=parse_seconds(args.seconds), numbers=tuple(args.number), go_on=args.go_on)
    if not set(CALLED_LINES) & set(given):
        return _list_ports(args.json)
    found = asyncio.run(_find(given, limits, args))
    if args.json:
        print_json(found.json())
    else:
        _print(found)
        if not args.go_on and _ended_early(found, given):
            note("The search ended here; --go-on asks all the same, rarer clients and addresses too.")
    return 0 if found.found else 1


def _kept(where: Target, given: Mapping[str, Any]) -> dict[str, Any]:
    """Of a configuration: the line and who we are. How the meter is reached may be what is wrong there."""
    settings = where.settings
    names = (*CREDENTIALS, *_EQUIPMENT, *(() if set(CALLED_LINES) & set(given) else (*CALLED_LINES, *LINE_SECRETS)))
    defaults = {row.name: row.default for row in fields(settings)}
    kept = {name: getattr(settings, name) for name in names}
    kept = {name: value for name, value in kept.items() if value != defaults[name]}
    if set(CREDENTIALS) & set(kept):
        kept["client"] = settings.client
    return kept | {name: format_address(*kept[name]) for name in NETWORK_LINES if name in kept}


def _list_ports(as_json: bool) -> int:
    """The ports by the names that stay; none of them is opened."""
    from dlms_mqtt.transport.ports import list_ports

    ports = list_ports()
    if as_json:
        print_json({"ports": [port._asdict() for port in ports]})
        return 0
    if not ports:
        say("no serial port is there")
        return 0
    rows = [(port.name, port.device, port.description) for port in ports]
    say(table(rows, ("PORT", "NOW", "WHAT")))
    note("Name the one to search: dlms-mqtt find --serial PORT")
    return 0


async def _find(given: Mapping[str, Any], limits: Limits, args: argparse.Namespace) -> Found:
    from dlms_mqtt.client.state.state_file import default_path
    from dlms_mqtt.client.state.store import Store

    stages: set[str] = set()

    def tell(done: float, total: float, stage: str) -> None:
        if stage not in stages:
            stages.add(stage)
            _LOG.log(STEP, "trying %s", stage)
        progress.update(int(done), int(total), stage)

    with Store(args.state or default_path()) as store, Progress("find") as progress:
        if args.fresh:
            forget(store)
        return await find(
            given,
            store=store,
            progress=tell,
            limits=limits,
            news=progress.news,
        )


def _ended_early(found: Found, given: Mapping[str, Any]) -> bool:
    """A meter that speaks by itself is not asked; a silent network address and an echo not for the rarest addresses."""
    network = set(NETWORK_LINES) & set(given) or str(given.get("serial", "")).startswith("socket://")
    first = set(found.names[:1])
    return bool(SPEAKS & set(found.names) or "echo" in first or (network and "silent" in first))


def _print(found: Found) -> None:
    document = found.json()
    say(document["diagnosis"])
    for cause in document["causes"][1:]:
        say(f"- {cause}")
    _print_learned(document["learned"])
    if document["found"]:
        say(yaml.safe_dump({"connection": document["connection"]}, sort_keys=False, allow_unicode=True).rstrip())
    if SPEAKS & set(document["cases"]):
        block = {"connection": document["connection"], "push": {"listen": "connection"}}
        say(yaml.safe_dump(block, sort_keys=False, allow_unicode=True).rstrip())
        note("Add `preset: NAME` of its family, if it is one of `dlms-mqtt presets`, and its keys as !secret NAME.")
        say(f"dlms-mqtt listen {_words(document['connection'])}")
    if document["found"] and (not document["complete"] or SECRET_KEYS & set(found.connection)):
        note("Secrets are not written into this block: add them as !secret NAME.")
    if document["found"] or SPEAKS & set(document["cases"]):
        note("Put it below a name under `meters:` in config.yaml; then: dlms-mqtt check --config config.yaml")
    note(f"{document['seconds']} s")


def _words(connection: Mapping[str, Any]) -> str:
    return " ".join(f"--{key} {value}" for key, value in connection.items() if key in (*CALLED_LINES, "baud", "parity"))


def _print_learned(learned: Mapping[str, Any]) -> None:
    rows = [(key.replace("_", " "), _short(value)) for key, value in learned.items() if key != "conformance"]
    if rows:
        say(table(rows, ("LEARNED", "")))
    title = bytes.fromhex(str(learned.get("system_title") or ""))
    presets = matching(flag=str(learned.get("manufacturer") or ""), system_title=title)
    if presets:
        say(f"Presets of this family: {', '.join(presets)}")


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "; ".join(_short(item) for item in value)
    if isinstance(value, dict):
        return " ".join(f"{key.replace('_', ' ')} {item}" for key, item in value.items() if item is not None)
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)
