from __future__ import annotations

import asyncio
import os
import threading
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml

from dlms_mqtt.bridge.config.load import parse_meter
from dlms_mqtt.client.settings import parse_settings
from dlms_mqtt.meter.presets.preset import preset_connection
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.transport import ports
from tests.cli.conftest import Cli
from tests.frames_data import entries


@contextmanager
def meter() -> Iterator[int]:
    """A household meter on TCP in a thread of its own."""
    ready, ending = threading.Event(), asyncio.Event()
    where: list[int] = []
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with serve_tcp(household()) as server:
            where.append(server.port)
            ready.set()
            await ending.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    try:
        yield where[0]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()


def test_without_a_line_the_ports_are_listed_and_none_is_opened(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    port = ports.Port("/dev/serial/by-id/usb-probe", "/dev/ttyUSB7", "Probe", "1")
    monkeypatch.setattr(ports, "list_ports", lambda: [port])
    result = cli("find")
    assert result.status == 0
    assert "/dev/serial/by-id/usb-probe  /dev/ttyUSB7  Probe" in result.out
    assert cli("find", "--json").json == {"ports": [port._asdict()]}


def test_no_port(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "list_ports", list)
    assert "no serial port" in cli("find").out


def test_a_block_for_the_configuration(cli: Cli) -> None:
    with meter() as port:
        result = cli("find", "--tcp", f"127.0.0.1:{port}")
        assert result.status == 0, result.err
        block = result.out[result.out.index("connection:") :]
        settings = parse_settings(yaml.safe_load(block)["connection"])
        assert settings.tcp == ("127.0.0.1", port)
        assert settings.link_framing == "wrapper"
        document = cli("find", "--tcp", f"127.0.0.1:{port}", "--fresh", "--json").json
    assert document["found"]
    assert document["complete"]
    assert document["connection"]["tcp"] == f"127.0.0.1:{port}"
    assert document["learned"]["logical_device_name"].startswith("DMQ")
    assert {"client": 32, "access": "password"} in document["learned"]["clients"]


def test_a_password_is_used_and_never_shown(cli: Cli) -> None:
    with meter() as port:
        words = ("--client", "32", "--authentication", "low", "--password", "text:12345678")
        result = cli("find", "--tcp", f"127.0.0.1:{port}", *words)
    assert result.status == 0, result.err
    assert "12345678" not in result.out.replace(str(port), "") + result.err
    assert "authentication: low" in result.out


def test_a_meter_of_a_configuration(cli: Cli, tmp_path: Path) -> None:
    """Its line, client and password; how it is reached is found out, because that may be what is wrong."""
    with meter() as port:
        file = tmp_path / "config.yaml"
        secret = "{client: 32, authentication: low, password: 'text:12345678', framing: hdlc, server: 99, "
        file.write_text(
            f"bridge: {{state_dir: {tmp_path}}}\nmqtt: {{host: localhost}}\n"
            f"meters:\n  house: {{connection: {secret} tcp: '127.0.0.1:{port}'}}}}\n"
        )
        result = cli("find", "--config", str(file), "--json")
    assert result.status == 0, result.err
    found = result.json["connection"]
    assert result.json["complete"]
    assert (found["client"], found["authentication"], found["tcp"]) == (32, "low", f"127.0.0.1:{port}")
    assert found.get("framing", "wrapper") == "wrapper"
    assert "server" not in found
    assert "12345678" not in result.out.replace(str(port), "") + result.err
    assert (tmp_path / "state.sqlite").exists()


def test_a_meter_that_pushes_gets_its_listen_command(cli: Cli) -> None:
    """A Kaifa on a pseudo-terminal pushes every second; the printed words are what `listen` takes."""
    octets = bytes.fromhex(entries("push_kaifa", framing="mbus")[0]["hex"])
    master, slave = os.openpty()
    tty.setraw(slave)
    ending = threading.Event()

    def push() -> None:
        while not ending.wait(1.0):
            os.write(master, octets)

    thread = threading.Thread(target=push)
    thread.start()
    try:
        port = os.ttyname(slave)
        result = cli("find", "--serial", port, "--baud", "2400", "--opening", "direct", "--seconds", "30")
    finally:
        ending.set()
        thread.join()
        os.close(master)
        os.close(slave)
    assert result.status == 1
    assert "sends by itself" in result.out
    assert f"dlms-mqtt listen --serial {port} --baud 2400" in result.out
    block = result.out.partition("\nconnection:")[2].partition("\ndlms-mqtt listen")[0]
    found = yaml.safe_load(f"connection:{block}")
    assert found["push"] == {"listen": "connection"} and found["connection"]["serial"] == port
    assert parse_meter("han", found, preset_connection)[0].push
    assert "mean nothing" not in result.out  # the verdict is not contradicted
    assert "--go-on asks all the same" in result.err


def test_nobody_there(cli: Cli) -> None:
    result = cli("find", "--tcp", "127.0.0.1:9", "--seconds", "5")
    assert result.status == 1
    assert "127.0.0.1:9" in result.err


@pytest.mark.parametrize(
    "words", [("--seconds", "soon"), ("--baud", "fast"), ("--authentication", "low"), ("--meter", "house")]
)
def test_wrong_usage(cli: Cli, words: tuple[str, str]) -> None:
    result = cli("find", "--tcp", "127.0.0.1:9", *words)
    assert result.status == 2
    assert not result.out
