"""``dlms-mqtt setup`` is interrupted at the questions that few users are asked; no question is left out."""

from __future__ import annotations

import ast
import contextlib
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

import dlms_mqtt.cli.setup
from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.cli.setup import words
from dlms_mqtt.languages.texts import translated
from dlms_mqtt.meter.presets.preset import preset_connection
from tests.bridge import conftest as brokers
from tests.cli.test_setup import (
    CTRL_C,
    CTRL_D,
    LANGUAGES,
    PASSWORD,
    ROUNDS,
    Terminal,
    dialogue,
    served,
    speaking,
    state_folder,  # noqa: F401 - a fixture
)
from tests.cli.test_setup_lines import OF_BROKERS
from tests.frames_data import entries
from tests.free_port import free_port

mosquitto_factory, mosquitto = brokers.mosquitto_factory, brokers.mosquitto  # fixtures

Answers = Sequence[tuple[str, str]]
Line = Callable[[], contextlib.AbstractContextManager[list[str]]]

KEYS = (CTRL_C, CTRL_D)
#: As ``ROUNDS``, on a machine that systemd runs, whether it does or not.
WITH_SYSTEMD = f"""
from pathlib import Path
from dlms_mqtt.cli.setup import service
service._SYSTEMD = Path("/")
{ROUNDS}
"""


@contextlib.contextmanager
def household_line() -> Iterator[list[str]]:
    """A meter whose public client is shown no energy."""
    with served() as address:
        yield ["--tcp", address]


@contextlib.contextmanager
def silent_line() -> Iterator[list[str]]:
    """Connections are taken, and nothing is ever said."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield ["--tcp", f"127.0.0.1:{listening.getsockname()[1]}", "--seconds", "1"]


@contextlib.contextmanager
def speaking_line() -> Iterator[list[str]]:
    """A meter that sends by itself, in cipher."""
    found = next(entry for entry in entries("push_kaifa", framing="mbus") if entry.get("keys", {}).get("encryption"))
    with speaking(bytes.fromhex(found["hex"])) as port:
        yield ["--serial", port, "--baud", "2400", "--opening", "direct", "--seconds", "60"]


SECRET = ((words.HAVE_SECRET, ""), (words.CLIENT, "32"))
#: What is asked of a search: on which line, and what is answered before.
OF_SEARCH: dict[Line, dict[str, Answers]] = {
    household_line: {
        words.WITHOUT_ENERGY: [(words.HAVE_SECRET, "n")],
        words.PASSWORD: [*SECRET, (words.KIND, "1")],
        words.TEXT_OR_HEX: [*SECRET, (words.KIND, "1"), (words.PASSWORD, "00112233445566AA")],
        words.ENCRYPTION_KEY: [*SECRET, (words.KIND, "2")],
        words.AUTHENTICATION_KEY: [*SECRET, (words.KIND, "2"), (words.ENCRYPTION_KEY, "00" * 16)],
    },
    silent_line: {words.AGAIN: []},
    speaking_line: {
        words.FAMILY: [],
        words.ENCRYPTION_KEY: [(words.FAMILY, "")],
        words.AUTHENTICATION_KEY: [(words.FAMILY, ""), (words.ENCRYPTION_KEY, "00" * 16)],
    },
}
#: What is asked when the configuration is there, or has just been written.
OF_WHAT_IS_THERE = (words.BROKER_ANYWAY, words.SERVICE, words.SERVICE_INSTALL, words.RUN)


def shown(text: str, language: str) -> str:
    """The beginning of a question as it stands on the terminal."""
    return translated(text, language, "setup").partition("{")[0]


def answer(terminal: Terminal, answers: Answers, language: str) -> None:
    for question, typed in answers:
        terminal.until(shown(question, language))
        terminal.type(f"{typed}\r")


def rounds(number: int, *command: str, script: str = ROUNDS) -> list[str]:
    return [sys.executable, "-c", script, str(number), "setup", *command]


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("line", OF_SEARCH)
def test_interrupted_at_the_questions_of_a_search(line: Line, tmp_path: Path, language: str) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    turns = [(question, key) for question in OF_SEARCH[line] for key in KEYS]
    with line() as options:
        command = rounds(len(turns), *options, "--config", str(folder / "config.yaml"), "--language", language)
        with Terminal(command, tmp_path / "state") as terminal:
            for turn, (question, key) in enumerate(turns):
                answer(terminal, OF_SEARCH[line][question], language)
                terminal.until(shown(question, language))
                terminal.type(key)
                terminal.until(f"ROUND {turn} ENDED 130")
                assert list(folder.iterdir()) == [], question
            assert terminal.end() == 0
    assert "Traceback" not in terminal.seen
    assert "00112233445566AA" not in terminal.seen


def all_but_its_end(address: str, file: Path, language: str) -> list[str]:
    """Options that answer the most of what is asked."""
    known = ["--tcp", address, "--client", "32", "--password", f"text:{PASSWORD}", "--config", str(file)]
    return [*known, "--read", "core", "--every", "1m", "--name", "Keller", "--language", language]


@pytest.mark.parametrize("language", LANGUAGES)
def test_interrupted_while_the_broker_of_the_configuration_is_away(tmp_path: Path, language: str) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    file = folder / "config.yaml"
    before = f"mqtt: {{host: 127.0.0.1, port: {free_port()}}} # ours\n"
    file.write_text(before)
    with served() as address:
        command = rounds(len(KEYS), *all_but_its_end(address, file, language))
        with Terminal(command, tmp_path / "state") as terminal:
            for turn, key in enumerate(KEYS):
                answer(terminal, [(words.VALUES_RIGHT, ""), (words.METER_ID, "")], language)
                terminal.until(shown(words.BROKER_ANYWAY, language))
                terminal.type(key)
                terminal.until(f"ROUND {turn} ENDED 130")
                assert [path.name for path in folder.iterdir()] == [file.name]
                assert file.read_text() == before
            assert terminal.end() == 0
    assert "Traceback" not in terminal.seen


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where commands that would change this machine note that they were called."""
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("sudo", "systemctl", "install", "chgrp", "chmod", "chown", "useradd"):
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {tmp_path}/calls\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    return tmp_path / "calls"


@pytest.mark.parametrize("language", LANGUAGES)
def test_interrupted_when_all_is_written(
    mosquitto: brokers.Mosquitto, calls: Path, tmp_path: Path, language: str
) -> None:
    """At each of the last questions the files are whole, and nothing was installed or started."""
    file = tmp_path / "config.yaml"
    asked = [(words.VALUES_RIGHT, ""), (words.METER_ID, ""), (words.WRITE, "")]
    rows: list[tuple[str, Answers]] = [
        (words.SERVICE, asked),
        (words.SERVICE_INSTALL, [*asked, (words.SERVICE, "")]),
        (words.RUN, [*asked, (words.SERVICE, "n")]),
    ]
    turns = [(*row, key) for row in rows for key in KEYS]
    with served() as address:
        broker = ["--broker", f"127.0.0.1:{mosquitto.port}"]
        command = rounds(len(turns), *all_but_its_end(address, file, language), *broker, script=WITH_SYSTEMD)
        with Terminal(command, tmp_path / "state") as terminal:
            for turn, (question, answers, key) in enumerate(turns):
                answer(terminal, answers, language)
                terminal.until(shown(question, language))
                terminal.type(key)
                terminal.until(f"ROUND {turn} ENDED 130")
                loaded = load_config(file, preset_connection, {})
                assert len(loaded.config.meters) == turn + 1
                assert {each.password for each in loaded.connections.values()} == {PASSWORD.encode()}
                assert not list(tmp_path.glob(".*"))
            assert terminal.end() == 0
    assert not calls.exists()
    assert "Traceback" not in terminal.seen


def questions() -> set[str]:
    """Every text of ``words`` that setup asks; a question that is none of them fails."""
    asking, found = {"ask", "ask_secret", "choose", "confirm"}, set()
    for file in Path(dlms_mqtt.cli.setup.__path__[0]).glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in asking:
                text = node.args[0]
                assert isinstance(text, ast.Attribute), f"{file.name}:{node.lineno}"
                found.add(getattr(words, text.attr))
    return found


def test_no_question_is_left_out() -> None:
    """What the tests here and beside interrupt is all that is asked."""
    interrupted = {question for line in OF_SEARCH.values() for question in line} | {*OF_BROKERS, *OF_WHAT_IS_THERE}
    main = {question for question, _ in dialogue("", "")}
    assert {shown(text, "en") for text in questions()} == main | {shown(text, "en") for text in interrupted}
