"""Dates and times that can be set: as types of their own and as octets, and the entities that set them."""

from __future__ import annotations

from datetime import datetime, time
from zoneinfo import ZoneInfo

import pytest

from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime, Time
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.simulator import make, serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.house import house

VIENNA = ZoneInfo("Europe/Vienna")
T = DataType
START = DateTime.from_datetime(datetime(2026, 1, 1, 6, tzinfo=VIENNA))
ITEMS = {
    "start": ("1.0.99.0.1.255", "date-time", Data(T.DATE_TIME, START)),
    "end": ("1.0.99.0.2.255", "date-time", Data(T.OCTET_STRING, START.raw[:9] + b"\x80\x00\xff")),
    "night": ("1.0.99.0.3.255", "time", Data(T.TIME, Time.from_time(time(22, 0)))),
    "day": ("1.0.99.0.4.255", "time", Data(T.OCTET_STRING, bytes((6, 30, 0, 255)))),
    "open": ("1.0.99.0.5.255", "time", Data(T.OCTET_STRING, b"\xff" * 4)),
    "until": ("1.0.99.0.6.255", "date", Data(T.OCTET_STRING, bytes((0x07, 0xEA, 12, 31, 4)))),
}


@pytest.fixture
async def meter():
    meter = household(1)
    for obis, _, data in ITEMS.values():
        meter.add(make(1, obis, data, writable=(2,)))
    async with serve_tcp(meter) as server:
        meter.port = server.port
        yield meter


def _config(port):
    rows = "".join(
        f"        - {{obis: {obis}, class: 1, key: {key}, type: {kind}, writable: true}}\n"
        for key, (obis, kind, _) in ITEMS.items()
    )
    return (
        f'\n  house:\n    connection: {{tcp: "127.0.0.1:{port}", client: 17}}\n    every: 1s\n'
        f"    read:\n      set: none\n      also:\n{rows}        - {{obis: 0.0.1.0.0.255, writable: true}}\n"
    )


def _held(meter, key):
    return meter.objects[1, Obis.parse(ITEMS[key][0])].data(None, 2)


async def test_dates_and_times_are_shown_and_set(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter.port), mqtt="discovery: {datetime: true}") as home:
        await home.until(lambda: home.meter("value/until"))
        shown = {key: home.meter(f"value/{key}") for key in ITEMS}
        assert shown == {
            "start": "2026-01-01T06:00:00+01:00",
            "end": "2026-01-01T06:00:00+01:00",
            "night": "22:00:00",
            "day": "06:30:00",
            "open": "*:*:*",
            "until": "2026-12-31",
        }
        components = home.seen.json("homeassistant/device/dlms_mqtt_house/config")["components"]
        setters = {name: row["command_topic"] for name, row in components.items() if name.startswith(("date", "time"))}
        root = "dlms_mqtt/meter/house"
        assert setters == {
            **{f"datetime_{key}": f"{root}/set/{key}" for key in ("start", "end", "clock")},
            **{f"time_{key}": f"{root}/set/{key}" for key in ("night", "day", "open")},
            "datetime_clock_setting": f"{root}/request/clock",
        }
        assert "command_template" not in components["datetime_start"]
        assert "sensor_until" in components

        # as Home Assistant sends them: isoformat(), in UTC or with an offset
        await home.seen.publish(f"{root}/set/start", "2026-07-01T04:30:00+00:00")
        await home.until(lambda: home.meter("value/start") == "2026-07-01T06:30:00+02:00")
        reply = await home.ask("meter/house/set/end", {"value": "2026-07-01T04:30:00+00:00"})
        assert reply["data"]["read_back"] == "2026-07-01T06:30:00+02:00"
        assert _held(meter, "end").value == bytes.fromhex("07ea0701 03 061e0000 8000 80")
        await home.seen.publish(f"{root}/set/night", "21:15:30")
        await home.until(lambda: home.meter("value/night") == "21:15:30")
        await home.seen.publish(f"{root}/set/day", "05:45:00")
        await home.until(lambda: home.meter("value/day") == "05:45:00")
        assert _held(meter, "night") == Data(T.TIME, Time.from_time(time(21, 15, 30)))
        assert _held(meter, "day") == Data(T.OCTET_STRING, bytes((5, 45, 0, 0)))

        for key, text in (("start", "tomorrow"), ("night", "25:00"), ("until", "31.12."), ("day", "7")):
            reply = await home.ask(f"meter/house/set/{key}", {"value": text})
            assert reply["error"]["code"] == "invalid-value", key


async def test_without_the_word_they_are_sensors(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _config(meter.port)) as home:
        await home.until(lambda: home.meter("value/until"))
        components = home.seen.json("homeassistant/device/dlms_mqtt_house/config")["components"]
        assert not [name for name in components if name.startswith(("date", "time"))]
        assert components["sensor_start"]["device_class"] == "timestamp"
        assert "device_class" not in components["sensor_night"]
