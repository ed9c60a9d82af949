"""Pushes as readings: every capture, against what other readers show for it; times, scalers, identities."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.client.push import Notification, Push, PushReader
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import DecodeError
from dlms_mqtt.meter.push.readings import PushedValues
from dlms_mqtt.meter.readings import Quality, Reading
from dlms_mqtt.protocol.apdu import decode_apdu
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.apdu.notification import DataNotification, EventNotification
from dlms_mqtt.protocol.apdu.short_name import InformationReportRequest, VariableName
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.axdr.timestamps import DateTime
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.p1_telegram import Telegram
from dlms_mqtt.protocol.units import UNITS
from tests.frames_data import Entry, entries, entry, entry_id
from tests.meter.p1_telegrams import FLUVIUS, LUXEMBOURG

NOW = datetime(2026, 4, 3, 15, 54, 40, tzinfo=UTC)
PUSHES = entries("push")
#: with plain contents, or with contents that their publisher opened
READABLE = [item for item in PUSHES if "plaintext" in item["expected"] or "ciphering" not in item["expected"]]
SHOWN_BY_PEERS = [item for item in READABLE if item["expected"].get("peer_numbers")]
IMPORT = Obis.parse("1.0.1.8.0.255")


def notification_of(item: Entry) -> Notification:
    """Through the reader for what comes plain, out of the published plaintext else."""
    plaintext = item["expected"].get("plaintext")
    if plaintext:
        found = decode_apdu(bytes.fromhex(plaintext))
        assert isinstance(found, DataNotification)
        return found
    reader = PushReader("line")
    (push,) = reader.feed(bytes.fromhex(item["hex"]), 0.0) + reader.finish()
    assert isinstance(push, Push)
    return push.notification


def by_key(notification: Notification, **options: object) -> dict[str, Reading]:
    readings = PushedValues(notification).readings(NOW, **options)  # type: ignore[arg-type]
    assert len({reading.key for reading in readings}) == len(readings)
    return {reading.key: reading for reading in readings}


def data_notification(body: str, time: bytes | None = None) -> DataNotification:
    return DataNotification(1, time, bytes.fromhex(body))


@pytest.mark.parametrize("item", READABLE, ids=entry_id)
def test_every_push(item: Entry) -> None:
    """Each value with code and scaler (of the message or a list) comes out scaled, in the unit of its quantity."""
    readings = PushedValues(notification_of(item)).readings(NOW)
    by_obis = {(str(reading.obis), reading.attribute): reading for reading in readings}
    for value in item["expected"].get("values") or ():
        if "obis" not in value or value["type"] in ("array", "structure") or value.get("attribute") == 1:
            continue
        code = str(Obis.parse(value["obis"]))
        if ".25.9." in code and "class" not in value:
            continue  # a list without codes that begins with the code of its push setup
        reading = by_obis.get((code, value.get("attribute", 2))) or by_obis[code, 3]
        assert reading.key
        if "unit" in value:
            assert reading.quality is Quality.GOOD
            assert reading.scaler == value["scaler"]
            assert in_unit_of_the_meter(reading) == Decimal(str(value["value"]))


def in_unit_of_the_meter(reading: Reading) -> Decimal:
    assert isinstance(reading.value, Decimal)
    return reading.value * (1000 if reading.unit in ("kWh", "kvarh", "kVAh") else 1)


# A meter behind transformers, of whose currents that reader's own issue 216 says that they are ten times too high.
TEN_TIMES = "amsreader-kamstrup-gh216-1"


@pytest.mark.parametrize("item", SHOWN_BY_PEERS, ids=entry_id)
def test_as_other_readers_show_it(item: Entry) -> None:
    shown, readings = item["expected"]["peer_numbers"], by_key(notification_of(item))
    phases = [("power_import", shown["import_power_w"], "W"), ("power_export", shown["export_power_w"], "W")]
    phases += [(f"voltage_l{phase}", value, "V") for phase, value in enumerate(shown["voltage_v"], 1)]
    phases += [(f"current_l{phase}", value, "A") for phase, value in enumerate(shown["current_a"], 1)]
    phases += [("energy_import", shown["import_kwh"], "kWh")]
    for key, value, unit in phases:
        if item["id"] == TEN_TIMES and unit == "A":
            value = value / 10
        if value is None or (value == 0 and key not in readings):  # a phase that the meter does not have
            continue
        reading = readings[key]
        assert (reading.unit, reading.quality) == (unit, Quality.GOOD)
        assert reading.value is not None
        assert float(reading.value) == pytest.approx(value, abs=0.006)  # they round to two digits


def test_the_iskra_list_adds_up() -> None:
    for name in ("amsreader-iskraemeco-gh615-3", "amsreader-iskraemeco-gh956-1"):
        readings = by_key(notification_of(entry("push_iskraemeco", name)))
        for key in ("power_import", "power_export"):
            parts = [readings[f"{key}_l{phase}"].value for phase in (1, 2, 3)]
            assert abs(sum(map(Decimal, parts)) - Decimal(readings[key].value)) <= 2  # type: ignore[arg-type]


UNNAMED = {
    "amsreader-iskraemeco-gh869-6": {"power_import": "625", "energy_import": "12789.950", "energy_export_t2": "0.138"},
    "nodedsmr-slovenia-list-2": {
        "energy_import": "3.810",
        "energy_import_t1": "0.000",
        "reactive_energy_import": "4.531",
        "disconnect_state": "connected",
    },
    "amsreader-lg-em-si2026-1": {"power_import": "513", "energy_import": "65138.118", "reactive_power_export": "103"},
    "amsreader-lg-em-si2026-2": {"frequency": "50", "current_l1": "1.05", "voltage_l3": "236", "power_import_l2": "82"},
    "amsreader-lg-gh501-1": {
        "voltage_l2": "237",
        "current_l3": "0.26",
        "power_import": "29",
        "energy_import": "31358.606",
    },
    "shrdzm-im350-carinthia": {"serial_number": "2221202033801", "energy_import": "2946.830", "power_import": "73"},
    "shrdzm-am550-carinthia": {
        "energy_import": "9534.290",
        "energy_export": "2896.624",
        "reactive_energy_import": "726.595",
        "reactive_energy_export": "2561.341",
        "power_import": "738",
        "power_export": "0",
    },
    "amsreader-kaifa-gh242-1": {"voltage_l1": "232.2", "current_l1": "0.032", "energy_import": "1.142"},
    "amsreader-kamstrup-bornholm-centivolts": {"voltage_l1": "221.99", "voltage_l3": "223.21", "current_l1": "2.52"},
}


@pytest.mark.parametrize("name", UNNAMED)
def test_lists_that_do_not_say_what_they_hold(name: str) -> None:
    """What the source of each says about it; energies by tariff add up to their total."""
    (item,) = entries("push_published", id=name)
    readings = by_key(notification_of(item))
    assert {key: str(readings[key].value) for key in UNNAMED[name]} == UNNAMED[name]
    assert all(readings[key].quality is Quality.GOOD for key in UNNAMED[name])
    if "energy_import_t1" in readings:
        tariffs = [readings[f"energy_import_t{tariff}"].value for tariff in (1, 2)]
        assert sum(map(Decimal, tariffs)) == readings["energy_import"].value  # type: ignore[arg-type]


def test_a_telegram() -> None:
    readings = by_key(Telegram.decode(LUXEMBOURG), zone=ZoneInfo("Europe/Luxembourg"))
    assert (readings["energy_import"].value, readings["energy_import"].unit) == (Decimal("273.764"), "kWh")
    assert (readings["power_export"].value, readings["power_export"].unit) == (Decimal(897), "W")
    assert readings["mbus_1"].value == Decimal("14239.771")
    assert readings["mbus_1"].unit == "m³"
    assert readings["mbus_1_time"].value == "2026-04-03T17:45:42+02:00"
    assert readings["clock"].value == "2026-04-03T17:54:31+02:00"
    assert readings["logical_device_name"].value == "SAG1030700012701"
    assert {reading.time.isoformat() for reading in readings.values()} == {"2026-04-03T17:54:31+02:00"}
    assert not any(reading.quality == Quality.UNSCALED for reading in readings.values())
    assert readings["disconnect_state"].raw == 1  # as a poll of class 70 names it


def test_the_maximum_of_a_telegram() -> None:
    readings = by_key(Telegram.decode(FLUVIUS), zone=ZoneInfo("Europe/Brussels"))
    assert readings["demand_max_import"].value == Decimal(2589)
    assert readings["demand_max_import_time"].value == "2020-05-09T13:45:58+02:00"
    assert readings["tariff"].value == "1"


# -- scalers -----------------------------------------------------------------------------------------------------------


def test_scalers_that_the_caller_knows() -> None:
    notification = data_notification("0202 0906 0100010800ff 06 000004d2".replace(" ", ""))
    assert by_key(notification)["energy_import"].quality == Quality.UNSCALED
    by_code = by_key(notification, scalers={IMPORT: ScalerUnit(1, 30)})["energy_import"]
    by_attribute = by_key(notification, scalers={AttributeDescriptor(3, IMPORT, 2): ScalerUnit(1, 30)})["energy_import"]
    assert by_code == by_attribute
    assert (by_code.value, by_code.unit, by_code.quality) == (Decimal("12.34"), "kWh", Quality.GOOD)


def test_the_message_knows_better() -> None:
    notification = data_notification("0203 0906 0100010800ff 06 000004d2 0202 0f00 161e".replace(" ", ""))
    reading = by_key(notification, scalers={IMPORT: ScalerUnit(3, 30)})["energy_import"]
    assert reading.value == Decimal("1.234")


def test_a_register_without_unit_needs_a_scaler_too() -> None:
    item = entry("push_iskraemeco", "smdc-iskra-am550-unencrypted-valid-data")
    code = Obis.parse("1.0.13.7.0.255")
    assert by_key(notification_of(item))["power_factor"].quality == Quality.UNSCALED
    known = by_key(notification_of(item), scalers={code: ScalerUnit(-3, 255)})
    assert known["power_factor"].quality == Quality.GOOD


# -- time --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("late", "zone", "expected"),
    [
        (0, UTC, 0),
        (90, UTC, 90),
        (-90, UTC, 0),  # from the future
        (3600, UTC, 0),  # its clock is wrong, or the zone is
        (90, None, 0),  # nobody knows which zone it means
    ],
)
def test_times(late: int, zone: ZoneInfo | None, expected: int) -> None:
    clock = DateTime.from_datetime(NOW - timedelta(seconds=late), deviation=False)
    told = data_notification("0202090601000107 00ff0600000001".replace(" ", ""), clock.raw)
    assert PushedValues(told).taken_at(NOW, zone=zone) == NOW - timedelta(seconds=expected)
    inside = data_notification(
        "0204 0906 0000010000ff 090c".replace(" ", "") + clock.raw.hex() + "09060100010700ff0600000001"
    )
    assert PushedValues(inside).taken_at(NOW, zone=zone) == NOW - timedelta(seconds=expected)
    assert {reading.time for reading in PushedValues(inside).readings(NOW, zone)} == {NOW - timedelta(seconds=expected)}


def test_a_deviation_needs_no_zone() -> None:
    clock = DateTime.from_datetime((NOW - timedelta(seconds=5)).astimezone(ZoneInfo("Europe/Vienna")))
    told = data_notification("0600000001", clock.raw)
    assert PushedValues(told).taken_at(NOW) == NOW - timedelta(seconds=5)
    assert PushedValues(told).taken_at(NOW, sense=1) == NOW


def test_without_a_time() -> None:
    assert PushedValues(data_notification("0600000001")).taken_at(NOW) == NOW
    assert PushedValues(data_notification("0600000001")).readings(NOW) == []


# -- other kinds -------------------------------------------------------------------------------------------------------


def test_event_notification() -> None:
    event = EventNotification(None, AttributeDescriptor(3, IMPORT, 2), b"\x06\x00\x00\x04\xd2")
    reading = by_key(event, scalers={IMPORT: ScalerUnit(0, 30)})["energy_import"]
    assert (reading.value, reading.class_id, reading.time) == (Decimal("1.234"), 3, NOW)


def test_information_report() -> None:
    report = InformationReportRequest(
        None, (VariableName(0x1008), VariableName(0x2000)), (Data(DataType.UNSIGNED, 12), Data(DataType.UNSIGNED, 1))
    )
    names = {0x1008: AttributeDescriptor(3, IMPORT, 2)}
    (reading,) = PushedValues(report, names).readings(NOW, scalers={IMPORT: ScalerUnit(3, 30)})
    assert (reading.key, reading.value) == ("energy_import", Decimal(12))
    assert PushedValues(report).readings(NOW) == []


def test_a_broken_body() -> None:
    with pytest.raises(DecodeError):
        PushedValues(data_notification("02050906"))


def test_an_attribute_that_comes_twice() -> None:
    body = "0204 0906 0100010700ff 0600000001 0906 0100010700ff 0600000002".replace(" ", "")
    assert [row.data.value for row in PushedValues(data_notification(body)).measured()] == [1]


def test_two_channels_of_one_quantity_keep_their_keys_apart() -> None:
    body = "0204 0906 0100010700ff 0600000001 0906 0101010700ff 0600000002".replace(" ", "")
    assert {reading.key: reading.raw for reading in PushedValues(data_notification(body)).readings(NOW)} == {
        "power_import": 1,
        "ch1_power_import": 2,
    }


# -- identity ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "name", "devices"),
    [
        ("push_kaifa", "amsreader-kaifa-gh539-4", ("1KFM0200182517", "KFM1200200182517")),
        ("push_kaifa", "dlmsparser-mbus-netz-noe-p1", ("181220000009",)),
        ("push_kaifa", "amshan-kaifa-no-list-3", ("6970631402614476",)),
        ("push_aidon", "amshan-aidon-no-list-3", ("7359992892587665",)),
        ("push_kamstrup", "amsreader-kamstrup-em001-2", ("6841131BN243101040", "5706567202753025")),
        ("push_iskraemeco", "amsreader-iskraemeco-gh869-8", ("ISK1020785766649",)),
        ("push_others", "dlmsparser-raw-egd-example", ("EGD012345", "0123456789")),
    ],
)
def test_identity(file: str, name: str, devices: tuple[str, ...]) -> None:
    found = PushedValues(notification_of(entry(file, name))).identity(b"title")
    assert found.system_title == b"title"
    assert all(found.is_device(device) for device in devices)
    assert not found.is_device("")
    assert not found.is_device("230")


def test_identity_of_a_telegram() -> None:
    found = PushedValues(Telegram.decode(LUXEMBOURG)).identity()
    assert found.logical_device_name == "SAG1030700012701"
    assert not found.is_device("FLO182370120350")  # the gas meter on its channel is another one
    assert PushedValues(Telegram.decode(FLUVIUS)).identity().is_device("1SAG3101021605")


def test_units_are_the_blue_books() -> None:
    assert {UNITS[code] for code in (27, 29, 30, 32, 33, 35)} == {"W", "var", "Wh", "varh", "A", "V"}


@given(st.binary(min_size=1, max_size=120), st.one_of(st.none(), st.binary(min_size=12, max_size=12)))
def test_any_body(body: bytes, time: bytes | None) -> None:
    try:
        values = PushedValues(DataNotification(1, time, body))
    except DecodeError:
        return
    values.readings(NOW, UTC)
    values.identity()
