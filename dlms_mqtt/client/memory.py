"""What a client has learned about one meter: sizes of answers, scalers and units, how long a list may be.

Whoever polls keeps the memory between sessions; it is thrown away when another meter answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from dlms_mqtt.errors import MeterRefused
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.data import Data, DataType
from dlms_mqtt.protocol.units import UNITS

# (class, attribute) that holds a number -> the attribute with its scaler and unit (Blue Book: Register, Extended
# register, Demand register).
SCALED: dict[tuple[int, int], int] = {(3, 2): 3, (4, 2): 3, (5, 2): 4, (5, 3): 4}

ScalerUnit = tuple[int | None, int | None]


def scaler_of(attribute: AttributeDescriptor) -> AttributeDescriptor | None:
    """The attribute that holds scaler and unit of a value; None where its class has none."""
    index = SCALED.get((attribute.class_id, attribute.attribute))
    return None if index is None else AttributeDescriptor(attribute.class_id, attribute.obis, index)


_UNSCALED: ScalerUnit = (None, None)


@dataclass(frozen=True, slots=True)
class Measured:
    """One value that was read, with the scaler and the Blue Book unit code where its class has them."""

    attribute: AttributeDescriptor
    data: Data
    scaler: int | None = None
    unit_code: int | None = None

    @property
    def unit(self) -> str | None:
        """The meter's unit as text."""
        return UNITS.get(self.unit_code) if self.unit_code is not None else None

    @property
    def value(self) -> Any:
        """The value in the meter's unit: exact (Decimal) where there is a scaler, else plain Python."""
        plain = self.data.plain()
        if self.scaler is None or not isinstance(plain, int | float) or isinstance(plain, bool):
            return plain
        return Decimal(str(plain)).scaleb(self.scaler)


@dataclass(slots=True)
class Memory:
    """``sizes``: octets of an answer in a list; ``max_list``: attributes that the meter takes in one list."""

    sizes: dict[AttributeDescriptor, int] = field(default_factory=dict)
    scalers: dict[AttributeDescriptor, ScalerUnit] = field(default_factory=dict)
    max_list: int = 0xFF

    def learn_scaler(self, attribute: AttributeDescriptor, answer: Data | MeterRefused) -> None:
        """Keep a scaler_unit structure; a refusal is kept too and not asked for again."""
        structure = isinstance(answer, Data) and answer.type is DataType.STRUCTURE
        parts: Sequence[Data] = answer.value if isinstance(answer, Data) and structure else ()
        if len(parts) == 2 and all(isinstance(part.value, int) for part in parts):
            self.scalers[attribute] = (parts[0].value, parts[1].value)
        elif not isinstance(answer, MeterRefused) or answer.name != "temporary-failure":
            self.scalers[attribute] = _UNSCALED

    def scaler(self, attribute: AttributeDescriptor | None) -> ScalerUnit:
        """Scaler and unit code that belong to a value."""
        return self.scalers.get(attribute, _UNSCALED) if attribute is not None else _UNSCALED
