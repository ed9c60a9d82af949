"""Who may talk to a simulated meter: one row per client, with mechanism, secret, ciphering, services and level."""

from __future__ import annotations

from dataclasses import field

from dlms_mqtt.cosem.classes import RESERVED_BASE_NAMES
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.acse.messages import Mechanism
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys, ManufacturerAlgorithm, Security
from dlms_mqtt.protocol.security.suites import NO_KEY
from dlms_mqtt.simulator.server.faults import Faults

PUBLIC, READER, MANAGER = 0, 1, 2
"""Who may do what: levels of associations, and the least level that an object asks for."""

LEVELS = {"public": PUBLIC, "reader": READER, "manager": MANAGER}

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
    ``client_title``: of the client of a pre-established one, which has no AARQ to tell it.
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
    client_title: bytes = b""
    faults: Faults | None = field(default=None, compare=False)

    def speaks(self, referencing: str) -> bool:
        """Does this client address objects so?"""
        return self.referencing in (referencing, "both")
