"""What stands at the broker below our base topic of meters that no bridge has: after a lost state directory, say.

A meter is owned where the configuration has it, or the ``info`` of a bridge: of our own id only while that is online,
for what it said before may be what was lost.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.homeassistant.discovery import ORIGIN_NAME
from dlms_mqtt.bridge.mqtt.client import Client
from dlms_mqtt.bridge.mqtt.enquiry import kept
from dlms_mqtt.bridge.presence.id_claims import info_in

_SILENCE = 2.0  # s without another retained topic: the broker keeps no more
_MOST = 100_000  # topics that are looked at


async def retained_below(client: Client, topics: Topics) -> dict[str, str]:
    """What the broker keeps of ours, by topic: payloads of discovery and of bridges, else that there is something."""
    found: dict[str, str] = {}
    prefix = topics.prefix
    filters = [f"{topics.base}/#", f"{prefix}/device/+/config", f"{prefix}/+/+/+/config"]
    async for message in kept(client, filters, _SILENCE):
        is_kept = not message.topic.startswith(f"{topics.base}/meter/")
        found[message.topic] = message.payload.decode(errors="replace") if is_kept else "..."
        if len(found) >= _MOST:
            break
    return found


def ghosts(retained: Mapping[str, str], topics: Topics, meters: Collection[str]) -> dict[str, list[str]]:
    """The topics of each meter that nobody has. ``meters``: those of our configuration."""
    owned = {*meters, *_of_bridges(retained, topics)}
    found: dict[str, list[str]] = {}
    for topic, payload in sorted(retained.items()):
        meter = _meter_of(topic, payload, topics)
        if meter and meter not in owned:
            found.setdefault(meter, []).append(topic)
    return found


def _meter_of(topic: str, payload: str, topics: Topics) -> str:
    """Whose topic this is; empty for what is no meter's, or not of our base topic."""
    if topic.startswith(f"{topics.base}/meter/"):
        return topic.removeprefix(f"{topics.base}/meter/").partition("/")[0]
    if topic.startswith(f"{topics.base}/") or f'"{ORIGIN_NAME}"' not in payload:
        return ""
    named = re.search(rf'"{re.escape(topics.base)}/meter/([^"/]+)/', payload)
    return named[1] if named else ""


def _of_bridges(retained: Mapping[str, str], topics: Topics) -> Iterator[str]:
    gone = topics.info if retained.get(topics.state) != "online" else ""
    for topic, payload in retained.items():
        if topic.startswith(f"{topics.base}/bridge/") and topic.endswith("/info") and topic != gone:
            yield from info_in(payload.encode()).meters


async def clear(client: Client, topics: list[str]) -> list[str]:
    """Clear these retained topics; those that the broker refuses to clear."""
    return [topic for topic in topics if await client.send(topic, "", retain=True)]
