"""``dlms-mqtt presets [NAME]``: the meter families known, and where each claim about one comes from."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import yaml

from dlms_mqtt.cli.output import print_json, say, table
from dlms_mqtt.client.settings import SECRET_KEYS
from dlms_mqtt.meter.presets.preset import load_preset, preset_names

EXAMPLE = "kamstrup-omnipower"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``presets``."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="one preset, with its sources; or a file of your own")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(args: argparse.Namespace) -> int:
    """List all presets, or show one."""
    if args.name is not None:
        _show(args.name, args.json)
        return 0
    rows = [preset_json(name) for name in preset_names()]
    if args.json:
        print_json({"presets": rows})
    else:
        shown = [(row["id"], row["name"], ", ".join(row.get("country") or ()), _kinds(row)) for row in rows]
        say(table(shown, ("PRESET", "FAMILY", "COUNTRIES", "SAYS")))
    return 0


def preset_json(name: str) -> dict[str, Any]:
    """A preset with its name; a secret in a file of the user's own is not shown."""
    preset = load_preset(name)
    connection = preset.get("connection") or {}
    shown = {key: "***" if key.replace("-", "_") in SECRET_KEYS else value for key, value in connection.items()}
    return {"id": name, **preset, **({"connection": shown} if connection else {})}


def _kinds(row: Mapping[str, Any]) -> str:
    """What a preset speaks of."""
    return ", ".join(kind for kind in ("connection", "push") if row.get(kind)) or "notes"


def _show(name: str, as_json: bool) -> None:
    preset = preset_json(name)
    if as_json:
        print_json(preset)
        return
    say(preset.get("name") or name)
    for section in ("match", "connection", "push"):
        if preset.get(section):
            say(yaml.safe_dump({section: preset[section]}, sort_keys=False, allow_unicode=True).rstrip())
    for claim in preset.get("claims") or ():
        says, source, sure = (claim.get(key) or "not stated" for key in ("says", "source", "sure"))
        say(f"- {says}\n  source: {source} (sure: {sure})")
    for note in preset.get("notes") or ():
        say(f"* {note}")
