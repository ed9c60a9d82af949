"""Who may talk to a simulated meter: one row per client, with mechanism, secret, ciphering, services and level."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from dlms_mqtt.cosem.access import AttributeAccess, MethodAccess
from dlms_mqtt.cosem.classes import RESERVED_BASE_NAMES
from dlms_mqtt.cosem.object_list import ObjectInfo
from dlms_mqtt.protocol.acse import Mechanism
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys, ManufacturerAlgorithm, Security
from dlms_mqtt.protocol.security.suites import NO_KEY
from dlms_mqtt.simulator.objects import MANAGER, PUBLIC, CosemObject

if TYPE_CHECKING:
    from dlms_mqtt.simulator.faults import Faults
    from dlms_mqtt.simulator.meter import Meter

View = dict[tuple[int, Obis], ObjectInfo]

C = Conformance
LN_SERVICES = (
    C.GENERAL_PROTECTION
    | C.GENERAL_BLOCK_TRANSFER
    | C.ATTRIBUTE0_SUPPORTED_WITH_GET
    | C.PRIORITY_MGMT_SUPPORTED
    | C.BLOCK_TRANSFER_WITH_GET_OR_READ
    | C.BLOCK_TRANSFER_WITH_SET_OR_WRITE
    | C.BLOCK_TRANSFER_WITH_ACTION
    | C.MULTIPLE_REFERENCES
    | C.DATA_NOTIFICATION
    | C.ACCESS
    | C.GET
    | C.SET
    | C.SELECTIVE_ACCESS
    | C.EVENT_NOTIFICATION
    | C.ACTION
)
SN_SERVICES = (
    C.GENERAL_PROTECTION
    | C.GENERAL_BLOCK_TRANSFER
    | C.READ
    | C.WRITE
    | C.UNCONFIRMED_WRITE
    | C.BLOCK_TRANSFER_WITH_GET_OR_READ
    | C.BLOCK_TRANSFER_WITH_SET_OR_WRITE
    | C.MULTIPLE_REFERENCES
    | C.INFORMATION_REPORT
    | C.DATA_NOTIFICATION
    | C.PARAMETERIZED_ACCESS
)
CURRENT_LN = (15, Obis((0, 0, 40, 0, 0, 255)))
CURRENT_SN = (12, Obis((0, 0, 40, 0, 0, 255)))
SN_ASSOCIATION_NAME = next(name for name, (class_id, _) in RESERVED_BASE_NAMES.items() if class_id == 12)


@dataclass(frozen=True, slots=True)
class Association:
    """One client of the meter. ``policy``: the least protection its messages must have.

    ``referencing``: ln, sn or both. ``max_pdu``: octets that the meter takes; ``keys`` None: nothing can be ciphered.
    """

    client: int
    name: str
    level: int = PUBLIC
    mechanism: Mechanism = Mechanism.NONE
    secret: Secret = NO_KEY
    algorithm: ManufacturerAlgorithm | None = None
    keys: Keys | None = None
    suite: int = 0
    policy: Security = Security.NONE
    referencing: str = "both"
    ln_services: Conformance = LN_SERVICES
    sn_services: Conformance = SN_SERVICES
    max_pdu: int = 1024
    gbt_window: int = 4
    pre_established: bool = False
    faults: Faults | None = field(default=None, compare=False)

    def speaks(self, referencing: str) -> bool:
        """Does this client address objects so?"""
        return self.referencing in (referencing, "both")


class Context:
    """One association at work: what a value may depend on."""

    __slots__ = ("association", "client_title", "meter", "referencing")

    def __init__(self, meter: Meter, association: Association, referencing: str = "ln") -> None:
        self.meter = meter
        self.association = association
        self.referencing = referencing
        self.client_title = b""

    @property
    def current(self) -> tuple[int, Obis]:
        """The association object of this association."""
        return CURRENT_LN if self.referencing == "ln" else CURRENT_SN

    @property
    def view(self) -> View:
        """What this client sees of the meter, with its rights; clients of one level share it."""
        key = self.association.level, self.referencing
        found = self.meter.views.get(key)
        if found is None:
            found = self.meter.views[key] = self._view()
        return found

    def _view(self) -> View:
        other = CURRENT_SN if self.referencing == "ln" else CURRENT_LN
        return {
            key: _info(item, self.association.level, key == self.current)
            for key, item in self.meter.objects.items()
            if self.association.level >= item.see and key != other
        }


def _info(item: CosemObject, level: int, current: bool) -> ObjectInfo:
    if item.rights is not None:
        attributes, methods = item.rights
    else:
        writes, runs = level >= item.write, current or level >= item.run
        attributes = {number: 3 if writes and number in item.writable else 1 for number in sorted(item.values)}
        methods = dict.fromkeys(sorted(item.methods), 1 if runs else 0)
    return ObjectInfo(
        item.class_id,
        item.version,
        item.obis,
        {number: AttributeAccess(mode, selectors=_selectors(item, number)) for number, mode in attributes.items()},
        {number: MethodAccess(mode) for number, mode in methods.items()},
        item.short_name or None,
    )


def _selectors(item: CosemObject, attribute: int) -> tuple[int, ...] | None:
    found = item.selectors.get(attribute)
    return tuple(found) if found else None


__all__ = ["CURRENT_LN", "CURRENT_SN", "LN_SERVICES", "MANAGER", "SN_SERVICES", "Association", "Context", "View"]
