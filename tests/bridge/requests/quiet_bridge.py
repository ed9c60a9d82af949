"""A bridge without a broker and without meters at work: what requests need of one, made of the real parts."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from dlms_mqtt.bridge.api.topics import Address
from dlms_mqtt.bridge.config.load import Loaded, load_config
from dlms_mqtt.bridge.config.seal import SealKey, seal
from dlms_mqtt.bridge.config.sections.config import Config
from dlms_mqtt.bridge.requests.dispatcher import Request
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.meter.presets.preset import preset_connection

TCP = {"tcp": "192.0.2.10:4059"}
OWN = '  cellar: {connection: {tcp: "192.0.2.9:4059"}}\n'


class QuietBridge:
    """``own``: meters of the configuration file; a reload reads the files again and tells which ids came or went."""

    version, started = "1.2.3", "2026-01-05T12:00:00+00:00"

    def __init__(self, folder: Path, store: Store, *, own: str = OWN, management: bool = True) -> None:
        self.path = folder / "config.yaml"
        (folder / "state").mkdir()
        self.path.write_text(
            f"bridge: {{id: main, state_dir: {folder}/state, management: {str(management).lower()}}}\n"
            f"mqtt: {{host: localhost}}\nmeters:\n{own}"
        )
        self.presets, self.store, self.seal = preset_connection, store, SealKey(bytes(range(32)))
        self.meters: dict[str, Any] = {}
        self.fleet: Any = SimpleNamespace()
        self.loaded = self._load()

    def _load(self) -> Loaded:
        return load_config(self.path, self.presets, {})

    @property
    def config(self) -> Config:
        return self.loaded.config

    async def reload(self) -> list[str]:
        old, self.loaded = self.loaded, self._load()
        return sorted(set(old.config.meters) ^ set(self.config.meters))

    def sealed(self, secret: str, meter: str, line: dict[str, Any] = TCP) -> str:
        return seal(secret, self.seal.public, os.urandom, meter, line)


def asked(verb: str = "ping", /, **body: Any) -> Request:
    """A request with these fields."""
    return Request(Address("", "request", verb), body)
