"""A P1 telegram as JSON: its head, and the values of its lines."""

from __future__ import annotations

from typing import Any

from dlms_mqtt.meter.explain.json_shapes import value_json
from dlms_mqtt.meter.push.telegram import TelegramValue, telegram_values
from dlms_mqtt.protocol.axdr.data import DataType
from dlms_mqtt.protocol.p1_telegram import Telegram


def telegram_json(telegram: Telegram) -> dict[str, Any]:
    """The parts of a message of ``decode --json``."""
    head = {"name": telegram.NAME, "identification": telegram.identification}
    crc = {} if telegram.crc is None else {"crc": f"{telegram.crc:04x}"}
    return {"apdu": head | crc, "values": [_json(found) for found in telegram_values(telegram)]}


def _json(found: TelegramValue) -> dict[str, Any]:
    shown = value_json(found.value)
    if found.value.data.type is DataType.STRUCTURE:
        shown["raw"] = [part.value for part in found.value.data.value]
    return shown | ({"time": found.time.iso()} if found.time else {})
