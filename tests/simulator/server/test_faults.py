"""Each fault on command, and what our client does with it: recovers, goes another way, or says what is the matter."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.procedures.objects import read_objects
from dlms_mqtt.client.procedures.profile import Selection, read_profile
from dlms_mqtt.client.services.memory import Measured, Memory
from dlms_mqtt.client.settings import ConnectionSettings
from dlms_mqtt.errors import (
    AccessRefused,
    AssociationRefused,
    AuthenticationRefused,
    ConfigError,
    ConnectionLost,
    DlmsMqttError,
    ResponseTimeout,
    ServiceRefused,
)
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import FAULTS, KEYS, PASSWORD, Fault, Faults, Meter, SignOnOptions, serve_memory, serve_tcp
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import MemoryTransport, memory_pair
from tests.fake_clock import FakeClock

ENERGY = AttributeDescriptor(3, Obis.parse("1.0.1.8.0.255"), 2)
EXPORT = AttributeDescriptor(3, Obis.parse("1.0.2.8.0.255"), 2)
CLOCK = AttributeDescriptor(8, Obis.parse("0.0.1.0.0.255"), 2)
DAILY = Obis.parse("1.0.99.2.0.255")
READER: dict[str, Any] = {"client": 32, "authentication": "low", "password": PASSWORD}
CIPHERED: dict[str, Any] = {
    "client": 1,
    "authentication": "gmac",
    "encryption_key": KEYS.encryption,
    "authentication_key": KEYS.authentication,
}


@dataclass
class Bench:
    """One meter and the client's end of its line."""

    meter: Meter
    near: MemoryTransport
    framing: str
    clock: FakeClock

    def client(self, **options: Any) -> DlmsClient:
        chosen = ConnectionSettings(framing=self.framing, **(options or READER))
        return DlmsClient(chosen, transport=self.near, random=Random(5).randbytes)


@asynccontextmanager
async def bench(
    clock: FakeClock,
    *faults: str,
    framing: str = "hdlc",
    line: SerialFormat | None = None,
    datagram: bool = False,
    **options: Any,
) -> AsyncIterator[Bench]:
    trouble = Faults(faults)
    meter = household(clock=clock, faults=trouble)
    near, far = memory_pair(line=line, datagram=datagram)
    async with serve_memory(meter, far, framing, faults=trouble, **options):
        yield Bench(meter, near, framing, clock)


async def work(client: DlmsClient) -> tuple[Decimal, int, int]:
    """A list of registers, a profile by range, the object list."""
    values = await client.read([ENERGY, CLOCK, EXPORT])
    (energy,) = [value for value in values[:1] if isinstance(value, Measured)] or [None]
    if energy is None:
        raise AssertionError(values[0])
    now = datetime.fromtimestamp(1767614400, UTC)
    profile = await read_profile(client, DAILY, Selection(start=now - timedelta(days=3)))
    return energy.value, len(profile.rows), len(await read_objects(client))


# -- on the line: HDLC numbers its frames, so one that is lost or spoilt is fetched again ------------------------------

RECOVERED_OVER_HDLC = {
    "delay:3": (20, 200),
    "lost": (4, 6),
    "lost,after=6": (4, 6),
    "lost,p=0.15": (0, 400),
    "deaf,after=4": (4, 6),
    "doubled,p=0.5": (0, 1),
    "cut,after=5": (1, 4),
    "garbled:3,after=5": (1, 4),
    "garbled:2,p=0.1": (0, 400),
    "merged,after=6": (4, 6),
    "trickle:0.005": (5, 60),
    "wrong-check": (1, 2),
    "wrong-check,p=0.2": (0, 400),
    "noise:9": (0, 1),
    "echo": (0, 1),
    "late-answer:8,after=5": (4, 10),
}


@pytest.mark.parametrize("fault", RECOVERED_OVER_HDLC)
async def test_hdlc_recovers(clock: FakeClock, fault: str) -> None:
    async with bench(clock) as sound, sound.client() as client:
        expected = await work(client)
    least, most = RECOVERED_OVER_HDLC[fault]
    async with bench(clock, fault) as bad, bad.client() as client:
        begun = clock.monotonic()
        found = await work(client)
        assert found[1:] == expected[1:]
        assert found[0] - expected[0] < 500  # Wh in the time that the fault cost
        assert least <= clock.monotonic() - begun <= most or fault in ("wrong-check", "lost")


@pytest.mark.parametrize("fault", ["silence", "deaf,times=1000"])
@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
async def test_silence_is_named(clock: FakeClock, framing: str, fault: str) -> None:
    async with bench(clock, fault, framing=framing) as bad:
        with pytest.raises(ResponseTimeout, match="no answer from memory"):
            await bad.client().open()
    assert clock.monotonic() < 40


async def test_garbled_answers_are_named_as_such(clock: FakeClock) -> None:
    async with bench(clock, "wrong-check,times=1000") as bad:
        with pytest.raises(ResponseTimeout, match="octets came") as caught:
            await bad.client().open()
    assert caught.value.hint


# -- on a connection: what is lost stays lost, and is said at once -----------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("drop,after=2", ConnectionLost),
        ("lost,after=2", ResponseTimeout),
        ("cut,after=2", ResponseTimeout),
        ("merged,after=2", ResponseTimeout),
        ("late-answer,after=2", ResponseTimeout),
    ],
)
async def test_a_stream_cannot_recover(clock: FakeClock, fault: str, kind: type[Exception]) -> None:
    async with bench(clock, fault, framing="wrapper") as bad, bad.client() as client:
        with pytest.raises(kind):
            await work(client)
    assert clock.monotonic() < 30


@pytest.mark.parametrize("fault", ["noise:9", "trickle:0.005", "delay:3", "echo", "doubled,after=2"])
async def test_a_stream_bears(clock: FakeClock, fault: str) -> None:
    async with bench(clock, fault, framing="wrapper") as bad, bad.client() as client:
        assert (await work(client))[1:] == (3, 83)


@pytest.mark.parametrize(
    "fault",
    ["lost", "lost,after=3", "doubled,times=1000", "cut", "merged", "late-answer", "late-answer:8,after=3", "deaf"],
)
async def test_datagrams_are_asked_for_again(clock: FakeClock, fault: str) -> None:
    """Without a password everything that is asked may be asked twice; the first fault meets the AARQ."""
    async with bench(clock, fault, framing="wrapper", datagram=True) as bad, bad.client(client=17) as client:
        assert (await work(client))[1] == 3


async def test_a_password_goes_into_no_second_datagram(clock: FakeClock) -> None:
    async with bench(clock, "deaf", framing="wrapper", datagram=True) as bad:
        with pytest.raises(ResponseTimeout):
            await bad.client().open()


async def test_nothing_runs_while_nobody_asks(clock: FakeClock) -> None:
    loop = asyncio.get_running_loop()
    async with bench(clock) as sound, sound.client() as client:
        await client.get(ENERGY)
        await asyncio.sleep(client.settings.timeout + 1)  # the timer of the last read runs out, once
        timers = [handle for handle in loop._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        assert not timers


@pytest.mark.parametrize("framing", ["hdlc", "wrapper"])
async def test_dropped_in_the_middle_of_blocks(clock: FakeClock, framing: str) -> None:
    async with bench(clock, "drop-in-blocks:3", framing=framing) as bad, bad.client(**READER, max_pdu=200) as client:
        with pytest.raises(ConnectionLost):
            await read_objects(client)
    async with bench(clock, framing=framing) as sound, sound.client(**READER, max_pdu=200) as client:
        assert len(await read_objects(client)) == 83


# -- in the association ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["empty", "short", "long", "window-only", "reversed"])
async def test_odd_ua(clock: FakeClock, how: str) -> None:
    async with bench(clock, f"odd-ua:{how}") as bad, bad.client() as client:
        assert (await work(client))[1:] == (3, 83)


@pytest.mark.parametrize("how", ["exception", "error"])
async def test_refused_lists_are_asked_singly(clock: FakeClock, how: str) -> None:
    async with bench(clock, f"refuse-lists:{how}", framing="wrapper") as bad, bad.client() as client:
        assert (await work(client))[1:] == (3, 83)
        assert client.memory.max_list == 1


async def test_lists_met_with_silence_are_remembered(clock: FakeClock) -> None:
    memory = Memory()
    async with bench(clock, "refuse-lists:silence", framing="wrapper") as bad:
        chosen = ConnectionSettings(framing="wrapper", **READER)
        async with DlmsClient(chosen, transport=bad.near, memory=memory) as client:
            with pytest.raises(ResponseTimeout):
                await client.read([ENERGY, EXPORT])
        async with (
            bench(clock, "refuse-lists:silence", framing="wrapper") as again,
            DlmsClient(chosen, transport=again.near, memory=memory) as client,
        ):
            assert len(await client.read([ENERGY, EXPORT])) == 2


@pytest.mark.parametrize("how", ["error", "exception", "whole"])
async def test_refused_selection(clock: FakeClock, how: str) -> None:
    """By range, by entry, then the whole buffer; the rows are the wanted ones all the same."""
    async with bench(clock, f"refuse-selection:{how}") as bad, bad.client() as client:
        assert (await work(client))[1] == 3


@pytest.mark.parametrize("how", ["silence", "exception"])
@pytest.mark.parametrize("options", [READER, CIPHERED])
async def test_refused_release(clock: FakeClock, how: str, options: dict[str, Any]) -> None:
    async with bench(clock, f"refuse-release:{how}", framing="wrapper") as bad:
        async with bad.client(**options) as client:
            await client.get(ENERGY)
        assert clock.monotonic() <= 11


async def test_a_small_pdu_is_kept_to(clock: FakeClock) -> None:
    async with bench(clock, "small-pdu:40") as bad, bad.client(client=17) as client:
        assert client.association.max_pdu == 40
        await work(client)
        text = AttributeDescriptor(1, Obis.parse("0.0.96.13.0.255"), 2)
        value = (await client.get(text))._replace(value=b"x" * 128)
        await client.set(text, value)
        assert (await client.get(text)).value == b"x" * 128


async def test_a_stuck_association_blocks_the_next(clock: FakeClock) -> None:
    async with bench(clock, "stuck:60", "drop,after=3", framing="wrapper") as bad:
        async with bad.client() as client:
            with pytest.raises(ConnectionLost):
                await work(client)
        assert bad.meter.stuck(32)
        near, far = memory_pair()
        async with serve_memory(bad.meter, far, "wrapper"):
            again = Bench(bad.meter, near, "wrapper", clock)
            with pytest.raises(AssociationRefused, match="transient"):
                await again.client().open()
        clock.step(61)
        near, far = memory_pair()
        async with serve_memory(bad.meter, far, "wrapper"), Bench(bad.meter, near, "wrapper", clock).client() as client:
            await client.get(ENERGY)


async def test_wrong_passwords_lock_the_meter_and_are_not_repeated(clock: FakeClock) -> None:
    wrong = READER | {"password": Secret(b"wrong")}
    async with bench(clock, "lock-out:2", line=SerialFormat(9600)) as bad:
        for failures in (1, 2):
            with pytest.raises(AuthenticationRefused):
                await bad.client(**wrong).open()
            assert bad.meter.failures[32] == failures  # the client sent it once each time
        with pytest.raises(AuthenticationRefused):
            await bad.client().open()
        clock.step(901)
        async with bad.client() as client:
            await client.get(ENERGY)


async def test_a_refused_counter_that_is_told_is_adopted(clock: FakeClock) -> None:
    async with bench(clock, "counter-refused:told") as bad, bad.client(**CIPHERED) as client:
        await client.get(ENERGY)


async def test_a_refused_counter_that_is_not_told_is_an_error(clock: FakeClock) -> None:
    async with bench(clock, "counter-refused:untold") as bad:
        with pytest.raises(ServiceRefused):
            await bad.client(**CIPHERED).open()


async def test_wrong_rights(clock: FakeClock) -> None:
    async with bench(clock, f"wrong-rights:{ENERGY.obis}") as bad, bad.client() as client:
        listed = {item.obis: item for item in await read_objects(client)}
        assert listed[ENERGY.obis].readable(2)
        refused, fine = await client.get_many([ENERGY, EXPORT])
        assert isinstance(refused, AccessRefused)
        assert refused.name == "read-write-denied"
        assert not isinstance(fine, DlmsMqttError)


async def test_an_exception_to_one_request(clock: FakeClock) -> None:
    async with bench(clock, "exception,after=1") as bad, bad.client() as client:
        await client.get(ENERGY)
        with pytest.raises(ServiceRefused):
            await client.get(ENERGY)
        await client.get(ENERGY)


async def test_stray_octets_are_left_alone(clock: FakeClock) -> None:
    async with bench(clock, "stray-octets:4") as bad, bad.client() as client:
        assert (await work(client))[1:] == (3, 83)


async def test_faults_of_one_association_are_not_the_others(clock: FakeClock) -> None:
    async with bench(clock, framing="wrapper") as sound:
        bad = replace(sound.meter.associations[33], faults=Faults(["refuse-lists"]))
        sound.meter.associate(bad)
        for options, most in ((READER, 0xFF), ({**READER, "client": 33, "password": Secret(b"87654321")}, 1)):
            near, far = memory_pair()
            async with (
                serve_memory(sound.meter, far, "wrapper"),
                Bench(sound.meter, near, "wrapper", clock).client(**options) as client,
            ):
                await work(client)
                assert client.memory.max_list == most


# The same on real sockets, where faults are those of one connection.


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("deaf,after=2", ResponseTimeout),
        ("drop,after=2", ConnectionLost),
        ("restart,after=2", ConnectionLost),
        ("echo", None),
        ("noise:9", None),
        ("trickle:0.0001", None),
        ("delay:0.001", None),
    ],
)
async def test_faults_on_tcp(fault: str, kind: type[Exception] | None) -> None:
    trouble = Faults([fault])
    meter = household(clock=FakeClock(), faults=trouble)
    async with serve_tcp(meter, faults=trouble) as server:
        chosen = ConnectionSettings(tcp=("127.0.0.1", server.port), timeout=0.3 if kind else 20.0, **READER)
        async with DlmsClient(chosen) as client:
            if kind is None:
                assert (await client.get(ENERGY)).value > 0
                return
            with pytest.raises(kind):
                for _ in range(4):
                    await client.get(ENERGY)


# -- in the meter ------------------------------------------------------------------------------------------------------


async def value(client: DlmsClient, obis: str, class_id: int = 3) -> Any:
    return (await client.get(AttributeDescriptor(class_id, Obis.parse(obis), 2))).value


async def test_tariff_switch(clock: FakeClock) -> None:
    """It is noon on a Monday: by the calendar tariff 1 counts."""
    async with bench(clock, "tariff-switch:2,after=3") as bad, bad.client() as client:
        assert await value(client, "0.0.96.14.0.255", 1) == b"T1"
        before = [await value(client, f"1.0.1.8.{tariff}.255") for tariff in (0, 1)]
        night = await value(client, "1.0.1.8.2.255")
        assert await value(client, "0.0.96.14.0.255", 1) == b"T2"
        clock.step(6 * 3600)
        after = [await value(client, f"1.0.1.8.{tariff}.255") for tariff in (0, 1, 2)]
    assert after[0] > before[0]
    assert after[1] == before[1]
    assert after[2] - night == after[0] - before[0]


async def test_clock_drift_and_jump(clock: FakeClock) -> None:
    async with bench(clock, "clock-drift:120") as bad, bad.client() as client:
        await client.get(CLOCK)
        clock.step(86400)
        assert bad.meter.seconds() - clock.time() == pytest.approx(120, abs=0.1)
    async with bench(clock, "clock-jump:-3600,after=1") as bad, bad.client() as client:
        await client.get(CLOCK)
        await client.get(CLOCK)
        assert bad.meter.seconds() - clock.time() == -3600


async def test_restart_on_a_serial_line(clock: FakeClock) -> None:
    """The link is gone: DM, and the client opens everything again for a read."""
    async with (
        bench(clock, "restart,after=2", line=SerialFormat(9600)) as bad,
        bad.client(**READER, timeout=2) as client,
    ):
        for _ in range(3):
            await client.get(ENERGY)
        assert bad.meter.restarts == 1
        assert [event.code for event in bad.meter.events[-2:]] == [1, 2]


async def test_restart_of_a_connection(clock: FakeClock) -> None:
    async with bench(clock, "restart,after=2", framing="wrapper") as bad, bad.client() as client:
        await client.get(ENERGY)
        await client.get(ENERGY)
        with pytest.raises(ConnectionLost):
            await client.get(ENERGY)


async def test_register_reset(clock: FakeClock) -> None:
    async with bench(clock, "register-reset,after=1") as bad, bad.client() as client:
        assert await value(client, "1.0.1.8.0.255") > 1_000_000
        assert await value(client, "1.0.1.8.0.255") == 0
        clock.step(86400)
        assert 1000 < await value(client, "1.0.1.8.0.255") < 40_000


@pytest.mark.parametrize("noise", [2, 9])
async def test_noise_before_the_identification(clock: FakeClock, noise: int) -> None:
    line = SerialFormat(300, 7, "even")
    options = {"line": line, "sign_on": SignOnOptions()}
    async with (
        bench(clock, f"noise-before-identification:{noise}", **options) as bad,
        bad.client(**READER, opening="sign-on") as client,
    ):
        await client.get(ENERGY)
        assert client.transport.format == SerialFormat(9600)


# -- the table ---------------------------------------------------------------------------------------------------------


def test_faults_are_repeatable() -> None:
    def run(seed: int) -> list[Any]:
        faults = Faults(["lost,p=0.3", "garbled:2,p=0.3", "noise,p=0.5"], seed)
        return [faults.shape(bytes(range(20))) for _ in range(50)]

    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize("text", ["nonsense", "lost,p=often", "lost,chance=1"])
def test_a_fault_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        Fault.parse(text)


def test_every_fault_can_be_given_by_its_name() -> None:
    for name, row in FAULTS.items():
        assert Fault.parse(name).value == row.value
        assert row.text


@pytest.mark.parametrize(
    ("text", "seconds"), [("delay:2", 2.0), ("delay:500ms", 0.5), ("clock-jump:-1h", -3600.0), ("stuck:1m30s", 90.0)]
)
def test_times_of_faults_are_written_as_all_others(text: str, seconds: float) -> None:
    assert Fault.parse(text).seconds == seconds


def test_a_time_that_is_none() -> None:
    with pytest.raises(ConfigError, match="the fault 'delay': expected a time"):
        _ = Fault.parse("delay:soon").seconds
