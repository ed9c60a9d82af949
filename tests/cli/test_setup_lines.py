"""``dlms-mqtt setup`` on a terminal, on the lines that new homes have: an optical head, also on the network; a broker
with TLS."""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import subprocess
import sys
import threading
import tty
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from dlms_mqtt.bridge.config.load import load_config
from dlms_mqtt.cli.setup import words
from dlms_mqtt.languages.texts import translated
from dlms_mqtt.meter.finder.diagnosis import GOING_ON, NEWS
from dlms_mqtt.meter.presets.preset import preset_connection
from dlms_mqtt.simulator import SignOnOptions, household, serve_memory
from dlms_mqtt.simulator.lines.serial import READOUT_ONLY, serve_pty
from tests.bridge import conftest as brokers
from tests.bridge.authority import Authority, secured
from tests.cli.test_setup import (
    CTRL_C,
    LANGUAGES,
    PASSWORD,
    PATIENCE,
    ROUNDS,
    Terminal,
    dialogue,
    served,
    setup_command,
    state_folder,  # noqa: F401 - a fixture
)

mosquitto_factory, mosquitto = brokers.mosquitto_factory, brokers.mosquitto  # fixtures
#: Questions that a meter without a client of its own is not asked.
OF_CLIENTS = (words.HAVE_SECRET, words.CLIENT, words.KIND, words.PASSWORD)
#: Questions that only some brokers bring about.
OF_BROKERS = (words.BROKER_CA, words.BROKER_USER, words.BROKER_PASSWORD)


@contextlib.contextmanager
def in_a_thread(serve: Callable[[], AbstractAsyncContextManager[str]]) -> Iterator[str]:
    """The line of a meter that is served in a thread."""
    ready, ending, loop = threading.Event(), asyncio.Event(), asyncio.new_event_loop()
    where: list[str] = []

    async def run() -> None:
        async with serve() as line:
            where.append(line)
            ready.set()
            await ending.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(run(),))
    thread.start()
    assert ready.wait(PATIENCE)
    try:
        yield where[0]
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join()
        loop.close()


@contextlib.asynccontextmanager
async def optical(options: SignOnOptions) -> AsyncIterator[str]:
    async with serve_pty(household(), paced=False, sign_on=options) as line:
        yield line.device


def conversation(line: str, broker: str, file: Path, *skipped: str) -> str:
    """All that was shown of a conversation to its end; the questions are awaited in their order."""
    rows = dialogue(line, broker)
    left_out = {text.partition("{")[0] for text in skipped}
    with Terminal(setup_command(file, "--language", "en"), file.parent / "state") as terminal:
        for question, answer in rows:
            if question not in left_out:
                terminal.until(question)
                terminal.type(f"{answer}\r")
        assert terminal.end() == 0, terminal.seen
    return terminal.seen


@pytest.mark.parametrize("opening", ["sign-on", "readout"])
def test_an_optical_head(mosquitto: brokers.Mosquitto, tmp_path: Path, opening: str) -> None:
    file = tmp_path / "config.yaml"
    options, skipped = (SignOnOptions(), ()) if opening == "sign-on" else (READOUT_ONLY, OF_CLIENTS)
    with in_a_thread(lambda: optical(options)) as port:
        seen = conversation(port, f"127.0.0.1:{mosquitto.port}", file, *skipped)
    assert "energy_import " in seen
    assert "kWh" in seen
    settings = load_config(file, preset_connection, {}).connections["keller"]
    assert (settings.serial, settings.opening) == (port, opening)
    assert settings.password == (PASSWORD.encode() if opening == "sign-on" else None)


@contextlib.contextmanager
def echoing() -> Iterator[str]:
    """A head that sees no meter, but its own light."""
    master, slave = os.openpty()
    tty.setraw(slave)
    ending = threading.Event()

    def give_back() -> None:
        while not ending.is_set():
            if select.select([master], [], [], 0.1)[0]:
                os.write(master, os.read(master, 4096))

    thread = threading.Thread(target=give_back)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        ending.set()
        thread.join()
        os.close(master)
        os.close(slave)


@pytest.mark.parametrize(("name", "language"), [("clear-text", "en"), ("clear-text", "de"), ("echo", "de")])
def test_what_the_search_knows_is_said_before_it_ends(tmp_path: Path, name: str, language: str) -> None:
    """As ``find`` says it, in the language of the conversation."""
    case = next(case for case, _ in NEWS if case.name == name)
    sentence, step, going_on = (translated(text, language, "setup") for text in (case.sentence, case.step, GOING_ON))
    head = in_a_thread(lambda: optical(READOUT_ONLY)) if name == "clear-text" else echoing()
    with head as port:
        command = setup_command(tmp_path / "config.yaml", "--serial", port, "--language", language)
        with Terminal(command, tmp_path / "state") as terminal:
            before = terminal.until(f"setup: {sentence[:1].upper()}{sentence[1:]}. {step}")
            if name == "echo":
                terminal.until(f" {going_on.partition('{')[0]}")
            terminal.type(CTRL_C)
            assert terminal.end() == 130
    searching, found = (
        translated(text, language, "setup").partition("{")[0] for text in (words.SEARCHING, words.FOUND)
    )
    assert searching in before
    assert found not in before


def test_a_head_on_the_network(mosquitto: brokers.Mosquitto, tmp_path: Path) -> None:
    """Its key is typed within the address; it is shown nowhere else and stands in secrets.yaml."""
    pytest.importorskip("aioesphomeapi", reason="the extra esphome is not installed")
    from tests.esphome_head import KEY, EsphomeHead

    @contextlib.asynccontextmanager
    async def head() -> AsyncIterator[str]:
        async with EsphomeHead(key=KEY) as found, serve_memory(household(), found.line, sign_on=SignOnOptions()):
            yield f"{found.url}&noise_psk={KEY}"

    file = tmp_path / "config.yaml"
    with in_a_thread(head) as url:
        conversation(url, f"127.0.0.1:{mosquitto.port}", file)
    assert KEY not in file.read_text()
    assert KEY in (tmp_path / "secrets.yaml").read_text()
    settings = load_config(file, preset_connection, {}).connections["keller"]
    assert (settings.serial, settings.noise_psk) == (url.partition("&")[0], KEY.encode())
    assert settings.opening == "sign-on"


def test_a_broker_with_a_certificate_of_ones_own(mosquitto_factory: object, tmp_path: Path) -> None:
    ours = Authority(tmp_path, "ours")
    port = secured(mosquitto_factory, ours, "127.0.0.1")
    file = tmp_path / "config.yaml"
    with served() as address, Terminal(setup_command(file, "--language", "en"), tmp_path / "state") as terminal:
        for question, answer in dialogue(address, f"mqtts://127.0.0.1:{port}"):
            terminal.until(question)
            terminal.type(f"{answer}\r")
            if question == words.BROKER:
                terminal.until(words.BROKER_CA)
                terminal.type(f"{ours.file}\r")
        assert terminal.end() == 0, terminal.seen
    mqtt = load_config(file, preset_connection, {}).config.mqtt
    assert mqtt.tls is not None
    assert (mqtt.port, mqtt.tls.ca) == (port, ours.file)


@pytest.mark.parametrize("language", LANGUAGES)
def test_interrupted_at_the_questions_of_a_broker(mosquitto_factory: object, tmp_path: Path, language: str) -> None:
    """Certificate, user and password are asked only where the broker wants them; nothing is left there either."""
    users = tmp_path / "users"
    subprocess.run(["mosquitto_passwd", "-b", "-c", str(users), "dlms", "geheim"], check=True)
    users.chmod(0o644)
    ours, folder = Authority(tmp_path, "ours"), tmp_path / "config"
    folder.mkdir()

    def closed(extra: str) -> object:
        wanted = extra.replace("allow_anonymous true", f"allow_anonymous false\npassword_file {users}")
        return mosquitto_factory(wanted)  # type: ignore[operator]

    port = secured(closed, ours, "127.0.0.1")
    special = dict(zip(OF_BROKERS, (ours.file, "dlms", "geheim"), strict=True))
    with served() as address:
        rows = dialogue(address, f"mqtts://127.0.0.1:{port}", language)
        asked = [question for question, _ in rows].index(translated(words.BROKER, language, "setup").partition("{")[0])
        more = [(translated(text, language, "setup").partition("{")[0], answer) for text, answer in special.items()]
        rows = [*rows[: asked + 1], *more]
        command = [sys.executable, "-c", ROUNDS, "3", "setup", "--config", str(folder / "config.yaml")]
        with Terminal([*command, "--language", language], tmp_path / "state") as terminal:
            for turn in range(3):
                for question, answer in rows[: asked + 1 + turn]:
                    terminal.until(question)
                    terminal.type(f"{answer}\r")
                terminal.until(rows[asked + 1 + turn][0])
                terminal.type(CTRL_C)
                terminal.until(f"ROUND {turn} ENDED 130")
                assert list(folder.iterdir()) == []
            assert terminal.end() == 0
    assert "Traceback" not in terminal.seen
    assert "geheim" not in terminal.seen
