"""A bridge whose state is damaged, too old or partly unreadable: meters go on, and nobody has to come."""

from __future__ import annotations

import json
import shutil

import pytest

from dlms_mqtt.bridge import store_watch
from dlms_mqtt.bridge.state_dir import STATE_FILE
from dlms_mqtt.client.state.rescue import raise_all
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.simulator import KEYS
from tests.bridge.conftest import watching
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


def _meters(meter):
    return METERS.replace("PORT", str(meter.port))


async def _reads(home, *meters):
    """Until each of these has been read (again)."""
    before = {name: len(home.seen.of(f"dlms_mqtt/meter/{name}/reading")) for name in meters}
    await home.until(
        lambda: all(len(home.seen.of(f"dlms_mqtt/meter/{name}/reading")) > count for name, count in before.items())
    )


def _reasons(home):
    return json.loads(home.seen.latest.get(HEALTH, "{}")).get("reasons", [])


@pytest.mark.expect_log("is set aside as state.sqlite.damaged-1")
async def test_a_damaged_file_at_the_start(mosquitto, tmp_path, meter):
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        await _reads(home, "plain", "ciphered")
    counter = meter.client_counter()
    (tmp_path / "state" / STATE_FILE).write_bytes(b"\xa5" * 20_000)
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        await _reads(home, "plain", "ciphered")
    assert meter.client_counter() > counter


@pytest.mark.expect_log("is set aside as state.sqlite.damaged-1", "damaged")
async def test_a_file_that_is_damaged_while_it_is_used(mosquitto, tmp_path, meter, monkeypatch):
    monkeypatch.setattr(store_watch, "_PAUSES", (0.5,))
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        await _reads(home, "plain", "ciphered")
        with (tmp_path / "state" / STATE_FILE).open("r+b") as file:
            file.write(b"\xa5" * 20_000)
        await home.until((tmp_path / "state" / "state.sqlite.damaged-1").exists)
        await _reads(home, "plain", "ciphered")


@pytest.mark.expect_log("was deleted or replaced while it was used")
async def test_a_folder_that_is_deleted_or_replaced_while_it_is_used(mosquitto, tmp_path, meter, monkeypatch):
    """No counter is used twice, and no human is needed; the lock and the seal are made again."""
    monkeypatch.setattr(store_watch, "_PAUSES", (0.5,))
    folder, backup = tmp_path / "state", tmp_path / "backup"
    async with house(mosquitto, tmp_path, _meters(meter)) as home:
        await _reads(home, "plain", "ciphered")
        shutil.copytree(folder, backup)
        with Store(folder / STATE_FILE) as store:  # much is sent after the backup was made
            raise_all(store, 20_000)
        await home.until(lambda: meter.client_counter() > 20_000)
        first = home.app.bridge
        shutil.rmtree(folder)
        await home.until(lambda: home.app.bridge is not first)
        await _reads(home, "plain", "ciphered")
        assert {"lock", "seal.key", STATE_FILE} <= {file.name for file in folder.iterdir()}
        last, second = meter.client_counter(), home.app.bridge
        shutil.rmtree(folder)
        shutil.copytree(backup, folder)
        await home.until(lambda: home.app.bridge is not second)
        await _reads(home, "plain", "ciphered")
        assert json.loads(home.seen.latest[HEALTH])["meters"]["ciphered"]["consecutive_failures"] == 0
    assert meter.client_counter() > last > 20_000


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


@pytest.mark.expect_log("is left out", "was not reloaded")
async def test_one_bad_managed_file_leaves_the_others_alone(mosquitto, tmp_path, meter):
    options = "watch_files: false\nmanagement: true"
    folder = tmp_path / "state" / "meters"
    folder.mkdir(parents=True)
    good = f'{{connection: {{tcp: "127.0.0.1:{meter.port}", client: 17}}, every: 1s, read: [1.0.1.7.0.255]}}'
    (folder / "flat.yaml").write_text(good)
    async with house(mosquitto, tmp_path, _meters(meter), options) as home:
        await _reads(home, "plain", "flat")
        (folder / "flat.yaml").write_bytes(b"\x00\xff{{{")
        reply = await home.ask("bridge/main/request/reload")
        assert reply["status"] == "error" and "flat.yaml" in reply["error"]["message"]
        await _reads(home, "flat")  # it works on as it was
    async with house(mosquitto, tmp_path, _meters(meter), options) as home:
        await _reads(home, "plain")
        await home.until(lambda: any(reason.startswith("flat: its file is damaged") for reason in _reasons(home)))
        home.numbers = 1  # a repeated id is answered as before
        assert (await home.ask("bridge/main/request/reload"))["status"] == "ok", "others may change all the same"
    (folder / "flat.yaml").write_text(good)
    async with watching(mosquitto.port) as seen:
        await seen.until(lambda: seen.latest.get("homeassistant/device/dlms_mqtt_flat/config"))
    async with house(mosquitto, tmp_path, _meters(meter), options) as home:
        await _reads(home, "flat")
