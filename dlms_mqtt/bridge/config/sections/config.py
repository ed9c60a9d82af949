"""The whole configuration: ``config.load`` reads it, ``config.manual`` prints it."""
# ruff: noqa: RUF009 - row() makes fields

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dlms_mqtt.bridge.config.broker_address import broker_of
from dlms_mqtt.bridge.config.kinds import ID
from dlms_mqtt.bridge.config.rows import Problems, mapping_of, row, section, twice
from dlms_mqtt.bridge.config.sections.bridge import Bridge, Http, Mqtt
from dlms_mqtt.bridge.config.sections.meter import Meter


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The whole file."""

    bridge: Bridge = row(Bridge, section(Bridge), "This bridge.")
    mqtt: Mqtt = row(Mqtt, section(Mqtt, prepare=broker_of), "The broker.")
    http: Http = row(Http, section(Http), "A page and figures for a browser, Prometheus and monitors.")
    meters: Mapping[str, Meter] = row(dict, mapping_of(ID, section(Meter), "<id>"), "The meters.")

    def problems(self) -> Problems:
        """A meter replaces an id that is none any more, and that no other meter replaces."""
        replaced = [meter.replaces for meter in self.meters.values() if meter.replaces]
        for name in twice(replaced):
            yield "meters", f"two meters replace '{name}'"
        for name in replaced:
            if name in self.meters:
                yield "meters", f"'{name}' is replaced and still there; remove it, or the replaces of the other meter"


CONFIG = section(Config)
