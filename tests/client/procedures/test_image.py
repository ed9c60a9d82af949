"""Image transfer into a meter of pydlms: the seven steps, lost blocks, resuming, slow verification, activation."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from pydlms.cosem.types import DlmsData
from pydlms.simulator import ImageTransferTarget, example_meter

from dlms_mqtt.client.association.association import Association
from dlms_mqtt.client.procedures.image import IMAGE_OBIS, ImageReport, ImageTransfer
from dlms_mqtt.client.refusals import action_refused
from dlms_mqtt.errors import ActionRefused, ConfigError, DecodeError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor, MethodDescriptor
from dlms_mqtt.protocol.apdu.results import ActionResult
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.conformance import Conformance
from tests.client.our_meter import CIPHERED, OurMeter
from tests.client.pydlms_meter import PydlmsMeter

IMAGE = bytes(range(256)) * 8 + b"the end"
NAME = b"KAM-1.2"
BLOCKS = -(-len(IMAGE) // 64)


class Bench:
    """A meter with an image transfer object, and what the client reported."""

    def __init__(self, *, hdlc: bool = False, max_pdu: int = 1024, **target: Any) -> None:
        self.sim = example_meter(max_pdu=max_pdu)
        self.target = ImageTransferTarget(**target).install(self.sim)
        self.stages: list[str] = []
        self.shares: list[int] = []
        self.begins = 0
        self._hdlc = hdlc

    async def transfer(
        self, image: bytes = IMAGE, name: bytes = NAME, *, block_size: int | None = None, **run: Any
    ) -> ImageReport:
        async with PydlmsMeter(self.sim, hdlc=self._hdlc) as meter, meter.client() as client:
            transfer = ImageTransfer(
                client, image, name, progress=self._progress, on_begin=self._begin, block_size=block_size
            )
            return await transfer.run(**run)

    def _progress(self, stage: str, done: int, total: int) -> None:
        if stage not in self.stages:
            self.stages.append(stage)
        self.shares.append(done)
        assert 0 <= done <= total

    @property
    def image(self) -> bytes:
        """What the meter has, in the order of the block numbers."""
        return b"".join(octets for _, octets in sorted(self.target.blocks.items()))

    def _begin(self) -> None:
        self.begins += 1


@pytest.mark.parametrize("hdlc", [False, True], ids=["wrapper", "hdlc"])
async def test_the_seven_steps(clock: object, hdlc: bool) -> None:
    bench = Bench(hdlc=hdlc, enabled=True)
    report = await bench.transfer()
    assert bench.image == IMAGE
    assert (report.blocks, report.sent, report.resumed, report.block_size) == (BLOCKS, BLOCKS, 0, 64)
    assert (report.activated, bench.target.activated) == (None, False), "nothing without an explicit word"
    assert [info.identification for info in report.to_activate] == [NAME]
    assert bench.stages == ["initiate", "transfer", "verify"]
    assert (bench.shares[0], bench.shares[-1]) == (0, BLOCKS)
    done = await bench.transfer(activate=True, begun=True)
    assert (done.sent, done.resumed, done.activated, bench.target.activated) == (0, BLOCKS, True, True)


async def test_an_image_of_the_same_name_and_size_is_not_taken_for_this_one(clock: object) -> None:
    bench = Bench()
    await bench.transfer()
    rebuilt = IMAGE[::-1]
    report = await bench.transfer(rebuilt, activate=True)
    assert (report.sent, report.resumed, bench.image) == (BLOCKS, 0, rebuilt)


async def test_lost_blocks_are_sent_again(clock: object) -> None:
    bench = Bench(drop_blocks={0: 1, 7: 3, 31: 1})
    report = await bench.transfer()
    assert bench.image == IMAGE
    assert report.sent == BLOCKS + 5


async def test_a_block_that_never_stays_ends_the_transfer(clock: object) -> None:
    bench = Bench(drop_blocks={3: 1000})
    with pytest.raises(ActionRefused, match=rf"does not keep 1 of the {BLOCKS} blocks, the first is 3"):
        await bench.transfer()


async def test_an_interrupted_transfer_goes_on(clock: object) -> None:
    bench = Bench(drop_blocks={20: 1000})
    with pytest.raises(ActionRefused):
        await bench.transfer()
    bench.target.drop_blocks = {}
    report = await bench.transfer(begun=True)
    assert (report.sent, report.resumed, bench.begins) == (1, BLOCKS - 1, 1)
    assert bench.image == IMAGE


async def test_another_image_begins_anew(clock: object) -> None:
    bench = Bench(drop_blocks={20: 1000})
    with pytest.raises(ActionRefused):
        await bench.transfer()
    bench.target.drop_blocks = {}
    report = await bench.transfer(b"another" * 50, b"other")
    assert (report.resumed, bench.begins, bench.image) == (0, 2, b"another" * 50)


@pytest.mark.parametrize("bits", [False, True], ids=["first missing", "bit string"])
async def test_meters_that_tell_less(clock: object, bits: bool) -> None:
    bench = Bench(drop_blocks={5: 1})
    if not bits:
        bench.target.overrides[3] = DlmsData.null()
    report = await bench.transfer()
    assert bench.image == IMAGE
    assert report.sent == (BLOCKS + 1 if bits else BLOCKS + BLOCKS - 5)


async def test_verification_takes_its_time(clock: Any) -> None:
    bench = Bench(verify_steps=5, activate_steps=4)
    report = await bench.transfer(activate=True)
    assert (report.activated, bench.target.activated) == (True, True)
    assert 10 <= clock.monotonic() < 60, "asked again with pauses, not at once"


@pytest.mark.parametrize("refusal", ["temporary-failure", "other-reason"])
async def test_a_meter_that_must_be_asked_to_verify_again(clock: Any, refusal: str) -> None:
    times: list[float] = []
    transfer = ImageTransfer(Verifier(clock, times, refusal), IMAGE, NAME)  # type: ignore[arg-type]
    await transfer.run(begun=True)
    assert len(times) == 3 and all(10 <= later - sooner <= 30 for sooner, later in itertools.pairwise(times))


async def test_a_refusal_to_verify_at_once_is_one(clock: Any) -> None:
    with pytest.raises(ActionRefused, match="other-reason"):
        await ImageTransfer(Verifier(clock, [], "other-reason", at_once=True), IMAGE, NAME).run(begun=True)  # type: ignore[arg-type]


class Verifier:
    """A client of a meter that has all blocks, and is at work until it was asked to verify for the third time."""

    association = Association(Conformance.BLOCK_TRANSFER_WITH_ACTION, 0)

    def __init__(self, clock: Any, times: list[float], later: str, *, at_once: bool = False) -> None:
        self._clock, self._times, self._later, self._at_once = clock, times, later, at_once

    async def invoke(self, method: MethodDescriptor, argument: Data) -> None:
        assert method.method == 3
        self._times.append(self._clock.monotonic())
        if len(self._times) < 3:
            code = ActionResult.TEMPORARY_FAILURE if self._first_is_patient else ActionResult.OTHER_REASON
            raise action_refused(code, method)

    @property
    def _first_is_patient(self) -> bool:
        return (len(self._times) == 1 and not self._at_once) or self._later == "temporary-failure"

    async def get(self, attribute: AttributeDescriptor) -> Data:
        return {
            2: Data(DataType.DOUBLE_LONG_UNSIGNED, 64),
            3: Data(DataType.BIT_STRING, "1" * BLOCKS),
            5: Data(DataType.BOOLEAN, True),
            6: Data(DataType.ENUM, 2 if self._times else 1),
            7: Data(DataType.ARRAY, ()),
        }[attribute.attribute]


async def test_an_image_that_is_not_valid(clock: object) -> None:
    for steps in (0, 3):
        bench = Bench(fail_verify=True, verify_steps=steps)
        with pytest.raises(ActionRefused, match=r"verification failed|refused to run"):
            await bench.transfer(activate=True)
        assert not bench.target.activated


async def test_activation_that_fails(clock: object) -> None:
    bench = Bench(fail_activate=True, activate_steps=2)
    with pytest.raises(ActionRefused, match="could not activate"):
        await bench.transfer(activate=True)


@pytest.mark.parametrize("hdlc", [True])
async def test_a_meter_that_restarts_into_the_image(clock: object, hdlc: bool) -> None:
    report = await Bench(drop_on_activate=True, hdlc=hdlc).transfer(activate=True)
    assert (report.activated, report.restarted) == (True, True)


async def test_another_image_is_not_activated(clock: object) -> None:
    bench = Bench()
    other = DlmsData.structure([DlmsData.uint32(5), DlmsData.octet_string(b"older"), DlmsData.octet_string(b"")])
    bench.target.overrides[7] = DlmsData.array([other])
    with pytest.raises(ActionRefused, match="another image ready"):
        await bench.transfer(activate=True)
    assert not bench.target.activated


async def test_blocks_longer_than_the_pdu_go_in_parts(clock: object) -> None:
    bench = Bench(block_size=700, max_pdu=300)
    report = await bench.transfer()
    assert (bench.image, report.block_size) == (IMAGE, 700)


async def test_blocks_of_2_kB_over_hdlc(clock: object) -> None:
    bench = Bench(block_size=1024, max_pdu=2048, hdlc=True)
    report = await bench.transfer()
    assert (bench.image, report.block_size) == (IMAGE, 1024)


async def test_a_meter_that_takes_blocks_of_its_own_size_only(clock: object) -> None:
    async with OurMeter() as meter, meter.client(**CIPHERED) as client:
        with pytest.raises(ActionRefused) as caught:
            await ImageTransfer(client, IMAGE, NAME, block_size=7).run()
    assert "leave the block size out" in caught.value.hint


async def test_strange_meters(clock: object) -> None:
    bench = Bench()
    bench.target.overrides[2] = DlmsData.uint32(0)
    with pytest.raises(DecodeError, match="block size is 0"):
        await bench.transfer()
    bench.target.overrides[2] = DlmsData.uint32(64)
    bench.target.overrides[7] = DlmsData.array([DlmsData.null()])
    with pytest.raises(DecodeError, match="image_to_activate_info"):
        await bench.transfer()
    with pytest.raises(ConfigError, match="empty"):
        await bench.transfer(b"")


async def test_a_transfer_that_is_not_enabled(clock: object) -> None:
    from pydlms.cosem.interface_classes import ClassId
    from pydlms.obis import ObisCode

    bench = Bench(enabled=False)
    bench.sim.set_access(ClassId.IMAGE_TRANSFER, ObisCode.parse(str(IMAGE_OBIS)), 5, 1)
    with pytest.raises(Exception, match="does not allow an image transfer"):
        await bench.transfer()
