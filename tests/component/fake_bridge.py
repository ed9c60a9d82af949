"""A bridge that speaks the MQTT API out of memory: messages in, messages out. It knows no Home Assistant and no broker.

The unit tests put it behind Home Assistant's mocked MQTT client, `fake_bridge_process.py` behind a real broker.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

LINES = ("serial", "tcp", "udp")
SECRETS = ("password", "encryption_key", "authentication_key", "noise_psk")
OBJECTS = [
    {
        "obis": "1.0.1.8.0.255",
        "class": 3,
        "attribute": 2,
        "name": "Energy import",
        "key": "energy_import",
        "unit": "kWh",
        "core": True,
    },
    {
        "obis": "1.0.32.7.0.255",
        "class": 3,
        "attribute": 2,
        "name": "Voltage L1",
        "key": "voltage_l1",
        "unit": "V",
        "core": True,
    },
    {"obis": "1.0.96.5.0.255", "class": 1, "attribute": 2, "name": "Status", "key": "status_word", "core": False},
]


class Message(NamedTuple):
    """What the bridge publishes."""

    topic: str
    payload: str
    retain: bool = False


class Refusal(Exception):
    """A request that is answered with an error."""

    def __init__(self, code: str, message: str = "", hint: str = "", **detail: Any) -> None:
        super().__init__(code)
        self.error = {"code": code, "message": message, "hint": hint, "detail": detail}


class FakeBridge:
    """Meters, health and secrets of one bridge; ``refuse`` makes a verb fail."""

    def __init__(self, base: str = "dlms_mqtt", bridge: str = "main", *, management: bool = True) -> None:
        self.base = base
        self.bridge = bridge
        self.management = management
        self.api = 1
        self.version = "0.1.0"
        self.started = "2026-11-22T20:00:00+00:00"
        self.name = ""
        self.devices = ""  # what identifiers begin with, where the bridge tells them
        self.learned: dict[str, Any] = {}  # by a search
        self.heard: dict[str, Any] = {}  # ``meter/find`` with listen: what speaks
        self.telegrams: dict[str, Any] = {}  # ``meter/validate`` with listen: meter, values
        self.meter_profiles: list[str] = []
        self.silent = False
        self.stored: dict[str, dict[str, Any]] = {}  # managed meters, secrets in the clear
        self.yaml: dict[str, dict[str, Any]] = {}  # meters of the user's own file
        self.health: dict[str, dict[str, Any]] = {}
        self.refuse: dict[str, Refusal] = {}
        self.profiles: dict[str, dict[str, Any]] = {}  # by OBIS code: ``interval``, ``columns``, ``rows``
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self._private = X25519PrivateKey.generate()

    # Retained topics

    @property
    def info(self) -> dict[str, Any]:
        """The retained info."""
        rows = [(meter, config, True) for meter, config in self.stored.items()]
        rows += [(meter, config, False) for meter, config in self.yaml.items()]
        return {
            "api": self.api,
            "version": self.version,
            "bridge": self.bridge,
            **({"name": self.name} if self.name else {}),
            "started": self.started,
            "management": self.management,
            "meters": [
                {"id": meter, "name": config.get("name", meter), "managed": own}
                | ({"device": f"{self.devices}_{meter}"} if self.devices else {})
                for meter, config, own in rows
            ],
            "seal": base64.b64encode(self._private.public_key().public_bytes_raw()).decode(),
        }

    def topic(self, path: str) -> str:
        """A topic of the bridge."""
        return f"{self.base}/bridge/{self.bridge}/{path}"

    def publish_info(self) -> Message:
        """The info as it is now."""
        return Message(self.topic("info"), json.dumps(self.info), True)

    def publish_state(self, state: str = "online") -> Message:
        """Online, or the last will."""
        return Message(self.topic("state"), state, True)

    def publish_health(self) -> Message:
        """The health as it is now."""
        status = "degraded" if any(row.get("status") != "ok" for row in self.health.values()) else "ok"
        return Message(self.topic("health"), json.dumps({"status": status, "reasons": [], "meters": self.health}), True)

    def publish_discovery(self, meter: str) -> Message:
        """Enough of a discovery message to make the meter's device."""
        identifier = f"{self.devices or 'dlms_mqtt'}_{meter}"
        root = f"{self.base}/meter/{meter}"
        payload = {
            "origin": {"name": "dlms-mqtt"},
            "device": {"identifiers": [identifier], "name": self.stored[meter]["name"], "model_id": "DLMS"},
            "components": {
                "energy_import": {
                    "platform": "sensor",
                    "unique_id": f"{identifier}_energy_import",
                    "device_class": "energy",
                    "state_class": "total_increasing",
                    "unit_of_measurement": "kWh",
                    "state_topic": f"{root}/value/energy_import",
                }
            },
        }
        return Message(f"homeassistant/device/{identifier}/config", json.dumps(payload), True)

    # Requests

    def receive(self, topic: str, payload: str) -> Iterator[Message]:
        """The answers to a message on a command topic."""
        match = re.fullmatch(rf"{re.escape(self.base)}/(bridge|meter)/([^/]+)/(request|set|do)/(.+)", topic)
        if not match or self.silent:
            return
        kind, name, verb, rest = match.groups()
        if kind == "bridge" and name != self.bridge:
            return
        request = json.loads(payload)
        path = rest if verb == "request" else f"{verb}/{rest}"
        self.requests.append((path, request))
        response = f"{self.base}/{kind}/{name}/response/{path}"
        try:
            if refusal := self.refuse.get(path):
                raise refusal
            handler = self._bridge_verb if kind == "bridge" else self._meter_verb
            for message in handler(name, path, request):
                if isinstance(message, Message):
                    yield message
                else:
                    yield Message(response, json.dumps({"id": request["id"], **message}))
        except Refusal as refusal:
            yield Message(response, json.dumps({"id": request["id"], "status": "error", "error": refusal.error}))

    def _bridge_verb(self, _bridge: str, verb: str, request: dict[str, Any]) -> Iterator[Any]:
        if verb in ("meter/find", "meter/add", "meter/update", "meter/remove") and not self.management:
            raise Refusal("not-allowed")
        method = getattr(self, "_on_" + verb.replace("/", "_"), None)
        if method is None:
            raise Refusal("unknown-request")
        yield from method(request)

    def _meter_verb(self, meter: str, path: str, request: dict[str, Any]) -> Iterator[Any]:
        if path == "profile" and request.get("obis") in self.profiles:
            yield _ok(_between(self.profiles[request["obis"]], request))
            return
        yield _ok({"meter": meter, "path": path, **{k: v for k, v in request.items() if k not in ("id", "timeout")}})

    def _on_ping(self, _request: dict[str, Any]) -> Iterator[Any]:
        yield _ok({})

    def _on_language(self, _request: dict[str, Any]) -> Iterator[Any]:
        yield _ok({})

    def _on_ports(self, _request: dict[str, Any]) -> Iterator[Any]:
        port = "/dev/serial/by-id/usb-probe"
        yield _ok({"ports": [{"port": port, "description": "Probe", "in_use_by": "house"}, {"port": "/dev/ttyS0"}]})

    def _on_presets(self, _request: dict[str, Any]) -> Iterator[Any]:
        generic = {"id": "generic", "name": "Generic", "manufacturer": "", "notes": ""}
        acme = {"id": "acme", "name": "Acme", "manufacturer": "Acme", "push_only": False}
        han = {"id": "han", "name": "Customer interface", "manufacturer": "", "push_only": True, "pushes": True}
        omnia = {"id": "omnia", "name": "Omnia", "manufacturer": "Acme"}
        yield _ok({"presets": [acme, generic, han, omnia]})

    def _on_config(self, _request: dict[str, Any]) -> Iterator[Any]:
        meters = {meter: _public(config) for meter, config in (self.stored | self.yaml).items()}
        yield _ok({"meters": meters, "bridge": {"id": self.bridge}})

    def _on_meter_find(self, request: dict[str, Any]) -> Iterator[Any]:
        if "listen" in request:
            yield _ok(self.heard or {"found": False, "names": ["no-telegram"], "connection": {}})
            return
        yield {"status": "progress", "data": {"done": 1, "total": 2, "stage": "direct"}}
        connection = {**request["line"], "framing": "wrapper", "client": 32, "server": 1}
        yield _ok({"connection": connection, "diagnosis": "", "causes": [], "found": True, "learned": self.learned})

    def _on_meter_validate(self, request: dict[str, Any]) -> Iterator[Any]:
        self._opened(request)
        if "listen" in request:
            yield {"status": "progress", "data": {"done": 1, "total": 150, "stage": "telegram 1"}}
            yield _ok({"valid": True, "telegrams": 1, **self.telegrams})
            return
        meter = {"system_title": "4B414D0000000001", "logical_device_name": self.learned.get("logical_device_name")}
        yield _ok({"valid": True, "meter": meter})

    def _on_meter_objects(self, request: dict[str, Any]) -> Iterator[Any]:
        yield {"status": "progress", "data": {"done": 1, "total": 1, "stage": "list"}}
        yield _ok({"objects": OBJECTS, "profiles": self.meter_profiles})

    def _on_meter_add(self, request: dict[str, Any]) -> Iterator[Any]:
        self.stored[request["meter"]] = self._opened(request)
        yield _ok({"id": request["meter"]})
        yield self.publish_info()
        yield self.publish_discovery(request["meter"])

    _on_meter_update = _on_meter_add

    def _on_meter_remove(self, request: dict[str, Any]) -> Iterator[Any]:
        if self.stored.pop(request["meter"], None) is None:
            raise Refusal("unknown-meter")
        yield _ok({"id": request["meter"]})
        yield self.publish_info()
        yield Message(f"homeassistant/device/dlms_mqtt_{request['meter']}/config", "", True)

    # Secrets

    def _opened(self, request: dict[str, Any]) -> dict[str, Any]:
        """The configuration with its secrets opened, and with what only the stored one may say.

        A secret left out is the stored one, but only while the line stays the same.
        """
        config: dict[str, Any] = json.loads(json.dumps(request["config"]))
        stored = self.stored.get(request["meter"], {})
        rows = config.get("read", {}).get("also", [])
        if config.get("allow") or config.get("actions") or any(row.get("writable") for row in rows):
            raise Refusal("not-allowed", "a publisher cannot grant itself more")
        before, connection = stored.get("connection", {}), config.get("connection", {})
        for key in SECRETS:
            if key in connection:
                connection[key] = self.open(connection[key], request["meter"], connection)
            elif key in before and all(connection.get(line) == before.get(line) for line in LINES):
                connection[key] = before[key]
        return {**config, **{key: stored[key] for key in ("allow", "actions") if key in stored}}

    def open(self, sealed: str, meter: str, connection: dict[str, Any]) -> str:
        """The secret that was sealed; a clear one is refused."""
        if not sealed.startswith("sealed:"):
            raise Refusal("bad-request", "a secret must be sealed")
        data = base64.b64decode(sealed.removeprefix("sealed:"), validate=True)
        public = self._private.public_key().public_bytes_raw()
        shared = self._private.exchange(X25519PublicKey.from_public_bytes(data[:32]))
        info = b"dlms-mqtt seal v2" + data[:32] + public
        key = HKDF(hashes.SHA256(), 32, salt=None, info=info).derive(shared)
        try:
            purpose = "\n".join((meter, *(f"{line}={connection[line]}" for line in LINES if connection.get(line))))
            return AESGCM(key).decrypt(data[32:44], data[44:], purpose.encode()).decode()
        except InvalidTag:
            raise Refusal("invalid-value", "A sealed secret could not be opened", reason="seal") from None

    def lose_state(self) -> None:
        """Started anew with an empty state directory: no meters, another sealing key."""
        self.stored.clear()
        self._private = X25519PrivateKey.generate()
        self.started = "2026-11-23T20:00:00+00:00"


def _between(profile: dict[str, Any], request: dict[str, Any]) -> dict[str, Any]:
    """The compact table, its rows between two times."""
    first, last = (datetime.fromisoformat(request[name]) for name in ("from", "to"))
    return {**profile, "rows": [row for row in profile["rows"] if first <= datetime.fromisoformat(row[0]) <= last]}


def _ok(data: dict[str, Any]) -> dict[str, Any]:
    return {"status": "ok", "data": data}


def _public(config: dict[str, Any]) -> dict[str, Any]:
    connection = {key: value for key, value in config.get("connection", {}).items() if key not in SECRETS}
    return {**config, "connection": connection}
