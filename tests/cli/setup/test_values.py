"""What the meter says now is shown before anything is written: read once, or listened to; and what cannot be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dlms_mqtt.cli.setup.conversation import Conversation
from dlms_mqtt.cli.setup.search import Draft, NotFound, Search
from dlms_mqtt.cli.setup.values import show_values
from dlms_mqtt.meter.finder import Limits
from tests.cli.test_setup import speaking
from tests.frames_data import entries, entry
from tests.simulator.bench import frozen_meter, running

QUIET = Conversation("en", asks=False)
ENERGY, MISSING = {"obis": "1.0.1.8.0.255"}, {"obis": "1.0.99.77.0.255", "class": 3, "key": "missing"}


def shows(tmp_path: Path, draft: Draft, section: dict[str, Any], patience: float = 60.0) -> bool:
    search = Search(QUIET, {}, "", tmp_path / "state.sqlite", Limits())
    return show_values(QUIET, search, draft, section, patience)


@pytest.mark.parametrize(
    ("read", "there", "told"),
    [
        ([ENERGY], True, ["energy_import", "kWh"]),
        ([ENERGY, MISSING], True, ["energy_import", "missing"]),
        ([MISSING], False, ["missing"]),
    ],
)
def test_what_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], read: list[Any], there: bool, told: list[str]
) -> None:
    with running(frozen_meter()) as port:
        connection = {"tcp": f"127.0.0.1:{port}", "client": 17}
        assert shows(tmp_path, Draft(connection), {"connection": connection, "read": read}) is there
    shown = capsys.readouterr().out
    assert all(word in shown for word in told)


def test_what_is_heard(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with speaking(bytes.fromhex(entry("push_aidon", "dlmsparser-hdlc-norway-han-3phase")["hex"])) as port:
        draft = Draft({"serial": port}, preset="norway-han", speaks=True)
        assert shows(tmp_path, draft, draft.section())
    assert "power_import" in capsys.readouterr().out


def test_silence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with speaking(b"") as port:
        draft = Draft({"serial": port}, speaks=True)
        assert not shows(tmp_path, draft, draft.section(), 0.05)
    assert "0.05" in capsys.readouterr().out


def test_what_is_in_cipher_needs_a_key(tmp_path: Path) -> None:
    found = next(item for item in entries("push_kaifa", framing="mbus") if item.get("keys", {}).get("encryption"))
    with speaking(bytes.fromhex(found["hex"])) as port:
        draft = Draft({"serial": port, "baud": 2400}, speaks=True)
        with pytest.raises(NotFound) as caught:
            shows(tmp_path, draft, draft.section())
    assert "--encryption-key" in caught.value.hint
