"""Every command at every trace level, with passwords and keys: none of its output may hold one, in any spelling."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydlms.security.hls import Mechanism
from pydlms.simulator import ClientProfile, ImageTransferTarget, example_meter, serve

from dlms_mqtt.cli import COMMANDS
from tests.cli.conftest import Cli
from tests.frames_data import entries

PASSWORD = b"xyzzy-4711-plugh"
HLS_SECRET = b"frobozz-magic-secret"
ENCRYPTION = bytes.fromhex("1f2e3d4c5b6a798897a6b5c4d3e2f101")
AUTHENTICATION = bytes.fromhex("a0b1c2d3e4f5061728394a5b6c7d8e9f")
BROADCAST = bytes.fromhex("0badc0de0badc0de1234567890abcdef")
DEDICATED = bytes.fromhex("deadbeef0102030405060708090a0b0c")
SECRETS = {
    "password": PASSWORD,
    "secret": HLS_SECRET,
    "encryption key": ENCRYPTION,
    "authentication key": AUTHENTICATION,
    "broadcast key": BROADCAST,
    "dedicated key": DEDICATED,
}
LEVELS = pytest.mark.parametrize("level", [[], ["-v"], ["-vv"]], ids=["quiet", "v", "vv"])
# What only prints what is built in, or talks to a meter of its own with keys that protect nothing.
WITHOUT_SECRETS = {"presets", "simulate", "demo"}


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """A meter with all these secrets, on the wrapper and on HDLC."""
    sim = example_meter(encryption_key=ENCRYPTION, authentication_key=AUTHENTICATION)
    sim.clients[32] = ClientProfile(mechanism=Mechanism.LLS, secret=PASSWORD)
    sim.clients[33] = ClientProfile(mechanism=Mechanism.HLS_MD5, secret=HLS_SECRET)
    sim.clients[34] = ClientProfile(mechanism=Mechanism.HLS, secret=HLS_SECRET[:16])
    sim.clients[1] = ClientProfile(mechanism=Mechanism.HLS_GMAC, ciphered=True)
    ImageTransferTarget().install(sim)
    servers = {"wrapper": serve(sim), "hdlc": serve(sim, hdlc=True)}
    yield {framing: server.server_address[1] for framing, server in servers.items()}
    for server in servers.values():
        server.shutdown()
        server.server_close()


def spellings(secret: bytes) -> set[str]:
    """The secret as text, hex, Base64 and as Python writes it, whole and by halves."""
    parts = [secret, secret[:8], secret[-8:]]
    found = {part.hex() for part in parts} | {part.hex(" ") for part in parts} | {part.hex(":") for part in parts}
    found |= {base64.b64encode(secret).decode(), repr(secret)[2:-1], str(list(secret))[1:-1]}
    return {text.lower() for text in found} | {part.decode().lower() for part in parts if part.isascii()}


def leaks(output: str) -> list[str]:
    """The names of the secrets that show."""
    low = output.lower()
    return [name for name, secret in SECRETS.items() if any(text in low for text in spellings(secret))]


WAYS: dict[str, str] = {
    "low": f"--client 32 --authentication low --password text:{PASSWORD.decode()}",
    "md5": f"--client 33 --authentication md5 --password text:{HLS_SECRET.decode()}",
    "hls": f"--client 34 --authentication hls --hls-algorithm aes --password hex:{HLS_SECRET[:16].hex()}",
    "ciphered": f"--client 1 --authentication gmac --encryption-key hex:{ENCRYPTION.hex()} "
    f"--authentication-key hex:{AUTHENTICATION.hex()} --broadcast-key hex:{BROADCAST.hex()} "
    f"--ciphering dedicated --dedicated-key hex:{DEDICATED.hex()}",
}
COMMAND_WORDS: dict[str, list[str]] = {
    "read": ["1.0.1.8.0.255", "9.9.9.9.9.9:2", "--json"],
    "write": ["1/0.0.96.1.0.255:2", "new serial", "--type", "visible-string"],
    "invoke": ["70/0.0.96.3.10.255:1"],
    "objects": ["--values"],
    "profile": ["1.0.99.1.0.255", "--first", "1", "--count", "3"],
    "clock": [],
    "firmware": ["IMAGE"],
    "counter": [],
    "dump": [],
}


def connection(ports: dict[str, int], framing: str, way: str, state: Path) -> list[str]:
    words = ["--tcp", f"127.0.0.1:{ports[framing]}", "--framing", framing, "--timeout", "2", "--state", str(state)]
    return [*words, *WAYS[way].split()]


@LEVELS
@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", COMMAND_WORDS)
def test_commands_that_talk(
    cli: Cli, ports: dict[str, int], tmp_path: Path, command: str, way: str, framing: str, level: list[str]
) -> None:
    image = tmp_path / "image.bin"
    image.write_bytes(b"firmware" * 30)
    words = [str(image) if word == "IMAGE" else word for word in COMMAND_WORDS[command]]
    result = cli(command, *words, *level, *connection(ports, framing, way, tmp_path / "state.sqlite"))
    assert result.status == 0, result.err
    if level == ["-vv"] and command != "counter":
        assert " > " in result.err, "the trace is there"
    assert leaks(result.out + result.err) == []


@LEVELS
@pytest.mark.parametrize(
    "change",
    [
        ["--encryption-key", "hex:00"],
        ["--authentication-key", "text:too short"],
        ["--password", "xyzzy-4711-plugh"],
        ["--encryption-key", f"hex:{ENCRYPTION.hex()[::-1]}"],
        ["--client", "99"],
    ],
    ids=["length", "text", "bare word", "wrong key", "wrong client"],
)
def test_mistakes(cli: Cli, ports: dict[str, int], tmp_path: Path, change: list[str], level: list[str]) -> None:
    words = connection(ports, "wrapper", "ciphered", tmp_path / "state.sqlite")
    result = cli("read", "1.0.1.8.0.255", *level, *words, *change)
    assert result.status in (1, 2)
    assert leaks(result.out + result.err) == []


CONFIG = """
bridge: {{id: main, state_dir: {state}}}
mqtt: {{host: 127.0.0.1, port: 1, username: dlms, password: "text:{password}"}}
meters:
  house:
    connection:
      tcp: "127.0.0.1:{port}"
      framing: wrapper
      client: 32
      authentication: low
      password: "text:{password}"
"""


@LEVELS
@pytest.mark.parametrize("command", [["check"], ["check", "--json"], ["read", "1.0.1.8.0.255", "--meter", "house"]])
def test_a_configuration(cli: Cli, ports: dict[str, int], tmp_path: Path, command: list[str], level: list[str]) -> None:
    file = tmp_path / "config.yaml"
    text = CONFIG.format(state=tmp_path, password=PASSWORD.decode(), port=ports["wrapper"])
    file.write_text(text, encoding="utf-8")
    result = cli(*command, *level, "--config", str(file))
    assert result.status in (0, 1, 2)
    assert leaks(result.out + result.err) == []
    file.write_text(text.replace("client: 32", "client: x").replace("text:", "txet:"), encoding="utf-8")
    result = cli(*command, *level, "--config", str(file))
    assert result.status == 2
    assert leaks(result.out + result.err) == []


@LEVELS
def test_decode_shows_no_key(cli: Cli, level: list[str]) -> None:
    keys = ["--encryption-key", f"hex:{ENCRYPTION.hex()}", "--authentication-key", f"hex:{AUTHENTICATION.hex()}"]
    for entry in entries("push")[:8]:
        result = cli("decode", entry["hex"], *level, *keys)
        assert leaks(result.out + result.err) == []


@LEVELS
def test_find_sends_and_shows_no_password(cli: Cli, ports: dict[str, int], tmp_path: Path, level: list[str]) -> None:
    words = ["--tcp", f"127.0.0.1:{ports['wrapper']}", "--seconds", "3", "--state", str(tmp_path / "state.sqlite")]
    result = cli("find", *words, *level)
    assert result.status in (0, 1)
    assert leaks(result.out + result.err) == []


def test_every_command_is_here() -> None:
    elsewhere = {"check", "decode", "find"}
    needing_a_broker_or_a_push = {"run", "listen"}
    assert set(COMMANDS) == set(COMMAND_WORDS) | elsewhere | WITHOUT_SECRETS | needing_a_broker_or_a_push


def test_the_search_finds() -> None:
    for name, secret in SECRETS.items():
        assert leaks(f"... {secret.hex().upper()} ...") == [name]
        assert leaks(f"... {secret!r} ...") == [name]
