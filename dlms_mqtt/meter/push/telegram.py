"""What the lines of a P1 telegram mean: each as the value that a push would carry."""

from __future__ import annotations

from typing import NamedTuple

from dlms_mqtt.cosem.data_lines import data_lines
from dlms_mqtt.meter.push.layouts import PushValue
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.p1_telegram import Telegram


class TelegramValue(NamedTuple):
    """One value, and when the meter behind it (gas, heat) took it, where the line says so."""

    value: PushValue
    time: DateTime | None = None


def telegram_values(telegram: Telegram) -> list[TelegramValue]:
    """The values in the order of the lines; what is no line of code and values is passed over."""
    return [
        TelegramValue(PushValue(line.data, line.obis, scaler_unit=line.scaler_unit), line.time)
        for line in data_lines(telegram.text)
    ]
