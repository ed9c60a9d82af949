"""``dlms-mqtt status``: how a running bridge does; the exit status is what Nagios and HEALTHCHECK ask for."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.bridge.remote_status import from_broker, from_listener, listener_url
from dlms_mqtt.cli.configuration import add_config, needed_config
from dlms_mqtt.cli.options import seconds_option
from dlms_mqtt.cli.output import print_json, say, table
from dlms_mqtt.errors import DlmsMqttError, TransportError
from dlms_mqtt.meter.presets.preset import preset_connection

EXAMPLE = "--url http://127.0.0.1:9780"
_STATUS = {"ok": 0, "degraded": 1, "failing": 2}
_VALUES = (
    "power",
    "power_import",
    "energy_import",
    "energy",
    "energy_export",
    "voltage_l1",
    "voltage_l2",
    "voltage_l3",
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``status``."""
    add_config(parser)
    parser.add_argument("--url", help="where the bridge's listener is (default: http.listen, else the broker is asked)")
    parser.add_argument("--timeout", metavar="S", default="10", help="seconds to wait (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="one JSON document")
    parser.description = f"{parser.description}: 0 ok, 1 degraded, 2 failing or not there"


def run(args: argparse.Namespace) -> int:
    """The exit status of the epilog. ConfigError where nobody knows whom to ask."""
    timeout = seconds_option(args, "timeout") or 0.0
    try:
        document = _found(args.url, args.config, timeout)
    except TransportError as error:
        document = _unreachable(error)
    if args.json:
        print_json(document)
    else:
        say(summary(document))
        _print(document["meters"])
    return _STATUS.get(str(document["status"]), 2)


def _found(url: str | None, file: Path | None, timeout: float) -> dict[str, Any]:
    if url:
        return from_listener(url, timeout)
    config = load_config(needed_config(file), preset_connection, os.environ, strict=False).config
    if config.http.listen:
        return from_listener(listener_url(config.http.listen), timeout)
    return from_broker(config, timeout)


def _unreachable(error: DlmsMqttError) -> dict[str, Any]:
    return {"bridge": {}, "status": "failing", "reasons": [error.told], "counters": {}, "meters": {}}


def summary(document: Mapping[str, Any]) -> str:
    """One line, as Nagios shows it."""
    meters = document["meters"]
    up = sum(bool(row["online"]) for row in meters.values())
    text = "; ".join(document["reasons"]) or f"{up} of {len(meters)} meters online"
    return f"{str(document['status']).upper()} - {text}"


def _print(meters: Mapping[str, Mapping[str, Any]]) -> None:
    if not meters:
        return
    rows = [
        (name, row["health"].get("status") or ("online" if row["online"] else "offline"), _success(row), _values(row))
        for name, row in meters.items()
    ]
    say("\n" + table(rows, ("METER", "STATUS", "LAST SUCCESS", "VALUES")))
    for name, row in meters.items():
        error = row["health"].get("error")
        if error:
            say(f"{name}: {error['message']}" + (f". {hint}" if (hint := row["health"].get("hint")) else ""))


def _success(row: Mapping[str, Any]) -> str:
    return str(row["health"].get("last_success") or "never")


def _values(row: Mapping[str, Any]) -> str:
    found = [(key, row["values"][key]) for key in _VALUES if key in row["values"]]
    return ", ".join(f"{key} {value['value']} {value['unit']}".rstrip() for key, value in found)
