"""How a running bridge does, asked from outside: of its HTTP listener, or of what it keeps at the broker.

Both give the object of ``/state.json``; what the broker does not know (names, units, the load curve) is missing there.
"""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from dlms_mqtt.bridge.api.payload import loads
from dlms_mqtt.bridge.api.topics import MeterTopics, Topics
from dlms_mqtt.bridge.config.sections.bridge import HTTP_PORT
from dlms_mqtt.bridge.config.sections.config import Config
from dlms_mqtt.bridge.mqtt.client import Client
from dlms_mqtt.bridge.mqtt.enquiry import enquire, kept
from dlms_mqtt.errors import ConfigError, ConnectFailed
from dlms_mqtt.transport.base import format_address, parse_address

_LONGEST = 64 * 1024 * 1024  # octets of an answer
_SILENCE = 3.0  # s without a message: the broker keeps no more
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where a server listens on all, one address is asked
Document = dict[str, Any]


def listener_url(listen: str) -> str:
    """Where the listener of a configuration is asked."""
    host, port = parse_address(listen, HTTP_PORT)
    return f"http://{format_address(_ANY.get(host, host), port)}"


def from_listener(url: str, timeout: float) -> Document:
    """``/state.json`` of a listener; ConfigError, ConnectFailed."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    if parts.scheme not in kinds or not parts.hostname:
        raise ConfigError(f"'{url}' is no address of a bridge", hint="Write http://127.0.0.1:9780.")
    try:
        connection = kinds[parts.scheme](parts.hostname, parts.port, timeout=timeout)
        connection.request("GET", f"{parts.path.rstrip('/')}/state.json")
        document = json.loads(connection.getresponse().read(_LONGEST))
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise ConnectFailed(
            f"the bridge at {parts.scheme}://{parts.netloc} does not answer: {error or type(error).__name__}",
            hint="Does it run, and has its configuration http: {listen: ...}?",
        ) from None
    if not isinstance(document, dict) or not {"status", "reasons", "bridge", "meters"} <= set(document):
        raise ConnectFailed(f"what answers at {parts.scheme}://{parts.netloc} is no dlms-mqtt")
    return document


def from_broker(config: Config, timeout: float) -> Document:
    """What the bridge of this configuration keeps at its broker; ConfigError, ConnectFailed."""
    topics = Topics(config.mqtt.base_topic, config.bridge.id)
    return document_of(
        topics, asyncio.run(enquire(config.mqtt, timeout, lambda client: _everything_of(client, topics)))
    )


async def _everything_of(client: Client, topics: Topics) -> dict[str, str]:
    found = await _collect(client, [topics.state, topics.info, topics.health])
    own = [topics.meter(row["id"]) for row in _json(found.get(topics.info)).get("meters", ())]
    wanted = [topic for meter in own for topic in (meter.availability, meter.state)]
    return found | (await _collect(client, wanted) if wanted else {})


async def _collect(client: Client, wanted: list[str]) -> dict[str, str]:
    """The retained messages of these topics; where one has none, a silence ends it."""
    found: dict[str, str] = {}
    async for message in kept(client, wanted, _SILENCE):
        found[message.topic] = message.payload.decode(errors="replace")
        if len(found) == len(wanted):
            break
    return found


def document_of(topics: Topics, retained: Mapping[str, str]) -> Document:
    """The document, of what is retained by topic."""
    info, health = _json(retained.get(topics.info)), _json(retained.get(topics.health))
    word = retained.get(topics.state) or "nothing"
    if word != "online":
        sentence = f"the bridge is not there: {topics.state} says {word}"
        health = {"status": "failing", "reasons": [sentence], "counters": {}, "meters": {}}
    elif not health:
        health = {"status": "degraded", "reasons": ["the bridge has not told yet how it is"], "meters": {}}
    return {
        "bridge": {"id": topics.bridge, "version": info.get("version"), "started": info.get("started")},
        **{name: health.get(name, {}) for name in ("status", "reasons", "counters")},
        "meters": {
            row["id"]: _meter(row, topics.meter(row["id"]), retained, health.get("meters", {}))
            for row in info.get("meters", ())
        },
    }


def _meter(
    row: Mapping[str, Any], topics: MeterTopics, retained: Mapping[str, str], health: Mapping[str, Any]
) -> Document:
    state = _json(retained.get(topics.state))
    times = state.pop("_time", {})
    return {
        "name": row.get("name", row["id"]),
        "online": retained.get(topics.availability) == "online",
        "values": {key: {"value": value, "unit": "", "time": times.get(key)} for key, value in state.items()},
        "health": health.get(row["id"], {}),
    }


def _json(text: str | None) -> Document:
    """The object; an empty one for nothing, or for what is none."""
    try:
        found = loads(text or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
