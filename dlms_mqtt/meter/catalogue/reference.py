"""Objects by what people call them: ``[CLASS/]OBIS[:NUMBER]`` or a key of the catalogue, ``energy_import``.

Command line, configuration, requests and library ask here. The catalogue is loaded only for what is no code.
"""

from __future__ import annotations

from dlms_mqtt.cosem.reference import ObjectRef, parse_reference


def object_of(text: str) -> ObjectRef:
    """The object, and its attribute where text or key names one. ConfigError."""
    return parse_reference(text, _of_key)


def method_of(text: str) -> ObjectRef:
    """The object and its method; a key names an attribute, which is not taken for a method. ConfigError."""
    return parse_reference(text, lambda key: found._replace(number=None) if (found := _of_key(key)) else None)


def _of_key(key: str) -> ObjectRef | None:
    from dlms_mqtt.meter.catalogue.keys import of_key

    return of_key(key)
