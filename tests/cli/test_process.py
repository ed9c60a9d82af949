"""Streams that are closed, full or narrow, and signals that end: in this process, and in real ones."""

from __future__ import annotations

import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dlms_mqtt.cli import process
from tests.cli.conftest import Cli

PUSH = "7ea027010201105a87e6e7000f40000000090c07e7031603031c2aff800000020106000008e580bb7e"
COMMAND = [sys.executable, "-m", "dlms_mqtt"]
FULL = Path("/dev/full")


@pytest.fixture
def handlers() -> Iterator[None]:
    """The signals are as Python starts with them, and afterwards as they were."""
    numbers = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
    before = {number: signal.getsignal(number) for number in numbers}
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.usefixtures("handlers")
def test_a_signal_ends_as_ctrl_c_does(number: signal.Signals) -> None:
    """With the handler of the moment: asyncio puts its own there while it runs; none is Python's."""
    interrupts: list[int] = []
    signal.signal(signal.SIGINT, lambda which, _frame: interrupts.append(which))
    process.prepare()
    signal.raise_signal(number)
    assert interrupts == [signal.SIGINT]
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


@pytest.mark.usefixtures("handlers")
def test_a_signal_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    process.prepare()
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    assert signal.getsignal(signal.SIGTERM) != signal.SIG_DFL


@pytest.mark.usefixtures("handlers")
def test_another_thread_takes_no_signals() -> None:
    thread = threading.Thread(target=process.prepare)
    thread.start()
    thread.join()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


@pytest.mark.parametrize(("name", "mode"), [("stdin", "r"), ("stdout", "w"), ("stderr", "w")])
@pytest.mark.usefixtures("handlers")
def test_a_closed_stream_is_the_null_device(monkeypatch: pytest.MonkeyPatch, name: str, mode: str) -> None:
    monkeypatch.setattr(sys, name, None)
    process.prepare()
    with getattr(sys, name) as stream:
        assert (stream.name, stream.mode) == (os.devnull, mode)


@pytest.mark.usefixtures("handlers")
def test_a_letter_that_the_terminal_lacks_is_written_with_others(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(octets, encoding="ascii"))
    process.prepare()
    sys.stdout.write("Zähler")
    sys.stdout.flush()
    assert octets.getvalue() == rb"Z\xe4hler"


def test_output_that_nobody_takes_any_more_goes_nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "output"
    with file.open("w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        stream.write("kept back")
        process.give_up_output()
    assert file.read_text() == ""


def shell(words: str, redirection: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """A command as a shell starts it."""
    line = f'exec "$0" -m dlms_mqtt {words} {redirection}'
    return subprocess.run(
        ["sh", "-c", line, sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, **variables},
    )


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [f"decode {PUSH}", f"decode {PUSH} --json", "presets", "simulate --list-faults"])
def test_output_on_a_full_disk(words: str) -> None:
    result = shell(words, f"> {FULL}")
    assert result.returncode == 1
    assert result.stderr == "dlms-mqtt: input or output failed: No space left on device.\n"


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full here")
def test_errors_that_nobody_can_take() -> None:
    assert shell("read nothing", f"2> {FULL}").returncode == 2


@pytest.mark.parametrize("stream", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("words", "status"), [(f"decode {PUSH}", 0), ("decode -", 1), ("read nothing", 2)])
def test_streams_that_are_closed(words: str, status: int, stream: str) -> None:
    result = shell(words, stream + (" </dev/null" if "<" not in stream else ""))
    assert result.returncode == status
    assert "Traceback" not in result.stderr


def test_letters_that_the_terminal_does_not_have() -> None:
    for words in ("presets", "presets --json"):
        result = shell(words, "", PYTHONIOENCODING="ascii")
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.isascii()
    assert json.loads(result.stdout)["presets"]


@pytest.mark.parametrize(
    "words",
    [["--tcp", b"h\xff"], ["--tcp", "h", "--password", b"text:gr\xfcn"]],
)
def test_arguments_that_are_no_text(words: list[str | bytes]) -> None:
    result = subprocess.run([*COMMAND, "read", "1.0.1.8.0", *words], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("dlms-mqtt: ")
    assert result.stderr.count("\n") == 1


def test_main_in_another_thread() -> None:
    code = (
        "from concurrent.futures import ThreadPoolExecutor; from dlms_mqtt.cli import main; import sys\n"
        f"with ThreadPoolExecutor(1) as threads: sys.exit(threads.submit(main, ['decode', '{PUSH}']).result())"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_nohup_stays_in_force(meter: list[str], tmp_path: Path) -> None:
    words = [*COMMAND, "read", "0.0.42.0.0.255", *meter, "--state", str(tmp_path / "state.sqlite"), "-vv"]
    with subprocess.Popen(["nohup", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        while " > 7ea0" not in child.stderr.readline():
            pass
        child.send_signal(signal.SIGHUP)
        out, _ = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "DMQ" in out


def test_a_pipe_instead_of_a_file() -> None:
    result = subprocess.run(
        ["bash", "-c", f'"$0" -m dlms_mqtt decode <(echo {PUSH})', sys.executable],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0
    assert "1.0.1.7.0.255" in result.stdout


def test_input_without_end(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/zero").open(encoding="latin-1") as zeros:
        monkeypatch.setattr("sys.stdin", zeros)
        for words, size in (("decode /dev/zero", 32), ("decode -", 32), ("firmware /dev/zero --tcp h", 64)):
            result = cli(*words.split())
            assert (result.status, result.out) == (2, "")
            assert result.err == f"dlms-mqtt: that is more than {size} MB. Is it the right file?\n"


def test_a_folder_instead_of_a_file(cli: Cli, tmp_path: Path) -> None:
    result = cli("decode", str(tmp_path))
    assert result.status == 2
    assert result.err == f"dlms-mqtt: {tmp_path} cannot be read: Is a directory\n"


@pytest.fixture
def meter() -> Iterator[list[str]]:
    """A meter that lets nobody in for a minute after an association that was not released."""
    words = [*COMMAND, "simulate", "--pty", "--fault", "stuck:60"]
    with subprocess.Popen([*words, "--fault", "delay:0.2"], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        found = re.search(r"/dev/pts/\d+", child.stdout.readline())
        assert found
        yield ["--serial", found[0], "--timeout", "10"]
        child.terminate()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_told_to_end_it_releases_the_meter(meter: list[str], tmp_path: Path, number: signal.Signals) -> None:
    words = [*COMMAND, "objects", "--values", *meter, "--state", str(tmp_path / "state.sqlite"), "-vv"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as child:
        assert child.stderr is not None
        seen = 0
        while seen < 8:  # well inside the session
            seen += " > 7ea0" in child.stderr.readline()
        child.send_signal(number)
        out, errors = child.communicate(timeout=60)
    assert (child.returncode, out) == (130, "")
    assert "Traceback" not in errors
    assert errors.endswith("interrupted\n")
    again = [*COMMAND, "read", "0.0.42.0.0.255", *meter, "--state", str(tmp_path / "state.sqlite")]
    result = subprocess.run(again, capture_output=True, text=True, timeout=60, check=False)
    assert (result.returncode, result.stderr) == (0, "")


def test_progress_fits_a_narrow_terminal(meter: list[str], tmp_path: Path) -> None:
    """On a terminal of 40 columns nothing on standard error is longer than a line of it."""
    leader, follower = pty.openpty()
    os.environ["COLUMNS"] = "40"
    words = [*COMMAND, "objects", "--values", *meter, "--state", str(tmp_path / "state.sqlite")]
    try:
        with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=follower) as child:
            os.close(follower)
            shown_there = _everything(leader)
        assert child.returncode == 0
    finally:
        del os.environ["COLUMNS"]
        os.close(leader)
    lines = re.split(r"[\r\n]+", shown_there)
    assert any("#" in line for line in lines)
    assert max(map(len, lines)) < 40


def _everything(leader: int) -> str:
    """What is written to a terminal until its last writer is gone."""
    found, deadline = b"", time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            part = os.read(leader, 4096)
        except OSError:  # Linux says so when the other end is closed
            break
        if not part:
            break
        found += part
    return found.decode()


@pytest.mark.parametrize(
    ("words", "unwanted"),
    [
        ("--help", "asyncio dlms_mqtt.protocol yaml cryptography"),
        (f"decode {PUSH}", "asyncio yaml sqlite3 serial paho aiomqtt amqtt voluptuous dlms_mqtt.bridge"),
        ("presets", "asyncio sqlite3 serial paho aiomqtt amqtt voluptuous dlms_mqtt.bridge"),
        ("read 1.0.1.8.0 --tcp 127.0.0.1:1", "yaml serial paho aiomqtt amqtt voluptuous dlms_mqtt.bridge"),
        ("simulate --list-faults", "paho aiomqtt amqtt voluptuous dlms_mqtt.bridge"),
    ],
)
def test_only_what_a_command_needs_is_imported(words: str, unwanted: str) -> None:
    """A Raspberry Pi waits for every import."""
    code = (
        f"import sys; from dlms_mqtt.cli import main\ntry: main({words.split()})\nexcept SystemExit: pass\nelse: pass\n"
    )
    code += "sys.stderr.write('|'.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    loaded = set(result.stderr.splitlines()[-1].split("|"))
    assert "dlms_mqtt.cli.output" in loaded
    assert loaded & set(unwanted.split()) == set()
