"""``dlms-mqtt status``: what it prints and its exit status, for each of a bridge's verdicts."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.cli.bridge import status
from tests.cli.conftest import Cli
from tests.free_port import free_port

ERROR = {"code": "no-answer", "message": "no answer within 5 s"}
HOUSE = {
    "name": "House",
    "online": True,
    "values": {"power": {"value": -20, "unit": "W", "time": "x"}, "odd": {"value": 1, "unit": ""}},
    "health": {"status": "ok", "last_success": "2026-11-29T12:00:00+01:00", "error": None, "hint": None},
}
BARN = {
    "name": "Barn",
    "online": False,
    "values": {},
    "health": {"status": "no_answer", "error": ERROR, "hint": "Look."},
}


class Bridge:
    """What stands at /state.json."""

    def __init__(self) -> None:
        self.text, self.asked = "", []  # type: ignore[var-annotated]

    def says(self, status: str, reasons: tuple[str, ...] = (), **meters: Any) -> None:
        document = {"bridge": {"id": "main"}, "status": status, "reasons": reasons, "meters": meters}
        self.text = json.dumps(document)


@pytest.fixture
def bridge() -> Iterator[Bridge]:
    found = Bridge()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(found.text.encode())

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    found.url = f"http://127.0.0.1:{server.server_port}"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    ("word", "reasons", "code", "line"),
    [
        ("ok", (), 0, "OK - 1 of 2 meters online"),
        ("degraded", ("barn: no answer",), 1, "DEGRADED - barn: no answer"),
        ("failing", ("a", "b"), 2, "FAILING - a; b"),
        ("strange", (), 2, "STRANGE - 1 of 2 meters online"),
    ],
)
def test_a_verdict(cli: Cli, bridge: Any, word: str, reasons: tuple[str, ...], code: int, line: str) -> None:
    bridge.says(word, reasons, house=HOUSE, barn=BARN)
    result = cli("status", "--url", bridge.url)
    assert (result.status, result.err) == (code, "")
    lines = result.out.splitlines()
    assert lines[0] == line
    assert "house  ok         2026-11-29T12:00:00+01:00  power -20 W" in lines
    assert "barn   no_answer  never" in lines
    assert lines[-1] == "barn: no answer within 5 s. Look."
    assert bridge.asked == ["/state.json"]


def test_json(cli: Cli, bridge: Any) -> None:
    bridge.says("degraded", ("x",), house=HOUSE)
    result = cli("status", "--url", bridge.url + "/", "--json")
    assert (result.status, result.json["meters"]["house"]["values"]["power"]["value"]) == (1, -20)


def test_nobody_there_is_failing(cli: Cli) -> None:
    result = cli("status", "--url", f"127.0.0.1:{free_port()}", "--timeout", "60")
    assert result.status == 2
    assert result.out.startswith("FAILING - the bridge at http://127.0.0.1:") and "http: {listen: ...}" in result.out


@pytest.mark.parametrize("text", ["", "[]", '{"status": "ok"}', "<html>"])
def test_something_else_there_is_failing(cli: Cli, bridge: Any, text: str) -> None:
    bridge.text = text
    result = cli("status", "--url", bridge.url)
    assert result.status == 2 and result.out.startswith("FAILING - ")


def test_whom_to_ask(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.chdir(tmp_path)
    result = cli("status")
    assert (result.status, result.out) == (2, "") and "Give --config FILE." in result.err


@pytest.mark.parametrize("listens", [True, False])
def test_a_configuration_says_whom_to_ask(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, listens: bool
) -> None:
    """Its listener where it has one, else its broker."""
    asked: list[tuple[Any, ...]] = []
    document = {"status": "ok", "reasons": [], "bridge": {}, "meters": {"house": HOUSE}}

    def answer(*question: Any) -> dict[str, Any]:
        asked.append(question)
        return document

    monkeypatch.setattr(status, "from_listener" if listens else "from_broker", answer)
    file = tmp_path / "config.yaml"
    file.write_text(
        "mqtt: {host: pi}\nmeters: {house: {connection: {tcp: h}}}\n" + 'http: {listen: "0.0.0.0:80"}\n' * listens
    )
    result = cli("status", "--config", str(file), "--timeout", "3")
    assert (result.status, result.out.splitlines()[0]) == (0, "OK - 1 of 1 meters online"), result.err
    ((place, timeout),) = asked
    assert timeout == 3.0
    assert place == "http://127.0.0.1:80" if listens else place.mqtt.host == "pi"
