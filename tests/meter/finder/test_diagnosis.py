"""Each fault of the quirks list (probe and serial line; addressing and session) ends in the words that name it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.meter.finder import Found, Limits, diagnosis, find
from dlms_mqtt.meter.finder.evidence import Evidence, judge
from dlms_mqtt.meter.finder.path_faults import path_fault
from dlms_mqtt.protocol.acse.names import ServiceUserDiagnostic
from dlms_mqtt.protocol.apdu.errors import ConfirmedServiceError
from dlms_mqtt.protocol.apdu.initiate import InitiateRequest
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.framing.hdlc.frame import encode_frame
from dlms_mqtt.protocol.framing.hdlc.parameters import encode_parameters
from dlms_mqtt.protocol.framing.link import LinkParameters
from dlms_mqtt.protocol.framing.seven_bit import add_parity
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Security
from dlms_mqtt.simulator import KEYS, Faults, make, serve_memory, serve_tcp
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server import opening, session
from dlms_mqtt.simulator.server.objects import PUBLIC
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.fake_clock import FakeClock
from tests.frames_data import entries
from tests.meter.finder_bench import PASSWORD, Bench, on_line, public, reader

QUICK = Limits(seconds=150, patience=20)
READOUT = b"1-0:1.8.0(000123.4*kWh)\r\n1-0:2.8.0(000001.0*kWh)\r\n"


async def search(bench: Bench, clock: FakeClock, limits: Limits = QUICK, **options: Any) -> Found:
    path, given = options.pop("path", {}), options.pop("given", {})
    async with on_line(bench, clock, **path) as (open_line, near):
        near.peer.fault = options.pop("shape", None)
        return await find({"serial": "bench", **given}, open_line=open_line, limits=limits)


def sign_on_meter(**options: Any) -> Bench:
    return Bench(opening="sign-on", **options)


# -- optical probe, serial, mode E (4.1) -------------------------------------------------------------------------------


async def test_1_the_meter_waits_for_a_sign_on(clock: FakeClock) -> None:
    found = await search(sign_on_meter(), clock)
    assert found.complete
    assert "sign-on" in found.names
    assert "sign-on at 300 baud 7E1" in found.diagnosis


async def test_1_a_sign_on_at_another_speed(clock: FakeClock) -> None:
    found = await search(sign_on_meter(initial_baud=2400), clock)
    assert found.connection["baud"] == 2400
    assert "sign-on-speed" in found.names
    assert "300 baud 7E1" not in found.diagnosis


async def test_2_parity_is_read_as_data(clock: FakeClock) -> None:
    found = await search(sign_on_meter(), clock, path={"eight_bits": True})
    assert found.complete
    assert found.connection["parity"] == "none"
    assert "parity" in found.names
    assert judge(b"", add_parity(b"/ISK5 nothing that ends")).evidence is Evidence.PARITY


async def test_3_a_clear_text_readout_instead_of_hdlc(clock: FakeClock) -> None:
    """It is proposed to be read as it is; a meter that announces HDLC is asked for it first."""
    found = await search(sign_on_meter(readout=READOUT, readout_always=True), clock)
    assert found.complete
    assert found.connection["opening"] == "readout"
    assert "client" not in found.connection
    assert found.learned["energy"]
    assert "clear text" in found.diagnosis
    assert "broken off" not in found.diagnosis


@pytest.mark.parametrize("letter", ["5", "0", "D", " "], ids=["C", "C-300", "B", "A"])
async def test_3_a_meter_that_only_knows_clear_text_is_found_soon(clock: FakeClock, letter: str) -> None:
    said = Identification("ISk", letter, (), "MT174-0001")
    found = await search(sign_on_meter(identification=said, readout=READOUT, readout_always=True), clock)
    assert found.connection["opening"] == "readout"
    assert found.learned["identification"] == said.encode().decode().strip()
    assert found.seconds < 90


async def test_3_a_readout_without_energy(clock: FakeClock) -> None:
    found = await search(sign_on_meter(readout=b"0.0.0(12345678)\r\nF.F(00)\r\n", readout_always=True), clock)
    assert found.complete
    assert "no energy" in found.diagnosis


@pytest.mark.parametrize("form", [SerialFormat(300, 7, "even"), SerialFormat(300, 8, "none")])
async def test_4_the_converter_keeps_its_speed(clock: FakeClock, form: SerialFormat) -> None:
    found = await search(sign_on_meter(), clock, Limits(seconds=400), path={"fixed": True, "start": form})
    assert not found.complete
    assert found.names[0] == "converter-7e1"
    assert "2217" in found.diagnosis


async def test_5_the_first_frame_after_the_switch_is_lost(clock: FakeClock) -> None:
    found = await search(sign_on_meter(deaf_after_switch=0.7), clock)
    assert found.complete
    assert "first-frame-lost" in found.names


async def test_6_the_acknowledgement_is_not_confirmed(clock: FakeClock) -> None:
    found = await search(sign_on_meter(confirm=False), clock)
    assert found.complete
    assert "unconfirmed" in found.names
    assert "does not confirm the acknowledgement" in found.diagnosis


def in_pieces(data: bytes) -> list[tuple[float, bytes]]:
    """The confirmation comes octet by octet, with pauses."""
    return [(0.15, bytes((octet,))) for octet in data] if data[:1] == b"\x06" else [(0.0, data)]


async def test_6_the_confirmation_comes_in_pieces(clock: FakeClock) -> None:
    found = await search(sign_on_meter(), clock, shape=in_pieces)
    assert found.complete
    assert "confirmation-in-pieces" in found.names
    assert "comes in pieces" in found.diagnosis
    assert "unconfirmed" not in found.names


async def test_6_the_confirmation_breaks_off(clock: FakeClock) -> None:
    found = await search(sign_on_meter(), clock, shape=lambda data: [(0.0, data[:3] if data[:1] == b"\x06" else data)])
    assert found.complete
    assert "unconfirmed" in found.names


async def test_6_a_whole_confirmation_is_no_remark(clock: FakeClock) -> None:
    found = await search(sign_on_meter(), clock)
    assert not {"unconfirmed", "confirmation-in-pieces", "noise-before-identification", "odd-ua"} & set(found.names)


@pytest.mark.parametrize("kind", ["direct", "sign-on"])
async def test_7_our_own_frames_come_back(clock: FakeClock, kind: str) -> None:
    found = await search(Bench(opening=kind, echo=True), clock)
    assert found.complete
    assert "echo" in found.names


@pytest.mark.parametrize("kind", ["direct", "sign-on"])
async def test_5_a_slow_meter_is_not_taken_for_one_that_lost_a_frame(clock: FakeClock, kind: str) -> None:
    found = await search(Bench(opening=kind, faults=("delay:1",)), clock)
    assert found.complete
    assert "slow" in found.names
    assert "first-frame-lost" not in found.names


@pytest.mark.parametrize(("go_on", "least", "most"), [(False, 60, 130), (True, 299, 301)])
async def test_7_only_our_own_frames_come_back(clock: FakeClock, go_on: bool, least: int, most: int) -> None:
    """The search ends there, unless it is asked to go on."""
    found = await search(Bench(echo=True, faults=("silence",)), clock, Limits(seconds=300, go_on=go_on))
    assert found.names[0] == "echo"
    assert least < found.seconds < most


# -- what is told while the search goes on ----------------------------------------------------------------------------


async def told_by(bench: Bench, clock: FakeClock) -> tuple[Found, list[tuple[float, str]]]:
    """The sentences, each with the time at which it was told."""
    told: list[tuple[float, str]] = []
    loop = asyncio.get_running_loop()
    async with on_line(bench, clock) as (open_line, _near):
        began = loop.time()
        found = await find(
            {"serial": "bench"},
            open_line=open_line,
            limits=QUICK,
            news=lambda sentence: told.append((loop.time() - began, sentence)),
        )
    return found, told


async def test_silence_is_told_early_and_once(clock: FakeClock) -> None:
    found, told = await told_by(Bench(faults=("silence",)), clock)
    ((when, sentence),) = told
    assert 10 <= when < 30
    assert sentence.startswith("Nothing at all has come back so far. Check wiring")
    assert "goes on for at most 1" in sentence  # of 150 s
    assert found.names[0] == "silent"


async def test_an_echo_is_told_early_and_once(clock: FakeClock) -> None:
    _, told = await told_by(Bench(echo=True, faults=("silence",)), clock)
    ((when, sentence),) = told
    assert 10 <= when < 30
    assert sentence.startswith("Only our own octets have come back so far.")
    assert "goes on for at most" in sentence


async def test_a_clear_text_readout_is_told_when_it_comes(clock: FakeClock) -> None:
    said = Identification("ISk", "5", (), "MT174-0001")
    found, told = await told_by(sign_on_meter(identification=said, readout=READOUT, readout_always=True), clock)
    ((when, sentence),) = told
    assert when < found.seconds / 2
    assert sentence.startswith("The meter tells its values in clear text.")
    assert found.connection["opening"] == "readout"


async def test_a_meter_that_is_found_at_once_is_told_by_the_result_alone(clock: FakeClock) -> None:
    found, told = await told_by(Bench(), clock)
    assert found.complete
    assert told == []


@pytest.mark.parametrize("line", [{"tcp": "bench:1"}, {"udp": "bench:1"}, {"serial": "socket://bench:1"}])
async def test_a_silent_network_address_is_left_after_a_minute(clock: FakeClock, line: dict[str, Any]) -> None:
    """Not one octet: rarer clients and addresses are tried on request only."""
    stages: list[tuple[float, float]] = []
    found = await find(
        line,
        open_line=lambda _: memory_pair()[0],
        limits=Limits(seconds=600),
        progress=lambda done, total, _: stages.append((done, total)),
    )
    assert found.names[0] == "silent"
    assert 55 <= found.seconds < 75
    assert all(total == 60 for _, total in stages)  # the ring of Home Assistant comes to its end


async def test_a_silent_network_address_is_searched_to_the_end_on_request(clock: FakeClock) -> None:
    found = await find({"tcp": "bench:1"}, open_line=lambda _: memory_pair()[0], limits=Limits(seconds=600, go_on=True))
    assert found.names[0] == "silent"
    assert 300 <= found.seconds < 600


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"tcp": "bench:1"}, "from this network address. Is it the meter's own port"),
        ({"serial": "socket://bench:1"}, "Is the head in its place"),
    ],
    ids=["meter", "converter"],
)
async def test_silence_has_the_causes_of_its_kind_of_line(clock: FakeClock, line: dict[str, Any], told: str) -> None:
    """Nobody looks for a head at a meter in the network; behind a serial server it is what is looked for first."""
    found = await find(line, open_line=lambda _: memory_pair()[0], limits=Limits(seconds=600))
    assert told in found.diagnosis
    assert len([name for name in found.names if name == "silent"]) == 1


def broken_copy(data: bytes) -> bytes:
    return b"" if len(data) < 3 else data[:3] + b"\x55" + data[4:]


async def test_7_a_mangled_echo(clock: FakeClock) -> None:
    near, far = memory_pair(line=SerialFormat())
    await far.open()

    async def reflect() -> None:
        while True:
            data = await far.read(None)
            await asyncio.sleep(0.05)
            far.write(broken_copy(data + far.discard()))

    async with background(reflect()):
        found = await find(
            {"serial": "bench", "opening": "direct"}, open_line=lambda _: near, limits=Limits(seconds=30)
        )
    assert "mangled-echo" in found.names
    await far.close()


async def test_8_rubbish_before_the_identification(clock: FakeClock) -> None:
    found = await search(sign_on_meter(sign_on_faults=("noise-before-identification:4",)), clock)
    assert found.complete
    assert "noise-before-identification" in found.names
    assert "rubbish comes before the /" in found.diagnosis.lower()


async def test_9_a_sleeping_meter_is_woken(clock: FakeClock) -> None:
    found = await search(sign_on_meter(asleep=True), clock)
    assert found.complete
    assert found.connection["wake_up"].strip(b"\0") == b""
    assert "asleep" in found.names
    assert "sleeps" in found.diagnosis


@pytest.mark.parametrize("given", [{}, {"wake_up_break": 0.5}], ids=["found out", "known"])
async def test_9_a_sleeping_meter_is_woken_by_a_break(clock: FakeClock, given: dict[str, Any]) -> None:
    found = await search(sign_on_meter(wakes_by_break=True), clock, given=given)
    assert found.complete
    assert found.connection["wake_up_break"] == given.get("wake_up_break", 0.3)
    assert ("asleep" in found.names) is not bool(given)


async def test_9_the_first_request_is_not_heard(clock: FakeClock) -> None:
    bench = sign_on_meter(sign_on_faults=("deaf,times=1",))
    found = await search(bench, clock, given={"opening": "sign-on"})
    assert found.complete
    assert "request-lost" in found.names
    assert "opening_delay" in found.diagnosis


@pytest.mark.parametrize("kind", ["direct", "sign-on"])
@pytest.mark.parametrize("lines", [(True, False), (False, True)])
async def test_9_the_head_takes_its_power_from_one_modem_line(
    clock: FakeClock, kind: str, lines: tuple[bool, bool]
) -> None:
    found = await search(Bench(opening=kind, powered_by=lines), clock)
    assert found.complete
    assert (found.connection.get("dtr", True), found.connection.get("rts", True)) == lines
    assert "modem-lines" in found.names


async def test_9_modem_lines_that_the_user_set_stay(clock: FakeClock) -> None:
    bench = Bench(powered_by=(True, False))
    given = {"rts": True}
    found = await search(bench, clock, Limits(seconds=60), given=given)
    assert not found.found
    found = await search(Bench(powered_by=(True, False)), clock, given={"rts": False})
    assert found.complete
    assert found.seconds < 8
    assert "modem-lines" not in found.names


async def test_9_nothing_at_all(clock: FakeClock) -> None:
    found = await search(Bench(faults=("silence",)), clock, Limits(seconds=60))
    assert found.names[0] == "silent"
    assert "key is pressed" in found.diagnosis


async def test_10_bright_light(clock: FakeClock) -> None:
    found = await search(Bench(faults=("garbled:2,times=1000",)), clock, Limits(seconds=60))
    assert not found.complete
    assert "damaged" in found.names
    assert "head may have moved" in found.diagnosis


FF, LF = b"\xff", b"\n"
PATHS: dict[str, Callable[[bytes], bytes]] = {
    "swallows-ff": lambda data: data.replace(FF, b""),
    "expands-lf": lambda data: data.replace(LF, b"\r\n"),
    "swallows-xon": lambda data: data.replace(b"\x11", b"").replace(b"\x13", b""),
}


@pytest.mark.parametrize("fault", PATHS)
@pytest.mark.parametrize("ways", [("out",), ("back",), ("out", "back")])
async def test_11_the_path_changes_octets(clock: FakeClock, fault: str, ways: Iterable[str]) -> None:
    found = await search(Bench(), clock, Limits(seconds=200), path=dict.fromkeys(ways, PATHS[fault]))
    assert found.complete or found.names[0] == fault, found
    if fault == "swallows-ff":
        assert not found.complete


@pytest.mark.parametrize("chance", [0.0, 0.3])
async def test_10_frames_are_damaged_but_it_works(clock: FakeClock, chance: float) -> None:
    found = await search(Bench(faults=(f"wrong-check,p={chance},times=10000",)), clock, Limits(seconds=400))
    assert found.complete
    assert ("damaged-frames" in found.names) is bool(chance)


async def test_12_long_frames_only(clock: FakeClock) -> None:
    found = await search(Bench(breaks_frames_over=100), clock)
    assert found.complete
    assert found.connection["max_info"] == 64
    assert "long-frames" in found.names


@pytest.mark.parametrize("parity", ["even", "none"])
async def test_13_a_setting_is_taken_only_with_a_valid_check_sequence(clock: FakeClock, parity: str) -> None:
    found = await search(Bench(baud=9600, parity=parity), clock)
    assert found.complete
    assert found.connection["parity"] == parity


# -- addressing and session (4.2) --------------------------------------------------------------------------------------


async def test_14_the_address_is_none_of_the_common_ones(clock: FakeClock) -> None:
    found = await search(sign_on_meter(station=(1, 9000, 4)), clock, Limits(seconds=200))
    assert not found.complete
    assert found.names[0] == "address"
    assert "--number" in found.diagnosis


async def test_14_nor_does_silence_tell_a_wrong_address_from_a_dead_head(clock: FakeClock) -> None:
    found = await search(Bench(station=(1, 9000, 4)), clock, Limits(seconds=100))
    assert found.names[0] == "silent"
    assert "--physical and --address-size" in found.diagnosis


async def test_15_an_association_was_left_open(clock: FakeClock) -> None:
    clients = (public(faults=Faults(["stuck:40,times=1"])),)
    found = await search(Bench(clients=clients, stuck=True), clock, Limits(seconds=200, patience=60))
    assert found.complete
    assert "association-stuck" in found.names


async def test_15_no_client_may_come_in(clock: FakeClock) -> None:
    found = await search(Bench(clients=(public(77),)), clock)
    assert found.names[0] == "no-rights"


@pytest.mark.parametrize("kind", ["dm", "frmr"])
async def test_16_the_meter_wants_to_start_over(clock: FakeClock, kind: str) -> None:
    found = await search(Bench(**{f"{kind}_first": 1}), clock)
    assert found.complete
    assert kind in found.names


async def test_17_a_release_without_answer() -> None:
    async with serve_tcp(household(faults=Faults(["refuse-release:silence"]))) as server:
        found = await find({"tcp": f"127.0.0.1:{server.port}", "timeout": 2}, limits=Limits(seconds=60, clients=0))
    assert found.complete
    assert found.connection["no_release"] is True
    assert "release" in found.names


@pytest.mark.parametrize("fault", ["delay:4", "delay:9", "lost,times=1", "lost,times=5", "drop,times=3"])
async def test_20_a_meter_on_tcp_that_takes_its_time(clock: FakeClock, fault: str) -> None:
    """A modem in between may take longer than the first questions of a search wait."""

    def line(_settings: ConnectionSettings) -> MemoryTransport:
        near, far = memory_pair()
        tasks.append(asyncio.ensure_future(served(far)))
        return near

    async def served(far: MemoryTransport) -> None:
        async with serve_memory(meter, far, "wrapper", faults=faults):
            await asyncio.sleep(3600)

    faults, tasks = Faults([fault]), list[asyncio.Task[None]]()
    meter = household(clock=clock)
    found = await find({"tcp": "memory:1"}, open_line=line, limits=Limits(seconds=600))
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert found.complete
    slow = fault.startswith("delay")
    assert (found.connection["framing"], found.connection.get("timeout")) == ("wrapper", 15 if slow else None)
    assert ("slow" in found.names) is slow
    assert "release" not in found.names


async def test_17_a_slow_meter_is_no_meter_without_release(clock: FakeClock) -> None:
    found = await search(Bench(faults=("trickle:0.02",)), clock)
    assert found.complete
    assert "slow" in found.names
    assert "release" not in found.names


async def test_18_a_refusal_without_user_information(clock: FakeClock) -> None:
    found = await search(Bench(clients=(reader(16),)), clock)
    assert found.found
    assert not found.complete
    assert found.names[0] == "password"


@pytest.mark.parametrize("odd", ["empty", "short", "long", "window-only", "reversed"])
async def test_19_odd_ua(clock: FakeClock, odd: str) -> None:
    found = await search(Bench(faults=(f"odd-ua:{odd}",)), clock)
    assert found.complete
    assert "odd-ua" in found.names
    assert "window in one octet" in found.diagnosis


async def test_20_octets_without_end(clock: FakeClock) -> None:
    near, far = memory_pair(line=SerialFormat())
    await far.open()

    async def babble() -> None:
        while True:
            far.write(b"\x55\xaa")
            await asyncio.sleep(0.05)

    async with background(babble()):
        found = await find({"serial": "bench"}, open_line=lambda _: near, limits=Limits(seconds=60))
    assert found.seconds == pytest.approx(60, abs=1)
    assert {"garbled", "time"} <= set(found.names)
    await far.close()


async def test_21_the_public_client_comes_in_and_others_want_a_password(clock: FakeClock) -> None:
    found = await search(Bench(clients=(public(), reader(32))), clock)
    assert found.complete
    assert {"client": 16, "access": "open"} in found.learned["clients"]
    assert {"client": 32, "access": "password"} in found.learned["clients"]
    assert "more-clients" in found.names


async def test_22_logical_devices(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Bench.meter
    row = Data(DataType.STRUCTURE, (Data(DataType.LONG_UNSIGNED, 2), Data(DataType.OCTET_STRING, b"GAS")))

    def with_devices(self: Bench, clock: Any) -> Any:
        meter = plain(self, clock)
        meter.add(make(17, "0.0.41.0.0.255", Data(DataType.ARRAY, (row,)), see=PUBLIC))
        return meter

    monkeypatch.setattr(Bench, "meter", with_devices)
    found = await search(Bench(), clock)
    assert found.learned["logical_devices"] == [{"server": 2, "name": "GAS"}]
    assert "logical-devices" in found.names


async def test_23_the_largest_message_must_be_unlimited(clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = session.open_association

    def only_unlimited(meter: Any, client: int, aarq: Any) -> Any:
        if InitiateRequest.decode(aarq.user_information).max_pdu_size:
            raise opening.Refused(ServiceUserDiagnostic.NO_REASON_GIVEN, ConfirmedServiceError(1, 6, 3).encode())
        return plain(meter, client, aarq)

    monkeypatch.setattr(session, "open_association", only_unlimited)
    found = await search(Bench(), clock)
    assert found.complete
    assert found.connection["max_pdu"] == 0
    assert "max-pdu" in found.names


async def test_21_every_client_wants_ciphering(clock: FakeClock) -> None:
    found = await search(Bench(clients=(public(keys=KEYS, policy=Security.BOTH),)), clock)
    assert not found.complete
    assert found.names[0] == "keys"
    assert "--encryption-key" in found.diagnosis


async def test_the_answer_to_a_password_is_lost(clock: FakeClock) -> None:
    """That is no refusal, and it is not tried again either."""
    bench = Bench(clients=(reader(32),))
    own = {"password": Secret(PASSWORD), "authentication": "low"}

    def without_acceptance(data: bytes) -> list[tuple[float, bytes]]:
        return [] if bench.passwords and b"\xe6\xe7\x00\x61" in data else [(0.0, data)]

    async with on_line(bench, clock) as (open_line, near):
        near.peer.fault = without_acceptance
        found = await find({"serial": "bench", "client": 32}, open_line=open_line, limits=QUICK, credentials=own)
    assert len(set(bench.passwords)) == 1
    assert "password-unanswered" in found.names
    assert "password-refused" not in found.names


async def test_only_other_devices_speak(clock: FakeClock) -> None:
    near, far = memory_pair(line=SerialFormat())
    await far.open()
    question = encode_frame(0x10, b"\x23", b"\x21", bytes.fromhex("e6e600c001c100"))

    async def chatter() -> None:
        while True:
            far.write(question)
            await asyncio.sleep(0.3)

    async with background(chatter()):
        found = await find({"serial": "bench", "baud": 9600}, open_line=lambda _: near, limits=Limits(seconds=60))
    assert "other-station" in found.names, found
    assert "silent" not in found.names
    await far.close()


async def test_a_meter_that_lets_in_and_tells_nothing(clock: FakeClock) -> None:
    """An exception to every question is an answer all the same: the connection is found."""
    clients = (public(faults=Faults(["exception,times=1000"])),)
    found = await search(Bench(clients=clients), clock)
    assert found.complete, found
    assert "logical_device_name" not in found.learned


async def test_a_meter_that_is_silent_at_lists(clock: FakeClock) -> None:
    """It is not taken for one with short names, and the block works with lists left out."""
    clients = (public(faults=Faults(["refuse-lists:silence"])),)
    found = await search(Bench(clients=clients), clock)
    assert found.complete
    assert "lists" in found.names
    assert found.connection.get("referencing", "ln") == "ln"
    assert "multiple-references" not in found.connection["conformance"]
    assert found.learned["logical_device_name"]


async def test_short_names_only(clock: FakeClock) -> None:
    found = await search(Bench(clients=(public(referencing="sn"),)), clock)
    assert found.complete
    assert found.connection["referencing"] == "sn"


# -- pushing meters ----------------------------------------------------------------------------------------------------


def background(coroutine: Any) -> Any:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def running() -> Any:
        task = asyncio.create_task(coroutine)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    return running()


PUSHES = [(entries("push_kamstrup", framing="hdlc")[0], "even"), (entries("push_kaifa", framing="mbus")[0], "even")]


@pytest.mark.parametrize(("entry", "parity"), PUSHES, ids=lambda value: value["id"] if isinstance(value, dict) else "")
async def test_a_meter_that_pushes(clock: FakeClock, entry: dict[str, Any], parity: str) -> None:
    near, far = memory_pair(line=SerialFormat())
    await far.open()
    await far.configure(baud=2400, parity=parity)
    async with background(push(far, bytes.fromhex(entry["hex"]), 5.0)):
        found = await find({"serial": "bench"}, open_line=lambda _: near, limits=Limits(seconds=200))
    assert not found.found
    assert found.names[0] == "push"
    assert found.connection["baud"] == 2400
    assert "listen" in found.diagnosis
    assert found.seconds < 60  # what it is is known when it has spoken: it is not asked any more
    await far.close()


@pytest.mark.parametrize("go_on", [True, False])
async def test_a_meter_that_pushes_and_answers(clock: FakeClock, go_on: bool) -> None:
    """Who speaks by itself is asked on request only."""
    bench = Bench(baud=2400, parity="even", station=(1, 80, 2))
    octets = bytes.fromhex(entries("push_kamstrup", framing="hdlc")[0]["hex"])
    async with on_line(bench, clock) as (open_line, near):
        pushing = asyncio.create_task(push(near.peer, octets, 6.0))
        found = await find({"serial": "bench"}, open_line=open_line, limits=Limits(seconds=200, go_on=go_on))
        pushing.cancel()
        await asyncio.gather(pushing, return_exceptions=True)
    assert found.complete == go_on, found
    if go_on:
        assert found.connection["physical"] == 80
    else:
        assert found.names[0] == "push"


def test_another_master_on_the_bus_is_no_push() -> None:
    answer = encode_frame(0x30, b"\x21", b"\x23", bytes.fromhex("e6e700c401c1001200e6"))
    assert judge(b"", answer).evidence is Evidence.OTHER_STATION


async def push(end: MemoryTransport, octets: bytes, every: float) -> None:
    while True:
        end.write(octets)
        await end.drain()
        await asyncio.sleep(every)


@pytest.mark.parametrize(("baud", "seven_bits"), [(115200, False), (9600, True)])
async def test_a_telegram_in_clear_text(clock: FakeClock, baud: int, seven_bits: bool) -> None:
    """At 7E1 (before DSMR 4) it is heard at 8N1, with the parity in bit 7, and `listen` reads it so."""
    near, far = memory_pair(line=SerialFormat())
    await far.open()
    await far.configure(baud=baud)
    telegram = b"/ISK5 MT\r\n\r\n" + READOUT + (b"!\r\n" if seven_bits else b"!1234\r\n")
    async with background(push(far, add_parity(telegram) if seven_bits else telegram, 5.0)):
        found = await find({"serial": "bench"}, open_line=lambda _: near, limits=Limits(seconds=300))
    assert not found.found
    assert found.names[0] == "telegram"
    assert found.connection == {"serial": "bench", "baud": baud, "parity": "none"}
    assert "listen" in found.diagnosis
    await far.close()


# -- the pieces --------------------------------------------------------------------------------------------------------


def ua(number: int) -> bytes:
    parameters = encode_parameters(LinkParameters(number, number))
    return encode_frame(0x73, b"\x21", b"\x03", parameters)


@pytest.mark.parametrize(
    ("octets", "fault"),
    [
        (ua(255).replace(FF, b"", 1), "swallows-ff"),
        (ua(255).replace(FF, b""), "swallows-ff"),
        (ua(266).replace(LF, b"\r\n"), "expands-lf"),
        (ua(273).replace(b"\x11", b"", 1), "swallows-xon"),
        (ua(128), None),
        (b"\x55" * 30, None),
    ],
)
def test_path_faults_are_proved_by_undoing_them(octets: bytes, fault: str | None) -> None:
    assert path_fault(octets) == fault or fault is None


def test_every_case_has_words() -> None:
    names = [case.name for case in diagnosis.CAUSES]
    assert {name for name in names if names.count(name) > 1} == {"silent"}  # of a network and of a head
    assert all(case.sentence and case.step for case in diagnosis.CAUSES)
    assert all(case.sentence for case in diagnosis.REMARKS)


def test_settings_are_what_find_returns() -> None:
    assert ConnectionSettings(serial="x").line == "x"
