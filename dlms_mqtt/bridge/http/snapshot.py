"""Everything that the bridge knows now, as one JSON object: ``/state.json``; the page and ``/metrics`` are made of it.

What MQTT says of values and health stands here too, word for word; names are in the language that is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from dlms_mqtt.bridge.config.sections.config import Config
from dlms_mqtt.bridge.homeassistant.entities import STATUS
from dlms_mqtt.bridge.meters.poller import MeterTask
from dlms_mqtt.bridge.reading.latest_values import Value
from dlms_mqtt.bridge.reading.plan import PlanItem
from dlms_mqtt.languages.texts import languages, shorter, translated
from dlms_mqtt.meter.readings import Reading
from dlms_mqtt.transport.clock import Clock

#: What the page says beside names of values.
TEXTS = (
    "Connected to the broker",
    "Not connected to the broker",
    "Energy import",
    "Energy export",
    "Power",
    "Power today",
    "Voltages",
    "Currents",
    "Line quality",
    "Last success",
    "Next try",
    "All values",
    "import",
    "export",
    "online",
    "offline",
    "no meters",
    "The bridge does not answer",
    *STATUS,
    "degraded",
    "failing",
)
_NO_BROKER = "no line to the broker"


class Source(Protocol):
    """The bridge, as far as it is looked at here."""

    started: str
    version: str

    @property
    def config(self) -> Config:
        """The configuration in force."""
        ...

    @property
    def meters(self) -> Mapping[str, MeterTask]:
        """The meters at work."""
        ...

    @property
    def broker_trouble(self) -> str | None:
        """Why there is no line to the broker, perhaps empty; None: there is one."""
        ...

    def health(self) -> dict[str, Any]:
        """The health message."""
        ...


class Snapshot:
    """Of one bridge. Call it: the object, in a language (the configured one where that is not known)."""

    def __init__(self, source: Source, clock: Clock) -> None:
        self._source, self._clock = source, clock

    def __call__(self, language: str = "") -> dict[str, Any]:
        """See above."""
        source, config = self._source, self._source.config
        language = language if language in languages() else config.mqtt.discovery.language
        health = with_broker(source.health(), source.broker_trouble)
        return {
            "bridge": {
                "id": config.bridge.id,
                "name": config.bridge.name,
                "version": source.version,
                "started": source.started,
                "connected": source.broker_trouble is None,
            },
            "time": self._clock.time(),
            "status": health["status"],
            "reasons": health["reasons"],
            "counters": health["counters"],
            "language": language,
            "texts": {text: translated(text, language) for text in TEXTS},
            "meters": {
                name: {**self._meter(meter, language), "health": health["meters"][name]}
                for name, meter in source.meters.items()
            },
        }

    def health(self) -> dict[str, Any]:
        """Status and reasons alone."""
        health = with_broker(self._source.health(), self._source.broker_trouble)
        return {"status": health["status"], "reasons": health["reasons"]}

    def _meter(self, meter: MeterTask, language: str) -> dict[str, Any]:
        output, now = meter.output, self._clock.monotonic()
        rows = output.fresh_rows
        values = {
            key: _value(key, value, rows.get(key), language, output.topics.value(key))
            for key, value in output.state.fresh(now).items()
        }
        return {
            "name": meter.config.name or meter.id,
            "online": bool(output.online),
            "every": meter.config.every,
            "values": values,
            "curve": output.curve.today(meter.now()),
        }


def with_broker(health: dict[str, Any], trouble: str | None) -> dict[str, Any]:
    """The health as it is without the broker, which a message on the broker never says: nothing gets out."""
    if trouble is None:
        return health
    reason = f"{_NO_BROKER}: {trouble}" if trouble else f"{_NO_BROKER} yet"
    return {**health, "status": "failing", "reasons": [reason, *health["reasons"]]}


def _value(key: str, value: Value, row: tuple[PlanItem, Reading] | None, language: str, topic: str) -> dict[str, Any]:
    found = {"value": value.value, "time": value.time.isoformat(timespec="seconds"), "topic": topic}
    if row is None:  # a bit of a word
        return {**found, "name": key.replace("_", " ").capitalize(), "unit": "", "state_class": ""}
    item, reading = row
    config = item.config
    return {
        **found,
        "name": config.name if config and config.name else shorter(item.quantity.name_in(language), language),
        "unit": reading.unit,
        "state_class": config.state_class if config and config.state_class is not None else item.quantity.state_class,
        "obis": str(reading.obis),
    }
