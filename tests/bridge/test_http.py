"""The listener of a running bridge, with a real broker and a simulated meter: figures, health, the page."""

from __future__ import annotations

import asyncio
import json
import shutil

import pytest

from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.house import METER, house
from tests.bridge.listener import HTTP, PROFILE, get, meters_with_http, until, where_it_is_noon

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.expect_log("nobody listens")
async def test_a_meter_that_does_not_answer_is_503_with_the_reason(mosquitto, tmp_path):
    meters = '  house:\n    connection: {tcp: "127.0.0.1:1", timeout: 1s}\n    every: 1s\n' + HTTP
    async with house(mosquitto, tmp_path, meters) as home:
        await home.until(lambda: '"failing"' in home.seen.latest.get("dlms_mqtt/bridge/main/health", ""))
        status, text = await get(home, "/health")
        assert status == 503 and "house: nobody listens at 127.0.0.1:1" in json.loads(text)["reasons"][0]


async def test_off_by_default_and_a_change_is_taken_over(mosquitto, tmp_path):
    async with (
        serve_tcp(household(1)) as server,
        house(mosquitto, tmp_path, METER.replace("PORT", str(server.port))) as home,
    ):
        assert home.app.bridge.http is None
        home.path.write_text(home.path.read_text() + HTTP)
        await until(lambda: home.app.bridge.http and home.app.bridge.http.port)
        assert (await get(home, "/page.js"))[0] == 200


async def _seen_by_a_browser(home, *words: str) -> str:
    process = await asyncio.create_subprocess_exec(
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=4000", *words,
        f"http://127.0.0.1:{home.app.bridge.http.port}/",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    out, _ = await process.communicate()
    return out.decode()


@pytest.mark.skipif(not CHROMIUM, reason="no Chromium here")
async def test_the_page_in_a_browser(mosquitto, tmp_path):
    name = "<img src=x onerror=document.title=1> Haus"
    async with serve_tcp(household(1)) as server:
        meters = meters_with_http(server, where_it_is_noon() + PROFILE).replace("House meter", f'"{name}"')
        async with house(mosquitto, tmp_path, meters) as home:
            await home.until(lambda: "power" in json.loads(home.meter("state") or "{}"))
            await home.until(lambda: home.seen.of("dlms_mqtt/meter/house/profile/load"))
            dom = await _seen_by_a_browser(home, "--dump-dom", "--lang=de", "--accept-lang=de", "--window-size=390,844")
    assert "<h2>&lt;img src=x onerror=document.title=1&gt; Haus</h2>" in dom  # text, never markup
    assert 'class="power"' in dom and " W</p>" in dom
    assert "Voltage" in dom or "Spannung" in dom
    assert "DLMS bridge</h1>" in dom
    assert "<polyline" in dom
