# ruff: noqa: E501, ASYNC240
"""A session with every password and key, and mistakes: none shows in MQTT traffic, logs or files, however spelled."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.bridge.config.seal import seal
from dlms_mqtt.protocol.acse.messages import Mechanism
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Keys, Security
from dlms_mqtt.simulator import MANAGER, Association, serve_tcp
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server.push import notification
from tests.bridge.conftest import PATIENCE, Watcher, watching
from tests.bridge.house import write_config
from tests.free_port import free_port

ROOT = Path(__file__).parents[2]
SECRETS = {
    "broker": b"br0ker-s3same-open",
    "LLS": b"l0w-xyzzy-4711",
    "HLS": b"h1gh-frobozz-magic",
    "encryption key": bytes.fromhex("1f2e3d4c5b6a798897a6b5c4d3e2f101"),
    "authentication key": bytes.fromhex("a0b1c2d3e4f5061728394a5b6c7d8e9f"),
    "wrong LLS": b"wr0ng-plugh-0815",
    "wrong key": bytes.fromhex("9e8d7c6b5a4938271605f4e3d2c1b0a9"),
    "sealed LLS": b"l0w-xyzzy-4711",
    "sealed wrong": b"s3aled-wr0ng-word",
    "misplaced": b"m1splaced-password",
    "short key": bytes.fromhex("77c3a1e95d02bb"),
}
KEYS = Keys(Secret(SECRETS["encryption key"]), Secret(SECRETS["authentication key"]))
HEX_KEYS = (
    f'encryption_key: "hex:{SECRETS["encryption key"].hex()}", '
    f'authentication_key: "hex:{SECRETS["authentication key"].hex()}"'
)
LOW, HIGH, WRONG = (SECRETS[name].decode() for name in ("LLS", "HLS", "wrong LLS"))
ASSOCIATIONS = (
    Association(16, "public", MANAGER),
    Association(32, "low", MANAGER, Mechanism.LLS, secret=Secret(SECRETS["LLS"])),
    Association(38, "high", MANAGER, Mechanism.HLS_SHA256, secret=Secret(SECRETS["HLS"])),
    Association(35, "md5", MANAGER, Mechanism.HLS_MD5, secret=Secret(SECRETS["HLS"])),
    Association(1, "gmac", MANAGER, Mechanism.HLS_GMAC, keys=KEYS, policy=Security.BOTH),
    Association(40, "both", MANAGER, Mechanism.LLS, secret=Secret(SECRETS["LLS"]), keys=KEYS, policy=Security.BOTH),
)
METERS = {
    "low": f'client: 32, authentication: low, password: "text:{LOW}"',
    "high": f'client: 38, authentication: sha256, password: "text:{HIGH}", framing: wrapper',
    "md5": f'client: 35, authentication: md5, password: "text:{HIGH}"',
    "gmac": f"client: 1, authentication: gmac, invocation_counter: 1, security: both, {HEX_KEYS}",
    "both": f'client: 40, authentication: low, password: "text:{LOW}", invocation_counter: 1, '
    f"security: both, {HEX_KEYS}",
    "refused": f'client: 32, authentication: low, password: "text:{WRONG}"',
    "unopened": f'client: 1, authentication: gmac, invocation_counter: 1, encryption_key: "hex:{SECRETS["wrong key"].hex()}", '
    f'authentication_key: "hex:{SECRETS["authentication key"].hex()}"',
}
GOOD = ("low", "high", "md5", "gmac", "both")


def spellings(secret: bytes) -> set[str]:
    """Text, hex, Base64, reversed octets and nibbles, as Python writes it; whole and by halves."""
    halves = [secret, secret[: (len(secret) + 1) // 2], secret[len(secret) // 2 :]]
    turned = [part[::-1] for part in halves]
    swapped = [bytes((octet << 4 | octet >> 4) & 0xFF for octet in part) for part in (*halves, *turned)]
    found = {repr(secret)[2:-1], str(list(secret))[1:-1]}
    for part in (*halves, *turned, *swapped):
        found |= {part.hex(), part.hex(" "), part.hex(":"), base64.b64encode(part).decode().rstrip("=")}
        found |= {base64.urlsafe_b64encode(part).decode().rstrip("="), part.hex()[::-1]}
        with contextlib.suppress(UnicodeDecodeError):
            found.add(part.decode("ascii"))
    return {text.lower() for text in found if len(text) >= 7}


def leaks(text: str) -> list[str]:
    low = text.lower()
    return [name for name, secret in SECRETS.items() if any(form in low for form in spellings(secret))]


@contextlib.asynccontextmanager
async def bridge(path: Path, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dlms_mqtt", "run", "-vv", "--config", str(path),
            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=output, stderr=output,
        )  # fmt: skip
    try:
        yield process
        process.terminate()
        assert await asyncio.wait_for(process.wait(), PATIENCE) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def _broker(factory: Any, folder: Path) -> tuple[Any, int]:
    """Open for the watcher; with a password, on another port, for the bridge."""
    file, port = folder / "passwords", free_port()
    file.touch(mode=0o600)
    subprocess.run(["mosquitto_passwd", "-b", str(file), "dlms", SECRETS["broker"].decode()], check=True)
    secured = f"listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {file}"
    return factory(f"per_listener_settings true\nallow_anonymous true\n{secured}"), port


def _meters(port: int, push: int) -> str:
    rows = [
        f'  {name}:\n    connection: {{tcp: "127.0.0.1:{port}", timeout: 20s, retries: 0, {options}}}\n    every: 1s\n'
        "    read: [1.0.1.8.0.255, 1.0.16.7.0.255]\n    allow: [write, invoke]\n"
        for name, options in METERS.items()
    ]
    rows.append(f'  pushed:\n    connection: {{{HEX_KEYS}}}\n    push: {{listen: "tcp://127.0.0.1:{push}"}}\n')
    return "".join(rows)


async def _ask(seen: Watcher, topic: str, body: Any, number: list[int]) -> dict[str, Any]:
    number[0] += 1
    return await seen.ask(f"dlms_mqtt/{topic}", {"id": f"s{number[0]}", **body})


async def _manage(seen: Watcher, port: int, number: list[int]) -> None:
    """Meters by request: sealed, sealed and wrong, and clear."""
    key = seen.json("dlms_mqtt/bridge/main/info")["seal"]
    plain = {"tcp": f"127.0.0.1:{port}", "client": 32, "authentication": "low"}
    for name, secret, good in (("sealed", SECRETS["sealed LLS"], True), ("bad", SECRETS["sealed wrong"], False)):
        sealed = seal(f"text:{secret.decode()}", key, os.urandom, name, plain)
        config = {"connection": {**plain, "password": sealed}, "every": "1s", "read": ["1.0.1.8.0.255"]}
        body = {"meter": name, "config": config}
        assert ((await _ask(seen, "bridge/main/request/meter/validate", body, number))["status"] == "ok") is good
        assert (await _ask(seen, "bridge/main/request/meter/add", body, number))["status"] == "ok"
    clear = {"meter": "clear", "config": {"connection": {**plain, "password": f"text:{SECRETS['misplaced'].decode()}"}}}
    assert (await _ask(seen, "bridge/main/request/meter/add", clear, number))["error"]["code"] == "not-allowed"
    torn = seal(f"text:{SECRETS['misplaced'].decode()}", key, os.urandom, "clear", plain)[:-12]
    clear["config"]["connection"]["password"] = torn
    assert (await _ask(seen, "bridge/main/request/meter/add", clear, number))["status"] == "error"
    short = seal(f"hex:{SECRETS['short key'].hex()}", key, os.urandom, "clear", plain)
    clear["config"]["connection"] |= {"authentication": "gmac", "encryption_key": short, "password": None}
    assert (await _ask(seen, "bridge/main/request/meter/add", clear, number))["status"] == "error"


async def _mistakes(seen: Watcher, path: Path, number: list[int]) -> None:
    """Configurations that put secrets where they do not belong; the running one stays."""
    good = path.read_text()
    misplaced = SECRETS["misplaced"].decode()
    for wrong in (
        good.replace(f'password: "text:{HIGH}"', f"password: {misplaced}"),
        good.replace(f'"hex:{SECRETS["wrong key"].hex()}"', f'"hex:{SECRETS["short key"].hex()}"'),
        good.replace(f'"hex:{SECRETS["wrong key"].hex()}"', f'"text:{misplaced}"'),
        good.replace(f'password: "text:{WRONG}"', f'passwort: "text:{misplaced}"'),
        good.replace(f'password: "text:{WRONG}"', f'password: ["text:{misplaced}"]'),
        good.replace(f'password: "text:{WRONG}"', 'password: "text:' + misplaced),
    ):
        assert wrong != good
        path.write_text(wrong)
        reply = await _ask(seen, "bridge/main/request/reload", {}, number)
        assert reply["error"]["code"] == "invalid-value", reply
    path.write_text(good)
    assert (await _ask(seen, "bridge/main/request/reload", {}, number))["status"] == "ok"


async def _talk(seen: Watcher, number: list[int]) -> None:
    for name in GOOD:
        read = {"items": ["1.0.1.8.0.255", "9.9.9.9.9.9"]}
        assert (await _ask(seen, f"meter/{name}/request/read", read, number))["status"] == "ok"
        write = {"obis": "1.0.0.4.2.255", "attribute": 2, "value": 7}
        assert (await _ask(seen, f"meter/{name}/request/write", write, number))["status"] == "ok"
        await _ask(seen, f"meter/{name}/request/invoke", {"obis": "0.0.96.3.10.255", "method": 9}, number)
        assert (await _ask(seen, f"meter/{name}/request/objects", {}, number))["status"] == "ok"
    for name in ("refused", "unopened"):
        assert (await _ask(seen, f"meter/{name}/request/poll", {}, number))["status"] == "error"
    for verb in ("config", "schema", "ping"):
        assert (await _ask(seen, f"bridge/main/request/{verb}", {}, number))["status"] == "ok"


@pytest.fixture
def meter() -> Any:
    return household(1, associations=ASSOCIATIONS)


def test_the_scan_finds_what_it_looks_for():
    for name, secret in SECRETS.items():
        swapped = bytes((octet << 4 | octet >> 4) & 0xFF for octet in secret)
        for text in (secret.hex().upper(), secret[::-1].hex(), swapped.hex(), repr(secret)):
            assert name in leaks(f"... {text} ..."), (name, text)


async def test_no_secret_shows_anywhere(mosquitto_factory, tmp_path, meter):
    (tmp_path / "run").mkdir()
    broker, secured = _broker(mosquitto_factory, tmp_path)
    push, log, number = free_port(), tmp_path / "bridge.log", [0]
    async with serve_tcp(meter) as server:
        user = f'username: dlms\npassword: "text:{SECRETS["broker"].decode()}"'
        text = "management: true\nlog_level: warning\nwatch_files: false"  # -vv goes before it
        path = write_config(tmp_path / "run", secured, _meters(server.port, push), text, user)
        async with watching(broker.port) as seen, bridge(path, log):
            online = {f"dlms_mqtt/meter/{name}/availability" for name in GOOD}
            await seen.until(lambda: all(seen.latest.get(topic) == "online" for topic in online))
            with socket.create_connection(("127.0.0.1", push)) as sock:
                apdu = notification(meter, client=1, ciphered=True)
                sock.sendall(bytes.fromhex("000100010066") + len(apdu).to_bytes(2, "big") + apdu)
                await seen.until(lambda: seen.latest.get("dlms_mqtt/meter/pushed/value/energy_import"))
            await _talk(seen, number)
            await _manage(seen, server.port, number)
            await _mistakes(seen, path, number)
            await seen.publish("dlms_mqtt/meter/low/request/read", b'{"password": "text:' + SECRETS["misplaced"])
            await seen.until(lambda: seen.latest.get("dlms_mqtt/meter/sealed/availability") == "online")
            health = seen.json("dlms_mqtt/bridge/main/health")["meters"]
            assert health["refused"]["status"] in ("password_refused", "locked_out")
    said = [(topic, payload) for topic, payload, _ in seen.all if "/request/" not in topic]
    assert len(said) > 100
    assert leaks(json.dumps(said)) == []
    output = log.read_text()
    assert " > " in output and "DEBUG" in output, "the log is at its most talkative"
    assert leaks(output) == []
    state = tmp_path / "run/state"
    assert leaks((state / "state.sqlite").read_bytes().decode("latin-1")) == []
    assert (state / "seal.key").read_bytes().hex() not in output + json.dumps(said)
    _check_files(tmp_path / "run", {path, *state.glob("meters/*.yaml")})


def _check_files(folder: Path, allowed: set[Path]) -> None:
    """Secrets lie in the user's file and in the managed meters' (mode 0600), nowhere else."""
    for file in (file for file in folder.rglob("*") if file.is_file()):
        if file not in allowed:
            assert leaks(file.read_bytes().decode("latin-1")) == [], file
        if folder / "state" in file.parents:
            assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0, file
