"""A bridge reads a meter behind an ESPHome device: trouble and recovery, and its key shown to nobody."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config import managed_meters
from dlms_mqtt.bridge.config.doubts import doubts
from dlms_mqtt.bridge.config.load import ConfigMistakes, Loaded, load_config
from dlms_mqtt.bridge.config.seal import SealKey, seal
from dlms_mqtt.bridge.meters import status
from dlms_mqtt.meter.presets.preset import preset_connection
from dlms_mqtt.simulator import household, serve_memory
from tests.bridge.house import House, house
from tests.esphome_head import KEY, EsphomeHead

OCTETS = base64.b64decode(KEY)
URL = "esphome://head.local/?port_name=meter"


def loaded(folder: Path, connection: str, mode: int = 0o600) -> Loaded:
    file = folder / "config.yaml"
    file.write_text(f"bridge: {{state_dir: state}}\nmeters:\n  house:\n    connection: {{{connection}}}\n")
    file.chmod(mode)
    (folder / "secrets.yaml").write_text(f'head: "text:{KEY}"\nline: "{URL}&noise_psk={KEY}"\n')
    (folder / "secrets.yaml").chmod(0o600)
    return load_config(file, preset_connection, {})


FORMS = {
    "plain": (f'serial: "{URL}", noise_psk: "text:{KEY}"', True),
    "in the address": (f'serial: "{URL}&noise_psk={KEY}"', True),
    "from the environment": (f'serial: "{URL}", noise_psk: "env:HEAD_KEY"', False),
    "from the environment, in the address": (f'serial: "{URL}&noise_psk=env:HEAD_KEY"', False),
    "secrets.yaml": (f'serial: "{URL}", noise_psk: !secret head', False),
    "the line in secrets.yaml": ("serial: !secret line", False),
}


@pytest.mark.parametrize(("connection", "plain"), FORMS.values(), ids=FORMS)
def test_the_key_of_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, connection: str, plain: bool
) -> None:
    monkeypatch.setenv("HEAD_KEY", KEY)
    found = loaded(tmp_path, connection, 0o644)
    settings = found.connections["house"]
    assert (settings.line, bytes(settings.noise_psk or b"")) == (URL, KEY.encode())
    shown = {} if "!secret line" in connection else {"serial": URL}
    assert found.shown["house"]["connection"] == shown
    assert KEY not in repr(found)
    told = [doubt for doubt in doubts(found) if "holds secrets" in doubt]
    assert bool(told) == plain
    assert list(doubts(loaded(tmp_path, connection))) == []


@pytest.mark.parametrize(
    ("connection", "line", "told"),
    [
        (f'serial: "{URL}&noise_psk={KEY[:-2]}"', "noise_psk", "32 octets"),
        (f'serial: "{URL}&noise_psk={KEY}", noise_psk: "text:{KEY}"', "noise_psk", "stands in the address"),
        (f'serial: "/dev/ttyUSB0", noise_psk: "text:{KEY}"', "noise_psk", "esphome:// alone"),
        ('serial: "esphome://head/?port=x"', "serial", "does not know 'port'"),
    ],
)
def test_mistakes_have_a_place_and_show_no_key(tmp_path: Path, connection: str, line: str, told: str) -> None:
    with pytest.raises(ConfigMistakes, match=told) as caught:
        loaded(tmp_path, connection)
    assert caught.value.line == 4
    assert str(caught.value.key).endswith(("connection", line))
    assert KEY[:20] not in str(caught.value)


def test_what_may_be_set_over_mqtt(tmp_path: Path) -> None:
    keys = SealKey.load(tmp_path / "seal.key", os.urandom)
    line = {"serial": URL}
    sealed = seal(f"text:{KEY}", keys.public, os.urandom, "flat", line)
    opened = managed_meters.remote_connection({**line, "noise_psk": sealed}, keys, "flat")
    assert opened == {**line, "noise_psk": f"text:{KEY}"}
    assert managed_meters.seals_in({"connection": {**line, "noise_psk": sealed}}) == [sealed]
    for wrong in (
        {"serial": f"{URL}&noise_psk={KEY}"},
        {**line, "noise_psk": f"text:{KEY}"},
        {"serial": "esphome://other/?port_name=meter", "noise_psk": sealed},  # the seal is for its line
        {"serial": "esphome://head/../x"},
    ):
        with pytest.raises(RequestError) as caught:
            managed_meters.remote_connection(wrong, keys, "flat")
        assert KEY not in str(caught.value)


def test_a_key_stays_only_with_its_line() -> None:
    stored = {"connection": {"serial": URL, "noise_psk": f"text:{KEY}"}}
    for line, kept in ((URL, True), ("esphome://other/", False)):
        made = managed_meters.completed({"connection": {"serial": line}}, stored)
        assert ("noise_psk" in made["connection"]) == kept


def _everything(home: House, log: str) -> str:
    return "\n".join(payload for _, payload, _ in home.seen.all) + log


@pytest.mark.expect_log("house: ")  # that it is gone, and there again
async def test_read_cut_restarted_in_use_and_read_again(
    mosquitto: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setattr(status, "_FAILING_FOR", 1.0)  # s, of 60: offline is waited for
    async with EsphomeHead(key=KEY) as head, serve_memory(household(1), head.line):
        connection = f'{{serial: "{head.url}&noise_psk={KEY}", client: 17, timeout: 20s, retries: 0}}'
        meters = f"  house: {{connection: {connection}, every: 1s, session: keep}}\n"
        async with house(mosquitto, tmp_path, meters) as home:

            async def goes(word: str) -> None:
                await home.until(lambda: home.meter("availability") == word)

            await home.until(lambda: home.meter("value/energy_import"))
            head.cut()
            await goes("offline")
            await head.start()
            await goes("online")
            before = head.owner
            await head.restart()
            await home.until(lambda: head.owner not in (None, before))
            head.taken = True
            head.drop()
            await goes("offline")
            head.taken = False
            await goes("online")
            shown = (await home.ask("bridge/main/request/config"))["data"]["meters"]["house"]["connection"]
            assert shown["serial"] == head.url
            said = _everything(home, caplog.text)
    assert "in use by another program" in said
    for form in (KEY, OCTETS.hex(), str(OCTETS)):
        assert form not in said


async def test_management_with_a_sealed_key(mosquitto: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    async with (
        EsphomeHead(key=KEY) as head,
        serve_memory(household(1), head.line),
        house(mosquitto, tmp_path, "", "management: true") as home,
    ):
        public = home.seen.json("dlms_mqtt/bridge/main/info")["seal"]
        line = {"serial": head.url}

        def sealed(meter: str) -> dict[str, str]:
            return {**line, "noise_psk": seal(f"text:{KEY}", public, os.urandom, meter, line)}

        plain = {"connection": {"serial": f"{head.url}&noise_psk={KEY}"}}
        reply = await home.ask("bridge/main/request/meter/add", {"meter": "flat", "config": plain})
        assert reply["error"]["code"] == "not-allowed"
        home.seen.all.clear()  # our own mistake
        found = await home.ask("bridge/main/request/meter/find", {"line": sealed("new")})
        assert found["data"]["found"], found
        assert found["data"]["connection"]["serial"] == head.url
        assert "noise_psk" not in found["data"]["connection"]
        config = {"connection": {**sealed("flat"), "client": 17}, "every": "1s"}
        reply = await home.ask("bridge/main/request/meter/validate", {"meter": "flat", "config": config})
        assert reply["data"]["valid"], reply
        assert (await home.ask("bridge/main/request/meter/add", {"meter": "flat", "config": config}))["status"] == "ok"
        await home.until(lambda: home.meter("availability", "flat") == "online")
        shown = (await home.ask("bridge/main/request/config"))["data"]["meters"]["flat"]["connection"]
        assert shown == {**line, "client": 17}
        said = _everything(home, caplog.text)
    assert KEY not in said
