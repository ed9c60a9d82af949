"""Every command at every trace level, with passwords and keys given in every way, in success and failure.

None of the output may hold one of them, in any spelling. What `run` tells MQTT and its files is in tests/bridge.
"""

from __future__ import annotations

import base64
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from itertools import count, product
from pathlib import Path
from typing import Any

import pytest
from pydlms.security.hls import Mechanism
from pydlms.simulator import ClientProfile, ImageTransferTarget, MeterSimulator, example_meter, serve

from dlms_mqtt.cli import COMMANDS
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.protocol.security import Cipher, Keys, Security
from tests.cli.conftest import Cli
from tests.cli.test_listen import listen_tcp
from tests.client.test_push import PLAIN, TITLE, ui
from tests.frames_data import entries

PASSWORD = b"xyzzy-4711-plugh"
HLS_SECRET = b"frobozz-magic-secret"
ENCRYPTION = b"Gl0bal-key-of-us"
AUTHENTICATION = b"Tag-k3y-is-here!"
BROADCAST = b"T0-all-the-world"
DEDICATED = b"For-this-t1me-ok"
SECRETS = {
    "password": PASSWORD,
    "secret": HLS_SECRET,
    "half secret": HLS_SECRET[:16],
    "encryption key": ENCRYPTION,
    "authentication key": AUTHENTICATION,
    "broadcast key": BROADCAST,
    "dedicated key": DEDICATED,
}
LEVELS = pytest.mark.parametrize("level", [[], ["-v"], ["-vv"]], ids=["quiet", "v", "vv"])
GIVINGS = ("text", "hex", "env", "file")
Give = Callable[[bytes, str], str]


@pytest.fixture(scope="module")
def sim() -> MeterSimulator:
    """A meter with all these secrets."""
    sim = example_meter(encryption_key=ENCRYPTION, authentication_key=AUTHENTICATION)
    sim.clients[32] = ClientProfile(mechanism=Mechanism.LLS, secret=PASSWORD)
    sim.clients[33] = ClientProfile(mechanism=Mechanism.HLS_MD5, secret=HLS_SECRET)
    sim.clients[34] = ClientProfile(mechanism=Mechanism.HLS, secret=HLS_SECRET[:16])
    sim.clients[1] = ClientProfile(mechanism=Mechanism.HLS_GMAC, ciphered=True)
    ImageTransferTarget().install(sim)
    return sim


@pytest.fixture(scope="module")
def ports(sim: MeterSimulator) -> Iterator[dict[str, int]]:
    """It, on the wrapper and on HDLC."""
    servers = {"wrapper": serve(sim), "hdlc": serve(sim, hdlc=True)}
    yield {framing: server.server_address[1] for framing, server in servers.items()}
    for server in servers.values():
        server.shutdown()
        server.server_close()


@pytest.fixture
def give(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Give:
    """A secret as an option or a configuration takes it."""
    numbers = count()

    def given(secret: bytes, how: str) -> str:
        name = f"HIDDEN_{next(numbers)}"
        if how == "env":
            monkeypatch.setenv(name, f"text:{secret.decode()}")
        elif how == "file":
            (tmp_path / name).write_text(f"hex:{secret.hex()}\n")
        return {"text": f"text:{secret.decode()}", "hex": f"hex:{secret.hex()}"}.get(
            how, f"env:{name}" if how == "env" else f"file:{tmp_path / name}"
        )

    return given


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


WAYS: dict[str, dict[str, Any]] = {
    "low": {"client": 32, "authentication": "low", "password": PASSWORD},
    "md5": {"client": 33, "authentication": "md5", "password": HLS_SECRET},
    "hls": {"client": 34, "authentication": "hls", "hls_algorithm": "aes", "password": HLS_SECRET[:16]},
    "ciphered": {
        "client": 1,
        "authentication": "gmac",
        "encryption_key": ENCRYPTION,
        "authentication_key": AUTHENTICATION,
        "broadcast_key": BROADCAST,
        "ciphering": "dedicated",
        "dedicated_key": DEDICATED,
    },
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
# The failing ones beside them: the meter refuses, or the user is mistaken.
FAILING_WORDS: dict[str, list[str]] = {
    "read": ["9.9.9.9.9.9:2"],
    "write": ["1/9.9.9.9.9.9:2", "x", "--type", "visible-string"],
    "invoke": ["70/9.9.9.9.9.9:1"],
    "objects": ["--timeout", "0.000001"],
    "profile": ["9.9.9.9.9.9"],
    "clock": ["--set", "--to", "noon"],
    "firmware": ["NOTHING"],
    "counter": ["--raise", "-1"],
    "dump": ["--output", "IMAGE"],
}


def options(way: str, give: Give, how: str) -> list[str]:
    """The way in as options of the command line."""
    words: list[str] = []
    for name, value in WAYS[way].items():
        words += [f"--{name.replace('_', '-')}", give(value, how) if isinstance(value, bytes) else str(value)]
    return words


def connection(ports: dict[str, int], framing: str, state: Path) -> list[str]:
    return ["--tcp", f"127.0.0.1:{ports[framing]}", "--framing", framing, "--timeout", "20", "--state", str(state)]


@LEVELS
@pytest.mark.parametrize("framing", ["wrapper", "hdlc"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("command", COMMAND_WORDS)
def test_commands_that_talk(
    cli: Cli, ports: dict[str, int], give: Give, tmp_path: Path, command: str, way: str, framing: str, level: list[str]
) -> None:
    """At each level of each command all ways of giving a secret have their turn."""
    how = GIVINGS[(list(WAYS).index(way) + list(COMMAND_WORDS).index(command) + 2 * (framing == "hdlc")) % 4]
    image = tmp_path / "image.bin"
    image.write_bytes(b"firmware" * 30)
    given = [*level, *connection(ports, framing, tmp_path / "state.sqlite"), *options(way, give, how)]
    words = [str(image) if word == "IMAGE" else word for word in COMMAND_WORDS[command]]
    result = cli(command, *words, *given)
    assert result.status == 0, result.err
    if level == ["-vv"] and command != "counter":
        assert " > " in result.err, "the trace is there"
    assert leaks(result.out + result.err) == []
    words = [str(image) if word == "IMAGE" else word for word in FAILING_WORDS[command]]
    result = cli(command, *given, *words)
    assert result.status in (1, 2), (command, result.out, result.err)
    assert leaks(result.out + result.err) == []


MISTAKES: dict[str, list[str]] = {
    "length": ["--encryption-key", f"hex:{ENCRYPTION.hex()[:-2]}"],
    "half an octet": ["--encryption-key", f"hex:{ENCRYPTION.hex()[:-1]}"],
    "too long": ["--authentication-key", f"text:{AUTHENTICATION.decode()}{PASSWORD.decode()}"],
    "hex for text": ["--authentication-key", f"hex:{AUTHENTICATION.decode()}"],
    "bare word": ["--password", PASSWORD.decode()],
    "unknown kind": ["--password", f"txet:{PASSWORD.decode()}"],
    "variable's value": ["--password", f"env:{PASSWORD.decode()}"],
    "file's content": ["--encryption-key", f"file:{ENCRYPTION.hex()}"],
    "wrong key": ["--encryption-key", f"hex:{ENCRYPTION[::-1].hex()}"],
    "wrong tag key": ["--authentication-key", f"text:{ENCRYPTION.decode()}"],
    "wrong suite": ["--suite", "2"],
    "wrong client": ["--client", "99"],
    "wrong title": ["--system-title", "00"],
}


@LEVELS
@pytest.mark.parametrize("mistake", MISTAKES)
@pytest.mark.parametrize("command", ["read", "objects", "counter"])
def test_mistakes(
    cli: Cli, ports: dict[str, int], give: Give, tmp_path: Path, command: str, mistake: str, level: list[str]
) -> None:
    words = {"read": ["1.0.1.8.0.255"], "counter": ["--raise", "500"]}.get(command, [])
    words += connection(ports, "wrapper", tmp_path / "state.sqlite")
    result = cli(command, *words, *level, *options("ciphered", give, "text"), *MISTAKES[mistake])
    no_mistake_yet = command == "counter" and mistake in ("wrong key", "wrong tag key", "wrong client")
    assert result.status in ((0,) if no_mistake_yet else (1, 2)), result.err
    assert leaks(result.out + result.err) == []


@LEVELS
@pytest.mark.parametrize("way", ["low", "md5", "hls"])
def test_a_wrong_password(
    cli: Cli, ports: dict[str, int], give: Give, tmp_path: Path, way: str, level: list[str]
) -> None:
    """What is refused may be the password of something else."""
    words = options(way, give, "text")
    words[words.index("--password") + 1] = give(HLS_SECRET[:16] if way == "low" else PASSWORD, "env")
    result = cli("read", "1.0.1.8.0.255", *level, *connection(ports, "hdlc", tmp_path / "state.sqlite"), *words)
    assert result.status == 1, result.err
    assert leaks(result.out + result.err) == []


# -- commands with a configuration ------------------------------------------------------------------------------------


def configuration(tmp_path: Path, port: int, give: Give, how: str) -> Path:
    """Two meters, with each secret given in one way."""
    rows = []
    for name, way in (("house", "low"), ("flat", "ciphered")):
        told = {key: give(value, how) if isinstance(value, bytes) else value for key, value in WAYS[way].items()}
        row = {"tcp": f"127.0.0.1:{port}", "framing": "wrapper", "timeout": "20s"} | told
        listed = "".join(f'      {key}: "{value}"\n' for key, value in row.items())
        rows.append(f"  {name}:\n    every: 1s\n    read: [1.0.1.8.0.255]\n    connection:\n{listed}")
    head = f"bridge: {{id: main, state_dir: {tmp_path}}}\n"
    broker = f'mqtt: {{host: 127.0.0.1, port: 1, username: dlms, password: "{give(PASSWORD, how)}"}}\n'
    file = tmp_path / "config.yaml"
    file.write_text(head + broker + "meters:\n" + "".join(rows), encoding="utf-8")
    file.chmod(0o600)
    return file


@LEVELS
@pytest.mark.parametrize("how", GIVINGS)
@pytest.mark.parametrize(
    "command", [["check"], ["check", "--json"], ["read", "1.0.1.8.0.255", "--meter"], ["counter"]], ids=str
)
def test_a_configuration(
    cli: Cli, ports: dict[str, int], give: Give, tmp_path: Path, command: list[str], how: str, level: list[str]
) -> None:
    file = configuration(tmp_path, ports["wrapper"], give, how)
    for meter in ("house", "flat") if command[-1] == "--meter" else ([],):
        result = cli(*command, *([meter] if meter else []), *level, "--config", str(file))
        assert result.status == 0 or command == ["counter"], result.err
        assert leaks(result.out + result.err) == []


BROKEN: dict[str, tuple[str, str]] = {
    "a wrong value beside": ('client: "32"', 'client: "x"'),
    "an unknown kind": ('password: "text:', 'password: "txet:'),
    "no kind": ('password: "text:', 'password: "'),
    "a variable's value": ('password: "text:', 'password: "env:'),
    "a file's content": ('password: "text:', 'password: "file:'),
    "half a quote": (f'{PASSWORD.decode()}"\n', f"{PASSWORD.decode()}\n"),
    "an unknown key": ('password: "text:', 'passwort: "text:'),
    "a key too long": (ENCRYPTION.decode(), ENCRYPTION.decode() + "!"),
}


@LEVELS
@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("command", [["check"], ["run"], ["read", "1.0.1.8.0.255", "--meter", "house"]], ids=str)
def test_a_broken_configuration(
    cli: Cli, give: Give, tmp_path: Path, command: list[str], broken: str, level: list[str]
) -> None:
    file = configuration(tmp_path, 1, give, "text")
    old, new = BROKEN[broken]
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")
    result = cli(*command, *level, "--config", str(file))
    assert result.status == 2, result.err
    assert leaks(result.out + result.err) == []


def until(process: subprocess.Popen[bytes], happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < deadline, "it does nothing"
        time.sleep(0.05)


@LEVELS
@pytest.mark.slow_once
def test_run(sim: MeterSimulator, ports: dict[str, int], give: Give, tmp_path: Path, level: list[str]) -> None:
    """The bridge polls both meters, with a broker that is not there; each secret was given in another way."""
    how = {0: "env", 1: "file", 2: "hex"}[len("".join(level).strip("-"))]
    file, log = configuration(tmp_path, ports["wrapper"], give, how), tmp_path / "log"
    before = len(sim.requests)
    with log.open("wb") as output:
        command = [sys.executable, "-m", "dlms_mqtt", "run", *level, "--config", str(file)]
        with subprocess.Popen(command, stdout=output, stderr=output, cwd=Path(__file__).parents[2]) as process:
            until(process, lambda: len({request[0] for request in sim.requests[before:]} & {0x60, 0xC0, 0xD0}) == 3)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0
    said = log.read_text()
    assert (" > " in said) is (level == ["-vv"])
    assert leaks(said) == []


@LEVELS
@pytest.mark.slow_once
def test_demo(tmp_path: Path, level: list[str]) -> None:
    """It has no secret of the user's; the password by which its own bridge manages its meter does not show either."""
    pytest.importorskip("amqtt", reason="the extra 'demo' is not installed")
    log = tmp_path / "log"
    command = [sys.executable, "-m", "dlms_mqtt", "demo", *level]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=Path(__file__).parents[2]) as process,
    ):
        try:
            until(process, lambda: b"power =" in log.read_bytes())
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 0
        finally:
            process.kill()
    said = log.read_text()
    assert not [text for text in spellings(b"87654321") if text in said.lower()]


# -- commands that listen, look and find ------------------------------------------------------------------------------


def key_options(give: Give, how: str, encryption: bytes = ENCRYPTION) -> list[str]:
    keys = {"encryption": encryption, "authentication": AUTHENTICATION, "broadcast": BROADCAST}
    return [word for name, key in keys.items() for word in (f"--{name}-key", give(key, how))]


def pushed(key: bytes = ENCRYPTION) -> bytes:
    """A ciphered push of this meter."""
    cipher = Cipher(
        suite=0,
        security=Security.BOTH,
        keys=Keys(Secret(key), Secret(AUTHENTICATION)),
        system_title=TITLE,
        next_counter=count(1).__next__,
        form="general-global",
        warn=pytest.fail,
    )
    return ui(b"\xe6\xe7\x00" + cipher.protect_apdu(PLAIN))


@LEVELS
@pytest.mark.parametrize("how", GIVINGS)
def test_listen(cli: Cli, give: Give, how: str, level: list[str]) -> None:
    """What comes twice is refused the second time, and what another key protects the first time."""
    sent = [pushed(), pushed()]
    result = listen_tcp(cli, "--count", "1", *level, *key_options(give, how), sent=sent)
    assert (result.status, "1234" in result.out) == (0, True), result.err
    assert leaks(result.out + result.err) == []
    wrong = [*key_options(give, how, BROADCAST), "--accept-unauthenticated"]
    result = listen_tcp(cli, "--count", "1", *level, *wrong, sent=[*sent, pushed(BROADCAST)])
    assert "refused" in result.err
    assert leaks(result.out + result.err) == []


@LEVELS
@pytest.mark.parametrize("how", GIVINGS)
def test_decode(cli: Cli, give: Give, how: str, level: list[str]) -> None:
    result = cli("decode", pushed().hex(), *level, *key_options(give, how))
    assert (result.status, "1234" in result.out) == (0, True)
    assert leaks(result.out + result.err) == []
    for entry in entries("push")[:4]:
        result = cli("decode", entry["hex"], *level, *key_options(give, how))
        assert leaks(result.out + result.err) == []
    for command, mistake in product(("decode", "listen"), (f"env:{ENCRYPTION.decode()}", ENCRYPTION.hex())):
        where = ["--bind", "tcp://127.0.0.1:1"] if command == "listen" else ["7e"]
        result = cli(command, *where, *level, "--encryption-key", mistake)
        assert result.status == 2
        assert leaks(result.out + result.err) == []


@LEVELS
def test_find(cli: Cli, ports: dict[str, int], give: Give, tmp_path: Path, level: list[str]) -> None:
    words = ["--tcp", f"127.0.0.1:{ports['wrapper']}", "--seconds", "3", "--state", str(tmp_path / "state.sqlite")]
    words += ["--client", "32", "--authentication", "low", "--password", give(PASSWORD, "env")]
    result = cli("find", *words, *level)
    assert result.status in (0, 1)
    assert leaks(result.out + result.err) == []


# -- the simulated meter ----------------------------------------------------------------------------------------------

DESCRIPTION = f"""
kind: household
associations:
  - {{client: 16, name: public, level: public}}
  - {{client: 32, name: low, authentication: low, password: "text:{PASSWORD.decode()}"}}
  - {{client: 33, name: md5, authentication: md5, password: "hex:{HLS_SECRET.hex()}"}}
  - client: 1
    name: gmac
    authentication: gmac
    encryption_key: "text:{ENCRYPTION.decode()}"
    authentication_key: "hex:{AUTHENTICATION.hex()}"
    broadcast_key: "text:{BROADCAST.decode()}"
"""


@LEVELS
@pytest.mark.slow_once
def test_simulate(cli: Cli, give: Give, tmp_path: Path, level: list[str]) -> None:
    """Its built-in, published secrets are shown; those of a description are not, while clients talk to it."""
    file, log = tmp_path / "meter.yaml", tmp_path / "log"
    file.write_text(DESCRIPTION)
    said = ""
    command = [sys.executable, "-m", "dlms_mqtt", "simulate", "--pty", "--meter", str(file), *level]
    with (
        log.open("wb") as output,
        subprocess.Popen(command, stdout=output, stderr=output, cwd=Path(__file__).parents[2]) as process,
    ):
        try:
            until(process, lambda: b"gmac" in log.read_bytes())
            device = re.search(r"/dev/pts/\d+", log.read_text())
            assert device
            for way in ("low", "md5", "ciphered"):
                words = ["--serial", device[0], "--state", str(tmp_path / "state"), *options(way, give, "file")]
                result = cli("read", "1.0.1.8.0.255", *level, *words)
                assert result.status == 0, result.err
                said += result.out + result.err
        finally:
            process.send_signal(signal.SIGINT)
    said += log.read_text()
    assert "***" in said
    assert leaks(said) == []
    result = cli("simulate", "--pty", "--seconds", "0", *level)
    assert "secret of meters" in result.out, "built in, and known to everybody"


@LEVELS
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('password: "text:', 'password: "txet:'),
        ('password: "text:', 'passwort: "text:'),
        ("authentication: low, password:", "authentication:"),
        ("client: 32, name: low, authentication: low, password:", "client:"),
        ("client: 1\n", "client: 1\n    security:\n"),
        (f"{ENCRYPTION.decode()}", f"{ENCRYPTION.decode()}!"),
        (f"hex:{AUTHENTICATION.hex()}", f"hex:{AUTHENTICATION.hex()}!"),
        (f'{ENCRYPTION.decode()}"', f"{ENCRYPTION.decode()}"),
        (f'"text:{BROADCAST.decode()}"', f'"text:{BROADCAST.decode()}": ['),
    ],
    ids=["kind", "key", "misplaced", "as a client", "nothing", "too long", "no hex", "quote", "no YAML"],
)
def test_a_broken_description(cli: Cli, tmp_path: Path, old: str, new: str, level: list[str]) -> None:
    file = tmp_path / "meter.yaml"
    assert old in DESCRIPTION
    file.write_text(DESCRIPTION.replace(old, new))
    result = cli("simulate", "--pty", "--seconds", "0", "--meter", str(file), *level)
    assert result.status == 2, result.out
    assert leaks(result.out + result.err) == []


@LEVELS
def test_presets(cli: Cli, level: list[str]) -> None:
    result = cli("presets", *level)
    assert result.status == 0
    assert leaks(result.out + result.err) == []


@LEVELS
@pytest.mark.parametrize("how", GIVINGS)
def test_status(cli: Cli, give: Give, tmp_path: Path, how: str, level: list[str]) -> None:
    result = cli("status", *level, "--config", str(configuration(tmp_path, 1, give, how)))
    assert result.status == 2 and "127.0.0.1" in result.out + result.err
    assert leaks(result.out + result.err) == []


@LEVELS
@pytest.mark.parametrize("how", GIVINGS)
def test_setup(cli: Cli, ports: dict[str, int], give: Give, tmp_path: Path, how: str, level: list[str]) -> None:
    """Up to the broker, which is not there."""
    words = [*connection(ports, "wrapper", tmp_path / "state.sqlite"), *options("low", give, how)]
    words += ["--broker", "127.0.0.1:1", "--broker-user", "dlms", "--broker-password", give(PASSWORD, how)]
    result = cli("setup", *words, "--config", str(tmp_path / "config.yaml"), "--yes", *level)
    assert result.status == 1 and "--broker" in result.err, result.err
    assert leaks(result.out + result.err) == []


# -- the tests themselves ---------------------------------------------------------------------------------------------


def test_every_command_is_here() -> None:
    here = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    elsewhere = {"check"}  # test_a_configuration
    elsewhere |= {"alive", "service"}  # they are given none
    assert set(COMMANDS) == set(COMMAND_WORDS) | elsewhere | (here & set(COMMANDS))
    assert set(FAILING_WORDS) == set(COMMAND_WORDS)


def test_the_search_finds() -> None:
    for name, secret in SECRETS.items():
        assert name in leaks(f"... {secret.hex().upper()} ...")
        assert name in leaks(f"... {secret!r} ...")
    assert os.environ.get("HIDDEN_0") is None
