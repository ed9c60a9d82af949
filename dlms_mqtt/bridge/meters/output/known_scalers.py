"""The last known scaler and unit of every register of a meter, on the disk: a meter may refuse them after a restart.

Without them a bridge that starts while attribute 3 is refused would publish Wh where kWh stood.
"""

from __future__ import annotations

from dataclasses import replace

from dlms_mqtt.client.services.memory import Measured, scaler_of
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import StoreError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor

SPACE = "scalers"  # namespace of the store


class KnownScalers:
    """Of one meter."""

    def __init__(self, meter_id: str, store: Store) -> None:
        self._id, self._store = meter_id, store
        self._known = self._restored()
        self._kept = dict(self._known)

    def _restored(self) -> dict[str, ScalerUnit]:
        try:
            saved = dict(self._store.get(SPACE, self._id) or {})
            return {name: ScalerUnit(int(scaler), int(unit)) for name, (scaler, unit) in saved.items()}
        except (StoreError, ValueError, TypeError):
            return {}

    def complete(self, measured: Measured) -> Measured:
        """The same with the scaler and unit of before, where it has none now."""
        if scaler_of(measured.attribute) is None:
            return measured
        name = _name(measured.attribute)
        if measured.scaler_unit is None:
            return replace(measured, scaler_unit=self._known.get(name))
        self._known[name] = measured.scaler_unit
        return measured

    def forget(self) -> None:
        """It is another meter."""
        self._known.clear()

    def keep(self) -> None:
        """Write what is new."""
        if self._known != self._kept:
            self._kept = dict(self._known)
            self._store.set_soon(SPACE, self._id, {name: list(scaler) for name, scaler in self._known.items()})


def _name(attribute: AttributeDescriptor) -> str:
    return f"{attribute.class_id}/{attribute.obis}:{attribute.attribute}"
