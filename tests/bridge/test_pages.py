"""The paths of the listener: what each answers, with which type and status."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dlms_mqtt.bridge.http.pages import routes


class Snapshot:
    """What a bridge would say."""

    def __init__(self, status: str) -> None:
        self.status, self.languages = status, list[str]()

    def __call__(self, language: str) -> dict[str, Any]:
        self.languages.append(language)
        return {
            "status": self.status,
            "reasons": [],
            "bridge": {"id": "main", "version": "1", "started": "2026-11-29T12:00:00+00:00"},
            "counters": {},
            "meters": {},
        }

    def health(self) -> dict[str, Any]:
        return {"status": self.status, "reasons": []}


@pytest.mark.parametrize(("status", "code"), [("ok", 200), ("degraded", 200), ("failing", 503)])
def test_health(status: str, code: int) -> None:
    answer = routes(Snapshot(status))["/health"]({})  # type: ignore[arg-type]
    assert (answer.status, json.loads(answer.body)["status"]) == (code, status)


def test_state_in_a_language() -> None:
    snapshot = Snapshot("ok")
    paths = routes(snapshot)  # type: ignore[arg-type]
    assert json.loads(paths["/state.json"]({"language": "de"}).body)["bridge"]["id"] == "main"
    paths["/state.json"]({})
    assert snapshot.languages == ["de", ""]


@pytest.mark.parametrize(
    ("path", "kind", "begins"),
    [("/", "text/html", b"<!"), ("/page.css", "text/css", b""), ("/page.js", "text/javascript", b"")],
)
def test_files(path: str, kind: str, begins: bytes) -> None:
    answer = routes(Snapshot("ok"))[path]({})  # type: ignore[arg-type]
    assert answer.kind.startswith(kind) and answer.status == 200
    assert answer.body.lstrip().lower().startswith(begins) and len(answer.body) > 100


def test_there_is_nothing_else() -> None:
    assert set(routes(Snapshot("ok"))) == {"/", "/page.css", "/page.js", "/state.json", "/health", "/metrics"}  # type: ignore[arg-type]
