"""What a meter would answer, asked without any protocol."""

from __future__ import annotations

from typing import Any

from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import Context, Meter


def value_of(meter: Meter, class_id: int, obis: str, attribute: int = 2) -> Any:
    """The value of an attribute as client 17 sees it."""
    item = meter.objects[class_id, Obis.parse(obis)]
    return item.data(Context(meter, meter.associations[17]), attribute).value
