"""What stands at which path: the page and its two files, ``/state.json``, ``/health``, ``/metrics``."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files

from dlms_mqtt.bridge.api.payload import dumps
from dlms_mqtt.bridge.http.metrics import TYPE, metrics
from dlms_mqtt.bridge.http.server import Answer, Route
from dlms_mqtt.bridge.http.snapshot import Snapshot

_JSON = "application/json"
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}


def routes(snapshot: Snapshot) -> dict[str, Route]:
    """By path. ``/state.json?language=de`` has the names in that language."""

    def state(query: Mapping[str, str]) -> Answer:
        return Answer(dumps(snapshot(query.get("language", ""))).encode(), _JSON)

    def health(_query: Mapping[str, str]) -> Answer:
        found = snapshot.health()
        return Answer(dumps(found).encode(), _JSON, 503 if found["status"] == "failing" else 200)

    def figures(_query: Mapping[str, str]) -> Answer:
        return Answer(metrics(snapshot("en")).encode(), TYPE)

    pages = {path: _static(name, kind) for path, (name, kind) in _FILES.items()}
    return {**pages, "/state.json": state, "/health": health, "/metrics": figures}


def _static(name: str, kind: str) -> Route:
    answer = Answer((files("dlms_mqtt.bridge.http") / name).read_bytes(), kind)
    return lambda _query: answer
