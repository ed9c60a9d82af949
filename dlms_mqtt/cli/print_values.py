"""Values as the command line prints them for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlms_mqtt.cli.output import say, table
from dlms_mqtt.meter.json_text import plain_text


def print_values(values: Sequence[dict[str, Any]]) -> None:
    """The table for people."""
    rows = [(v["obis"], v["attribute"], v["name"], shown(v["value"]), v["unit"] or "") for v in values]
    if rows:
        say(table(rows, ("OBIS", "ATTR", "NAME", "VALUE", "UNIT"), right=(3,)))


def shown(value: Any) -> str:
    """A value in one line: numbers without exponent, nothing for nothing."""
    if isinstance(value, list | tuple):
        return ", ".join(map(shown, value))
    return str(value) if isinstance(value, bool) else plain_text(value)
