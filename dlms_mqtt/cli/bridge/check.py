"""``dlms-mqtt check --config FILE``: what would be read, when, and to which topics; touches no meter.

``--broker`` also looks what stands at the broker of meters that nobody has, and ``--clear`` clears it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC
from itertools import chain
from typing import Any

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.config.doubts import doubts
from dlms_mqtt.bridge.config.load import Loaded, load_config
from dlms_mqtt.bridge.config.sections.meter import Meter
from dlms_mqtt.bridge.config.speaking import OWN_LINE, polls
from dlms_mqtt.bridge.mqtt.client import Client
from dlms_mqtt.bridge.mqtt.enquiry import enquire
from dlms_mqtt.bridge.presence.ghosts import clear, ghosts, retained_below
from dlms_mqtt.bridge.reading.plan import make_plan, needs_object_list
from dlms_mqtt.bridge.reading.schedule import At, Schedule
from dlms_mqtt.cli.configuration import add_config, needed_config
from dlms_mqtt.cli.output import coloured, print_json, say, table, warn
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.meter.presets.preset import preset_connection
from dlms_mqtt.transport.base import format_address

_SETS = {
    "core": "the core set of what the meter's object list offers",
    "all": "everything of the meter's object list that has a meaning",
    "none": "nothing but what is named",
}

_TIMEOUT = 60.0  # s for all that is asked of the broker
EXAMPLE = "--config config.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``check``."""
    add_config(parser)
    parser.add_argument(
        "--broker", action="store_true", help="also list what stands at the broker of meters that no bridge has"
    )
    parser.add_argument("--clear", action="store_true", help="with --broker: clear that")
    parser.add_argument("--json", action="store_true", help="one JSON document")


def run(args: argparse.Namespace) -> int:
    """Load the configuration and print the plan. ConfigError names every mistake; ConnectFailed: no broker."""
    if args.clear and not args.broker:
        raise ConfigError("--clear goes with --broker: it clears what that finds")
    loaded = load_config(needed_config(args.config), preset_connection, os.environ)
    document = plan_json(loaded)
    for warning in (*loaded.warnings, *doubts(loaded)):
        warn(warning)
    if args.broker:
        document["left_behind"] = asyncio.run(enquire(loaded.config.mqtt, _TIMEOUT, _look(loaded, args.clear)))
    if args.json:
        print_json(document)
    else:
        _print(document)
    return 0


def _look(loaded: Loaded, clearing: bool) -> Callable[[Client], Awaitable[dict[str, Any]]]:
    config = loaded.config
    topics = Topics(config.mqtt.base_topic, config.bridge.id, config.mqtt.discovery.prefix)

    async def look(client: Client) -> dict[str, Any]:
        found = ghosts(await retained_below(client, topics), topics, {*config.meters, *loaded.broken})
        refused = await clear(client, list(chain.from_iterable(found.values()))) if clearing else []
        return {"meters": found, "cleared": clearing and not refused, "refused": refused}

    return look


def plan_json(loaded: Loaded) -> dict[str, Any]:
    """The configuration in force, without secrets."""
    config = loaded.config
    topics = Topics(config.mqtt.base_topic, config.bridge.id, config.mqtt.discovery.prefix)
    return {
        "bridge": config.bridge.id,
        "broker": format_address(config.mqtt.host, config.mqtt.broker_port),
        "base_topic": config.mqtt.base_topic,
        "meters": {name: _meter_json(name, meter, loaded, topics) for name, meter in config.meters.items()},
    }


def _meter_json(name: str, meter: Meter, loaded: Loaded, topics: Topics) -> dict[str, Any]:
    plan = make_plan(meter, (), UTC)  # the zone changes moments, not what is shown of them
    connection = loaded.connections.get(name)
    own = topics.meter(name)
    line = connection.line if connection else ""
    is_polled = polls(meter, line)
    return {
        "name": meter.name or name,
        "enabled": meter.enabled,
        "managed": name in loaded.managed,
        "preset": meter.preset,
        "line": line or (meter.push.listen if meter.push else ""),
        "polled": is_polled,
        "listens": _listens(meter, line),
        "set": meter.read.set,
        "needs_object_list": is_polled and needs_object_list(meter),
        "every": meter.every,
        "items": [
            {
                "key": item.key,
                "obis": str(item.attribute.obis),
                "class": item.attribute.class_id,
                "attribute": item.attribute.attribute,
                "when": _when(item.schedule) if is_polled else "when pushed",
                "topic": own.value(item.key),
            }
            for item in plan.items
        ],
        "computed": {key: formula.value.text for key, formula in meter.derive.items() if formula.value},
        "unknown_class": list(plan.missing),
        "actions": {key: own.do(key) for key in meter.actions},
        "writable": {item.key: own.set(item.key) for item in plan.items if item.config and item.config.writable},
        "profiles": [own.profile(row.key) for row in meter.profiles if row.key],
        "state_topic": own.state,
        "value_topic": own.value("<key>"),
    }


def _listens(meter: Meter, line: str) -> str:
    """Where its pushes are taken: an address of ours, its own line, or nowhere."""
    url = meter.push.listen if meter.push else ""
    if url == OWN_LINE:
        return line
    return url


def _work(meter: dict[str, Any]) -> Iterator[str]:
    """What will really be done for a meter."""
    if meter["polled"]:
        yield f"reads {_SETS[meter['set']]}, every {meter['every']:g} s"
    if meter["listens"]:
        only = "" if meter["polled"] else "; it is never asked"
        yield f"listens on {meter['listens']}, and takes what comes as often as it comes{only}"
    for key, value in meter["computed"].items():
        yield f"computes {key} = {value}"
    if not meter["polled"] and not meter["listens"] and not meter["computed"]:
        yield "nothing is read and nothing listened to"


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
        for sentence in _work(meter):
            say(f"  {sentence}")
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
    if "left_behind" in document:
        _print_left_behind(document["left_behind"])
    say("")
    good = "The configuration is good." if document["meters"] else "The configuration is good, but it has no meters."
    say(coloured(good, "green", sys.stdout))


def _print_left_behind(found: dict[str, Any]) -> None:
    say("")
    if not found["meters"]:
        say("Nothing stands at the broker of meters that no bridge has.")
        return
    say("At the broker, of meters that no bridge has:")
    for name, topics in found["meters"].items():
        say(f"  {name}: {len(topics)} topics, such as {topics[0]}")
    if found["refused"]:
        warn(f"the broker does not let us clear {len(found['refused'])} of them, such as {found['refused'][0]}")
    else:
        say("They are cleared." if found["cleared"] else "Clear them with --clear.")
