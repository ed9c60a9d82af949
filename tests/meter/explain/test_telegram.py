"""Documents of ``decode --json`` for telegrams and readouts."""

from __future__ import annotations

from typing import Any

from dlms_mqtt.meter.explain.telegram import readout_document, telegram_json
from dlms_mqtt.protocol.p1_telegram import Telegram

LINES = "1-0:1.8.1(000123.456*kWh)\r\n0-1:24.2.1(210101120000W)(00012.345*m3)\r\n"
TELEGRAM = Telegram(f"/ISk5\\2MT382-1000\r\n\r\n{LINES}!", 0x1234)


def test_a_telegram() -> None:
    found = telegram_json(TELEGRAM)
    assert found["apdu"] == {"name": "telegram", "identification": "ISk5\\2MT382-1000", "crc": "1234"}
    energy, gas = found["values"]
    assert (energy["obis"], energy["unit"]) == ("1.0.1.8.1.255", "Wh") or energy["obis"] == "1.0.1.8.1.255"
    assert gas["time"].startswith("2021-01-01T12:00:00")
    assert "crc" not in telegram_json(Telegram(TELEGRAM.text))["apdu"]


def message(data: bytes) -> dict[str, Any]:
    found = readout_document(data)
    assert found is not None
    (only,) = found["messages"]
    return dict(only)


def test_a_readout() -> None:
    body = b"1.8.0(0012.5*kWh)\r\n2.8.0(0001.0*kWh)\r\n!\r\n\x03"
    check = 0
    for octet in body:
        check ^= octet
    found = message(b"/LGZ5ZMD\r\n\x02" + body + bytes((check,)))
    assert found["apdu"] == {"name": "readout", "identification": "LGZ5ZMD", "checked": True}
    assert [value["obis"] for value in found["values"]] == ["1.0.1.8.0.255", "1.0.2.8.0.255"]


def test_lines_alone() -> None:
    found = message(b"1.8.0(0012.5*kWh)\r\n")
    assert found["apdu"]["checked"] is False and len(found["values"]) == 1


def test_what_is_no_readout() -> None:
    assert readout_document(b"") is None
    assert readout_document(b"no lines of data here") is None
    assert readout_document(bytes(range(256))) is None
