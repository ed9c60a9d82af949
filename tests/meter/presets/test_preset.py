"""Presets: every claim has a source, and is true of the captures of its family."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.client.settings import parse_options
from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.presets.preset import (
    load_preset,
    matching,
    preset_connection,
    preset_names,
    preset_scalers,
    stated,
)
from dlms_mqtt.protocol.framing.hdlc.address import decode_address
from dlms_mqtt.protocol.framing.hdlc.frame import Frame, read_frame
from dlms_mqtt.protocol.framing.sign_on import find_identification
from dlms_mqtt.protocol.obis import Obis
from tests.frames_data import entries, entry

FAMILIES = """landis iskraemeco kamstrup kaifa sagemcom aidon elster honeywell itron emh hexing addax energomera spodes
is15959 norway sweden denmark switzerland austria czech luxembourg""".split()  # noqa: SIM905

#: preset -> (push file, what its captures have in common)
CAPTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "landis-gyr-e450": ("push_landis-gyr", {}),
    "iskraemeco-am550": ("push_iskraemeco", {}),
    "kamstrup-omnipower": ("push_kamstrup", {}),
    "kaifa-ma309": ("push_kaifa", {"country": "Austria"}),
    "kaifa-ma304": ("push_kaifa", {"country": "Norway"}),
    "sagemcom-t210-d": ("push_sagemcom", {}),
    "aidon-norway": ("push_aidon", {"country": "Norway"}),
    "aidon-sweden": ("push_aidon", {"country": "Sweden"}),
    "honeywell-dm515": ("push_others", {"country": "Austria"}),
    "czech-egd": ("push_others", {"country": "Czechia"}),
    "denmark-han": ("push_kamstrup", {"id": "dlmsparser-hdlc-kamstrup-omnipower"}),
    "norway-han": ("push", {"country": "Norway"}),
    "sweden-han": ("push", {"country": "Sweden"}),
    "switzerland-cii": ("push", {"country": "Switzerland"}),
    "austria-mbus": ("push", {"country": "Austria", "framing": "mbus"}),
}
CASES = [
    pytest.param(preset, item, id=f"{preset}-{item['id']}")
    for preset, (file, wanted) in CAPTURES.items()
    for item in entries(file, **wanted)
]


@pytest.mark.parametrize("name", preset_names())
def test_every_claim_has_a_source_and_says_how_sure(name: str) -> None:
    preset = load_preset(name)
    assert preset["name"]
    parse_options(preset_connection(name))
    claimed = set()
    for claim in preset.get("claims") or ():
        assert claim["source"].strip()
        assert claim["says"].strip()
        assert claim["sure"] in ("high", "medium", "low")
        claimed |= set(claim["about"])
    assert claimed == set(stated(preset)), name


def test_every_family_is_there() -> None:
    names = " ".join(preset_names())
    assert [family for family in FAMILIES if family not in names] == []


def test_no_preset_knows_a_secret() -> None:
    secret = ("password", "_key")
    for name in preset_names():
        assert not [key for key in preset_connection(name) if key.endswith(secret)], name


@pytest.mark.parametrize(("name", "item"), CASES)
def test_push_claims_are_true_of_the_captures(name: str, item: dict[str, Any]) -> None:
    push, match = load_preset(name)["push"], load_preset(name).get("match") or {}
    expected = item["expected"]
    # A capture without framing lost it before it was published.
    assert item["framing"] in (*push["framing"], "raw-apdu")
    if "layout" in push and expected.get("layout"):
        assert expected["layout"] in push["layout"]
    ciphering = expected.get("ciphering")
    if item["framing"] != "raw-apdu":
        assert (ciphering is not None) in {"always": (True,), "never": (False,), "sometimes": (True, False)}[
            push["ciphered"]
        ]
    if ciphering and "system_title" in match:
        assert ciphering["system_title"].startswith(tuple(match["system_title"]))
        assert name in matching(system_title=bytes.fromhex(ciphering["system_title"]))


@pytest.mark.parametrize("item", entries("vectors_sign_on", group="sign-on"), ids=lambda item: str(item["id"]))
def test_identifications_lead_to_their_presets(item: dict[str, Any]) -> None:
    found = find_identification(bytes.fromhex(item["hex"]))
    if found is None:
        return
    names = matching(flag=found[0].manufacturer)
    assert names, found[0]
    assert all(found[0].manufacturer in load_preset(name)["match"]["flag"] for name in names)


def test_clients_of_conversations() -> None:
    saral = entry("conversations", "secure-saral-clock-read")
    spodes = entry("conversations", "wirenboard-lls-temperature")
    for item, preset in ((saral, "is15959"), (spodes, "spodes")):
        frame = read_frame(bytes.fromhex(item["frames"][0][1]), 0, final=True)
        assert isinstance(frame, Frame)
        ends = {decode_address(frame.source).upper, decode_address(frame.destination).upper}
        assert preset_connection(preset)["client"] in ends
    associations = spodes["expected"]["associations"]
    assert associations[0]["mechanism"] == "LLS"
    assert preset_connection("spodes")["authentication"] == "low"


def test_a_family_that_pushes_brings_speed_and_parity_of_its_port() -> None:
    assert preset_connection("aidon-norway") == {"baud": 2400, "parity": "even"}
    assert preset_connection("landis-gyr-e450") == {}  # two speeds: nobody knows which
    for name in preset_names():
        push = load_preset(name).get("push") or {}
        assert "parity" not in push or preset_connection(name)["parity"] == push["parity"]


def test_a_list_by_name() -> None:
    assert "kaifa-ma304" in matching(list_name="KFM_001")
    assert matching() == []


OWN = """
name: Mine
connection: {opening: sign-on, client: 5}
push:
  scalers:
    - {obis: 1.0.31.7.0.255, scaler: -2, unit: A}
    - {obis: 1.0.1.8.0.255, scaler: 1, unit: Wh}
"""


def test_a_file_of_the_users_own_works_the_same_way(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(OWN)
    assert preset_connection(str(path)) == {"opening": "sign-on", "client": 5}
    assert preset_scalers(str(path))[Obis.parse("1.0.31.7.0.255")] == ScalerUnit(-2, 33)


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        "name: x\nconection: {}\n",
        "name: x\nconnection: {bawd: 1}\n",
        "name: x\nconnection: {baud: many}\n",
        "name: x\nmatch: {colour: red}\n",
        "name: x\npush: [1]\n",
        "name: x\npush: {baud: 2400}\n",
        "name: x\npush: {baud: [fast]}\n",
        "name: x\npush: {baud: [1]}\n",
        "name: x\npush: {parity: both}\n",
        "name: x\npush: {every: often}\n",
        "name: x\nmatch: {flag: DMQ}\n",
        "name: x\nclaims: [it works]\n",
        "name: x\npush: {scalers: [{obis: 1.0.1.8.0.255}]}\n",
        "name: x\n  y: [\n",
    ],
)
def test_mistakes_in_it_are_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_preset(str(path))
    assert "mine.yaml" in str(caught.value.file or caught.value)


@pytest.mark.parametrize(
    "row", ["{obis: 1.0.1.8.0.255}", "{obis: x, scaler: 0, unit: Wh}", "{obis: 1.0.1.8.0.255, scaler: 0, unit: apples}"]
)
def test_wrong_scalers_are_told(tmp_path: Path, row: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"push:\n  scalers: [{row}]\n")
    with pytest.raises(ConfigError):
        preset_scalers(str(path))


def test_there_is_no_such_preset() -> None:
    with pytest.raises(ConfigError, match="no preset"):
        load_preset("unheard-of")
