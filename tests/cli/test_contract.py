"""What other programs and people's scripts rely on: commands, options, one sentence on standard error, statuses."""

from __future__ import annotations

import importlib.util
import io
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydlms.simulator import MeterSimulator

from dlms_mqtt.cli import COMMANDS, STEPS, _parser, module_of
from dlms_mqtt.cli.output import coloured
from dlms_mqtt.client.line.opening import STEP
from tests.cli.conftest import Cli, served

#: command -> the words and options of its own
TABLE: dict[str, tuple[str, ...]] = {
    "run": (),
    "demo": ("--seconds", "--broker"),
    "setup": ("--config", "--broker", "--name", "--id", "--every", "--read", "--run", "--service", "--yes"),
    "check": (),
    "status": ("--config", "--url", "--timeout", "--json"),
    "alive": ("--file", "--within"),
    "service": ("--config",),
    "find": (),
    "objects": ("--values", "--suggest", "--json"),
    "read": ("OBIS[:ATTRIBUTE]...", "--json"),
    "write": ("OBIS:ATTRIBUTE VALUE", "--type", "--dry-run", "--json"),
    "invoke": ("OBIS:METHOD [VALUE]", "--json"),
    "profile": ("OBIS", "--from", "--to", "--first", "--count", "--format", "--json"),
    "clock": ("--set", "--json"),
    "firmware": ("FILE",),
    "listen": ("--bind", "--serial", "--tcp"),
    "decode": ("HEX|FILE|-", "--encryption-key", "--authentication-key", "--json"),
    "simulate": (),
    "presets": (),
    "counter": (),
    "dump": (),
}
TALK = ("objects", "read", "write", "invoke", "profile", "clock", "firmware", "dump")
CONNECTION = """
    --config --meter --serial --tcp --udp --framing --opening --baud --parity --max-baud --dtr --rts --iec-address
    --opening-delay --echo --wake-up --wake-up-break --referencing --client --server --physical --address-size
    --association
    --authentication --password --challenge-length --security --suite --ciphering --system-title --meter-system-title
    --authentication-key --encryption-key --dedicated-key --broadcast-key --invocation-counter --conformance
    --gbt-window --pre-established --no-release --timeout --retries --max-pdu --max-info --window
""".split()  # noqa: SIM905
CHOICES = {
    "--framing": "hdlc|wrapper",
    "--opening": "direct|sign-on|readout|auto",
    "--parity": "none|even|odd",
    "--echo": "auto|yes|no",
    "--referencing": "ln|sn",
    "--authentication": "none|low|hls|md5|sha1|gmac|sha256|ecdsa",
    "--security": "none|authentication|encryption|both",
    "--ciphering": "global|dedicated|general-global|general-dedicated",
    "--dtr": "on|off",
    "--rts": "on|off",
}


def present(command: str) -> bool:
    return importlib.util.find_spec(module_of(command)) is not None


def help_of(cli: Cli, command: str) -> str:
    if not present(command):
        pytest.skip(f"{command} is not there yet")
    result = cli(command, "--help")
    assert result.status == 0
    assert not result.err
    return result.out


def test_every_command_is_listed(cli: Cli) -> None:
    assert set(COMMANDS) == set(TABLE)
    result = cli("--help")
    assert result.status == 0
    assert all(f"    {command} " in result.out for command in TABLE)


@pytest.mark.parametrize("command", TABLE)
def test_a_command_has_its_options(cli: Cli, command: str) -> None:
    text = help_of(cli, command)
    assert text.startswith(f"usage: dlms-mqtt {command} [options]")
    assert [word for word in TABLE[command] if word not in text] == []


@pytest.mark.parametrize("command", sorted(set(TABLE) - {"simulate"}))
def test_the_example_of_the_help_is_understood(cli: Cli, command: str) -> None:
    example = help_of(cli, command).rpartition("Example: dlms-mqtt ")[2]
    args = _parser(command).parse_args(shlex.split(example))
    assert args.command == command


@pytest.mark.parametrize("command", TALK)
def test_a_command_that_talks_has_the_connection_options(cli: Cli, command: str) -> None:
    short, text = help_of(cli, command), cli(command, "--help-all").out
    shown = [option for option in CONNECTION if f"  {option} " in short]
    assert shown == ["--config", "--meter", "--serial", "--tcp", "--client", "--password"]
    assert "--help-all" in short and len(short) < len(text) / 2
    assert [option for option in CONNECTION if f"  {option} " not in text] == []
    assert [option for option, words in CHOICES.items() if f"{option} {words}" not in text] == []
    secrets = ("password", "authentication-key", "encryption-key", "dedicated-key", "broadcast-key")
    assert all(f"--{name} SECRET" in text for name in secrets)


WRONG = [
    ((), "COMMAND"),
    (("nonsense",), "there is no command 'nonsense'. See `dlms-mqtt --help`."),
    (("red", "1.0.1.8.0"), "there is no command 'red'; did you mean 'read'? See"),
    (("read", "70000/1.0.1.8.0", "--tcp", "h"), "up to 65535"),
    (("read", "1.0.1.8.0:999", "--tcp", "h"), "up to 127"),
    (("counter", "--raise", "x"), "--raise: expected a whole number"),
    (("simulate", "--replay", "/nowhere/capture.yaml"), ": the capture /nowhere/capture.yaml cannot be read: No such"),
    (("read",), "OBIS"),
    (("read", "1.0.1.8.0"), "which meter? Give --serial PORT, --tcp HOST:PORT or --config FILE."),
    (("read", "1.0.1.8", "--tcp", "h"), "'1.0.1.8' is no object"),
    (("read", "1.0.1.8.300", "--tcp", "h"), "1.0.1.8.300"),
    (("read", "1.0.1.8.0", "--tcp", "h:x"), "HOST:PORT"),
    (("read", "1.0.1.8.0", "--tcp", "h" * 64), "HOST:PORT"),
    (("read", "1.0.1.8.0", "--tcp", "a..b:4059"), "HOST:PORT"),
    (("listen", "--tcp", ""), "HOST:PORT"),
    (("read", "1.0.1.8.0", "--tcp", "h", "--serial", "x"), "one line only"),
    (("read", "1.0.1.8.0", "--tcp", "h", "--client", "99999"), "client"),
    (("read", "1.0.1.8.0", "--tcp", "h", "--address-size", "3"), "address"),
    (("read", "1.0.1.8.0", "--tcp", "h", "--parity", "mark"), "--parity"),
    (("read", "1.0.1.8.0", "--tcp", "h", "--password", "geheim"), "text:..., hex:..., env:NAME or file:PATH"),
    (("read", "1.0.1.8.0", "--tcp", "h", "--password", "env:NOT_SET_ANYWHERE"), "password: the environment variable"),
    (("read", "1.0.1.8.0", "--tcp", "h", "--authentication", "low"), "password"),
    (("read", "1.0.1.8.0", "--tcp", "h", "--authentication", "ecdsa"), "ecdsa authentication is not supported yet"),
    (("read", "1.0.1.8.0", "--tcp", "h", "--encryption-key", "hex:0011"), "16 octets"),
    (("read", "1.0.1.8.0", "--tcp", "h", "--meter", "house"), "--config"),
    (("read", "1.0.1.8.0", "--config", "/nowhere/dlms.yaml"), "/nowhere/dlms.yaml"),
    (("read", "1.0.1.8.0", "--tcp", "h", "--conformance", "get,fly"), "fly"),
    (("write", "1.0.1.8.0", "1", "--tcp", "h"), "which attribute"),
    (("write", "1.0.1.8.0:2", "1", "--type", "int", "--tcp", "h"), "'int' is no DLMS type"),
    (("invoke", "1.0.1.8.0", "--tcp", "h"), "which method"),
    (("profile", "1.0.99.1.0", "--tcp", "h", "--from", "yesterday"), "'yesterday' is no time"),
    (("profile", "1.0.99.1.0", "--tcp", "h", "--from", "24h", "--count", "3"), "not both"),
    (("profile", "1.0.99.1.0", "--tcp", "h", "--count", "0"), "start at 1"),
    (("profile", "1.0.99.1.0", "--tcp", "h", "--to", "now"), "--from"),
    (("clock", "--object", "klok", "--tcp", "h"), "'klok' is no object"),
    (("decode", "xyz"), "hexadecimal"),
    (("decode", "7e", "--encryption-key", "hex:00"), "octet"),
]


@pytest.mark.parametrize(("words", "sentence"), WRONG, ids=lambda value: " ".join(value)[:60])
def test_wrong_usage(cli: Cli, words: tuple[str, ...], sentence: str) -> None:
    result = cli(*words)
    assert result.status == 2
    assert not result.out
    assert sentence in result.err
    if words:
        assert result.err.count("\n") == 1
        assert result.err.startswith("dlms-mqtt")
    assert "geheim" not in result.err


def test_dead_lines(cli: Cli, tmp_path: Path) -> None:
    for line in (["--tcp", "127.0.0.1:1"], ["--serial", str(tmp_path / "ttyUSB9")], ["--tcp", "no.such.host.invalid"]):
        result = cli("read", "1.0.1.8.0", *line, "--timeout", "1")
        assert result.status == 1
        assert not result.out
        assert result.err.count("\n") == 1
        assert ". " in result.err  # what happened, and what to try


def test_silence(cli: Cli, sim: MeterSimulator) -> None:
    """The wrapper asked of a meter that awaits HDLC."""
    with served(sim, hdlc=True) as options:
        result = cli("read", "1.0.1.8.0", *options[:2], "--timeout", "0.1", "--retries", "1")
    assert result.status == 1
    assert "no answer" in result.err
    assert "dlms-mqtt find" in result.err


def test_a_refused_association(cli: Cli, meter: list[str]) -> None:
    result = cli("read", "1.0.1.8.0", *meter, "--client", "77")
    assert result.status == 1
    assert not result.out
    assert result.err.startswith("dlms-mqtt: the meter refused the association")


def test_traces_are_on_standard_error(cli: Cli, meter: list[str]) -> None:
    result = cli("read", "1.0.1.8.0", *meter, "--json", "-vv")
    assert result.status == 0
    assert result.json["values"]
    assert "DEBUG" in result.err


CONFIG = """\
bridge: {{}}
meters:
  house:
    connection: {{tcp: "{address}", framing: {framing}}}
  barn:
    connection: {{tcp: "127.0.0.1:1"}}
"""


@pytest.fixture
def config(meter: list[str], tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "dlms-mqtt.yaml"
    file.write_text(CONFIG.format(address=meter[1], framing="wrapper"))
    yield file


def test_verbose_shows_the_steps(cli: Cli, sim: MeterSimulator) -> None:
    with served(sim, hdlc=True) as options:
        result = cli("read", "1.0.1.8.0", *options, "-v")
    steps = [line.partition(": ")[2] for line in result.err.splitlines() if line.startswith("STEP")]
    assert steps[0] == "open"
    assert steps[1].startswith("the link stands, frames of ")
    assert steps[2].startswith("associated as client 16, ")
    assert "DEBUG" not in result.err
    assert STEP == STEPS  # one number in two places


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert coloured("no", "red", Screen()) == "\x1b[1;31mno\x1b[0m"
    assert coloured("no", "red", io.StringIO()) == "no"
    monkeypatch.setenv("NO_COLOR", "1")
    assert coloured("no", "red", Screen()) == "no"


# Real processes


def command(*words: str, **options: object) -> subprocess.Popen[str]:
    return subprocess.Popen(  # type: ignore[call-overload, no-any-return]
        [sys.executable, "-m", "dlms_mqtt", *words], text=True, stderr=subprocess.PIPE, **options
    )


def test_the_reader_of_a_pipe_goes_away(meter: list[str], tmp_path: Path) -> None:
    """``dlms-mqtt objects | head -1``: no traceback, no complaint."""
    words = ["objects", "--json", *meter, "--state", str(tmp_path / "state.sqlite")]
    read_end, write_end = os.pipe()
    os.close(read_end)
    process = command(*words, stdout=write_end)
    os.close(write_end)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")


def test_interrupted_it_leaves_the_meter_in_order(sim: MeterSimulator, tmp_path: Path) -> None:
    """Ctrl-C in the middle of a session: DISC is sent, so that the next client is not refused."""
    started = tmp_path / "started"

    class Slow(dict):  # type: ignore[type-arg]
        def get(self, key: object, default: object = None) -> object:
            started.touch()
            time.sleep(0.05)
            return super().get(key, default)

    sim.objects = Slow(sim.objects)
    with served(sim, hdlc=True) as options:
        words = ["objects", "--values", *options, "--json", "--state", str(tmp_path / "state.sqlite"), "-vv"]
        process = command(*words, stdout=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while not started.exists() and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert not out
    assert "Traceback" not in errors
    assert errors.rstrip().endswith("interrupted")
    sent = [line for line in errors.splitlines() if " > 7ea0" in line]
    assert sent[-1].split()[-1][10:12] == "53"  # DISC, final bit set
