"""What commands print: tables, JSON, colours only on terminals, complaints that say where, a bar that goes away."""

from __future__ import annotations

import io
from typing import Any

import pytest

from dlms_mqtt.cli.output import Progress, coloured, complain, note, print_json, table, warn
from dlms_mqtt.errors import ConfigError, DlmsMqttError, RemoteProtocolError


class Terminal(io.StringIO):
    """A stream that people look at."""

    def isatty(self) -> bool:
        return True


def test_a_table() -> None:
    text = table([("a", 5, None), ("bcd", 12345, "x")], ("NAME", "N", "U"), right=(1,))
    assert text == "NAME      N  U\na         5\nbcd   12345  x"


def test_json_is_one_document(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"a": 1}, indent=None)
    assert capsys.readouterr().out.strip() in ('{"a": 1}', '{"a":1}')


@pytest.mark.parametrize(
    ("stream", "environment", "colour"),
    [
        (Terminal(), {}, True),
        (io.StringIO(), {}, False),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
    ],
)
def test_colours(stream: Any, environment: dict[str, str], colour: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert coloured("no", "red", stream) == ("\x1b[1;31mno\x1b[0m" if colour else "no")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DlmsMqttError("it failed", hint="Try again."), "dlms-mqtt: it failed. Try again."),
        (RemoteProtocolError("odd"), "dlms-mqtt: protocol error: odd"),
        (ConfigError("no", file="a.yaml", line=3), "dlms-mqtt: a.yaml:3: no"),
        (ConfigError("no", file="a.yaml"), "dlms-mqtt: a.yaml: no"),
        (ConfigError("a.yaml is none", file="a.yaml", line=3), "dlms-mqtt: a.yaml is none"),
    ],
)
def test_complaints_say_where(error: DlmsMqttError, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    complain(error)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", line + "\n")


def test_nobody_listens_to_standard_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError("no space")

    monkeypatch.setattr("sys.stderr", Full())
    note("x")
    warn("y")


def test_a_bar_comes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    with Progress("work", stream) as progress:
        progress.update(1, 2, "half")
        progress.update(1, 2, "half")
        progress.update(5, 0, "counting")
    text = stream.getvalue()
    assert text.count("half") == 1 and "50%" in text and "work: counting" in text
    assert text.endswith("\r") and text.rsplit("\r", 2)[1].strip() == ""


def test_no_bar_in_a_file() -> None:
    stream = io.StringIO()
    with Progress("work", stream) as progress:
        progress.update(1, 2)
    assert stream.getvalue() == ""
