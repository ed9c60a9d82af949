"""A real, headless Home Assistant on loopback, driven as its frontend drives it: REST, websocket, flows over HTTP.

Runs under the Python that has Home Assistant in it. Everything is below one directory; only 127.0.0.1 is listened on.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
from processes import Program

# No default_config: cloud, zeroconf, bluetooth and the like need a network or hardware.
CONFIGURATION = """\
homeassistant:
  name: End to end
  country: DE
  unit_system: metric
  time_zone: Europe/Berlin
  internal_url: "http://127.0.0.1:{port}"
frontend:
history:
energy:
config:
{http}recorder:
  commit_interval: 0
logger:
  default: info
"""
FLOW = "/api/config/config_entries/flow"
SUBFLOW = "/api/config/config_entries/subentries/flow"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Failed(Exception):
    """Something is not as it should be."""


async def eventually(check: Callable[[], Awaitable[Any]], what: str, timeout: float = 30.0) -> Any:
    """The first true answer of ``check``; Failed when none came in time."""
    end = time.monotonic() + timeout
    while True:
        found = await check()
        if found:
            return found
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {timeout:.0f} s")
        await asyncio.sleep(0.25)


class HomeAssistant:
    """One instance; ``start`` it, ``onboard`` it once, then talk to it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.config = directory / "config"
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self._token = ""
        self._program: Program | None = None
        self._session: aiohttp.ClientSession | None = None

    # Life

    def prepare(self, component: Path) -> None:
        """Configuration, storage that skips the onboarding's network steps, and the component."""
        self.config.mkdir(parents=True)
        http = ""
        try:  # since 2026.8 in the storage: YAML would only be a trial of some minutes
            from homeassistant.components.http import config as http_config

            stable = http_config.HTTP_STORAGE_SCHEMA({"server_host": ["127.0.0.1"], "server_port": self.port})
            stable |= {"created_at": "2026-01-01T00:00:00+00:00", "error": None, "error_message": None}
            minor = getattr(http_config, "STORAGE_MINOR_VERSION", 1)
            data = {"stable": stable, "pending": None, "yaml_migration_done": True}
            self._store("http", http_config.STORAGE_VERSION, minor, data)
        except ImportError:
            http = f"http:\n  server_host: 127.0.0.1\n  server_port: {self.port}\n"
        (self.config / "configuration.yaml").write_text(CONFIGURATION.format(port=self.port, http=http))
        self._store("onboarding", 4, 1, {"done": ["core_config", "analytics", "integration"]})
        target = self.config / "custom_components" / component.name
        shutil.copytree(component, target, ignore=shutil.ignore_patterns("__pycache__"))

    def _store(self, key: str, version: int, minor: int, data: Any) -> None:
        path = self.config / ".storage" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"version": version, "minor_version": minor, "key": key, "data": data}))

    async def start(self) -> None:
        """Start it and wait until its frontend answers."""
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=180))
        hass = str(Path(sys.executable).with_name("hass"))
        command = [hass, "-c", str(self.config), "--log-no-color", "--skip-pip"]
        self._program = await Program.start("hass", command, self.directory)
        await eventually(self._frontend_up, "Home Assistant's frontend", 180)
        if self._token:
            await eventually(self._running, "Home Assistant", 180)

    async def stop(self) -> None:
        """End it."""
        if self._session:
            await self._session.close()
        if self._program:
            await self._program.stop()

    async def _frontend_up(self) -> bool:
        assert self._program
        self._program.check()
        try:
            async with self._http.get(self.base + "/manifest.json") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def _running(self) -> bool:
        return bool((await self.rest("GET", "/api/core/state"))["state"] == "RUNNING")

    async def onboard(self) -> None:
        """Make the owner and a token."""
        client = self.base + "/"
        user = {"name": "Tester", "username": "tester", "password": "tester-pw", "client_id": client, "language": "en"}
        async with self._http.post(self.base + "/api/onboarding/users", json=user) as answer:
            code = (await answer.json())["auth_code"]
        form = {"grant_type": "authorization_code", "code": code, "client_id": client}
        async with self._http.post(self.base + "/auth/token", data=form) as answer:
            self._token = (await answer.json())["access_token"]
        self._token = await self.ws(type="auth/long_lived_access_token", client_name="e2e", lifespan=3650)
        await eventually(self._running, "Home Assistant", 180)

    # Talk

    @property
    def _http(self) -> aiohttp.ClientSession:
        assert self._session
        return self._session

    async def rest(self, method: str, path: str, body: Any = None) -> Any:
        """One REST call; Failed with the answer's text when it was refused."""
        headers = {"Authorization": f"Bearer {self._token}"}
        async with self._http.request(method, self.base + path, json=body, headers=headers) as answer:
            text = await answer.text()
            if answer.status >= 400:
                raise Failed(f"{method} {path}: {answer.status} {text}")
            return json.loads(text) if text else None

    async def ws(self, **message: Any) -> Any:
        """One websocket command; Failed when it was refused."""
        async with self._http.ws_connect(self.base + "/api/websocket", max_msg_size=0) as socket_:
            await socket_.receive_json()
            await socket_.send_json({"type": "auth", "access_token": self._token})
            if (await socket_.receive_json())["type"] != "auth_ok":
                raise Failed("the token was refused")
            await socket_.send_json({"id": 1, **message})
            while True:
                answer = await socket_.receive_json()
                if answer.get("id") == 1 and answer["type"] == "result":
                    if not answer["success"]:
                        raise Failed(f"{message['type']}: {answer['error']}")
                    return answer["result"]

    async def states(self) -> dict[str, Any]:
        """Every state by entity id."""
        return {state["entity_id"]: state for state in await self.rest("GET", "/api/states")}

    async def action(self, name: str, **data: Any) -> Any:
        """Call an action of the component; its response."""
        message = {"type": "call_service", "domain": "dlms_mqtt", "service": name, "service_data": data}
        return (await self.ws(**message, return_response=True))["response"]

    # Flows

    async def add_mqtt(self, port: int) -> None:
        """Set up MQTT through its own flow."""
        step = await self.rest("POST", FLOW, {"handler": "mqtt"})
        fields = _least(step["data_schema"]) | {"broker": "127.0.0.1", "port": port}
        step = await self.rest("POST", f"{FLOW}/{step['flow_id']}", fields)
        if step["type"] != "create_entry":
            raise Failed(f"MQTT was not set up: {step}")

    async def discovered(self, handler: str) -> list[dict[str, Any]]:
        """The flows under "Discovered"."""
        flows = await self.ws(type="config_entries/flow/progress")
        return [flow for flow in flows if flow["handler"] == handler]

    async def answer(self, flow_id: str, data: Any = None, *, sub: bool = False) -> dict[str, Any]:
        """Send a step's form; progress steps are waited out, as the frontend does."""
        url = f"{SUBFLOW if sub else FLOW}/{flow_id}"
        step: dict[str, Any] = await self.rest("POST", url, data if data is not None else {})

        async def moved() -> bool:
            nonlocal step
            if step["type"] == "progress":
                step = await self.rest("GET", url)
            return bool(step["type"] != "progress")

        await eventually(moved, f"progress {step.get('progress_action')}", 180)
        return step

    async def start_subflow(self, entry_id: str, kind: str, subentry_id: str | None = None) -> dict[str, Any]:
        """Open a subentry's flow; for ``subentry_id`` its reconfiguration."""
        body: dict[str, Any] = {"handler": [entry_id, kind]}
        if subentry_id:
            body["subentry_id"] = subentry_id
        step: dict[str, Any] = await self.rest("POST", SUBFLOW, body)
        return step

    async def close_subflow(self, flow_id: str) -> None:
        """Close a subentry's flow without an end."""
        await self.rest("DELETE", f"{SUBFLOW}/{flow_id}")

    async def issues(self) -> dict[str, str]:
        """The repairs of the component that are shown: translation key to id."""
        found = (await self.ws(type="repairs/list_issues"))["issues"]
        return {issue["translation_key"]: issue["issue_id"] for issue in found if issue["domain"] == "dlms_mqtt"}

    async def fix(self, issue_id: str) -> None:
        """Click through the flow of a repair."""
        url = "/api/repairs/issues/fix"
        step = await self.rest("POST", url, {"handler": "dlms_mqtt", "issue_id": issue_id})
        step = await self.rest("POST", f"{url}/{step['flow_id']}", {})
        if step["type"] != "create_entry":
            raise Failed(f"{issue_id} was not repaired: {step}")

    async def entries(self, domain: str) -> list[dict[str, Any]]:
        """The config entries of a domain."""
        found: list[dict[str, Any]] = await self.rest("GET", f"/api/config/config_entries/entry?domain={domain}")
        return found

    async def subentries(self, entry_id: str) -> list[dict[str, Any]]:
        """The subentries of an entry."""
        found: list[dict[str, Any]] = await self.ws(type="config_entries/subentries/list", entry_id=entry_id)
        return found

    async def device(self, identifier: str) -> dict[str, Any] | None:
        """A device of the MQTT integration."""
        for device in await self.ws(type="config/device_registry/list"):
            if ["mqtt", identifier] in device["identifiers"]:
                return dict(device)
        return None

    def complaints(self) -> list[str]:
        """Warnings and errors about the component or what it was sent; not the refusals that the test provokes."""
        lines = (self.directory / "hass.log").read_text(errors="replace").splitlines()
        loud = [line for line in lines if " ERROR " in line or " WARNING " in line]
        expected = (
            "has not been tested",
            "Error during service call to dlms_mqtt.",
            "websocket_api.http.connection",
            "No device components to cleanup",  # 2025.4, when a device message is cleared
        )
        return [line for line in loud if "dlms" in line.lower() and not any(text in line for text in expected)]


def _least(schema: list[dict[str, Any]]) -> dict[str, Any]:
    """The least a person could send for a form: defaults, "no", the first choice."""
    fields: dict[str, Any] = {}
    for field in schema:
        selector = field.get("selector") or {}
        if field.get("type") == "expandable":
            fields[field["name"]] = _least(field["schema"])
        elif field.get("default") is not None:
            fields[field["name"]] = field["default"]
        elif field.get("required") and "boolean" in selector:
            fields[field["name"]] = False
        elif field.get("required") and "select" in selector:
            first = selector["select"]["options"][0]
            fields[field["name"]] = first["value"] if isinstance(first, dict) else first
    return fields
