"""What a client has learned about one meter: sizes of answers, scalers and units, how long a list may be.

Whoever polls keeps the memory between sessions; it is thrown away when another meter answers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import field
from typing import Any

from dlms_mqtt.cosem.classes import scaler_attribute
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import AccessRefused, AttributeFailed, DecodeError, MeterRefused
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import CONTAINERS, Data, DataType, encode
from dlms_mqtt.protocol.obis import Obis

# Refusals that say themselves that they will pass.
PASSING = frozenset({"temporary-failure"})
_OFTEN = 3  # refusals of the same thing, then it is not asked for again


def scaler_of(attribute: AttributeDescriptor) -> AttributeDescriptor | None:
    """The attribute that holds scaler and unit of a value; None where its class has none."""
    index = scaler_attribute(attribute.class_id, attribute.attribute)
    return None if index is None else AttributeDescriptor(attribute.class_id, attribute.obis, index)


@dataclass(frozen=True, slots=True)
class Measured:
    """One value that was read, with scaler and unit where its class has them."""

    attribute: AttributeDescriptor
    data: Data
    scaler_unit: ScalerUnit | None = None

    @property
    def unit(self) -> str | None:
        """The meter's unit as text."""
        return self.scaler_unit.unit if self.scaler_unit else None

    @property
    def value(self) -> Any:
        """The value in the meter's unit: exact (Decimal) where there is a scaler, else plain Python."""
        return self._scaled(self.data, self.scaler_unit) if self.scaler_unit else self.data.plain()

    def _scaled(self, data: Data, scaler_unit: ScalerUnit) -> Any:
        if data.type in CONTAINERS:  # the cells of a register table have one scale
            return [self._scaled(item, scaler_unit) for item in data.value]
        number = isinstance(data.value, int | float) and data.type is not DataType.BOOLEAN
        return scaler_unit.apply(data.value) if number else data.plain()


@dataclass(slots=True)
class Memory:
    """``types``: of the values as they were last read; ``sizes``: octets of an answer in a list;
    ``max_list``: attributes that the meter takes in one list; ``singly``: attributes that spoiled a list, so each is
    asked alone; ``short_names``: the object list of a meter with short names; ``warned``: what the user was warned of.
    """

    types: dict[AttributeDescriptor, DataType] = field(default_factory=dict)
    sizes: dict[AttributeDescriptor, int] = field(default_factory=dict)
    scalers: dict[AttributeDescriptor, ScalerUnit | None] = field(default_factory=dict)
    profiles: dict[Obis, object] = field(default_factory=dict)
    tables: dict[Obis, object] = field(default_factory=dict)  # heads of load profiles in clear text
    absent: dict[Obis, AccessRefused] = field(default_factory=dict)  # what a meter in clear text has nowhere
    refused_selectors: dict[tuple[Obis, int], int] = field(default_factory=dict)  # how often in a row
    short_names: dict[tuple[int, Obis], ObjectInfo] = field(default_factory=dict)
    warned: set[str] = field(default_factory=set)
    singly: set[AttributeDescriptor] = field(default_factory=set)
    association: Obis | None = None  # the object that took the proof of the secret
    reads_out: bool = False  # with opening: auto it was a clear-text readout that came
    refusals: dict[AttributeDescriptor, int] = field(default_factory=dict)
    max_list: int = 0xFF

    def learn_short_names(self, objects: Iterable[ObjectInfo]) -> None:
        """Keep an object list, from the meter or from the store."""
        self.short_names = {(item.class_id, item.obis): item for item in objects}

    def learn_size(self, attribute: AttributeDescriptor, answer: Data | MeterRefused) -> None:
        """Keep how many octets of a list this answer takes."""
        self.sizes[attribute] = len(encode(answer)) + 1 if isinstance(answer, Data) else 2

    def learn_type(self, attribute: AttributeDescriptor, answer: Data | MeterRefused) -> None:
        """Keep the type of a value; a value that is not there (null) says nothing of it."""
        if isinstance(answer, Data) and answer.type is not DataType.NULL_DATA:
            self.types[attribute] = answer.type

    def wants_scaler(self, scaler: AttributeDescriptor) -> bool:
        """Is it to be asked for? One that never brings anything is, but ever more rarely."""
        if scaler in self.scalers:
            return False
        count = self.refusals.get(scaler, 0)
        if count < _OFTEN or not count & (count - 1):
            return True
        self.refusals[scaler] = count + 1
        return False

    def knows_scaler(self, attribute: AttributeDescriptor) -> bool:
        """Is it known what scale the value has, also if none?"""
        scaler = scaler_of(attribute)
        return scaler is None or scaler in self.scalers

    def learn_scaler(self, scaler: AttributeDescriptor, answer: Data | MeterRefused) -> bool:
        """Keep a scaler_unit; also that there is none, once it was refused often and not as something that passes.

        False: what came tells neither.
        """
        try:
            found = ScalerUnit.from_data(answer) if isinstance(answer, Data) else None
        except DecodeError:
            found = None
        self.scalers.pop(scaler, None)
        failed = isinstance(answer, AttributeFailed)
        if found or (self.is_lasting(scaler, answer) and not failed):
            self.scalers[scaler] = found
        said_none = isinstance(answer, MeterRefused) or answer.type is DataType.NULL_DATA
        return found is not None or (said_none and not failed)

    def is_lasting(self, attribute: AttributeDescriptor, missing: Data | MeterRefused) -> bool:
        """Is what did not come missing for good? What comes once may be the mood of a moment, or of the line."""
        if isinstance(missing, MeterRefused) and missing.name in PASSING:
            return False
        if isinstance(missing, AttributeFailed) and not missing.sent:
            return False
        self.refusals[attribute] = count = self.refusals.get(attribute, 0) + 1
        return count >= _OFTEN

    def learn_selector(self, obis: Obis, selector: int, refused: MeterRefused | None) -> None:
        """Keep how often in a row rows of a profile could not be selected this way; None: it worked."""
        if refused is None:
            self.refused_selectors.pop((obis, selector), None)
        elif refused.name not in PASSING:
            self.refused_selectors[obis, selector] = self.refused_selectors.get((obis, selector), 0) + 1

    def selects(self, obis: Obis, selector: int) -> bool:
        """May this way to select rows be tried (again)?"""
        return self.refused_selectors.get((obis, selector), 0) < _OFTEN

    def scaler(self, attribute: AttributeDescriptor) -> ScalerUnit | None:
        """Scaler and unit of a value, as far as they are known."""
        index = scaler_of(attribute)
        return self.scalers.get(index) if index is not None else None
