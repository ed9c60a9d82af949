"""How a person names an object: ``[CLASS/]OBIS[:NUMBER]``, the attribute or method by number or by name.

The one parser of that spelling; the room above adds the keys of its catalogue (``meter.catalogue.reference``).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from dlms_mqtt.cosem.catalogue import DEFAULT_ATTRIBUTE
from dlms_mqtt.cosem.classes import Attribute, InterfaceClass, Method, find
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.obis import Obis

_CODE = r"[0-9]+-[0-9]+:[0-9.]+(?:[*&][0-9]+)?|[0-9.]+(?:[*&][0-9]+)?|[0-9A-Fa-f]{12}|[A-Za-z_][A-Za-z0-9_]*"
_REFERENCE = re.compile(rf"(?:([0-9]+)/)?({_CODE})(?::(-?[0-9]+|[A-Za-z_][A-Za-z0-9_]*))?")
_HINT = "Write [CLASS/]OBIS[:ATTRIBUTE], as in 3/1.0.1.8.0.255:2 or 1-0:1.8.0."


class ObjectRef(NamedTuple):
    """An object as a person names it. ``class_id`` and ``number`` are None where they were left out; ``name`` is the
    attribute or method where it was named instead of numbered.
    """

    class_id: int | None
    obis: Obis
    number: int | None = None
    name: str = ""

    @property
    def is_whole(self) -> bool:
        """Was neither an attribute nor a method named?"""
        return self.number is None and not self.name

    def attribute(self, class_id: int) -> int:
        """The number of the attribute; that of the value where none was named. ConfigError for an unknown name."""
        if self.name:
            return _numbered(class_id, self.name, "attribute").index
        return DEFAULT_ATTRIBUTE if self.number is None else self.number

    def method(self, class_id: int) -> int:
        """The number of the method, 0 where none was named. ConfigError for an unknown name."""
        return _numbered(class_id, self.name, "method").index if self.name else self.number or 0


def _numbered(class_id: int, name: str, kind: str) -> Attribute | Method:
    row: InterfaceClass | None = find(class_id)
    known: tuple[Attribute, ...] | tuple[Method, ...] = ()
    if row is not None:
        known = row.attributes if kind == "attribute" else row.methods
    found = next((item for item in known if item.name == name), None)
    if found is None:
        names = ", ".join(item.name for item in known) if row else "give its number"
        raise ConfigError(f"class {class_id} has no {kind} '{name}'", hint=f"It has: {names}.")
    return found


def split_reference(text: str) -> tuple[str, str, str]:
    """Class, code (or key) and number or name, as they were written; '' for what was left out. ConfigError."""
    match = _REFERENCE.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"'{text}' is no object", hint=_HINT)
    class_id, code, number = match.groups("")
    return class_id, code, number


def parse_reference(text: str, key: Callable[[str], ObjectRef | None] = lambda _: None) -> ObjectRef:
    """The object; ``key`` knows what is no code. ConfigError."""
    class_text, code, number = split_reference(text)
    obis = Obis.recognise(code)
    found = key(code) if obis is None else ObjectRef(None, obis)
    if found is None:
        raise ConfigError(f"'{text}' is no object", hint=_HINT)
    if class_text:
        found = found._replace(class_id=int(class_text))
    if number:
        numeric = number.lstrip("-").isdigit()
        found = found._replace(number=int(number) if numeric else None, name="" if numeric else number)
    if (found.class_id or 0) > 0xFFFF or not -128 <= (found.number or 0) <= 127:
        raise ConfigError(f"'{text}' is no object", hint="Classes go up to 65535, attributes and methods up to 127.")
    return found
