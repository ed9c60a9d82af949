"""/metrics by the parser of Prometheus' own client library."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from dlms_mqtt.bridge.http.metrics import UNITS, metrics

HEALTH = {
    "status": "ok",
    "last_success": "2026-11-29T12:00:00+01:00",
    "consecutive_failures": 0,
    "read_duration": 0.25,
    "line_errors": 3,
    "line_quality": 99.5,
    "turn_round": None,
    "clock_drift": -1.5,
    "invocation_counter": None,
}


def value(number: Any, unit: str = "", state_class: str = "measurement", name: str = "Name") -> dict[str, Any]:
    time = "2026-11-29T12:00:00+01:00"
    return {"value": number, "unit": unit, "state_class": state_class, "name": name, "time": time}


def snapshot(**meters: dict[str, Any]) -> dict[str, Any]:
    return {
        "bridge": {"id": "main", "version": "1.0", "started": "2026-11-29T10:00:00+00:00", "connected": True},
        "status": "degraded",
        "counters": {"unsent": 2, "dropped": 0, "meters": len(meters)},
        "meters": {
            name: {"name": 'A "meter"\n\\', "online": True, "values": values, "health": HEALTH}
            for name, values in meters.items()
        },
    }


def parsed(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}


def samples(family: Any) -> dict[tuple[str, ...], float]:
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_values_are_in_base_units_with_the_type_of_what_they_are() -> None:
    found = parsed(
        metrics(
            snapshot(
                house={
                    "energy_import": value(Decimal("12345.678"), "kWh", "total_increasing"),
                    "power": value(Decimal(-1500), "W"),
                    "current_l1": value(Decimal("0.25"), "A"),
                    "temperature": value(Decimal("21.5"), "°C"),
                    "odd": value(Decimal(7), "furlong"),
                    "relay": value("connected"),
                    "alarm_open": value(True),
                },
                barn={"power": value(Decimal(20), "kW")},
            )
        )
    )
    energy = found["dlms_energy_import_joules"]
    assert (energy.type, energy.unit) == ("counter", "joules")
    assert energy.samples[0].name == "dlms_energy_import_joules_total" and energy.samples[0].value == 44444440800.0
    assert samples(found["dlms_power_watts"]) == {("house",): -1500.0, ("barn",): 20000.0}
    assert found["dlms_power_watts"].type == "gauge"
    assert samples(found["dlms_current_l1_amperes"]) == {("house",): 0.25}
    assert samples(found["dlms_temperature_celsius"]) == {("house",): 21.5}
    assert samples(found["dlms_odd"]) == {("house", "furlong"): 7.0}
    assert samples(found["dlms_relay"]) == {("house", "connected"): 1.0}
    assert samples(found["dlms_alarm_open"]) == {("house",): 1.0}
    times = samples(found["dlms_reading_timestamp_seconds"])
    assert times["house", "power"] == 1795950000.0 and len(times) == 8


def test_bridge_and_meters_are_told() -> None:
    found = parsed(metrics(snapshot(house={})))
    assert samples(found["dlms_mqtt_meter_up"]) == {("house",): 1.0}
    assert found["dlms_mqtt_meter"].samples[0].labels["name"] == 'A "meter"\n\\'
    assert samples(found["dlms_mqtt_meter_line_quality_ratio"]) == {("house",): 0.995}
    assert samples(found["dlms_mqtt_meter_clock_drift_seconds"]) == {("house",): -1.5}
    assert "dlms_mqtt_meter_turn_round_seconds" not in found  # not known is absent, never 0
    status = samples(found["dlms_mqtt_status"])
    assert status == {("main", "ok"): 0.0, ("main", "degraded"): 1.0, ("main", "failing"): 0.0}
    assert found["dlms_mqtt_line_errors" if "dlms_mqtt_line_errors" in found else "dlms_mqtt_meter_line_errors"]
    assert found["dlms_mqtt_start_time_seconds"].samples[0].value == 1795946400.0


def test_two_meters_may_differ_about_a_key() -> None:
    text = metrics(
        snapshot(
            house={"odd": value(Decimal(1), "kWh", "total_increasing"), "word": value("x")},
            barn={"odd": value(Decimal(2), "kWh"), "word": value(Decimal(3))},
        )
    )
    found = parsed(text)
    assert samples(found["dlms_odd_joules"]) == {("house",): 3600000.0}
    assert samples(found["dlms_odd_gauge_joules"]) == {("barn",): 7200000.0}
    assert samples(found["dlms_word_gauge"]) == {("barn",): 3.0}


@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_is_taken_by_the_parser(unit: str) -> None:
    found = parsed(metrics(snapshot(house={"x": value(Decimal(1), unit)})))
    name = f"dlms_x_{UNITS[unit].name}"
    assert found[name].unit == UNITS[unit].name and samples(found[name])["house",] == float(UNITS[unit].factor)


def test_a_parser_sees_a_mistake() -> None:
    text = metrics(snapshot(house={"power": value(Decimal(1), "W")}))
    with pytest.raises(ValueError):
        parsed(text.replace("# UNIT dlms_power_watts watts", "# UNIT dlms_power_watts volts"))
    with pytest.raises(ValueError):
        parsed(text.removesuffix("# EOF\n"))
