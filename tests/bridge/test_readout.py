"""A meter in clear text in the bridge: the same topics, guard, line quality and status as one that speaks DLMS."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.quality import Figures
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.simulator import Faults, serve_memory, serve_pty
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.lines.serial import READOUT_ONLY
from dlms_mqtt.transport.memory import memory_pair
from tests.bridge.house import house
from tests.bridge.rig import Rig
from tests.client.line.test_programming import EMH, Meter
from tests.line import SIGN_ON

CONFIG = {"connection": {"serial": "memory", "opening": "readout"}, "every": "60s"}


class ReadoutRig(Rig):
    """The rig with a meter in clear text behind an optical head; ``options``: how it signs on."""

    options = READOUT_ONLY

    def new_client(self, settings):
        self.connections += 1
        near, far = memory_pair(line=SIGN_ON, latency=0.03)
        if not self.dead:
            server = serve_memory(self.simulated, far, "hdlc", faults=self.faults, sign_on=self.options)
            self.starting = asyncio.ensure_future(self.stack.enter_async_context(server))
        return DlmsClient(settings, transport=near, memory=self.memory, random=bytes)

    @property
    def state(self):
        return json.loads(self.publisher.retained["state"])

    @property
    def figures(self) -> Figures:
        return self.task.session.line_quality.figures()


@pytest.fixture
def store():
    with Store(":memory:") as opened:
        yield opened


async def test_values_by_the_keys_that_dlms_has(clock, store):
    rig = ReadoutRig(clock, store, CONFIG)
    async with rig.run():
        await asyncio.sleep(150)
        state = rig.state
        assert {"energy_import", "energy_export", "power", "voltage_l1", "clock", "serial_number"} <= set(state)
        assert rig.publisher.retained["availability"] == "online"
        assert state["energy_import"] > 0
        assert rig.output.last["power"].unit == "W"
        assert rig.figures.quality == 1
        assert rig.figures.sign_on_success == 1
        assert rig.task.status.verdict == "ok"
        assert rig.connections == 1  # the list and the values of all cycles; the port is free between them


async def test_damage_lowers_the_quality_and_not_the_values(clock, store):
    rig = ReadoutRig(clock, store, CONFIG, Faults(["wrong-check,p=0.4"]))
    async with rig.run():
        await asyncio.sleep(1200)
        assert "energy_import" in rig.state
        assert rig.figures.check_errors > 0
        assert rig.figures.quality < 1


@pytest.mark.expect_log("it fell from")
async def test_a_falling_register_is_held_back(clock, store):
    rig = ReadoutRig(clock, store, {**CONFIG, "read": ["energy_import"]})
    rig.options = replace(READOUT_ONLY, readout=b"1.8.0(014864.1*kWh)\r\n")
    async with rig.run():
        await asyncio.sleep(150)
        assert rig.state["energy_import"] == 14864.1
        rig.options = replace(READOUT_ONLY, readout=b"1.8.0(000000.1*kWh)\r\n")
        await rig.stack.aclose()
        await asyncio.sleep(100)
        assert rig.publisher.retained["value/energy_import"] == "14864.1"
        assert not [m for topic, m in rig.publisher.messages if topic == "reading" and m["value"] == 0.1]


@pytest.mark.expect_log("nothing answers the sign-on", "reading works again")
async def test_it_goes_away_and_comes_back(clock, store):
    rig = ReadoutRig(clock, store, CONFIG)
    async with rig.run():
        await asyncio.sleep(150)
        rig.dead = True
        await rig.stack.aclose()
        await asyncio.sleep(900)
        assert rig.publisher.retained["availability"] == "offline"
        assert rig.task.status.verdict == "no_answer"
        rig.dead = False
        await asyncio.sleep(600)
        assert rig.publisher.retained["availability"] == "online"


REGISTER = {
    "connection": {"serial": "memory", "opening": "readout", "password": "text:12345678"},
    "every": "60s",
    "read": ["energy_import", {"obis": "1-0:1.4.0", "key": "demand"}],
}


async def test_a_register_that_stands_in_no_readout(clock, store):
    rig = ReadoutRig(clock, store, REGISTER)
    async with rig.run():
        await asyncio.sleep(300)
        assert rig.state["demand"] >= 0
        assert rig.output.last["demand"].unit == "W"
        assert rig.state["energy_import"] > 0
        assert rig.task.status.verdict == "ok"
        assert not rig.simulated.failures


async def test_a_register_that_stands_in_no_readout_is_published_with_its_unit(mosquitto, tmp_path):
    """The whole way: a pseudo-terminal, the bridge, a real broker; asked as R1 in programming mode."""
    async with serve_pty(household(1), paced=False, sign_on=READOUT_ONLY) as line:
        connection = f'{{serial: {line.device}, opening: readout, password: "text:12345678", timeout: 20s}}'
        read = "{set: none, also: [energy_import, {obis: 1-0:1.4.0, key: demand, name: Demand}]}"
        text = f"\n  house:\n    connection: {connection}\n    every: 5s\n    read: {read}\n"
        async with house(mosquitto, tmp_path, text) as home:
            await home.until(lambda: home.meter("value/demand") and home.meter("value/energy_import"))
            assert float(home.meter("value/demand")) >= 0
            announced = "homeassistant/device/dlms_mqtt_house/config"
            await home.until(lambda: "sensor_demand" in home.seen.latest.get(announced, ""))
            demand = home.seen.json(announced)["components"]["sensor_demand"]
            assert (demand["name"], demand["unit_of_measurement"]) == ("Demand", "W")


@pytest.mark.expect_log("The meter refused the password", "the meter did not accept the password")
async def test_a_wrong_password_of_a_register_is_not_tried_for_ever(clock, store):
    wrong = {**REGISTER["connection"], "password": "text:87654321"}
    rig = ReadoutRig(clock, store, {**REGISTER, "connection": wrong})
    async with rig.run():
        await asyncio.sleep(6 * 3600)
        assert rig.simulated.failures[32] <= rig.task.config.attempts + 6
        assert rig.task.session.lockout.refusals


class ProgrammingRig(Rig):
    """The rig with a meter that keeps a load profile behind a password."""

    simulated_meter = None

    def new_client(self, settings):
        self.connections += 1
        near, far = memory_pair(line=SIGN_ON, latency=0.03)

        async def play():
            await far.open()
            await self.simulated_meter.play(far)

        self.playing = asyncio.ensure_future(play())
        self.stack.callback(self.playing.cancel)
        return DlmsClient(settings, transport=near, memory=self.memory, random=bytes)


PROFILE = {
    "connection": {"serial": "memory", "opening": "readout", "password": "text:00000000"},
    "every": "1h",
    "profiles": [{"obis": "1.0.99.1.0.255", "key": "load_profile", "every": "1h"}],
}


async def test_a_load_profile_behind_a_password(clock, store):
    rig = ProgrammingRig(clock, store, PROFILE)
    rig.simulated_meter = Meter(EMH)
    async with rig.run():
        await asyncio.sleep(3 * 3600 + 60)
        assert rig.task.session.proved
        assert not rig.task.session.lockout.refusals
        assert set(rig.simulated_meter.passwords) == {b"00000000"}
        assert len(rig.simulated_meter.passwords) >= 3
        assert json.loads(rig.publisher.retained["state"])["energy_import"] == 123.4


@pytest.mark.expect_log("The meter refused the password", "reading works again")
async def test_a_wrong_password_of_the_load_profile_is_not_tried_for_ever(clock, store):
    rig = ProgrammingRig(clock, store, PROFILE)
    rig.simulated_meter = Meter(EMH, password=b"12345678")
    async with rig.run():
        await asyncio.sleep(6 * 3600)
        assert len(rig.simulated_meter.passwords) <= rig.task.config.attempts + 6
        assert rig.task.session.lockout.refusals
