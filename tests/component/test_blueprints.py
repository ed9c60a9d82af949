"""The blueprints beside the component, as Home Assistant takes and runs them; and the dashboard names what exists."""

from __future__ import annotations

import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from homeassistant.components.automation.helpers import async_get_blueprints
from homeassistant.components.blueprint.models import DomainBlueprints
from homeassistant.core import HomeAssistant, ServiceCall
from homeassistant.setup import async_setup_component
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import async_fire_time_changed, async_mock_service

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "blueprints" / "automation" / "dlms_mqtt"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


@pytest.fixture
async def calls(hass: HomeAssistant, tmp_path: Path) -> list[ServiceCall]:
    """Home Assistant with the blueprints in its folder; what their actions call."""
    hass.config.config_dir = str(tmp_path)
    shutil.copytree(FOLDER, tmp_path / "blueprints" / "automation" / "dlms_mqtt")
    return async_mock_service(hass, "test", "told")


async def use(hass: HomeAssistant, name: str, **inputs: Any) -> None:
    """An automation of a blueprint, whose action tells what it was told."""
    data = {key: f"{{{{ {key} }}}}" for key in ("meter", "status", "power", "limit", "before", "now")}
    inputs["actions"] = [{"action": "test.told", "data": {key: f"{{{{ {key} | default('') }}}}" for key in data}}]
    config = {"id": name, "use_blueprint": {"path": f"dlms_mqtt/{name}.yaml", "input": inputs}}
    assert await async_setup_component(hass, "automation", {"automation": [config]})
    await hass.async_block_till_done()
    assert len(hass.states.async_entity_ids("automation")) == 1
    assert hass.states.get(hass.states.async_entity_ids("automation")[0]).state == "on"


async def later(hass: HomeAssistant, seconds: int) -> None:
    await hass.async_block_till_done()
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=seconds))
    await hass.async_block_till_done()


@pytest.mark.usefixtures("calls")
async def test_all_are_taken(hass: HomeAssistant) -> None:
    assert await async_setup_component(hass, "automation", {})
    blueprints: DomainBlueprints = async_get_blueprints(hass)
    found = {
        path: blueprint
        for path, blueprint in (await blueprints.async_get_blueprints()).items()
        if path.startswith("dlms_mqtt/")
    }
    assert sorted(found) == [f"dlms_mqtt/{name}.yaml" for name in NAMES]
    for path, blueprint in found.items():
        assert not isinstance(blueprint, Exception), (path, blueprint)
        assert blueprint.validate() is None  # this Home Assistant is new enough


async def test_a_meter_that_does_not_answer(hass: HomeAssistant, calls: list[ServiceCall]) -> None:
    hass.states.async_set("sensor.house_status", "ok")
    await use(hass, "meter_does_not_answer", status="sensor.house_status", patience={"minutes": 10})
    hass.states.async_set("sensor.house_status", "no_answer")
    await hass.async_block_till_done()
    assert not calls
    await later(hass, 601)
    assert [call.data["status"] for call in calls] == ["no_answer"]


@pytest.mark.parametrize(("unit", "factor"), [("W", 1), ("kW", 1000)])
async def test_power_above_the_fuse(hass: HomeAssistant, calls: list[ServiceCall], unit: str, factor: int) -> None:
    unit_of = {"unit_of_measurement": unit}
    hass.states.async_set("sensor.power", str(1000 / factor), unit_of)
    await use(hass, "power_above_fuse", power="sensor.power", fuse=16, share=100)
    hass.states.async_set("sensor.power", str(11000 / factor), unit_of)
    await later(hass, 61)
    assert not calls
    hass.states.async_set("sensor.power", str(11100 / factor), unit_of)
    await later(hass, 61)
    assert [(float(call.data["power"]), float(call.data["limit"])) for call in calls] == [(11100, 11040)]


async def test_the_tariff_changed(hass: HomeAssistant, calls: list[ServiceCall]) -> None:
    hass.states.async_set("sensor.tariff", "1")
    await use(hass, "tariff_changed", tariff="sensor.tariff", tariffs=["2"])
    for state in ("unavailable", "2", "1", "2"):
        hass.states.async_set("sensor.tariff", state)
        await hass.async_block_till_done()
    assert [(str(call.data["before"]), str(call.data["now"])) for call in calls] == [("1", "2")]


def test_the_dashboard_names_what_a_meter_has() -> None:
    text = (ROOT / "docs" / "dashboard.yaml").read_text()
    assert [view["title"] for view in yaml.safe_load(text)["views"]] == ["Meter"]
    keys = set(re.findall(r"sensor\.house_(\w+)", text))
    catalogued = set((ROOT / "tests" / "meter" / "keys.txt").read_text().split())
    assert keys - {"meter_status", "status"} <= catalogued  # the component's and the bridge's own
