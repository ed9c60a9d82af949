"""``dlms-mqtt setup`` as its users have it: a terminal, the simulated meter, a real broker."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import select
import stat
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.cli.setup import setup, words
from dlms_mqtt.cli.setup.conversation import Conversation
from dlms_mqtt.cli.setup.search import Draft, NotFound
from dlms_mqtt.languages.texts import translated
from dlms_mqtt.meter.presets.preset import preset_connection
from dlms_mqtt.simulator import serve_tcp
from dlms_mqtt.simulator.household.household import household
from dlms_mqtt.simulator.server.meter import Meter
from tests.bridge import conftest as brokers
from tests.cli.conftest import Cli
from tests.frames_data import entries, entry
from tests.free_port import free_port

mosquitto_factory, mosquitto = brokers.mosquitto_factory, brokers.mosquitto  # fixtures

PATIENCE = 120.0  # s for what takes one, on a machine that has much else to do
CTRL_C, CTRL_D = "\x03", "\x04"
PASSWORD = "12345678"
LANGUAGES = ("en", "de")

#: Becomes the command, with its standard input as the terminal that Ctrl-C comes from.
TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
#: Calls the command again and again in one process: the questions that are interrupted are many.
ROUNDS = """
import sys
from dlms_mqtt.cli import main
for number in range(int(sys.argv[1])):
    print("ROUND", number, "ENDED", main(sys.argv[2:]), flush=True)
"""


@pytest.fixture(autouse=True)
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root the state would be in /var/lib, where ports are remembered by names that the next test has again."""
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))


class Terminal:
    """A process on a terminal of its own, and somebody who reads and types."""

    def __init__(self, command: Sequence[str], state: Path) -> None:
        environment = {**os.environ, "XDG_STATE_HOME": str(state), "TZ": "UTC", "LC_ALL": "C.UTF-8", "COLUMNS": "200"}
        self.seen = ""
        self._mark = 0
        self._master, slave = os.openpty()
        self._process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, *command],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment,
            start_new_session=True,
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait(PATIENCE)
        os.close(self._master)

    def type(self, text: str) -> None:
        os.write(self._master, text.encode())

    def until(self, text: str) -> str:
        """What is shown up to this text, which is awaited."""
        deadline = time.monotonic() + PATIENCE
        while (at := self.seen.find(text, self._mark)) < 0:
            assert time.monotonic() < deadline, f"{text!r} does not come: {self.seen[self._mark :]!r}"
            if select.select([self._master], [], [], 1.0)[0]:
                self.seen += self._read()
        shown, self._mark = self.seen[self._mark : at], at + len(text)
        return shown

    def _read(self) -> str:
        try:
            octets = os.read(self._master, 65536)
        except OSError:  # the last one has closed it
            octets = b""
        assert octets, f"it has ended: {self.seen[self._mark :]!r}"
        return octets.decode()

    def end(self) -> int:
        """Its exit status, when it ends by itself."""
        with contextlib.suppress(OSError):
            while octets := os.read(self._master, 65536):
                self.seen += octets.decode()
        return self._process.wait(PATIENCE)


@contextlib.contextmanager
def served(meter: Meter | None = None) -> Iterator[str]:
    """The address of a household meter, which lives in a thread."""
    ready, ending, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()
    where: list[int] = []

    async def serve() -> None:
        async with serve_tcp(meter or household()) as server:
            where.append(server.port)
            ready.set()
            await ending.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        yield f"127.0.0.1:{where[0]}"
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()


@pytest.fixture
def address() -> Iterator[str]:
    with served() as found:
        yield found


def dialogue(address: str, broker: str, language: str = "en", **other: str) -> list[tuple[str, str]]:
    """What is asked, in this order, and what is typed; an empty answer takes the default."""
    answers = {
        words.PORT: address,
        words.HAVE_SECRET: "",
        words.CLIENT: "32",
        words.KIND: "1",
        words.PASSWORD: PASSWORD,
        words.WHAT: "",
        words.EVERY: "1m",
        words.VALUES_RIGHT: "",
        words.METER_NAME: "Keller",
        words.METER_ID: "",
        words.BROKER: broker,
        words.WRITE: "",
        words.RUN: words.NO_WORDS,
    }
    rows = {**answers, **other}
    texts = {text: translated(text, language, "setup").partition("{")[0] for text in rows}
    no = translated(words.NO_WORDS, language, "setup").split()[0]
    return [(texts[text], no if answer == words.NO_WORDS else answer) for text, answer in rows.items()]


def setup_command(file: Path, *more: str) -> list[str]:
    """Without the question of a service, which is asked where systemd runs the machine."""
    return [sys.executable, "-m", "dlms_mqtt", "setup", "--config", str(file), "--no-install", *more]


def load(file: Path) -> object:
    return load_config(file, preset_connection, {})


@pytest.mark.parametrize("language", LANGUAGES)
def test_from_nothing_to_a_configuration(
    address: str, mosquitto: brokers.Mosquitto, tmp_path: Path, language: str
) -> None:
    file = tmp_path / "config.yaml"
    with Terminal(setup_command(file, "--language", language), tmp_path / "state") as terminal:
        for question, answer in dialogue(address, f"127.0.0.1:{mosquitto.port}", language):
            shown = terminal.until(question)
            assert not file.exists() or answer in ("n", ""), question
            terminal.type(f"{answer}\r")
        assert terminal.end() == 0, terminal.seen
    assert PASSWORD not in terminal.seen
    assert "energy_import " in terminal.seen and "kWh" in terminal.seen
    assert shown
    loaded = load_config(file, preset_connection, {})
    meter, settings = loaded.config.meters["keller"], loaded.connections["keller"]
    assert (meter.name, meter.every, settings.client, settings.password) == ("Keller", 60, 32, PASSWORD.encode())
    assert loaded.config.mqtt.port == mosquitto.port
    assert not loaded.warnings
    assert PASSWORD not in file.read_text()
    assert stat.S_IMODE((tmp_path / "secrets.yaml").stat().st_mode) == 0o600


@pytest.mark.parametrize("language", LANGUAGES)
def test_interrupted_at_every_question(
    address: str, mosquitto: brokers.Mosquitto, tmp_path: Path, language: str
) -> None:
    """Nothing is left but the state of the search. The languages take turns: each question is interrupted once."""
    folder = tmp_path / "config"
    folder.mkdir()
    rows = dialogue(address, f"127.0.0.1:{mosquitto.port}", language)
    asked = [question for question, _ in rows].index(translated(words.WRITE, language, "setup").partition("{")[0]) + 1
    turns = range(LANGUAGES.index(language), asked, len(LANGUAGES))
    command = [sys.executable, "-c", ROUNDS, str(len(turns)), "setup", "--config", str(folder / "config.yaml")]
    with Terminal([*command, "--language", language], tmp_path / "state") as terminal:
        for turn, number in enumerate(turns):
            for question, answer in rows[:number]:
                terminal.until(question)
                terminal.type(f"{answer}\r")
            terminal.until(rows[number][0])
            terminal.type(CTRL_D if number % 3 == 2 and rows[number][1] != PASSWORD else CTRL_C)
            terminal.until(f"ROUND {turn} ENDED 130")
            assert list(folder.iterdir()) == [], rows[number][0]
        assert terminal.end() == 0
    assert "Traceback" not in terminal.seen


COMMENTED = """\
# my bridge
mqtt: {host: 127.0.0.1, port: PORT}   # the old one

meters:
    barn:   # by the road
        connection:
            tcp: 127.0.0.1:1
        # every: 5m
    # the next one comes here

bridge:
    id: main # as ever
"""


def unattended(address: str, file: Path, *more: str) -> list[str]:
    words = ["setup", "--tcp", address, "--config", str(file), "--client", "32", "--password", f"text:{PASSWORD}"]
    return [*words, "--yes", *more]


def test_unattended_and_a_second_meter(cli: Cli, address: str, mosquitto: brokers.Mosquitto, tmp_path: Path) -> None:
    """An existing configuration is added to: every line of it stays, comments too."""
    file = tmp_path / "config.yaml"
    before = COMMENTED.replace("PORT", str(mosquitto.port))
    file.write_text(before)
    file.chmod(0o640)
    for name in ("Haus", "Haus"):
        result = cli(*unattended(address, file, "--name", name, "--read", "all"))
        assert result.status == 0, result.err
    after = file.read_text()
    added = [line for line in after.splitlines(keepends=True) if line not in before.splitlines(keepends=True)]
    rest = iter(after.splitlines(keepends=True))
    assert all(line in rest for line in before.splitlines(keepends=True))  # in their order
    assert re.match(r"    haus:\n      name: Haus\n", "".join(added))
    assert after.index("# every: 5m") < after.index("haus:") < after.index("bridge:")
    loaded = load_config(file, preset_connection, {})
    assert list(loaded.config.meters) == ["barn", "haus", "haus-2"]
    assert loaded.connections["haus-2"].password == PASSWORD.encode()
    assert (tmp_path / "secrets.yaml").stat().st_mode & 0o777 == 0o640  # as the configuration: a service reads both
    assert file.stat().st_mode & 0o777 == 0o640
    assert yaml.safe_load((tmp_path / "secrets.yaml").read_text()) == {
        "haus_password": f"text:{PASSWORD}",
        "haus_2_password": f"text:{PASSWORD}",
    }


def test_what_shows_no_energy_is_not_set_up_unasked(cli: Cli, address: str, tmp_path: Path) -> None:
    result = cli("setup", "--tcp", address, "--config", str(tmp_path / "config.yaml"), "--yes")
    assert result.status == 1
    assert "no energy" in result.out
    assert "Nothing was written. Give --client 32 and --password." in result.err
    assert not (tmp_path / "config.yaml").exists()


def test_a_broker_that_is_not_there(cli: Cli, address: str, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    result = cli(*unattended(address, file, "--broker", f"127.0.0.1:{free_port()}"))
    assert result.status == 1
    assert "does not" in result.out and "--broker" in result.err
    assert not file.exists()


def test_a_broker_with_a_password_is_asked_for_it(address: str, mosquitto_factory: object, tmp_path: Path) -> None:
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "dlms", "geheim"], check=True)
    users.chmod(0o644)
    broker = mosquitto_factory(f"allow_anonymous false\npassword_file {users}")  # type: ignore[operator]
    file = tmp_path / "config.yaml"
    given = unattended(address, file, "--broker", f"127.0.0.1:{broker.port}", "--no-run", "--no-install")
    asked = {words.WHAT: "", words.EVERY: "", words.VALUES_RIGHT: "", words.METER_NAME: "", words.METER_ID: ""}
    asked |= {words.BROKER_USER: "dlms", words.BROKER_PASSWORD: "geheim", words.WRITE: ""}
    command = [sys.executable, "-m", "dlms_mqtt", *(word for word in given if word != "--yes"), "--language", "en"]
    with Terminal(command, tmp_path / "state") as terminal:
        for question, answer in asked.items():
            terminal.until(question.partition("{")[0])
            terminal.type(f"{answer}\r")
        assert terminal.end() == 0, terminal.seen
    assert "refused user name or password" in terminal.seen
    assert "geheim" not in terminal.seen + file.read_text()
    mqtt = load_config(file, preset_connection, {}).config.mqtt
    assert (mqtt.username, mqtt.password) == ("dlms", b"geheim")


def test_mistakes_are_told_before_anything_is_asked(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("meters: {barn: {connection: {tcp: h}, evry: 5m}}\n")
    result = cli("setup", "--tcp", "127.0.0.1:9", "--config", str(file), "--yes")
    assert (result.status, result.out) == (2, "")
    assert "evry" in result.err
    file.write_text("meters: {barn: {connection: {tcp: h}}}\n")
    result = cli("setup", "--tcp", "127.0.0.1:9", "--config", str(file), "--yes", "--id", "barn")
    assert result.status == 2
    assert "barn" in result.err
    result = cli("setup", "--config", str(tmp_path / "nowhere" / "config.yaml"), "--yes")
    assert result.status == 2
    assert "no folder" in result.err
    result = cli("setup", "--config", str(tmp_path / "new.yaml"), "--yes")
    assert (result.status, "--serial or --tcp is needed" in result.err) == (2, True)


@contextlib.contextmanager
def speaking(octets: bytes) -> Iterator[str]:
    """A port on which these octets come again and again."""
    master, slave = os.openpty()
    tty.setraw(slave)
    ending = threading.Event()

    def push() -> None:
        while not ending.wait(0.5):
            os.write(master, octets)

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        ending.set()
        thread.join()
        os.close(master)
        os.close(slave)


def test_a_meter_that_speaks(cli: Cli, mosquitto: brokers.Mosquitto, tmp_path: Path) -> None:
    """It is listened to, its values are shown, a block with preset and push is written."""
    file = tmp_path / "config.yaml"
    with speaking(bytes.fromhex(entry("push_aidon", "dlmsparser-hdlc-norway-han-3phase")["hex"])) as port:
        line = ["--serial", port, "--preset", "norway-han", "--broker", f"127.0.0.1:{mosquitto.port}"]
        result = cli("setup", *line, "--config", str(file), "--yes")
    assert result.status == 0, result.out + result.err
    assert "power_import" in result.out
    written = yaml.safe_load(file.read_text())["meters"]["house-meter"]
    assert written == {
        "name": "House meter",
        "preset": "norway-han",
        "connection": {"serial": port},
        "push": written["push"],
    }
    assert written["push"] == {"listen": "connection"}


def test_a_meter_that_speaks_in_cipher(mosquitto: brokers.Mosquitto, tmp_path: Path) -> None:
    """The search hears it, the family is asked for, then the key, and again while it is no key."""
    found = next(entry for entry in entries("push_kaifa", framing="mbus") if entry.get("keys", {}).get("encryption"))
    key, file = found["keys"]["encryption"], tmp_path / "config.yaml"
    answers = [
        (words.FAMILY, ""),
        (words.ENCRYPTION_KEY, "1234"),
        (words.ENCRYPTION_KEY, key),  # asked again, after what was wrong
        (words.AUTHENTICATION_KEY, ""),
        (words.VALUES_RIGHT, ""),
        (words.METER_NAME, ""),
        (words.METER_ID, "han"),
        (words.BROKER, f"127.0.0.1:{mosquitto.port}"),
        (words.WRITE, ""),
        (words.RUN, "n"),
    ]
    with speaking(bytes.fromhex(found["hex"])) as port:
        line = ["--serial", port, "--baud", "2400", "--opening", "direct", "--seconds", "60", "--language", "en"]
        with Terminal(setup_command(file, *line), tmp_path / "state") as terminal:
            for question, answer in answers:
                terminal.until(question.partition("{")[0])
                terminal.type(f"{answer}\r")
            assert terminal.end() == 0, terminal.seen
    assert "a key has 16 octets (32 digits), this has 2" in terminal.seen
    assert key.lower() not in (terminal.seen + file.read_text()).lower()
    assert load_config(file, preset_connection, {}).connections["han"].encryption_key == bytes.fromhex(key)


# -- in this process: the conversation behind the search, whose meter and broker are known -----------------------------

HAN = Draft({"tcp": "192.0.2.5:4059", "client": 32}, {"password": f"text:{PASSWORD}"})


class Answers(Conversation):
    """Somebody who takes the default, but for what is said; what was asked is kept."""

    def __init__(self, **other: str) -> None:
        super().__init__("en", asks=True)
        self.other, self.questions = other, []  # type: ignore[var-annotated]

    def _input(self, prompt: str) -> str:
        self.questions.append(prompt)
        return next((answer for text, answer in self.other.items() if prompt.startswith(text.partition("{")[0])), "")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """What the parts beside it do: a meter is found and shown, a broker takes us, nothing is started."""
    done = SimpleNamespace(draft=HAN, seen=True, mqtt={"host": "192.0.2.6"}, systemd=False, installed=[], started=[])

    def install(_talk: Conversation, config: Path, state: Path, wanted: bool | None) -> bool:
        done.installed.append((config.name, state, wanted))
        return done.systemd

    monkeypatch.setattr(setup, "on_terminal", lambda: True)
    monkeypatch.setattr(setup, "Search", lambda *_: SimpleNamespace(run=lambda: done.draft))
    monkeypatch.setattr(setup, "show_values", lambda *_, **__: done.seen)
    monkeypatch.setattr(setup, "ask_broker", lambda *_: done.mqtt)
    monkeypatch.setattr(setup, "has_systemd", lambda: done.systemd)
    monkeypatch.setattr(setup, "install", install)
    monkeypatch.setattr(setup, "run_bridge", lambda file, _verbose: done.started.append(file.name))
    yield done


def converse(file: Path, talk: Answers, monkeypatch: pytest.MonkeyPatch, *more: str) -> int:
    parser = argparse.ArgumentParser()
    setup.add_arguments(parser)
    monkeypatch.setattr(setup, "Conversation", lambda *_, **__: talk)
    args = parser.parse_args(["--config", str(file), *more], argparse.Namespace(verbose=0))
    return setup.run(args)


def test_every_answer_is_the_default(
    found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the broker's password is stands beside the configuration, as the meter's does; the bridge is started."""
    found.mqtt = {"host": "192.0.2.6", "username": "me", "password": "text:geheim"}
    file = tmp_path / "config.yaml"
    assert converse(file, Answers(), monkeypatch) == 0
    out = capsys.readouterr().out
    assert out.startswith(words.WELCOME)
    assert f"Passwords and keys are in {tmp_path / 'secrets.yaml'}" in out
    secrets = yaml.safe_load((tmp_path / "secrets.yaml").read_text())
    assert secrets == {"house_meter_password": f"text:{PASSWORD}", "mqtt_password": "text:geheim"}
    assert "geheim" not in file.read_text()
    loaded = load_config(file, preset_connection, {})
    assert (loaded.config.mqtt.password, loaded.connections["house-meter"].client) == (b"geheim", 32)
    assert (found.started, found.installed) == (["config.yaml"], [])


def test_who_does_not_know_the_values_writes_nothing(
    found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found.seen = False  # then no is the default
    file = tmp_path / "config.yaml"
    with pytest.raises(NotFound, match=words.NOTHING_WRITTEN):
        converse(file, Answers(), monkeypatch)
    assert list(tmp_path.glob("*.yaml")) == []
    assert converse(file, Answers(**{words.VALUES_RIGHT: "y"}), monkeypatch) == 0


def test_the_last_question_is_whether_to_write(
    found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert converse(tmp_path / "config.yaml", Answers(**{words.WRITE: "n"}), monkeypatch) == 1
    assert words.NOTHING_WRITTEN in capsys.readouterr().out
    assert list(tmp_path.glob("*.yaml")) == []
    assert (found.started, found.installed) == ([], [])


def test_a_machine_of_systemd_starts_it_as_a_service(
    found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found.systemd = True
    talk = Answers()
    assert converse(tmp_path / "config.yaml", talk, monkeypatch, "--state", "/var/lib/x/state.sqlite") == 0
    assert found.installed == [("config.yaml", Path("/var/lib/x/state.sqlite"), None)]
    assert found.started == []
    assert not any(question.startswith(words.RUN) for question in talk.questions)


def test_who_starts_it_later_is_told_how(
    found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "config.yaml"
    assert converse(file, Answers(**{words.RUN: "n"}), monkeypatch) == 0
    assert f"Start the bridge with: dlms-mqtt run --config {file}" in capsys.readouterr().out
    assert found.started == []


@pytest.mark.parametrize(
    ("more", "wanted"), [((), None), (("--yes",), True), (("--no-install",), False), (("--install",), True)]
)
def test_the_service_alone(
    found: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...], wanted: bool | None
) -> None:
    """Of a configuration that is there: it is only installed, with the state where the bridge has it."""
    file = tmp_path / "config.yaml"
    file.write_text(f"bridge: {{state_dir: {tmp_path / 'own'}}}\nmeters: {{barn: {{connection: {{tcp: h}}}}}}\n")
    talk = Answers()
    assert converse(file, talk, monkeypatch, "--service", *more) == 0
    assert found.installed == [("config.yaml", tmp_path / "own" / "state.sqlite", wanted)]
    assert talk.questions == []
