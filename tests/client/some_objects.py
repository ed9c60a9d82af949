"""Objects that the meters of these tests have."""

from __future__ import annotations

from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.obis import Obis


def attribute(class_id: int, obis: str, number: int = 2) -> AttributeDescriptor:
    """An attribute as tests write it."""
    return AttributeDescriptor(class_id, Obis.parse(obis), number)


def method(class_id: int, obis: str, number: int = 1) -> MethodDescriptor:
    """A method as tests write it."""
    return MethodDescriptor(class_id, Obis.parse(obis), number)


ENERGY = attribute(3, "1.0.1.8.0.255")
VOLTAGE = attribute(3, "1.0.32.7.0.255")
SERIAL = attribute(1, "0.0.96.1.0.255")
NAME = attribute(1, "0.0.42.0.0.255")
MISSING = attribute(1, "9.9.9.9.9.9")
PROFILE = Obis.parse("1.0.99.1.0.255")
CUT_OFF = method(70, "0.0.96.3.10.255")
