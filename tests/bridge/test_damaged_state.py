"""A bridge whose state is damaged, too old or partly unreadable: meters go on, and nobody has to come."""

from __future__ import annotations

import json
import shutil

import pytest

from dlms_mqtt.bridge.state_dir import STATE_FILE
from dlms_mqtt.client.state.rescue import raise_all
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.simulator import KEYS, serve_tcp
from dlms_mqtt.simulator.household.household import household
from tests.bridge.house import house

HEALTH = "dlms_mqtt/bridge/main/health"
METERS = f"""
  plain: {{connection: {{tcp: "127.0.0.1:PORT", client: 17}}, every: 1s, read: [1.0.1.7.0.255]}}
  ciphered:
    connection:
      tcp: "127.0.0.1:PORT"
      client: 1
      authentication: gmac
      encryption_key: "hex:{bytes(KEYS.encryption).hex()}"
      authentication_key: "hex:{bytes(KEYS.authentication).hex()}"
    every: 1s
    session: close
    read: [1.0.1.7.0.255]
"""


@pytest.fixture
async def meter():
    meter = household(1)
    async with serve_tcp(meter) as server:
        meter.port = server.port
        yield meter


def _meters(meter):
    return METERS.replace("PORT", str(meter.port))


async def _reads(home, *meters):
    """Until each of these has been read (again)."""
    before = {name: len(home.seen.of(f"dlms_mqtt/meter/{name}/reading")) for name in meters}
    await home.until(
        lambda: all(len(home.seen.of(f"dlms_mqtt/meter/{name}/reading")) > count for name, count in before.items())
    )


@pytest.mark.expect_log("is set aside as state.sqlite.damaged-1")
async def test_a_damaged_file_at_the_start(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        await _reads(home, "plain", "ciphered")
    counter = meter.client_counter()
    (tmp_path / "state" / STATE_FILE).write_bytes(b"\xa5" * 20_000)
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        await _reads(home, "plain", "ciphered")
    assert meter.client_counter() > counter


async def test_a_restored_backup_asks_the_meter_for_its_counter(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        await _reads(home, "ciphered")
    shutil.copy(tmp_path / "state" / STATE_FILE, tmp_path / "backup")
    with Store(tmp_path / "backup") as store:
        backup = store.counters()[0].next
    closed = float((tmp_path / "state" / "closed").read_text())
    with Store(tmp_path / "state" / STATE_FILE) as store:  # much is sent after the backup was made
        raise_all(store, 100_000)
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        await _reads(home, "ciphered")
    last = meter.client_counter()
    shutil.copy(tmp_path / "backup", tmp_path / "state" / STATE_FILE)
    (tmp_path / "state" / "closed").write_text(str(closed - 3600))
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        await _reads(home, "ciphered")
        assert json.loads(home.seen.latest[HEALTH])["meters"]["ciphered"]["consecutive_failures"] == 0
    assert meter.client_counter() > last > backup + 10_000 + 5 * 3700, "more than is skipped without being asked"
