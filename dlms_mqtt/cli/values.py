"""Values as the command line prints them for people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dlms_mqtt.cli.output import plain, say, table


def print_values(values: Sequence[dict[str, Any]]) -> None:
    """The table for people."""
    rows = [(v["obis"], v["attribute"], v["name"], _shown(plain(v["value"])), v["unit"] or "") for v in values]
    if rows:
        say(table(rows, ("OBIS", "ATTR", "NAME", "VALUE", "UNIT"), right=(3,)))


def _shown(value: Any) -> str:
    return ", ".join(_shown(item) for item in value) if isinstance(value, list) else "" if value is None else str(value)
