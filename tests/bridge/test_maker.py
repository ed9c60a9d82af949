"""Who made a meter, and which one it is: from the meter's own words, else from its preset."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge.homeassistant.maker import _MAKERS, maker, model
from dlms_mqtt.bridge.meters.output.announcer import _family
from dlms_mqtt.meter.presets.preset import load_preset, preset_names
from tests.bridge.house import house

AIDON = {"list_version": "AIDON_V0001", "device_id_7": "6525"}
KAMSTRUP = {"list_version": "Kamstrup_V0001", "device_id_1": "6841121BN243101040"}
KAIFA = {"logical_device_name": "KFM1200200182517"}
DLMS = {"logical_device_name": "ISK1030775213859", "device_id_7": "anything"}


@pytest.mark.parametrize(
    ("texts", "preset", "made_by", "type_"),
    [
        (AIDON, "norway-han", "Aidon", "6525"),
        (KAMSTRUP, "generic", "Kamstrup", "6841121BN243101040"),
        (DLMS, "generic", "Iskraemeco", ""),
        (DLMS, "iskraemeco-me371", "Iskraemeco", "ME371, MT382"),
        (DLMS, "kaifa-ma309", "Iskraemeco", ""),
        (KAIFA, "kaifa-ma309", "Kaifa", "MA110, MA309"),
        ({}, "elster-as3500", "Elster", "AS3500"),
        ({}, "kamstrup-optical", "Kamstrup", ""),
        ({"logical_device_name": "XYZ1234"}, "generic", "XYZ", ""),
        ({"logical_device_name": "4b464d"}, "generic", "", ""),
        ({}, "generic", "", ""),
    ],
)
def test_who_and_which(texts, preset, made_by, type_):
    family = load_preset(preset)
    assert (maker(texts, family), model(texts, family)) == (made_by, type_)


def test_the_names_are_those_of_the_presets():
    presets = [load_preset(name) for name in preset_names()]
    assert set(_MAKERS.values()) <= {preset.get("manufacturer") for preset in presets}
    known = {(word[:3].upper(), preset["manufacturer"]) for preset in presets for word in _words(preset)}
    assert known == set(_MAKERS.items()) - {("ITR", "Itron"), ("ZIV", "ZIV")}


def _words(preset):
    """What begins with the maker's letters: identifications, system titles and names of lists."""
    match = preset.get("match") or {}
    titles = [bytes.fromhex(title).decode() for title in match.get("system_title", ())]
    return [*match.get("flag", ()), *titles, *match.get("list", ())]


def test_a_preset_that_has_gone_says_nothing(tmp_path):
    assert _family(str(tmp_path / "gone.yaml")) == {}


async def test_the_device_in_home_assistant(mosquitto, tmp_path, meter):
    """A preset of the user's own speaks too."""
    own = tmp_path / "own.yaml"
    own.write_text("name: Simulated S1 (TCP)\nmanufacturer: Simulated\n")
    text = (
        f'  house:\n    preset: {own}\n    connection: {{tcp: "127.0.0.1:{meter.port}", client: 17}}\n    every: 1s\n'
    )
    topic = "homeassistant/device/dlms_mqtt_house/config"
    async with house(mosquitto, tmp_path, text) as home:
        await home.until(lambda: "sensor_energy_import" in home.seen.latest.get(topic, ""))
        device = home.seen.json(topic)["device"]
    assert (device["manufacturer"], device["model"]) == ("Simulated", "S1")
