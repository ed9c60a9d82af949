"""``listen``: TCP, UDP and serial; tables and JSON; keys; the end by count, by the line and by Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from dlms_mqtt.cli import _parser
from dlms_mqtt.cli.tools.listen import Printer, _given
from dlms_mqtt.client.push import PushSource
from dlms_mqtt.protocol.framing.seven_bit import add_parity
from tests.cli.conftest import Cli, Result
from tests.client.test_push import DSMR_2, KEYS, LLC, PLAIN, TITLE, blocks, cipher, ui
from tests.fake_clock import FakeClock
from tests.frames_data import entry
from tests.free_port import free_port
from tests.line import PacedPty
from tests.meter.p1_telegrams import LUXEMBOURG
from tests.protocol.framing.stream.test_text import READOUT

KAMSTRUP = bytes.fromhex(entry("push_kamstrup", "amsreader-kamstrup-em001-2")["hex"])
KEY_OPTIONS = [
    "--encryption-key",
    f"hex:{bytes(KEYS.encryption).hex()}",
    "--authentication-key",
    f"hex:{bytes(KEYS.authentication).hex()}",
]


@contextmanager
def meanwhile(work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Something that a meter does while the command runs."""
    done = threading.Event()
    thread = threading.Thread(target=work, args=(done,))
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(60)


def connecting(port: int, *pieces: bytes) -> Callable[[threading.Event], None]:
    """A meter that connects as soon as somebody listens, and sends."""

    def work(done: threading.Event) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not done.is_set():
            with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)) as meter:
                with contextlib.suppress(ConnectionError):  # the command has what it wants, and ends
                    for piece in pieces:
                        meter.sendall(piece)
                done.wait(60)
                return
            done.wait(0.02)

    return work


def repeating(port: int, datagrams: list[bytes]) -> Callable[[threading.Event], None]:
    """A meter that sends datagrams until the command has ended."""

    def work(done: threading.Event) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as meter:
            meter.bind(("127.0.0.1", 0))
            for datagram in datagrams * 20:
                with contextlib.suppress(ConnectionRefusedError):
                    meter.sendto(datagram, ("127.0.0.1", port))
                if done.wait(0.05):
                    return

    return work


def serving(*pieces: bytes) -> tuple[int, Callable[[threading.Event], None]]:
    """A converter that sends and then closes."""
    server = socket.create_server(("127.0.0.1", 0))

    def work(_done: threading.Event) -> None:
        with server, server.accept()[0] as connection:
            for piece in pieces:
                connection.sendall(piece)

    return server.getsockname()[1], work


def listen_tcp(cli: Cli, *words: str, sent: list[bytes]) -> Result:
    port = free_port()
    with meanwhile(connecting(port, *sent)):
        return cli("listen", "--bind", f"tcp://127.0.0.1:{port}", *words)


def test_tcp(cli: Cli) -> None:
    result = listen_tcp(cli, "--count", "2", sent=[KAMSTRUP, b"rubbish", KAMSTRUP])
    assert result.status == 0
    assert "listening on tcp://127.0.0.1:" in result.err
    assert result.out.count("data-notification (hdlc)") == 2
    assert "power_import" in result.out
    assert [line.split()[-2:] for line in result.out.splitlines() if "current_l1" in line] == [["1.8", "A"]] * 2


def test_json(cli: Cli) -> None:
    seal = cipher()
    sent = [ui(LLC + seal.protect_apdu(PLAIN)), ui(LLC + seal.protect_apdu(PLAIN))]
    result = listen_tcp(cli, "--json", "--count", "2", *KEY_OPTIONS, "--system-title", TITLE.hex(), sent=sent)
    assert result.status == 0
    documents = [json.loads(line) for line in result.out.splitlines()]
    assert [document["ciphering"]["invocation_counter"] for document in documents] == [1, 2]
    (first, _) = documents
    assert first["origin"].startswith("127.0.0.1:")
    assert first["framing"] == "hdlc"
    assert first["ciphering"]["verified"] is True
    assert first["apdu"]["name"] == "data-notification"
    assert first["values"] == [
        {"obis": "1.0.1.8.0.255", "name": "Active energy import", "type": "double-long-unsigned", "raw": 1234}
    ]
    (reading,) = first["readings"]
    assert (reading["key"], reading["value"], reading["quality"]) == ("energy_import", 1234, "unscaled")


def test_a_meter_of_a_configuration(cli: Cli, tmp_path: Path) -> None:
    """Where it pushes, its keys and its title stand there."""
    port, seal = free_port(), cipher()
    keys = f"encryption_key: 'hex:{bytes(KEYS.encryption).hex()}', "
    keys += f"authentication_key: 'hex:{bytes(KEYS.authentication).hex()}'"
    file = tmp_path / "config.yaml"
    file.write_text(
        f"bridge: {{state_dir: {tmp_path}, timezone: Asia/Kathmandu}}\nmqtt: {{host: localhost}}\n"
        f"meters:\n  house: {{connection: {{tcp: '127.0.0.1:9', {keys}}},\n"
        f"    push: {{listen: 'tcp://127.0.0.1:{port}', match: {{system_title: '{TITLE.hex()}'}}}}}}\n"
    )
    words = ("listen", "--config", str(file), "--meter", "house")
    with meanwhile(connecting(port, ui(LLC + PLAIN), ui(LLC + seal.protect_apdu(PLAIN)))):
        result = cli(*words, "--count", "1", "--json")
    assert result.status == 0, result.err
    document = json.loads(result.out)
    assert document["ciphering"]["verified"] is True
    assert document["readings"][0]["time"].endswith("+05:45")
    assert "without protection" in result.err
    refused = cli(*words, "--encryption-key", "hex:00")
    assert (refused.status, refused.out) == (2, "")
    assert "--encryption-key is taken from the file" in refused.err


def test_without_a_configuration_the_zone_is_the_system_s_with_its_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not today's offset: a push of the hour before the clocks went back bears that of then."""
    monkeypatch.setenv("TZ", "Europe/Vienna")
    _, _, zone = _given(_parser("listen").parse_args(["listen", "--bind", "tcp://127.0.0.1:1"]))
    assert [datetime(2026, month, 1, tzinfo=zone).strftime("%z") for month in (1, 7)] == ["+0100", "+0200"]


def test_telegram(cli: Cli) -> None:
    result = listen_tcp(cli, "--json", "--count", "1", sent=[LUXEMBOURG[100:], LUXEMBOURG])
    document = json.loads(result.out)
    assert document["apdu"]["name"] == "telegram"
    readings = {reading["key"]: reading for reading in document["readings"]}
    assert (readings["energy_import"]["value"], readings["energy_import"]["unit"]) == (273.764, "kWh")


def test_udp(cli: Cli) -> None:
    port, seal = free_port(socket.SOCK_DGRAM), cipher()
    datagrams = [seal.protect_apdu(PLAIN) for _ in range(20)]
    with meanwhile(repeating(port, datagrams)):
        result = cli("listen", "--bind", f"udp://127.0.0.1:{port}", "--count", "2", "--json", *KEY_OPTIONS)
    assert result.status == 0
    first, second = (json.loads(line) for line in result.out.splitlines())
    assert first["ciphering"]["invocation_counter"] < second["ciphering"]["invocation_counter"]
    assert first["framing"] == "raw-apdu"


def test_refusals_are_said_and_not_counted(cli: Cli) -> None:
    seal = cipher()
    good = [ui(LLC + seal.protect_apdu(PLAIN)) for _ in range(2)]
    result = listen_tcp(cli, "--count", "2", *KEY_OPTIONS, sent=[good[0], good[0], ui(LLC + PLAIN), good[1]])
    assert result.status == 0
    assert "refused: this message was received before" in result.err
    assert "refused: a data-notification without protection arrived" in result.err
    assert result.out.count("tag verified") == 2


def test_a_recorded_message_is_not_taken_by_a_command_that_starts_anew(cli: Cli) -> None:
    seal = cipher()
    recorded, fresh = (ui(LLC + seal.protect_apdu(PLAIN)) for _ in range(2))
    assert listen_tcp(cli, "--count", "1", *KEY_OPTIONS, sent=[recorded]).status == 0
    again = listen_tcp(cli, "--count", "1", *KEY_OPTIONS, sent=[recorded, fresh])
    assert again.status == 0
    assert "refused: this message was received before" in again.err and "--forget" in again.err
    assert again.out.count("tag verified") == 1
    forgotten = listen_tcp(cli, "--count", "1", "--forget", *KEY_OPTIONS, sent=[recorded])
    assert forgotten.status == 0 and "refused" not in forgotten.err


def test_without_a_place_for_a_memory_it_listens_all_the_same(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    result = listen_tcp(cli, "--count", "1", *KEY_OPTIONS, sent=[ui(LLC + cipher().protect_apdu(PLAIN))])
    assert result.status == 0
    assert "what was received before is not known: " in result.err


def test_a_body_that_is_none_is_refused(cli: Cli) -> None:
    broken = ui(LLC + bytes.fromhex("0f00000001000205"))
    result = listen_tcp(cli, "--count", "1", sent=[broken, KAMSTRUP])
    assert result.status == 0
    assert "refused: " in result.err


def test_secrets_are_never_shown(cli: Cli) -> None:
    seal = cipher()
    sent = [ui(LLC + seal.protect_apdu(PLAIN)), ui(LLC + PLAIN), ui(LLC + seal.protect_apdu(PLAIN)[:-1] + b"\0")]
    for words in ([], ["--json", "--forget"]):
        result = listen_tcp(cli, "-vv", "--count", "1", *KEY_OPTIONS, *words, sent=sent)
        for key in (KEYS.encryption, KEYS.authentication):
            for shown in (bytes(key).hex(), repr(bytes(key))[2:-1]):
                assert shown.lower() not in (result.out + result.err).lower()


def test_a_converter(cli: Cli) -> None:
    port, work = serving(KAMSTRUP[:50], KAMSTRUP[50:])
    with meanwhile(work):
        result = cli("listen", "--tcp", f"127.0.0.1:{port}", "--count", "1", "--json")
    assert result.status == 0
    assert json.loads(result.out)["origin"] == f"127.0.0.1:{port}"


def test_a_converter_that_closes(cli: Cli) -> None:
    port, work = serving(KAMSTRUP)
    with meanwhile(work):
        result = cli("listen", "--tcp", f"127.0.0.1:{port}", "--json")
    assert result.status == 1
    assert json.loads(result.out)
    assert "closed the connection" in result.err


def test_nobody_at_the_converter(cli: Cli) -> None:
    result = cli("listen", "--tcp", f"127.0.0.1:{free_port()}")
    assert (result.status, result.out) == (1, "")
    assert "nobody listens" in result.err


@pytest.mark.parametrize(
    "data",
    [KAMSTRUP, LUXEMBOURG, add_parity(DSMR_2), add_parity(READOUT)],
    ids=["hdlc", "telegram", "telegram at 7E1", "readout at 7E1"],
)
def test_serial(cli: Cli, data: bytes) -> None:
    ready, device, loop, done = threading.Event(), [], asyncio.new_event_loop(), asyncio.Event()

    async def line() -> None:
        async with PacedPty(latency=0.0) as pty:
            await pty.meter.configure(baud=115200, data_bits=8, parity="none")
            device.append(pty.device)
            ready.set()
            while not done.is_set():
                if pty.baud == 115200:
                    pty.meter.write(b"\xff" + data)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.3):
                        await done.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(line(),))
    thread.start()
    assert ready.wait(60)
    result = cli("listen", "--serial", device[0], "--baud", "115200", "--count", "1", "--json")
    loop.call_soon_threadsafe(done.set)
    thread.join()
    loop.close()
    assert result.status == 0, result.err
    assert json.loads(result.out)["apdu"]["name"] in ("data-notification", "telegram")


def test_no_such_port(cli: Cli) -> None:
    result = cli("listen", "--serial", "/dev/no-such-port")
    assert (result.status, result.out) == (1, "")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "--bind"),
        (["--serial", "x", "--meter", "house"], "--meter names a meter of a configuration"),
        (["--bind", "4059"], "is no address to listen on"),
        (["--bind", "tcp://127.0.0.1:1", "--count", "0"], "--count: expected a whole number"),
        (["--bind", "tcp://127.0.0.1:1", "--tcp", "h:1"], "not allowed with"),
        (["--serial", "x", "--baud", "fast"], "--baud: expected a whole number"),
        (["--serial", "x", "--dtr", "high"], "--dtr: expected true or false"),
        (["--serial", "x", "--parity", "mark"], "--parity: expected one of"),
        (["--bind", "tcp://127.0.0.1:1", "--system-title", "12"], "--system-title: expected 8 octets"),
        (["--bind", "tcp://127.0.0.1:1", "--encryption-key", "hex:00"], "the encryption key has 1 octets"),
        (["--bind", "tcp://127.0.0.1:1", "--encryption-key", "0011"], "a secret must say what it is"),
    ],
)
def test_wrong_usage(cli: Cli, words: list[str], said: str) -> None:
    result = cli("listen", *words)
    assert (result.status, result.out) == (2, "")
    assert said in result.err
    assert result.err.count("\n") == 1


def test_a_port_in_use(cli: Cli) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        result = cli("listen", "--bind", "tcp://127.0.0.1:{1}".format(*other.getsockname()))
    assert result.status == 1
    assert "the port is in use" in result.err


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-m", "dlms_mqtt", "listen", "--bind", "tcp://127.0.0.1:0", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        yield child
        child.kill()


def port_of(child: subprocess.Popen[str]) -> int:
    assert child.stderr is not None
    return int(child.stderr.readline().rpartition(":")[2])


def test_ctrl_c(process: subprocess.Popen[str]) -> None:
    with socket.create_connection(("127.0.0.1", port_of(process))) as meter:
        meter.sendall(KAMSTRUP)
        assert process.stdout is not None
        assert json.loads(process.stdout.readline())["framing"] == "hdlc"
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0  # being interrupted is how it is done
    assert process.stderr is not None
    assert process.stderr.read() == ""


async def test_idle_listening_costs_nothing(clock: FakeClock, capsys: pytest.CaptureFixture[str]) -> None:
    """There is a next look only while something is unfinished."""
    printer = Printer(PushSource(), None, as_json=True)
    assert printer.patience is None
    printer.take("meter", KAMSTRUP, False)
    assert capsys.readouterr().out
    while printer.patience is not None:
        await clock.sleep(printer.patience)
        printer.tick()
    assert clock.monotonic() < 10
    printer.take("meter", ui(LLC + blocks(cipher().protect_apdu(PLAIN), 12)[0]), False)
    while printer.patience is not None:
        await clock.sleep(printer.patience)
        printer.tick()
    assert 30 < clock.monotonic() < 60


def test_the_reader_of_the_output_goes_away(process: subprocess.Popen[str]) -> None:
    port = port_of(process)
    assert process.stdout is not None
    process.stdout.close()
    with socket.create_connection(("127.0.0.1", port)) as meter:
        with contextlib.suppress(ConnectionError):  # it may end at the first one
            for _ in range(3):
                meter.sendall(KAMSTRUP)
        assert process.wait(60) == 0


def test_unfinished_blocks_do_not_stop_others(cli: Cli) -> None:
    first = ui(LLC + blocks(cipher().protect_apdu(PLAIN), 12)[0])
    result = listen_tcp(cli, "--count", "1", "--json", sent=[first, KAMSTRUP])
    assert result.status == 0
    assert json.loads(result.out)["apdu"]["name"] == "data-notification"
