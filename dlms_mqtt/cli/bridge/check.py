"""``dlms-mqtt check --config FILE``: what would be read, when, and to which topics; touches no meter and no broker."""

from __future__ import annotations

import argparse
import os
from datetime import UTC
from pathlib import Path
from typing import Any

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.load import Loaded, load_config
from dlms_mqtt.bridge.config.sections import Meter
from dlms_mqtt.bridge.reading.plan import make_plan, needs_object_list
from dlms_mqtt.bridge.reading.schedule import At, Schedule
from dlms_mqtt.cli.output import note, print_json, say, table
from dlms_mqtt.meter.presets.preset import preset_connection

_SETS = {
    "core": "the core set of what the meter's object list offers",
    "all": "everything of the meter's object list that has a meaning",
    "none": "nothing but what is named",
}

EXAMPLE = "--config config.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``check``."""
    parser.add_argument("--config", metavar="FILE", type=Path, required=True, help="the configuration")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(args: argparse.Namespace) -> int:
    """Load the configuration and print the plan. ConfigError names every mistake."""
    loaded = load_config(args.config, preset_connection, os.environ)
    document = plan_json(loaded)
    for warning in loaded.warnings:
        note(f"warning: {warning}")
    if args.json:
        print_json(document)
    else:
        _print(document)
    return 0


def plan_json(loaded: Loaded) -> dict[str, Any]:
    """The configuration in force, without secrets."""
    config = loaded.config
    topics = Topics(config.mqtt.base_topic, config.bridge.id, config.mqtt.discovery.prefix)
    return {
        "bridge": config.bridge.id,
        "broker": f"{config.mqtt.host}:{config.mqtt.broker_port}",
        "base_topic": config.mqtt.base_topic,
        "meters": {name: _meter_json(name, meter, loaded, topics) for name, meter in config.meters.items()},
    }


def _meter_json(name: str, meter: Meter, loaded: Loaded, topics: Topics) -> dict[str, Any]:
    plan = make_plan(meter, (), UTC)  # the zone changes moments, not what is shown of them
    connection = loaded.connections.get(name)
    own = topics.meter(name)
    return {
        "name": meter.name or name,
        "enabled": meter.enabled,
        "managed": name in loaded.managed,
        "preset": meter.preset,
        "line": connection.line if connection else (meter.push.listen if meter.push else ""),
        "set": meter.read.set,
        "needs_object_list": needs_object_list(meter),
        "every": meter.every,
        "items": [
            {
                "key": item.key,
                "obis": str(item.attribute.obis),
                "class": item.attribute.class_id,
                "attribute": item.attribute.attribute,
                "when": _when(item.schedule),
                "topic": own.value(item.key),
            }
            for item in plan.items
        ],
        "unknown_class": list(plan.missing),
        "actions": {key: own.do(key) for key in meter.actions},
        "writable": {item.key: own.set(item.key) for item in plan.items if item.said and item.said.writable},
        "profiles": [own.profile(row.key) for row in meter.profiles if row.key],
        "state_topic": own.state,
        "value_topic": own.value("<key>"),
    }


def _when(schedule: Schedule) -> str:
    if isinstance(schedule, At):
        return "at " + ", ".join(f"{hour:02}:{minute:02}" for hour, minute in schedule.times)
    return f"every {schedule.seconds:g} s"


def _print(document: dict[str, Any]) -> None:
    say(f"bridge {document['bridge']}, broker {document['broker']}, topics below {document['base_topic']}/")
    for name, meter in document["meters"].items():
        say("")
        state = "" if meter["enabled"] else " (switched off)"
        say(f"meter {name}: {meter['name']}{state}, on {meter['line'] or 'no line'}, preset {meter['preset']}")
        say(f"  reads {_SETS[meter['set']]}, every {meter['every']:g} s")
        say(f"  to {meter['state_topic']} and {meter['value_topic']}")
        rows = [(i["key"], f"{i['class']}/{i['obis']}:{i['attribute']}", i["when"], i["topic"]) for i in meter["items"]]
        if rows:
            say("\n".join("  " + line for line in table(rows, ("KEY", "OBJECT", "WHEN", "TOPIC")).splitlines()))
        for kind, word in (("writable", "writes"), ("actions", "actions")):
            for topic in meter[kind].values():
                say(f"  {word} on {topic}")
        for topic in meter["profiles"]:
            say(f"  profile rows to {topic}")
        for obis in meter["unknown_class"]:
            say(f"  the class of {obis} is not known: it will be looked up in the meter's object list")
    say("")
    say("The configuration is good." if document["meters"] else "The configuration is good, but it has no meters.")
