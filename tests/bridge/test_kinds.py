"""What may stand behind a key: each kind with what it takes, what it makes of it, and what it says of the rest."""

from __future__ import annotations

from typing import Any

import pytest

from dlms_mqtt.bridge.config import kinds
from dlms_mqtt.bridge.config.kinds import Kind
from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.obis import Obis
from dlms_mqtt.protocol.secret import Secret

# MQTT 5, 1.5.4: brokers hang up on these, so that a bridge with one of them would never have a line
UNSENDABLE = ["\0", "\n", "\x7f", "\x85", "\ud800", "\udfff", "\ufdd0", "\uffff", "\U0001fffe"]

CASES: list[tuple[Kind, dict[Any, Any], list[Any]]] = [
    (kinds.TEXT, {"a b": "a b", "": ""}, [5, None, True, ["a"]]),
    (kinds.ID, {"house-1": "house-1", 7: "7"}, ["House", "a_b", "", "a b", True, "ä"]),
    (kinds.KEY, {"power_l1": "power_l1", 1: "1"}, ["power-l1", "Power", "", False]),
    (kinds.SYSTEM_TITLE, {"4B414D4500000001": "4B414D4500000001", "": ""}, ["4B41", "zz" * 8, True]),
    (kinds.TOPIC, {"dlms_mqtt": "dlms_mqtt", "a/b": "a/b"},
     ["", "a/#", "+", "$SYS", "/a", "a/", "a//b", "a b", "a\n", "x" * 257, 5, *("a" + odd for odd in UNSENDABLE)]),
    (kinds.MQTT_TEXT, {"": "", "ä b": "ä b"}, [5, "x" * 65536, "ä" * 40_000, *("a" + odd for odd in UNSENDABLE)]),
    (kinds.FLAG, {True: True, False: False}, ["maybe", 7, None]),
    (kinds.integer(0, 9), {0: 0, 9: 9, "5": 5}, [-1, 10, 1.5, True, "x", None]),
    (kinds.NUMBER, {1: 1, -1.5: -1.5}, ["1", True, None]),
    (kinds.POSITIVE, {0.1: 0.1}, [0, -1, "1", True]),
    (kinds.choice("a", "b"), {"a": "a"}, ["c", "", None]),
    (kinds.DURATION, {"90s": 90.0, "1h30m": 5400.0}, [90, "90", "soon", "", None]),
    (kinds.duration("1s", "1m"), {"1s": 1.0, "1m": 60.0}, ["500ms", "61s"]),
    (kinds.INTERVAL, {"1s": 1.0}, ["500ms", "0s", 5]),
    (kinds.AT, {"00:05": (0, 5), "23:59": (23, 59)}, ["24:00", "0:05", "00:60", 5, 305, None]),
    (kinds.SECRET, {"text:12345678": Secret(b"12345678"), "hex:0011": Secret(b"\x00\x11")}, [12345678, 1.5]),
    (kinds.OBIS, {"1-0:1.8.0": Obis((1, 0, 1, 8, 0, 255)), "energy_import": Obis((1, 0, 1, 8, 0, 255))},
     ["1.2", "nothing", ""]),
    (kinds.UNIT, {"kWh": "kWh", "m³": "m³", "": ""}, ["parsec", 5]),
    (kinds.ZONE, {"Europe/Vienna": "Europe/Vienna"}, ["Europe/Atlantis", "", "/etc", 5]),
    (kinds.LABEL, {"on": "on", 5: "5"}, [True, 1.5, ""]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "value", "made"), [(kind, value, made) for kind, good, _ in CASES for value, made in good.items()]
)
def test_what_it_makes(kind: Kind, value: Any, made: Any) -> None:
    found = kind.convert(value)
    assert found == made and type(found) is type(made)


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, _, bad in CASES for value in bad])
def test_what_it_refuses(kind: Kind, value: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        kind.convert(value)
    assert caught.value.message


def test_a_refused_secret_is_not_shown() -> None:
    with pytest.raises(ConfigError) as caught:
        kinds.SECRET.convert(98765432)
    assert "98765432" not in str(caught.value)
