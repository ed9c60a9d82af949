"""Discovery in both styles: which topics, what is cleared, and what becomes of the other style's messages."""

from __future__ import annotations

import json
import re

from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.house import METER, house, kept_by


def _announced(seen) -> set[str]:
    return {topic for topic, text in seen.latest.items() if topic.startswith("homeassistant/") and text}


async def test_the_style_is_changed_and_back_and_nothing_is_left(mosquitto, tmp_path):
    """Seen by a client that starts afterwards; a removed meter leaves none of its many messages."""
    whole = {"homeassistant/device/dlms_mqtt_house/config", "homeassistant/device/dlms_mqtt_bridge_main/config"}
    async with serve_tcp(household(1)) as server:
        meters = METER.replace("PORT", str(server.port))
        power = "homeassistant/sensor/dlms_mqtt_house/power/config"
        status = "homeassistant/sensor/dlms_mqtt_bridge_main/status/config"

        def as_one(topics: set[str]) -> bool:
            return topics == whole

        def each(topics: set[str]) -> bool:
            return {power, status} <= topics and not whole & topics

        for style, right in (("device", as_one), ("components", each), ("device", as_one)):
            async with house(mosquitto, tmp_path, meters, mqtt=f"discovery: {{style: {style}}}") as home:
                await home.until(lambda: '"power"' in home.meter("state"))
                await home.until(lambda right=right: right(_announced(home.seen)))
            kept = await kept_by(mosquitto.port, "homeassistant/#")
            assert right(set(kept))
            if style == "device":
                continue
            found = json.loads(kept[power][0])
            assert found["unique_id"] == "dlms_mqtt_house_power" and "platform" not in found
            assert found["device"]["identifiers"] == ["dlms_mqtt_house"] and found["origin"]["name"] == "dlms-mqtt"
            assert all(re.fullmatch(r"homeassistant/[a-z_]+/[\w-]+/[\w-]+/config", name) for name in kept)
        async with house(mosquitto, tmp_path, meters, mqtt="discovery: {style: components}") as home:
            await home.until(lambda: home.seen.latest.get(power))
        async with house(mosquitto, tmp_path, "", mqtt="discovery: {style: components}") as home:
            await home.until(lambda: not {name for name in _announced(home.seen) if "dlms_mqtt_house" in name})
            await home.until(lambda: home.seen.latest.get(status))
        async with house(mosquitto, tmp_path, "", mqtt="discovery: {enabled: false}") as home:
            await home.until(lambda: not _announced(home.seen))
