"""The flow of docs/recipes is imported into a real, headless Node-RED: values, a question, a write with its reply."""

from __future__ import annotations

import asyncio
import contextlib
import json
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.bridge.conftest import PATIENCE, meter, mosquitto, mosquitto_factory  # noqa: F401
from tests.bridge.house import METER, house
from tests.free_port import free_port
from tests.packaging.conftest import CACHE, ROOT, need, run

VERSION = "4.1.15"
SETTINGS = 'module.exports = {{ uiHost: "127.0.0.1", uiPort: {port}, disableEditor: true, flowFile: "flows.json" }};\n'


@pytest.fixture(scope="module")
def node_red() -> Path:
    """Node-RED from npm; kept."""
    need("node", "npm")
    folder = CACHE / f"node-red-{VERSION}"
    program = folder / "node_modules/node-red/red.js"
    if not program.exists():
        folder.mkdir(parents=True, exist_ok=True)
        options = ["--no-fund", "--no-audit", "--omit=optional", "--prefix", folder]
        run("npm", "install", *options, f"node-red@{VERSION}")
    return program


def flow(broker: int) -> str:
    """The recipe with this broker; what its debug nodes would show goes to topics below ``seen/``."""
    nodes = json.loads((ROOT / "docs/recipes/node-red.json").read_text(encoding="utf-8"))
    (out,) = [node for node in nodes if node["id"] == "request"]
    for node in nodes:
        if node["type"] == "mqtt-broker":
            node |= {"broker": "127.0.0.1", "port": str(broker)}
        elif node["type"] == "debug":
            node.update({**out, "id": node["id"], "topic": f"seen/{node['id']}"})
    return json.dumps(nodes)


def prepare(folder: Path, broker: int, port: int) -> None:
    """The folder of a user who has imported the flow."""
    folder.mkdir()
    (folder / "flows.json").write_text(flow(broker))
    (folder / "settings.js").write_text(SETTINGS.format(port=port))


@contextlib.asynccontextmanager
async def running(program: Path, folder: Path, broker: int) -> AsyncIterator[int]:
    """Node-RED with the flow; its port."""
    port = free_port()
    prepare(folder, broker, port)
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec("node", program, "--userDir", folder, stdout=quiet, stderr=quiet)
    try:
        yield port
    finally:
        process.kill()
        await process.wait()


def press(port: int, button: str) -> None:
    """The button of an inject node."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}/inject/{button}", data=b"{}", method="POST")
    request.add_header("Content-Type", "application/json")
    urllib.request.urlopen(request, timeout=PATIENCE).close()


@pytest.mark.packages
async def test_the_flow_in_node_red(node_red: Path, mosquitto: Any, meter: Any, tmp_path: Path) -> None:  # noqa: F811
    async with (
        house(mosquitto, tmp_path, METER.replace("PORT", str(meter.port)) + "    allow: [write]\n") as home,
        running(node_red, tmp_path / "node-red", mosquitto.port) as port,
    ):
        await home.until(lambda: "seen/debug" in home.seen.latest)
        assert home.seen.json("seen/debug")["energy_import"] > 0
        await home.until(lambda: "victron/grid" in home.seen.latest)
        assert set(home.seen.json("victron/grid")["grid"]["L1"]) == {"power", "voltage", "current"}
        await asyncio.to_thread(press, port, "click")
        await home.until(lambda: "seen/answer" in home.seen.latest)
        rows = home.seen.json("seen/answer")
        assert [row["obis"] for row in rows] == ["1.0.1.8.0.255", "1.0.2.8.0.255"] and rows[0]["unit"] == "kWh"
        await asyncio.to_thread(press, port, "click_write")
        await home.until(lambda: "seen/done" in home.seen.latest)
        assert home.seen.json("seen/done")["data"]["read_back"] == "hello"
        assert home.seen.json("node-red/dlms/reply")["status"] == "ok"
