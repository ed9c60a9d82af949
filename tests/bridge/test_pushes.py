"""Real pushes through the whole bridge: captures as other readers show them, scalers of presets, lists of a meter."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import AsyncIterator

import pytest

from dlms_mqtt.protocol.apdu.notification import DataNotification
from dlms_mqtt.protocol.axdr.data import Data, DataType, encode
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.conftest import PATIENCE
from tests.bridge.house import House, house
from tests.frames_data import entries, entry
from tests.free_port import free_port

SHOWN_BY_PEERS = [item for item in entries("push") if item["expected"].get("peer_numbers")]
# A meter behind transformers, of whose currents that reader's own issue 216 says that they are ten times too high.
TEN_TIMES = "amsreader-kamstrup-gh216-1"
SWISS = entry("push_landis-gyr", "smdc-lg-e450-unencrypted-valid-data-cfg2026")
PRESET = """
name: Swiss customer interface
push:
  scalers:
    - {obis: 1.1.1.8.0.255, scaler: 0, unit: Wh}
    - {obis: 1.0.1.7.0.255, scaler: 1, unit: W}
    - {obis: 1.0.31.7.0.255, scaler: SCALER, unit: A}
"""


def _shown(numbers):
    """key -> (value, unit), as the other reader shows it."""
    rows = [("power_import", numbers["import_power_w"], "W"), ("power_export", numbers["export_power_w"], "W")]
    rows += [(f"voltage_l{phase}", value, "V") for phase, value in enumerate(numbers["voltage_v"], 1)]
    rows += [(f"current_l{phase}", value, "A") for phase, value in enumerate(numbers["current_a"], 1)]
    rows += [("energy_import", numbers["import_kwh"], "kWh")]
    return {key: (value, unit) for key, value, unit in rows if value is not None}


def _send(port, kind, data):
    with socket.socket(type=socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as sock:
        sock.connect(("127.0.0.1", port))
        sock.sendall(data)


def _readings(home, name="house"):
    """The last reading of each key."""
    return {row["key"]: row for row in map(json.loads, home.seen.of(f"dlms_mqtt/meter/{name}/reading"))}


async def test_every_capture_that_another_reader_shows(mosquitto, tmp_path):
    lines = {
        f"m{number}": (free_port(), "tcp" if item["framing"] == "hdlc" else "udp")
        for number, item in enumerate(SHOWN_BY_PEERS)
    }
    text = "".join(
        f"  {name}:\n    push: {{listen: '{kind}://127.0.0.1:{port}'}}\n" for name, (port, kind) in lines.items()
    )
    assert len(lines) == 14
    async with house(mosquitto, tmp_path, f"\n{text}") as home:
        for (name, (port, kind)), item in zip(lines.items(), SHOWN_BY_PEERS, strict=True):
            _send(port, kind, bytes.fromhex(item["hex"]))
            await home.until(lambda name=name: home.meter("availability", name) == "online")
        for name, item in zip(lines, SHOWN_BY_PEERS, strict=True):
            wanted = _shown(item["expected"]["peer_numbers"])
            due = {key for key, (value, _) in wanted.items() if value != 0}
            await home.until(lambda name=name, due=due: due <= _readings(home, name).keys())
            await home.until(lambda name=name, due=due: all(home.meter(f"value/{key}", name) for key in due))
            readings = _readings(home, name)
            for key, (value, unit) in wanted.items():
                if item["id"] == TEN_TIMES and unit == "A":
                    value = value / 10
                if value == 0 and key not in readings:
                    continue  # a phase that the meter does not have
                row = readings[key]
                assert (row["unit"], row["quality"]) == (unit, "good"), (item["id"], key)
                assert row["value"] == pytest.approx(value, abs=0.006), (item["id"], key)  # they round to two digits
                assert float(home.meter(f"value/{key}", name)) == row["value"]
            shown = item["expected"]["peer_numbers"]
            if "power_export" in readings:
                net = shown["import_power_w"] - shown["export_power_w"]
                await home.until(lambda name=name, net=net: float(home.meter("value/power", name) or "nan") == net)


@contextlib.asynccontextmanager
async def swiss(mosquitto, tmp_path, more="") -> AsyncIterator[tuple[House, int]]:
    port = free_port()
    text = f"\n  house:\n    push: {{listen: 'tcp://127.0.0.1:{port}'}}\n{more}"
    async with house(mosquitto, tmp_path, text) as home:
        _send(port, "tcp", bytes.fromhex(SWISS["hex"]))
        await home.until(lambda: "sensor_voltage_l1" in _device(home)["components"])  # the last of all
        yield home, port


async def test_a_list_without_scalers_is_sent_as_it_came_and_said_to_be(mosquitto, tmp_path):
    async with swiss(mosquitto, tmp_path) as (home, _):
        await home.until(lambda: "energy_import" in _readings(home))
        readings = _readings(home)
        assert (readings["energy_import"]["value"], readings["energy_import"]["quality"]) == (482939, "unscaled")
        await home.until(lambda: "read.also" in home.seen.latest.get("dlms_mqtt/bridge/main/health", ""))
        reasons = home.seen.json("dlms_mqtt/bridge/main/health")["reasons"]
        assert any("no scaler and unit is known of" in text and "energy_import" in text for text in reasons)


async def test_scalers_of_a_preset(mosquitto, tmp_path):
    preset = tmp_path / "swiss.yaml"
    preset.write_text(PRESET.replace("SCALER", "-1"))
    async with swiss(mosquitto, tmp_path, f"    preset: {preset}\n") as (home, port):
        shown = {key: home.meter(f"value/{key}") for key in ("energy_import", "power_import", "current_l1")}
        assert shown == {"energy_import": "482.939", "power_import": "280", "current_l1": "0.9"}
        components = home.seen.json("homeassistant/device/dlms_mqtt_house/config")["components"]
        assert components["sensor_energy_import"]["unit_of_measurement"] == "kWh"
        # a change of the preset's file is a change of the configuration
        preset.write_text(PRESET.replace("SCALER", "-2"))
        stat = preset.stat()
        os.utime(preset, ns=(stat.st_atime_ns, stat.st_mtime_ns + 10**9))
        await home.until(lambda: home.meter("value/current_l1") == "")
        async with asyncio.timeout(PATIENCE):
            while home.meter("value/current_l1") != "0.09":
                with contextlib.suppress(ConnectionError):  # the port is opened anew about now
                    _send(port, "tcp", bytes.fromhex(SWISS["hex"]))
                await asyncio.sleep(0.2)


async def test_what_the_user_says_of_a_value_counts_for_pushes_too(mosquitto, tmp_path):
    also = (
        "    read:\n      set: none\n      also:\n"
        "        - {obis: 1.1.1.8.0.255, key: bought, name: Bought, unit: kWh, scaler: -3, at: ['00:05']}\n"
        "        - {obis: 1.0.32.7.0.255, unit: V}\n"
    )
    async with swiss(mosquitto, tmp_path, also) as (home, _):
        assert home.meter("value/bought") == "482.939"
        assert home.meter("value/energy_import") == ""
        component = home.seen.json("homeassistant/device/dlms_mqtt_house/config")["components"]["sensor_bought"]
        assert (component["name"], component["unit_of_measurement"]) == ("Bought", "kWh")


def _list(*values):
    unit = Data(DataType.STRUCTURE, (Data(DataType.INTEGER, 0), Data(DataType.ENUM, 27)))
    rows = tuple(
        Data(
            DataType.STRUCTURE,
            (
                Data(DataType.OCTET_STRING, bytes(Obis.parse(obis))),
                Data(DataType.DOUBLE_LONG_UNSIGNED, value) if isinstance(value, int) else value,
                *([unit] if isinstance(value, int) else []),
            ),
        )
        for obis, value in values
    )
    apdu = DataNotification(1, None, encode(Data(DataType.ARRAY, rows))).encode()
    return bytes.fromhex("000100010066") + len(apdu).to_bytes(2, "big") + apdu


IMPORT, EXPORT = "1.0.1.7.0.255", "1.0.2.7.0.255"
SERIAL = ("0.0.96.1.0.255", Data(DataType.VISIBLE_STRING, "12345678"))


def _device(home):
    return json.loads(home.seen.latest.get("homeassistant/device/dlms_mqtt_house/config", '{"components": {}}'))


async def test_power_is_derived_where_both_parts_are_in_one_push(mosquitto, tmp_path):
    port = free_port()
    text = f"\n  house:\n    push: {{listen: 'tcp://127.0.0.1:{port}'}}\n"
    async with house(mosquitto, tmp_path, text) as home:
        _send(port, "tcp", _list((IMPORT, 0), (EXPORT, 700)))
        await home.until(lambda: home.meter("value/power") == "-700")
        _send(port, "tcp", _list((IMPORT, 5)))  # a list of the same meter with the import alone
        await home.until(lambda: home.meter("value/power_import") == "5")
        assert home.meter("value/power") == "-700"


async def test_a_short_list_after_a_restart_removes_nothing_of_the_long_one(mosquitto, tmp_path):
    """Meters push a short list every few seconds and a long one now and then."""
    port = free_port()
    text = f"\n  house:\n    push: {{listen: 'tcp://127.0.0.1:{port}'}}\n"
    short, long = _list((IMPORT, 7)), _list((IMPORT, 6), (EXPORT, 0), SERIAL)
    async with house(mosquitto, tmp_path, text) as home:
        _send(port, "tcp", long)
        await home.until(lambda: "sensor_power_export" in _device(home)["components"])
        before = _device(home)
    async with house(mosquitto, tmp_path, text) as home:
        _send(port, "tcp", short)
        await home.until(lambda: home.meter("value/power_import") == "7")
        assert _device(home) == before
        assert before["device"]["serial_number"] == "12345678"
    # another configuration starts afresh: what does not come any more is removed
    text += "    read: {set: none, also: [{obis: 1.0.1.7.0.255, key: buying}]}\n"
    async with house(mosquitto, tmp_path, text) as home:
        _send(port, "tcp", short)
        await home.until(lambda: home.meter("value/buying") == "7")
        await home.until(lambda: _device(home)["components"]["sensor_power_export"] == {"platform": "sensor"})
        assert _device(home)["components"]["sensor_power_import"] == {"platform": "sensor"}
        assert "state_topic" in _device(home)["components"]["sensor_buying"]


@pytest.mark.expect_log("nobody listens")
async def test_a_push_before_the_first_poll_removes_no_entity(mosquitto, tmp_path):
    port, dead = free_port(), free_port()
    more = f"    push: {{listen: 'tcp://127.0.0.1:{port}'}}\n"
    text = f"\n  house:\n    connection: {{tcp: '127.0.0.1:{dead}', timeout: 1s}}\n{more}"
    store = {"components": {"sensor_voltage_l1": {"platform": "sensor", "name": "Voltage"}}, "device": {}}
    async with house(mosquitto, tmp_path, text) as home:
        home.app.bridge.store.set("discovery", "house", store)
        _send(port, "tcp", _list((IMPORT, 7)))
        await home.until(lambda: "sensor_power_import" in _device(home)["components"])
        assert _device(home)["components"]["sensor_voltage_l1"]["name"] == "Voltage"


@pytest.mark.expect_log("a push was refused")
async def test_a_replay_is_known_after_a_restart_and_forgotten_with_the_meter(mosquitto, tmp_path, caplog):
    """A meter that counts anew after a reset is let in again by taking it out of the configuration for a moment."""
    sealed = entry("push_kamstrup", "dlmsparser-hdlc-kamstrup-omnipower")
    keys = "".join(f'{name}_key: "hex:{sealed["keys"][name]}", ' for name in ("encryption", "authentication"))
    port, data = free_port(), bytes.fromhex(sealed["hex"])
    meter = f"\n  house:\n    connection: {{{keys}}}\n    push: {{listen: 'tcp://127.0.0.1:{port}'}}\n"
    other = f"\n  other:\n    push: {{listen: 'tcp://127.0.0.1:{free_port()}'}}\n"
    async with house(mosquitto, tmp_path, meter) as home:
        _send(port, "tcp", data)
        await home.until(lambda: home.meter("availability") == "online")
        await home.until(lambda: home.seen.of("dlms_mqtt/meter/house/reading"))
        store = home.app.bridge.store
        await home.until(lambda: store.peer_counters("house").keep())  # a killed bridge would know it too
    async with house(mosquitto, tmp_path, meter) as home:
        before = len(home.seen.of("dlms_mqtt/meter/house/reading"))
        with caplog.at_level("INFO"):
            _send(port, "tcp", data)
            await home.until(lambda: "received before" in caplog.text)
        assert len(home.seen.of("dlms_mqtt/meter/house/reading")) == before
    async with house(mosquitto, tmp_path, other):
        pass
    async with house(mosquitto, tmp_path, meter) as home:
        _send(port, "tcp", data)
        await home.until(lambda: home.meter("availability") == "online")
