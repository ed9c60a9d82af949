"""Programming mode of the simulated meter: password and lock, registers, blocks, damage, what it does not know."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from dlms_mqtt.client.services.load_profile import parse_load_profile
from dlms_mqtt.protocol.framing.data_block import find_data_block
from dlms_mqtt.protocol.framing.programming import NAK, Command
from dlms_mqtt.protocol.framing.seven_bit import add_parity
from dlms_mqtt.protocol.framing.sign_on import ACK, BREAK
from dlms_mqtt.simulator import Faults, household
from dlms_mqtt.simulator.lines.programming import ProgrammingMode
from tests.fake_clock import FakeClock

PASSWORD = Command("P1", b"(12345678)").encode()
WRONG = Command("P1", b"(00000000)").encode()
ENERGY = Command("R1", b"1.8.0()").encode()


@pytest.fixture
def mode() -> ProgrammingMode:
    clock = FakeClock(datetime(2026, 5, 1, 12, 7, tzinfo=UTC).timestamp())
    return ProgrammingMode(household(clock=clock))


def text_of(answer: bytes) -> str:
    block = find_data_block(answer)
    assert block is not None
    return block.text


def proved(mode: ProgrammingMode) -> ProgrammingMode:
    assert b"P0" in mode.begin()
    assert mode.receive(PASSWORD) == ACK
    return mode


def test_a_register_after_the_password(mode: ProgrammingMode) -> None:
    mode.begin()
    assert text_of(mode.receive(ENERGY)) == "(ERROR03)"
    assert mode.receive(PASSWORD) == ACK
    answer = text_of(mode.receive(ENERGY))
    assert answer.startswith("1.8.0(")
    assert answer.endswith("*kWh)")
    assert text_of(mode.receive(add_parity(Command("R5", b"1-0:1.8.0*255()").encode()))) == answer


def test_a_wrong_password_is_counted_and_locks() -> None:
    meter = household(clock=FakeClock(), faults=Faults(["lock-out:2"]))
    mode = ProgrammingMode(meter)
    assert text_of(mode.receive(WRONG)) == "(ERROR02)"
    assert text_of(mode.receive(WRONG)) == "(ERROR02)"
    assert meter.failures == {32: 2}
    assert text_of(mode.receive(PASSWORD)) == "(ERROR03)"


def test_a_meter_without_a_password_wants_none() -> None:
    mode = ProgrammingMode(household(clock=FakeClock(), associations=()))
    assert text_of(mode.receive(ENERGY)).startswith("1.8.0(")
    assert mode.receive(PASSWORD) == ACK


@pytest.mark.parametrize("content", [b"9.9.9()", b"x", b"P.07(;)", b"1.8.0", b""])
def test_what_it_does_not_know(mode: ProgrammingMode, content: bytes) -> None:
    assert text_of(proved(mode).receive(Command("R1", content).encode())) == "(ERROR01)"
    assert text_of(mode.receive(Command("W1", content).encode())) == "(ERROR01)"


def test_damage_is_met_with_a_request_to_repeat(mode: ProgrammingMode) -> None:
    proved(mode)
    assert mode.receive(ENERGY[:-1] + b"\0") == NAK
    answer = mode.receive(ENERGY)
    assert mode.receive(NAK) == answer
    assert [mode.receive(bytes((octet,))) for octet in ENERGY][-1] == answer


def test_the_load_profile_in_blocks(mode: ProgrammingMode) -> None:
    proved(mode)
    span = b"P.01(12605011000;12605011400)"
    whole = text_of(mode.receive(Command("R5", span).encode()))
    parts, answer = [], mode.receive(Command("R6", span).encode())
    while True:
        block = find_data_block(answer)
        assert block is not None
        parts.append(block.text)
        if not block.more:
            break
        answer = mode.receive(ACK)
    assert len(parts) > 1
    assert "".join(parts) == whole
    found = parse_load_profile(whole)
    assert found.period == 900
    assert len(found.rows) == 17
    assert [str(column.obis) for column in found.columns[2:]] == [f"1.0.{c}.8.0.255" for c in (1, 2, 3, 4)]
    assert mode.receive(ACK) == b""


def test_the_end(mode: ProgrammingMode) -> None:
    assert proved(mode).receive(BREAK) == b""
    assert mode.over
