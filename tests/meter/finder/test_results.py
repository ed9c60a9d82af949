"""What a search ends with, as JSON: values as programs take them, and no secret."""

from __future__ import annotations

import json

from dlms_mqtt.meter.finder.results import Facts, Found, Limits
from dlms_mqtt.protocol.secret import Secret


def test_a_connection_as_json_has_no_secret_in_it() -> None:
    connection = {
        "tcp": ("192.0.2.5", 4059),
        "udp": ("fd00::5", 99),
        "client": 32,
        "password": Secret(b"12345678"),
        "wake_up": b"\0\0",
        "conformance": ("get", "set"),
        "dtr": None,
        "odd": object,
    }
    shown = Found(True, connection, "it works", ("cause",), ("7",), {"max_pdu": 100}, 1.26, complete=True).json()
    assert shown["connection"] == {
        "tcp": "192.0.2.5:4059",
        "udp": "[fd00::5]:99",
        "client": 32,
        "wake_up": "0000",
        "conformance": ["get", "set"],
        "dtr": None,
        "odd": str(object),
    }
    assert (shown["found"], shown["complete"], shown["seconds"]) == (True, True, 1.3)
    assert (shown["causes"], shown["cases"], shown["learned"]) == (["cause"], ["7"], {"max_pdu": 100})
    assert "12345678" not in json.dumps(shown)


def test_nothing_is_shared_between_searches() -> None:
    one, other = Facts(), Facts()
    one.refusals.append("no")
    one.seen["silence"] += 1  # type: ignore[index]
    assert other.refusals == [] and not other.seen
    assert Limits().seconds == 600.0
