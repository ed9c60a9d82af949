"""The default set of a three-phase meter in Home Assistant: what is enabled, and what is only there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlms_mqtt.bridge.homeassistant.entities import Entity, built_in, value_entities
from dlms_mqtt.bridge.homeassistant.lean import lean
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.protocol.obis import Obis
from tests.bridge.house import METER, house

HOUSE = (
    "1.0.1.8.0.255 1.0.1.8.1.255 1.0.1.8.2.255 1.0.2.8.0.255 1.0.3.8.0.255 1.0.4.8.0.255 1.0.16.7.0.255 1.0.1.7.0.255 "
    "1.0.2.7.0.255 1.0.36.7.0.255 1.0.56.7.0.255 1.0.76.7.0.255 1.0.21.7.0.255 1.0.22.7.0.255 1.0.32.7.0.255 "
    "1.0.52.7.0.255 1.0.72.7.0.255 1.0.31.7.0.255 1.0.51.7.0.255 1.0.71.7.0.255 1.0.13.7.0.255 1.0.33.7.0.255 "
    "1.0.14.7.0.255 1.0.1.4.0.255 1.0.1.6.0.255 0.0.1.0.0.255 0.0.42.0.0.255 0.0.96.1.0.255 1.0.0.2.0.255 "
    "0.0.97.98.0.255"
)


def entities() -> list[Entity]:
    found = built_in(("clock", "ciphering", "held", "poll", "events"), "en")
    for code in HOUSE.split():
        obis = Obis.parse(code)
        class_id = 8 if code.startswith("0.0.1.0") else 4 if ".6." in code else 5 if ".4.0" in code[5:] else 3
        found += value_entities(quantity(obis, class_id, 2), None, "en")
    return found


def enabled(**values: float) -> set[str]:
    return {entity.key for entity in lean(entities(), (), values) if entity.enabled}


def test_a_three_phase_meter() -> None:
    values = {key for key in enabled() if key.startswith(("power", "energy", "voltage", "current"))}
    assert {"power", "energy_import", "energy_import_t1", "energy_import_t2", "energy_export"} <= values
    assert {f"{name}_l{phase}" for name in ("voltage", "current") for phase in (1, 2, 3)} <= values
    assert not values & {"power_import", "power_export", "power_l1", "power_import_l1", "power_export_l1"}
    assert len(values) == 11
    rest = enabled() - values
    assert rest == {"status", "clock_drift", "set_clock", "event", "held_value", "accept_energy"}


def test_without_something_held_there_is_nothing_to_accept() -> None:
    assert not {"held_value", "accept_energy"} & {entity.key for entity in built_in(("clock", "poll"), "en")}


@pytest.mark.parametrize("key", ["status", "event"])
def test_what_the_component_shows_itself_is_enough(key: str) -> None:
    (shown,) = (row for row in lean(entities(), (), {}) if row.key == key)
    assert shown.enabled
    (shown,) = (row for row in lean(entities(), (), {}, translated=True) if row.key == key)
    assert not shown.enabled


def test_power_of_the_phases_where_that_is_all() -> None:
    part = [entity for entity in entities() if entity.key in ("power_l1", "power_l2", "power_l3")]
    assert len(part) == 3
    assert all(entity.enabled for entity in lean(part, (), {}))


def test_nothing_is_lost() -> None:
    assert [entity.key for entity in lean(entities(), (), {})] == [entity.key for entity in entities()]


@pytest.mark.parametrize("key", ["energy_export", "energy_import_t2"])
def test_what_counts_nothing(key: str) -> None:
    assert key not in enabled(**{key: 0})
    assert key in enabled(**{key: 0.1})
    assert "energy_import" in enabled(energy_import=0)


def test_one_way_power_where_no_signed_one_is() -> None:
    part = [entity for entity in entities() if entity.key in ("power_import", "power_export")]
    assert len(part) == 2
    assert all(entity.enabled for entity in lean(part, (), {}))


def test_what_a_person_named_stays() -> None:
    found = {entity.key: entity.enabled for entity in lean(entities(), {"frequency"}, {})}
    assert found["frequency"]
    assert not found["clock"]


BEFORE = json.loads((Path(__file__).parent / "discovery-0.1.0.json").read_text())  # of the same meter, as 0.1.0 said it
MESSAGE = "homeassistant/device/dlms_mqtt_house/config"


async def test_a_household_as_the_bridge_announces_it(mosquitto, tmp_path, meter) -> None:
    """The same entities under the same unique ids as 0.1.0, far fewer of them enabled."""
    async with house(mosquitto, tmp_path, METER.replace("PORT", str(meter.port))) as home:
        await home.until(lambda: '"sensor_energy_import"' in home.seen.latest.get(MESSAGE, ""))
        now = home.seen.json(MESSAGE)["components"]
        while_held = {"sensor_held_value", "button_accept_energy"}
        assert set(BEFORE["components"]) - while_held == set(now)
        for name, row in now.items():
            assert row["unique_id"] == BEFORE["components"][name]["unique_id"]
        few = {name for name, row in now.items() if row.get("enabled_by_default", True)}
        assert len(few) <= 19, few
        await home.ask("bridge/main/request/language", {"language": "en"})
        await home.until(
            lambda: not home.seen.json(MESSAGE)["components"]["sensor_status"].get("enabled_by_default", True)
        )


@pytest.mark.parametrize(
    ("discovery", "paced"),
    [("every: 5min", True), ("every: 0s", False), ("every: 1s", False), ("style: components", False)],
)
async def test_how_often_home_assistant_takes_it(mosquitto, tmp_path, meter, discovery, paced) -> None:
    meters = METER.replace("PORT", str(meter.port)) + "    read: {also: [{obis: 1.0.32.7.0.255}]}\n"
    topics = {
        key: f"homeassistant/sensor/dlms_mqtt_house/{key}/config" for key in ("power", "energy_import", "voltage_l1")
    }
    async with house(mosquitto, tmp_path, meters, mqtt=f"discovery: {{{discovery}}}") as home:

        def templates():
            if "style" in discovery:
                rows = {key: json.loads(home.seen.latest.get(topic) or "{}") for key, topic in topics.items()}
            else:
                found = json.loads(home.seen.latest.get(MESSAGE) or "{}").get("components", {})
                rows = {key: found.get(f"sensor_{key}", {}) for key in topics}
            return {key: row["value_template"] for key, row in rows.items() if row}

        await home.until(lambda: templates().keys() == topics.keys())
        assert {key: "this." in text for key, text in templates().items()} == {
            "power": False,
            "energy_import": paced,
            "voltage_l1": False,  # a row of the user's own
        }
