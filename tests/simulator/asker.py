"""Client 17 of a meter whose time stands still, who asks without a line."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.axdr.data import Data
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import Context, Meter, named
from dlms_mqtt.simulator.server import services
from tests.simulator.bench import frozen_meter

O = Obis.parse  # noqa: E741


class Asker:
    """Client 17 without a line."""

    def __init__(self) -> None:
        self.meter: Meter = frozen_meter()
        self.context = Context(self.meter, self.meter.associations[17])

    def run(self, class_id: int, obis: Any, method: int, value: Data | None = None) -> int:
        argument = named("integer", 0) if value is None else value
        return services.invoke(self.context, MethodDescriptor(class_id, O(str(obis)), method), argument).result

    def write(self, class_id: int, obis: Any, attribute: int, value: Data) -> int:
        return services.write(self.context, AttributeDescriptor(class_id, O(str(obis)), attribute), value)


def octets(moment: datetime) -> Data:
    return named("octet-string", DateTime.from_datetime(moment).raw)
