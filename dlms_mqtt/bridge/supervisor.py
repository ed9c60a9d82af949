"""The bridge as a Home Assistant app: options and the Supervisor's answers become a configuration, then it runs.

    options of the app ------------.
    the Supervisor's MQTT service ---> bridge.yaml --> dlms-mqtt run
    Home Assistant's language -----'

``python -m dlms_mqtt.bridge.supervisor`` is what the app's image starts. Meters are added in Home Assistant and kept in
/data, or written into meters.yaml of the app's own folder.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import signal
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NoReturn

from dlms_mqtt.bridge.alive import alive_file
from dlms_mqtt.bridge.config.spoken import known_language
from dlms_mqtt.errors import ConfigError

_LOG = logging.getLogger("app")
_TIMEOUT = 10.0  # s for one answer of the Supervisor
_PAUSE = 5.0  # s between two questions for the broker
_NO_BROKER = (
    "There is no MQTT broker yet: install and start the Mosquitto broker app, or name a broker of your own in the"
    " options of this app (mqtt: host). Waiting."
)
_METERS = """\
# Meters that are not added in Home Assistant; the app's documentation tells more. Saving this file is enough.
#
# house:
#   name: House meter
#   connection: {serial: /dev/serial/by-id/..., opening: sign-on, client: 32, password: "text:12345678"}
#   every: 30s
"""

_BROKER = ("host", "port", "username", "password")  # as the options, the Supervisor and our configuration name them


class Supervisor:
    """The two questions that an app asks."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._root = environment.get("SUPERVISOR_API", "http://supervisor")
        self._token = environment.get("SUPERVISOR_TOKEN", "")

    def broker(self) -> dict[str, Any] | None:
        """The data of the broker that another app provides; None: there is none (yet)."""
        answer = self._get("/services/mqtt") or {}
        data = answer.get("data")
        return data if answer.get("result") == "ok" and isinstance(data, dict) and data.get("host") else None

    def language(self) -> str:
        """Home Assistant's language, such as ``de``; empty while it does not answer."""
        return str((self._get("/core/api/config") or {}).get("language") or "")

    def _get(self, path: str) -> dict[str, Any] | None:
        request = urllib.request.Request(self._root + path, headers={"Authorization": f"Bearer {self._token}"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - the address is ours
                found = json.load(answer)
        except (OSError, ValueError, http.client.HTTPException) as error:  # not there yet, says no, or says rubbish
            _LOG.debug("%s: %s", path, error)
            return None
        return found if isinstance(found, dict) else None


def configuration(
    options: Mapping[str, Any], broker: Mapping[str, Any], language: str, zone: str, root: Path = Path("/")
) -> str:
    """The text of bridge.yaml; ``broker`` comes from the options or from the Supervisor."""
    bridge: dict[str, Any] = {"state_dir": f"{root}/data/state", "management": True, "timezone": zone}
    mqtt: dict[str, Any] = {key: broker.get(key) for key in _BROKER}
    if mqtt["password"]:
        mqtt["password"] = f"text:{mqtt['password']}"  # or one that begins with "hex:" would be misread
    if broker.get("tls") or broker.get("ssl"):
        mqtt["tls"] = {"ca": f"{root}/config/{broker['ca']}"} if broker.get("ca") else {}
    mqtt["discovery"] = _given({"prefix": options.get("discovery_prefix"), "language": language})
    mqtt["base_topic"] = options.get("base_topic")
    bridge |= {"id": options.get("bridge_id"), "log_level": options.get("log_level")}
    parts = {"bridge": _given(bridge), "mqtt": _given(mqtt)}
    lines = [f"{name}: {_as_yaml(value)}" for name, value in parts.items()]
    return "\n".join([*lines, f"meters: !include {root}/config/meters.yaml", ""])


def _given(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if value not in (None, "")}


def _as_yaml(value: Any) -> str:
    """As JSON, so that no word of the user's breaks out of its quotes; YAML takes no invisible character as it is."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08x}" for char in text)


def find_broker(options: Mapping[str, Any], supervisor: Supervisor, pause: Callable[[], None]) -> Mapping[str, Any]:
    """Where the broker is; waits until somebody says so. ``pause`` is called between two questions."""
    own = options.get("mqtt") or {}
    if own.get("host"):
        return own
    if _given(own):
        _LOG.warning("mqtt: %s is not used, as mqtt: host is empty", ", ".join(_given(own)))
    logged = False
    while (found := supervisor.broker()) is None:
        if not logged:
            _LOG.warning(_NO_BROKER)
        logged = True
        pause()
    return found


def prepare(root: Path, environment: Mapping[str, str], pause: Callable[[], None]) -> Path:
    """Write the configuration; its path. ConfigError where the options cannot be read."""
    options = _options(root / "data/options.json")
    logging.getLogger().setLevel(str(options.get("log_level") or "info").upper())
    supervisor = Supervisor(environment)
    broker = find_broker(options, supervisor, pause)
    language = _language(options, supervisor, root / "data/language")
    meters = root / "config/meters.yaml"
    if not meters.exists():
        meters.parent.mkdir(parents=True, exist_ok=True)
        meters.write_text(_METERS, encoding="utf-8")
    path = root / "run/dlms-mqtt/bridge.yaml"
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(configuration(options, broker, language, environment.get("TZ", ""), root), encoding="utf-8")
    path.chmod(0o600)
    _LOG.info("Broker %s:%s, language %s", broker.get("host"), broker.get("port") or "default", language or "default")
    return path


def _options(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"the options of the app cannot be read: {error}", file=str(path)) from None
    if not isinstance(found, dict):
        raise ConfigError("the options of the app are no mapping", file=str(path))
    return found


def _language(options: Mapping[str, Any], supervisor: Supervisor, memory: Path) -> str:
    """The option, else Home Assistant's, else what that was last time: the app is started before Home Assistant is."""
    if option := known_language(str(options.get("language") or "")):
        return option
    if fresh := supervisor.language():
        memory.write_text(fresh, encoding="utf-8")
        return known_language(fresh)
    return known_language(memory.read_text(encoding="utf-8")) if memory.exists() else ""


def main(root: Path = Path("/")) -> NoReturn:
    """Become ``dlms-mqtt run``; exit status 2 when the options are no use."""
    logging.basicConfig(level="INFO", format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    # The first process of a container gets no default. An exception would be lost in some of what it interrupts (an
    # import's clean-up), and the container would run on until it is killed.
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    file = alive_file(os.environ)

    def pause() -> None:
        if file:
            file.touch()  # waiting is no illness
        time.sleep(_PAUSE)

    try:
        path = prepare(root, os.environ, pause)
    except ConfigError as error:
        _LOG.error("%s", error.told)
        sys.exit(2)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # one that comes now waits until the bridge takes it
    os.execv(sys.executable, [sys.executable, "-m", "dlms_mqtt", "run", "--config", str(path)])  # noqa: S606


if __name__ == "__main__":
    main()
