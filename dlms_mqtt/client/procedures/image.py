"""Image transfer (class 18): the seven steps from a file to new firmware, resumed where an earlier attempt broke off.

One rule: nothing is activated without an explicit word. The meter says how long a block is; blocks are numbered by that
length, so they are cut smaller only where the meter could not take one at all.

Source: Blue Book ed. 12, clause 4.4.6 (Image transfer, the steps of the process).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from dlms_mqtt.cosem.structures import ImageInfo, images
from dlms_mqtt.cosem.structures import ImageTransferStatus as Status
from dlms_mqtt.errors import (
    AccessRefused,
    ActionRefused,
    ConfigError,
    ConnectionLost,
    DecodeError,
    MeterRefused,
    ResponseTimeout,
)
from dlms_mqtt.frozen import dataclass
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.conformance import Conformance
from dlms_mqtt.protocol.obis import Obis

if TYPE_CHECKING:
    from dlms_mqtt.client.client import DlmsClient

IMAGE_TRANSFER = 18
IMAGE_OBIS = Obis((0, 0, 44, 0, 0, 255))
_BLOCK_SIZE, _BLOCKS, _FIRST_MISSING, _ENABLED, _STATUS, _TO_ACTIVATE = range(2, 8)
_INITIATE, _BLOCK, _VERIFY, _ACTIVATE = range(1, 5)

_OVERHEAD = 32  # octets of an ACTION request around the octets of a block
_ROUNDS = 5  # times that missing blocks are sent without the meter getting any further
_TRIES = 10  # of one block that the meter cannot take yet
_PAUSE = 2.0  # s between questions while the meter works
_PATIENCE = 3600.0  # s that verification or activation may take
_VERIFY_AGAIN = 20.0  # s: some meters go on, or tell how it ended, only when they are asked to verify once more
_ZERO = Data(DataType.INTEGER, 0)
_BUSY = "temporary-failure"

Progress = Callable[[str, int, int], None]
"""Stage, blocks there, blocks in all."""


@dataclass(frozen=True, slots=True)
class ImageReport:
    """How it went. ``resumed``: blocks that were there already; ``activated`` None: nobody asked for it."""

    blocks: int
    block_size: int
    sent: int
    resumed: int
    to_activate: tuple[ImageInfo, ...]
    activated: bool | None
    restarted: bool = False


class ImageTransfer:
    """The transfer of one image into one object of a meter; ``on_begin`` is called when the meter has begun anew."""

    def __init__(
        self,
        client: DlmsClient,
        image: bytes,
        identifier: bytes,
        *,
        obis: Obis = IMAGE_OBIS,
        progress: Progress = lambda stage, done, total: None,
        on_begin: Callable[[], None] = lambda: None,
        block_size: int | None = None,
    ) -> None:
        if not image:
            raise ConfigError("the image is empty")
        self._client = client
        self._image = image
        self._identifier = identifier
        self._obis = obis
        self._progress = progress
        self._on_begin = on_begin
        self._wanted_size = block_size
        self._size = 0
        self._sent = 0

    async def run(self, *, activate: bool = False, begun: bool = False) -> ImageReport:
        """Transfer and verify; activate only if told. ``begun``: what the meter has is known to be of this very image.

        Name and size alone prove nothing: a new build has often the same, and the old one must not be activated.

        MeterRefused, TransportError; what has arrived stays in the meter for the next attempt.
        """
        self._size = await self._block_length()
        await self._enable()
        status = await self._status()
        listed = await self._to_activate()
        resumed = 0
        if begun and status is Status.VERIFICATION_SUCCESSFUL and self._mine(listed):
            resumed = self._count
        else:
            missing = await self._prepare(status, begun)
            resumed = self._count - len(missing)
            await self._fill(missing)
            await self._verify()
            listed = await self._to_activate()
        self._check_listed(listed)
        activated, restarted = await self._activate() if activate else (None, False)
        return ImageReport(self._count, self._size, self._sent, resumed, listed, activated, restarted)

    @property
    def _count(self) -> int:
        return -(-len(self._image) // self._size)

    # -- step 1: what the meter takes ---------------------------------------------------------------------------------

    async def _block_length(self) -> int:
        """The meter's block size; smaller only where the meter can take neither the block nor a part of it."""
        own = (await self._get(_BLOCK_SIZE)).value
        if not isinstance(own, int) or not 0 < own <= 1 << 20:
            raise DecodeError(f"the meter's image block size is {own!r}")
        if self._wanted_size:
            return min(own, self._wanted_size)
        agreed = self._client.association
        cut = agreed.conformance & (Conformance.BLOCK_TRANSFER_WITH_ACTION | Conformance.GENERAL_BLOCK_TRANSFER)
        return own if cut or not agreed.max_pdu else max(1, min(own, agreed.max_pdu - _OVERHEAD))

    async def _enable(self) -> None:
        if (await self._get(_ENABLED)).value:
            return
        try:
            await self._client.set(self._attribute(_ENABLED), Data(DataType.BOOLEAN, True))
        except AccessRefused as error:
            raise type(error)(
                "the meter does not allow an image transfer, nor to allow it",
                code=error.code,
                name=error.name,
                target=error.target,
                hint="Another client address may enable it (attribute 5 of the image transfer object).",
            ) from error

    # -- steps 2 to 4: initiate, blocks, what is missing --------------------------------------------------------------

    async def _prepare(self, status: Status | int, known: bool) -> list[int]:
        """The blocks to send: those that are missing in a transfer of this image, else all of a new one."""
        if known and status is Status.INITIATED:
            return await self._missing()
        self._progress("initiate", 0, self._count)
        fields = (Data(DataType.OCTET_STRING, self._identifier), Data(DataType.DOUBLE_LONG_UNSIGNED, len(self._image)))
        await self._patiently(lambda: self._invoke(_INITIATE, Data(DataType.STRUCTURE, fields)))
        self._on_begin()
        # A meter may keep what it has of the same image.
        return await self._missing()

    async def _missing(self) -> list[int]:
        """Numbers of the blocks that the meter does not have, as far as it says."""
        try:
            bits = (await self._get(_BLOCKS)).value
        except MeterRefused:
            bits = ""
        if isinstance(bits, str) and len(bits) >= self._count:
            return [number for number in range(self._count) if bits[number] == "0"]
        return list(range(await self._first_missing(), self._count))

    async def _first_missing(self) -> int:
        try:
            first = (await self._get(_FIRST_MISSING)).value
        except MeterRefused:
            return 0
        return first if isinstance(first, int) and 0 <= first <= self._count else 0

    async def _fill(self, missing: Sequence[int]) -> None:
        """Send blocks until none is missing; the meter's word counts, not ours."""
        stuck = 0
        while missing:
            await self._send(missing)
            left = await self._missing()
            stuck = stuck + 1 if len(left) >= len(missing) else 0
            if stuck >= _ROUNDS:
                raise ActionRefused(
                    f"the meter does not keep {len(left)} of the {self._count} blocks, the first is {left[0]}",
                    target=str(self._method(_BLOCK)),
                    hint="Try again later; the transfer is resumed.",
                )
            missing = left

    async def _send(self, numbers: Iterable[int]) -> None:
        numbers = list(numbers)
        for index, number in enumerate(numbers):
            self._progress("transfer", self._count - len(numbers) + index, self._count)
            octets = self._image[number * self._size : (number + 1) * self._size]
            fields = (Data(DataType.DOUBLE_LONG_UNSIGNED, number), Data(DataType.OCTET_STRING, octets))
            block = Data(DataType.STRUCTURE, fields)
            try:
                await self._patiently(lambda block=block: self._invoke(_BLOCK, block))  # type: ignore[misc]
            except ActionRefused as error:
                if self._wanted_size and not self._sent:
                    error.hint = "The meter may take blocks of its own size only: leave the block size out."
                raise
            self._sent += 1
        self._progress("transfer", self._count, self._count)

    # -- steps 5 to 7: verify, look, activate -------------------------------------------------------------------------

    async def _verify(self) -> None:
        self._progress("verify", self._count, self._count)
        status = await self._work(
            _VERIFY,
            Status.VERIFICATION_INITIATED,
            {Status.VERIFICATION_SUCCESSFUL, Status.VERIFICATION_FAILED},
            _VERIFY_AGAIN,
        )
        if status is Status.VERIFICATION_FAILED:
            raise ActionRefused(
                "the meter says that the image is not valid (verification failed)",
                name=status.text,
                target=str(self._method(_VERIFY)),
                hint="Check that the file and the identifier are made for this very meter.",
            )

    def _check_listed(self, listed: Sequence[ImageInfo]) -> None:
        """What would be activated must be what was sent, where the meter says it."""
        if listed and not self._mine(listed):
            names = ", ".join(f"{info.identification!r} of {info.size} octets" for info in listed)
            raise ActionRefused(
                f"the meter holds another image ready than the one that was sent: {names}",
                target=str(self._attribute(_TO_ACTIVATE)),
                hint="Nothing was activated. Check --identifier.",
            )

    async def _activate(self) -> tuple[bool, bool]:
        """Has it worked, and did the meter restart instead of saying so?"""
        self._progress("activate", self._count, self._count)
        try:
            status = await self._work(
                _ACTIVATE, Status.ACTIVATION_INITIATED, {Status.ACTIVATION_SUCCESSFUL, Status.ACTIVATION_FAILED}
            )
        except (ConnectionLost, ResponseTimeout):
            return True, True
        if status is Status.ACTIVATION_FAILED:
            raise ActionRefused(
                "the meter could not activate the image", name=status.text, target=str(self._method(_ACTIVATE))
            )
        return True, False

    async def _work(self, method: int, working: Status, ends: set[Status], again: float = _PATIENCE) -> Status | int:
        """Run a method that takes long: while the meter says temporary-failure its status is watched.

        ``again``: seconds after which the method is run once more though the meter is still working.
        """
        deadline, status = self._now() + _PATIENCE, None
        while True:
            try:
                await self._invoke(method, _ZERO)
                return min(ends)
            except ActionRefused as error:
                at_work = error.name == _BUSY or status == working  # where it is, any refusal of another run is "wait"
                if not at_work or self._now() > deadline:
                    raise
            status = await self._watch(working, min(deadline, self._now() + again))
            if status in ends:
                return status

    async def _watch(self, working: Status, until: float) -> Status | int:
        while True:
            await asyncio.sleep(_PAUSE)
            status = await self._status()
            if status != working or self._now() > until:
                return status

    # -- the object ---------------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _attribute(self, number: int) -> AttributeDescriptor:
        return AttributeDescriptor(IMAGE_TRANSFER, self._obis, number)

    def _method(self, number: int) -> MethodDescriptor:
        return MethodDescriptor(IMAGE_TRANSFER, self._obis, number)

    async def _get(self, number: int) -> Data:
        return await self._client.get(self._attribute(number))

    async def _invoke(self, number: int, argument: Data) -> None:
        await self._client.invoke(self._method(number), argument)

    async def _patiently(self, call: Callable[[], Awaitable[None]]) -> None:
        """A meter that is busy (flash memory is slow) is asked again."""
        for left in reversed(range(_TRIES)):
            try:
                await call()
                break
            except ActionRefused as error:
                if error.name != _BUSY or not left:
                    raise
            await asyncio.sleep(_PAUSE)

    async def _status(self) -> Status | int:
        value = (await self._get(_STATUS)).value
        if not isinstance(value, int):
            raise DecodeError(f"the state of the image transfer is no number: {value!r}")
        return Status(value) if value in Status.__members__.values() else value

    async def _to_activate(self) -> tuple[ImageInfo, ...]:
        """What the meter would activate; nothing where it does not say."""
        try:
            return images(await self._get(_TO_ACTIVATE))
        except MeterRefused:
            return ()

    def _mine(self, listed: Iterable[ImageInfo]) -> bool:
        return any(info.identification == self._identifier and info.size == len(self._image) for info in listed)
