"""What is asked again by itself and what never is: after a lost link, over datagrams, with a higher counter."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import (
    AccessRefused,
    ConnectionLost,
    DecodeError,
    ResponseTimeout,
    SecurityError,
    ServiceRefused,
)
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.framing.hdlc.frame import Kind
from tests.client.interrupted import NUMBER, Interrupted, frame
from tests.client.our_meter import CIPHERED, OurMeter
from tests.client.some_objects import ENERGY, attribute

NAME = attribute(1, "0.0.42.0.0.255")
TIME = attribute(8, "0.0.1.0.0.255")
LABEL = attribute(1, "0.0.96.1.1.255")


async def test_a_meter_that_restarts_is_opened_again_once(clock: object) -> None:
    async with OurMeter() as meter, meter.client() as client:
        meter.meter.restart()
        assert isinstance(await client.get(NAME), Data)
        assert meter.times(b"\x60\x1d") + meter.times(b"\x60\x1c") + meter.times(b"\x60\x1e") >= 1
    opened = sum(b"\x93" in write[:8] for write in meter.line.sent)
    assert opened == 2


async def test_short_names_cannot_tell_a_late_answer_so_the_line_is_opened_again(clock: object) -> None:
    options = {"timeout": 2.0, "retries": 0, "referencing": "sn"}
    async with OurMeter(framing="wrapper") as meter, meter.client(**options) as client:
        await client.get(NAME)
        meter.faults.add("late-answer:3")
        with pytest.raises(ResponseTimeout):
            await client.get(NAME)
        assert len((await client.get(TIME)).value) == 12


async def test_udp_repeats_a_lost_question(clock: object) -> None:
    async with OurMeter("lost,times=2", framing="wrapper", datagram=True) as meter, meter.client() as client:
        meter.faults.add("deaf")
        assert isinstance(await client.get(NAME), Data)


@pytest.mark.parametrize("referencing", ["ln", "sn"])
@pytest.mark.parametrize("fault", ["lost,after=6", "lost,after=6,times=2", "deaf,after=6"])
async def test_udp_reads_blocks_anew_where_one_was_lost(clock: object, fault: str, referencing: str) -> None:
    """The meter refuses a repeated question for the next block."""
    options = {"client": 17, "referencing": referencing, "max_pdu": 60}
    async with OurMeter(framing="wrapper", datagram=True) as meter, meter.client(**options) as client:
        await client.get(NAME)
        text = meter.meter.objects[LABEL.class_id, LABEL.obis].values[2] = Data(DataType.OCTET_STRING, b"a label" * 110)
        meter.faults.add(fault)
        assert await client.get(LABEL) == text
        struck = meter.faults.get(fault.partition(",")[0])
        assert struck is not None
        assert struck.struck == struck.times


@pytest.mark.parametrize("ending", [frame(Kind.DM), frame(Kind.FRMR, bytes((0x10, 0x00, 0x08)))], ids=["DM", "FRMR"])
async def test_a_dropped_link_is_set_up_again_once(clock: object, ending: bytes) -> None:
    async with Interrupted(ending, forget=True) as meter:
        assert await meter.client.get(ENERGY) == NUMBER
        assert [request.TAG for request in meter.requests] == [0x60, 0x60, 0xC0]


async def test_where_an_answer_is_owed_a_write_begins_with_a_new_association(clock: object) -> None:
    """Nothing would tell the late answer from the one to the write; nothing has been written yet."""
    options = {"timeout": 2.0, "retries": 0, "referencing": "sn", "client": 17}
    async with OurMeter(framing="wrapper") as meter, meter.client(**options) as client:
        before = await client.get(LABEL)
        meter.faults.add("late-answer:3")
        with pytest.raises(ResponseTimeout):
            await client.get(NAME)
        opened = meter.line.opened
        await client.set(LABEL, Data(before.type, b"another"))
        assert (meter.line.opened - opened, meter.times(b"another")) == (1, 1)
        assert (await client.get(LABEL)).value == b"another"


async def test_a_meter_that_was_gone_is_met_before_the_next_question(clock: object) -> None:
    async with OurMeter(framing="wrapper") as meter, meter.client(timeout=1.0, retries=0) as client:
        meter.faults.add("silence")
        with pytest.raises(ResponseTimeout):
            await client.recover(ResponseTimeout("no answer"))
        with pytest.raises(ResponseTimeout):  # it is still gone: the association comes before the question
            await client.get(NAME)
        assert meter.times(bytes(NAME.obis)) == 0
        meter.faults.remove("silence")
        assert isinstance(await client.get(NAME), Data)


async def test_over_datagrams_a_refusal_of_the_first_copy_is_final(clock: object) -> None:
    async with OurMeter(framing="wrapper", datagram=True) as meter, meter.client() as client:
        before = meter.times(b"\xc0\x01")
        with pytest.raises(AccessRefused):
            await client.get(attribute(3, "9.9.9.9.9.9"))
        assert meter.times(b"\xc0\x01") - before == 1


async def test_a_write_is_never_repeated_by_itself(clock: object) -> None:
    class Refusing(Interrupted):
        def _take(self, request: Any) -> None:
            if request.TAG == 0xC1:
                self._far.write(frame(Kind.DM))
            super()._take(request)

    meter = Refusing(settings={"retries": 1})
    async with meter:
        with pytest.raises(ConnectionLost, match="disconnected mode"):
            await meter.client.set(ENERGY, NUMBER)
        meter._steps.clear()
    assert sum(request.TAG == 0xC1 for request in meter.requests) == 1


async def test_a_counter_is_adopted_upwards(clock: object) -> None:
    async with OurMeter() as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, **CIPHERED | {"invocation_counter": 5000}) as client:
                await client.get(NAME)
        with Store(MEMORY) as lost:  # the state file was lost: our counter would begin at 1
            async with meter.client(lost, **CIPHERED) as client:
                assert isinstance(await client.get(NAME), Data)
                assert client.ciphering.counter is not None
                assert client.ciphering.counter.value > 5000


async def test_a_counter_far_away_is_not_adopted(clock: object) -> None:
    async with OurMeter() as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, **CIPHERED | {"invocation_counter": 3_000_000}) as client:
                await client.get(NAME)
        with Store(MEMORY) as lost, pytest.raises(SecurityError, match="not taken over") as caught:
            await meter.client(lost, **CIPHERED).open()
    assert "dlms-mqtt counter" in caught.value.hint


async def test_a_read_is_repeated_with_the_counter_that_the_meter_wants(clock: object) -> None:
    async with OurMeter() as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, **CIPHERED) as client:
                meter.faults.add("counter-refused:told")
                assert isinstance(await client.get(NAME), Data)
                meter.faults.add("counter-refused:untold")
                with pytest.raises(ServiceRefused):  # it does not say which it wants
                    await client.get(NAME)
                assert isinstance(await client.get(NAME), Data)


async def test_a_write_is_not_repeated_but_the_next_question_has_the_counter(clock: object) -> None:
    async with OurMeter() as meter:
        with Store(MEMORY) as store:
            async with meter.client(store, **CIPHERED) as client:
                before = await client.get(LABEL)
                meter.faults.add("counter-refused:told")
                with pytest.raises(ServiceRefused):
                    await client.set(LABEL, Data(before.type, b"another"))
                assert await client.get(LABEL) == before


@pytest.mark.parametrize("datagram", [False, True])
async def test_after_a_question_that_failed_the_association_is_made_fit(clock: object, datagram: bool) -> None:
    """A silent meter is met with a new association; over datagrams the next question tells."""
    async with OurMeter(framing="wrapper", datagram=datagram) as meter, meter.client(timeout=1.0) as client:
        await client.get(NAME)
        opened = sum(meter.times(bytes((0x60, length))) for length in range(0x1C, 0x20))
        await client.recover(ResponseTimeout("no answer"))
        await client.recover(DecodeError("odd"))
        again = sum(meter.times(bytes((0x60, length))) for length in range(0x1C, 0x20))
        assert again - opened == (0 if datagram else 1)
        assert isinstance(await client.get(NAME), Data)
