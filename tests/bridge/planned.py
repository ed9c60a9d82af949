"""One item of a plan, as a configuration states it."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from dlms_mqtt.bridge.config.sections.item import Item
from dlms_mqtt.bridge.config.sections.meter import Meter, Read
from dlms_mqtt.bridge.reading.plan import PlanItem, make_plan
from dlms_mqtt.bridge.reading.schedule import Every
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis

VIENNA = ZoneInfo("Europe/Vienna")


def item_of(row, obis="0.0.94.34.11.255", class_id=1):
    attribute = AttributeDescriptor(class_id, Obis.parse(obis), 2)
    plan = make_plan(Meter(read=Read(set="none", also=(row,))), (), VIENNA)
    return plan.items[0] if plan.items else PlanItem(attribute, quantity(attribute.obis, class_id), Every(30), row)


def said(**more):
    return Item(obis=Obis.parse("0.0.94.34.11.255"), class_=1, writable=True, **more)
