"""Image transfer in the meter's role, all steps: initiate, blocks, what is missing, verify, check, activate."""

from __future__ import annotations

from dlms_mqtt.cosem.structures import ImageInfo, array
from dlms_mqtt.cosem.structures import ImageTransferStatus as Status
from dlms_mqtt.protocol.apdu.results import ActionResult
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator.server.meter import Code, Meter
from dlms_mqtt.simulator.server.objects import Context, CosemObject, Outcome, make, named

FIRMWARE = (1, Obis((1, 0, 0, 2, 0, 255)))
BLOCK_SIZE = 128
_MOST = 4 << 20  # octets of an image
OK = Outcome()


class Image:
    """The image that is being transferred. Verifying takes ``busy`` seconds; an identification with BAD in it fails."""

    def __init__(self, meter: Meter, *, block_size: int = BLOCK_SIZE, busy: float = 0.0) -> None:
        self.meter = meter
        self.block_size = block_size
        self.busy = busy
        self.enabled = True
        self.status = Status.NOT_INITIATED
        self.identification = b""
        self.size = 0
        self.blocks: dict[int, bytes] = {}
        self._ready_at = 0.0

    @property
    def count(self) -> int:
        """Blocks of the whole image."""
        return -(-self.size // self.block_size)

    @property
    def missing(self) -> int:
        """The first block that has not come; the number of blocks when all have."""
        return next((number for number in range(self.count) if number not in self.blocks), self.count)

    @property
    def content(self) -> bytes:
        """What has come so far, in order."""
        return b"".join(self.blocks[number] for number in sorted(self.blocks))

    def initiate(self, _context: Context, argument: Data | None) -> Outcome:
        """Method 1: a new image."""
        parts: tuple[Data, ...] = argument.value if argument else ()
        if len(parts) != 2 or not isinstance(parts[0].value, bytes) or not isinstance(parts[1].value, int):
            return Outcome(ActionResult.TYPE_UNMATCHED)
        if not self.enabled or not 0 < parts[1].value <= _MOST:
            return Outcome(ActionResult.OTHER_REASON)
        self.identification, self.size = parts[0].value, parts[1].value
        self.blocks.clear()
        self.status = Status.INITIATED
        return OK

    def transfer(self, _context: Context, argument: Data | None) -> Outcome:
        """Method 2: one block."""
        parts: tuple[Data, ...] = argument.value if argument else ()
        if len(parts) != 2 or not isinstance(parts[0].value, int) or not isinstance(parts[1].value, bytes):
            return Outcome(ActionResult.TYPE_UNMATCHED)
        number, octets = parts[0].value, parts[1].value
        if not self.enabled or self.status is not Status.INITIATED or not 0 <= number < self.count:
            return Outcome(ActionResult.OTHER_REASON)
        if len(octets) != min(self.block_size, self.size - number * self.block_size):
            return Outcome(ActionResult.OTHER_REASON)
        self.blocks[number] = octets
        return OK

    def verify(self, _context: Context, _argument: Data | None) -> Outcome:
        """Method 3; temporary-failure while the meter is busy with it."""
        if self.status is Status.INITIATED and self.missing == self.count:
            self.status = Status.VERIFICATION_INITIATED
            self._ready_at = self.meter.clock.time() + self.busy
        if self.status is not Status.VERIFICATION_INITIATED:
            return self._verified()
        if self.meter.clock.time() < self._ready_at:
            return Outcome(ActionResult.TEMPORARY_FAILURE)
        self.progress()
        return self._verified()

    def _verified(self) -> Outcome:
        return OK if self.status is Status.VERIFICATION_SUCCESSFUL else Outcome(ActionResult.OTHER_REASON)

    def progress(self) -> None:
        """What time alone brings about."""
        if self.status is Status.VERIFICATION_INITIATED and self.meter.clock.time() >= self._ready_at:
            bad = b"BAD" in self.identification
            self.status = Status.VERIFICATION_FAILED if bad else Status.VERIFICATION_SUCCESSFUL

    def activate(self, _context: Context, _argument: Data | None) -> Outcome:
        """Method 4: the new firmware runs."""
        if self.status is not Status.VERIFICATION_SUCCESSFUL:
            return Outcome(ActionResult.OTHER_REASON)
        self.status = Status.ACTIVATION_SUCCESSFUL
        self.meter.objects[FIRMWARE].values[2] = named("octet-string", self.identification)
        self.meter.log(Code.ACTIVATED)
        return OK

    # -- attributes ---------------------------------------------------------------------------------------------------

    def bits(self, _context: Context) -> Data:
        """Which blocks have come."""
        return Data(DataType.BIT_STRING, "".join("01"[number in self.blocks] for number in range(self.count)))

    def info(self, _context: Context) -> Data:
        """What waits for its activation."""
        self.progress()
        ready = self.status in (Status.VERIFICATION_SUCCESSFUL, Status.ACTIVATION_SUCCESSFUL)
        return array([ImageInfo(self.size, self.identification, b"")] if ready else [])

    def state(self, _context: Context) -> Data:
        """image_transfer_status."""
        self.progress()
        return named("enum", int(self.status))

    def enable(self, _context: Context, value: Data) -> int:
        """Attribute 5 was written."""
        self.enabled = value.value
        return 0


def image_object(image: Image) -> CosemObject:
    """Class 18."""
    return make(
        18,
        "0.0.44.0.0.255",
        lambda _context: named("double-long-unsigned", image.block_size),
        image.bits,
        lambda _context: named("double-long-unsigned", image.missing),
        lambda _context: named("boolean", image.enabled),
        image.state,
        image.info,
        writable=(5,),
        writers={5: image.enable},
        methods={1: image.initiate, 2: image.transfer, 3: image.verify, 4: image.activate},
    )
