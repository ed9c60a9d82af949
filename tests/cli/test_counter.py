"""``counter`` on the command line: shows what is stored, raises, never lowers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dlms_mqtt.cli import main
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.protocol.security import key_id

KEY = bytes(range(16))
TITLE = "4b414d0001020304"
NUMBERS = ["--tcp", "127.0.0.1:1", "--encryption-key", f"hex:{KEY.hex()}", "--security", "encryption"]


def shown(state: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    assert main(["counter", "--json", "--state", str(state)]) == 0
    counters: list[dict[str, object]] = json.loads(capsys.readouterr().out)["counters"]
    return counters


def test_nothing_is_stored_yet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state.sqlite"
    assert main(["counter", "--state", str(state)]) == 0
    assert "no counter is stored" in capsys.readouterr().out
    assert shown(state, capsys) == []
    assert not state.exists(), "looking makes no file"


def test_shown_raised_and_never_lowered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state.sqlite"
    words = [*NUMBERS, "--state", str(state), "--system-title", TITLE]
    assert main(["counter", "--raise", "500", *words]) == 0
    said = capsys.readouterr().out
    assert TITLE in said
    assert "500" in said
    assert KEY.hex() not in said
    row = {"key": key_id(KEY), "system_title": TITLE, "next": 500}
    assert shown(state, capsys) == [row]
    assert main(["counter", "--raise", "499", *words]) == 2
    assert "never lowered" in capsys.readouterr().err
    assert shown(state, capsys) == [row]
    assert main(["counter", "--raise", "0x300", "--json", *words]) == 0
    assert json.loads(capsys.readouterr().out)["counters"] == [row | {"next": 768}]
    assert main(["counter", "--state", str(state)]) == 0
    assert "768" in capsys.readouterr().out


def test_without_a_title_it_is_the_one_that_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state.sqlite"
    assert main(["counter", "--raise", "7", *NUMBERS, "--state", str(state)]) == 0
    capsys.readouterr()
    with Store(state) as store:
        kept = store.get("client", "system_title")
    assert [row["system_title"] for row in shown(state, capsys)] == [kept]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--raise", "many", *NUMBERS], "whole number"),
        (["--raise", "4294967295", *NUMBERS], "whole number"),
        (["--raise", "5", "--tcp", "127.0.0.1:1"], "which counter?"),
        (["--raise", "5"], "which meter?"),
    ],
)
def test_wrong_usage(words: list[str], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["counter", *words, "--state", str(tmp_path / "state.sqlite")]) == 2
    assert sentence in capsys.readouterr().err
