"""Each fault on command, and what our client does with it: recovers, goes another way, or says what is the matter."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from dlms_mqtt.errors import (
    ConfigError,
    ConnectionLost,
    ResponseTimeout,
)
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.simulator import FAULTS, Fault, Faults, SignOnOptions, serve_memory
from dlms_mqtt.transport.base import SerialFormat
from dlms_mqtt.transport.memory import memory_pair
from tests.fake_clock import FakeClock
from tests.simulator.faulty import ENERGY, READER, Bench, bench, work

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


# -- in the association ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["empty", "short", "long", "window-only", "reversed"])
async def test_odd_ua(clock: FakeClock, how: str) -> None:
    async with bench(clock, f"odd-ua:{how}") as bad, bad.client() as client:
        assert (await work(client))[1:] == (3, 83)


async def test_a_small_pdu_is_kept_to(clock: FakeClock) -> None:
    async with bench(clock, "small-pdu:40") as bad, bad.client(client=17) as client:
        assert client.association.max_pdu == 40
        await work(client)
        text = AttributeDescriptor(1, Obis.parse("0.0.96.13.0.255"), 2)
        value = (await client.get(text))._replace(value=b"x" * 128)
        await client.set(text, value)
        assert (await client.get(text)).value == b"x" * 128


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


# -- in the meter ------------------------------------------------------------------------------------------------------


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


def test_faults_come_go_and_are_copied_unstruck() -> None:
    faults = Faults(["lost"])
    assert faults.strike("lost") is not None and faults.strike("lost") is None
    copied = faults.copy(7)
    assert copied.strike("lost") is not None and faults.strike("lost") is None
    faults.add("lost")
    faults.add(Fault("echo"))
    assert faults.strike("lost") is not None and faults.get("echo") is not None
    faults.remove("echo")
    faults.remove("echo")
    assert faults.get("echo") is None


def test_numbers_that_are_none_say_whose_they_are() -> None:
    with pytest.raises(ConfigError, match="the fault 'garbled' needs a number, not 'much'"):
        _ = Fault("garbled", "much").number
    with pytest.raises(ConfigError, match="the fault 'clock-jump': "):
        _ = Fault("clock-jump", "-soon").seconds
    assert [Fault("clock-jump", text).seconds for text in ("-1h", "90", "2m")] == [-3600, 90, 120]


@pytest.mark.parametrize(
    ("fault", "denied"),
    [("wrong-rights", True), ("wrong-rights:1.0.1.8.0.255", True), ("wrong-rights:1.0.2.8.0.255", False)],
)
def test_rights_that_are_wrong_for_one_object_or_all_but_the_lists(fault: str, denied: bool) -> None:
    faults = Faults([fault])
    assert faults.denies(ENERGY) is denied
    assert not faults.denies(AttributeDescriptor(15, Obis.parse("0.0.40.0.0.255"), 2))
    assert not Faults().denies(ENERGY)
