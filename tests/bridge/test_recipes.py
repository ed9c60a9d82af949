"""The recipes for other programs: every file is loaded, every topic, key and metric in it exists, functions are run."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.http.metrics import metrics
from tests.bridge.test_metrics import snapshot, value

FOLDER = Path(__file__).parents[2] / "docs/recipes"
KEYS = set((Path(__file__).parents[1] / "meter/keys.txt").read_text().split()) | {
    "power",
    "power_l1",
    "power_l2",
    "power_l3",
}
NODE = shutil.which("node")
STATE = {"power": -250, "energy_import": 12.5, "energy_export": 3, "power_l1": -250, "voltage_l1": 231, "current_l1": 1}


def recipe(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def test_every_file_is_on_the_page() -> None:
    page = recipe("index.md")
    assert {file.name for file in FOLDER.iterdir()} - {"index.md"} == set(re.findall(r"\[([\w.-]+)\]\(\1\)", page))


@pytest.mark.parametrize("name", sorted(file.name for file in FOLDER.iterdir()))
def test_every_topic_exists(name: str) -> None:
    topics = Topics("dlms_mqtt", "main")
    meter = topics.meter("house")
    known = {topics.state, meter.availability, meter.state, f"{meter.root}/response/read"}
    known |= {meter.request("read"), meter.request("write")}
    known |= {"dlms_mqtt/meter/+/reading", "dlms_mqtt/bridge/+/state", "dlms_mqtt/meter/+/availability"}
    known |= {"dlms_mqtt/bridge/<id>/state"} | {meter.value(key) for key in KEYS}
    assert set(re.findall(r"dlms_mqtt/(?:bridge|meter)/[\w<>+/]*", recipe(name))) <= known


def test_telegraf_names_no_keyword_of_influxql() -> None:
    (readings, _) = tomllib.loads(recipe("telegraf.conf"))["inputs"]["mqtt_consumer"]
    (parser,) = readings["json_v2"]
    tags = [row.get("rename", row["path"]) for row in parser["tag"]]
    assert tags == ["meter", "quantity", "unit"]
    reading = {"meter", "seq", "time", "key", "obis", "class", "attribute", "value", "text", "unit", "raw", "quality"}
    assert {row["path"] for row in (*parser["tag"], *parser["field"])} | {parser["timestamp_path"]} <= reading


def test_every_metric_of_the_rules_exists() -> None:
    assert yaml.safe_load(recipe("prometheus.yml"))["rule_files"] == ["prometheus-rules.yml"]
    (group,) = yaml.safe_load(recipe("prometheus-rules.yml"))["groups"]
    text = metrics(snapshot(house={"energy_import": value(Decimal(1), "kWh", "total_increasing")}))
    names = set(re.findall(r"^(\w+)\{", text, re.MULTILINE))
    wanted = {name for rule in group["rules"] for name in re.findall(r"\bdlms_\w+", rule["expr"])}
    assert len(wanted) == 4 and wanted <= names


def test_evcc_waits_longer_than_a_value_lives() -> None:
    (meter,) = yaml.safe_load(recipe("evcc.yaml"))["meters"]
    sources = [meter["power"], meter["energy"], *meter["powers"], *meter["currents"], *meter["voltages"]]
    assert len(sources) == 11 and all(int(row["timeout"].removesuffix("s")) > 120 for row in sources)


def flow() -> dict[str, dict[str, Any]]:
    return {node["id"]: node for node in json.loads(recipe("node-red.json"))}


def test_the_flow_is_wired() -> None:
    nodes = flow()
    targets = {name for node in nodes.values() for wires in node.get("wires", ()) for name in wires}
    assert targets <= set(nodes)
    assert all(node["broker"] in nodes for node in nodes.values() if node["type"].startswith("mqtt "))


def run(name: str, *messages: dict[str, Any]) -> list[Any]:
    """What a function node gives for these messages, by Node.js."""
    code = f"""
const kept = {{}};
const context = {{ get: (key) => kept[key], set: (key, value) => {{ kept[key] = value; }} }};
const told = [];
const node = {{ status() {{}}, error: (text) => told.push(text) }};
const work = new Function("msg", "context", "node", {json.dumps(flow()[name]["func"])});
const found = {json.dumps(messages)}.map((msg) => work(msg, context, node));
console.log(JSON.stringify([found, told]));
"""
    assert NODE
    result = subprocess.run([NODE, "-e", code], capture_output=True, text=True, check=True, timeout=120)
    return json.loads(result.stdout)  # type: ignore[no-any-return]


@pytest.mark.skipif(not NODE, reason="no Node.js here")
def test_the_functions_of_the_flow() -> None:
    state = {"topic": "dlms_mqtt/meter/house/state", "payload": STATE}
    meter, bridge = "dlms_mqtt/meter/house/availability", "dlms_mqtt/bridge/main/state"
    found, _ = run(
        "fresh",
        state,
        {"topic": meter, "payload": "online"},
        state,
        {"topic": bridge, "payload": "online"},
        state,
        {"topic": bridge, "payload": "offline"},
        state,
    )
    assert found == [None, None, None, None, state, None, None]
    found, _ = run("victron", state)
    grid = found[0]["payload"]["grid"]
    assert grid["power"] == -250 and grid["L1"] == {"power": -250, "voltage": 231, "current": 1} and "L2" not in grid
    found, _ = run("ask", {"_msgid": "x"})
    assert found[0]["payload"]["id"] == "x" and len(found[0]["payload"]["items"]) == 2
    values = [{"obis": "1.0.1.8.0.255", "value": 1.5, "unit": "kWh", "raw": 1500}]
    replies = [
        {"payload": {"status": "progress"}},
        {"payload": {"status": "error", "error": {"message": "no", "hint": "look"}}},
        {"payload": {"status": "ok", "data": {"values": values}}},
    ]
    found, told = run("reply", *replies)
    assert found[:2] == [None, None] and told == ["no look"]
    assert found[2]["payload"] == [{"obis": "1.0.1.8.0.255", "value": 1.5, "unit": "kWh"}]
