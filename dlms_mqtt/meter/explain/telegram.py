"""P1 telegrams and clear-text readouts as JSON: the head, and the values of the lines."""

from __future__ import annotations

from typing import Any

from dlms_mqtt.cosem.data_lines import data_lines
from dlms_mqtt.errors import FramingError
from dlms_mqtt.meter.explain.json_shapes import value_json
from dlms_mqtt.meter.push.layouts import PushValue
from dlms_mqtt.meter.push.telegram import TelegramValue, telegram_values
from dlms_mqtt.protocol.axdr.data import DataType
from dlms_mqtt.protocol.framing.data_block import find_data_block
from dlms_mqtt.protocol.framing.seven_bit import strip_parity
from dlms_mqtt.protocol.framing.sign_on import find_identification
from dlms_mqtt.protocol.p1_telegram import Telegram


def telegram_json(telegram: Telegram) -> dict[str, Any]:
    """The parts of a message of ``decode --json``."""
    head = {"name": telegram.NAME, "identification": telegram.identification}
    crc = {} if telegram.crc is None else {"crc": f"{telegram.crc:04x}"}
    return {"apdu": head | crc, "values": [_json(found) for found in telegram_values(telegram)]}


def readout_document(data: bytes) -> dict[str, Any] | None:
    """The document of ``decode --json`` for a readout of IEC 62056-21, or its lines alone; None: it is none."""
    errors = []
    try:
        block = find_data_block(data, final=True)
    except FramingError as error:
        block, errors = None, [{"message": error.message, "hint": error.hint}]
    text = block.text if block else strip_parity(data).decode("latin-1")
    values = [
        _json(TelegramValue(PushValue(row.data, row.obis, scaler_unit=row.scaler_unit), row.time))
        for row in data_lines(text)
    ]
    if not values:
        return None
    found = find_identification(data)
    identification = found[0].encode().decode("ascii").strip().removeprefix("/") if found else None
    head = {"name": "readout", "identification": identification, "checked": bool(block and block.checked)}
    message = {"framing": "readout", "frames": [], "apdu": head, "values": values}
    return {"messages": [message], "rest": "", "errors": errors}


def _json(found: TelegramValue) -> dict[str, Any]:
    shown = value_json(found.value)
    if found.value.data.type is DataType.STRUCTURE:
        shown["raw"] = [part.value for part in found.value.data.value]
    return shown | ({"time": found.time.iso()} if found.time else {})
