"""The command line and a meter behind an ESPHome device: its key opens the line, and is shown nowhere."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.client.settings import parse_settings
from dlms_mqtt.meter.presets.preset import preset_connection
from dlms_mqtt.simulator import household, serve_memory
from tests.bridge import conftest as brokers
from tests.cli.conftest import Cli, Result
from tests.client.test_push import LLC, PLAIN, ui
from tests.esphome_head import KEY, EsphomeHead

mosquitto_factory, mosquitto = brokers.mosquitto_factory, brokers.mosquitto  # fixtures

PASSWORD = "12345678"
ACCESS = ("--client", "32", "--password", f"text:{PASSWORD}")
PUSHED = ui(LLC + PLAIN)


@pytest.fixture
def head() -> Iterator[EsphomeHead]:
    """In a thread of its own, as a real one is a machine of its own."""
    ready, loop, done = threading.Event(), asyncio.new_event_loop(), asyncio.Event()
    device = EsphomeHead(key=KEY)

    async def serve() -> None:
        async with device, serve_memory(household(1), device.line):
            ready.set()
            await done.wait()
        await asyncio.sleep(0)

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    yield device
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()


def hidden(result: Result, status: int = 0) -> Result:
    assert result.status == status, result.err
    assert KEY not in result.out + result.err
    return result


def test_read(cli: Cli, head: EsphomeHead) -> None:
    for line in (("--serial", f"{head.url}&noise_psk={KEY}"), ("--serial", head.url, "--noise-psk", f"text:{KEY}")):
        result = hidden(cli("read", "1.8.0", *line, *ACCESS, "--json", "-vv"))
        assert result.json["values"][0]["value"]
        assert PASSWORD not in result.err


def test_the_key_in_a_file(cli: Cli, head: EsphomeHead, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{KEY}\n")
    for line in (
        ("--serial", head.url, "--noise-psk", f"file:{tmp_path}/key"),
        ("--serial", f"{head.url}&noise_psk=file:{tmp_path}/key"),
    ):
        hidden(cli("read", "1.8.0", *line, *ACCESS))


def test_find_and_what_it_prints(cli: Cli, head: EsphomeHead, tmp_path: Path) -> None:
    line = ("--serial", f"{head.url}&noise_psk={KEY}")
    result = hidden(cli("find", *line, "--opening", "direct", "--client", "17"))
    block = yaml.safe_load(result.out[result.out.index("connection:") :])["connection"]
    assert block["serial"] == head.url
    assert parse_settings({**block, "noise_psk": f"text:{KEY}"}).client == 17
    assert "!secret" in result.err  # it must be added
    assert KEY.encode() not in b"".join(file.read_bytes() for file in (tmp_path / "state").rglob("*") if file.is_file())
    hidden(cli("find", *line, "--client", "17"))  # as last time


def test_listen(cli: Cli, head: EsphomeHead) -> None:
    ending = threading.Event()

    def push() -> None:
        while not ending.wait(0.2):
            head.line.to_client_soon(PUSHED)

    thread = threading.Thread(target=push)
    thread.start()
    try:
        for line in (("--serial", f"{head.url}&noise_psk={KEY}"), ("--serial", head.url, "--noise-psk", f"text:{KEY}")):
            result = hidden(cli("listen", *line, "--baud", "2400", "--count", "1"))
            assert head.url in result.out
    finally:
        ending.set()
        thread.join()


def test_a_configuration(cli: Cli, head: EsphomeHead, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(
        f"bridge: {{state_dir: state}}\nmqtt: {{host: localhost}}\nmeters:\n  house:\n    connection:\n"
        f'      serial: "{head.url}&noise_psk={KEY}"\n      client: 17\n'
    )
    file.chmod(0o644)
    checked = hidden(cli("check", "--config", str(file)))
    assert f"house, on {head.url}," in checked.out
    assert "holds secrets and can be read" in checked.out + checked.err
    hidden(cli("read", "1.8.0", "--config", str(file)))
    # another line has another key
    elsewhere = hidden(cli("read", "1.8.0", "--config", str(file), "--serial", head.url), 1)
    assert "wants an encrypted connection" in elsewhere.err


@pytest.mark.parametrize(
    ("key", "said"), [("text:short", "32 octets"), (KEY, "must say what it is"), ("env:NO_SUCH_KEY", "is not set")]
)
def test_wrong_keys(cli: Cli, key: str, said: str) -> None:
    result = hidden(cli("read", "1.8.0", "--serial", "esphome://127.0.0.1/", "--noise-psk", key), 2)
    assert said in result.err


def test_setup(cli: Cli, head: EsphomeHead, mosquitto: brokers.Mosquitto, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    broker = ("--broker", f"127.0.0.1:{mosquitto.port}")
    line = ("--serial", f"{head.url}&noise_psk={KEY}", "--opening", "direct")
    hidden(cli("setup", *line, *ACCESS, "--config", str(file), *broker, "--name", "House", "--yes"))
    assert KEY not in file.read_text()
    settings = load_config(file, preset_connection, {}).connections["house"]
    assert (settings.serial, bytes(settings.noise_psk or b"").decode()) == (head.url, KEY)
    assert (tmp_path / "secrets.yaml").stat().st_mode & 0o777 == 0o600
