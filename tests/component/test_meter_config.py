"""Forms to configuration and back: pure functions, no Home Assistant needed."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from fake_bridge import OBJECTS

from custom_components.dlms_mqtt.meter_config import (
    access_errors,
    build_read,
    chosen,
    fast,
    host_port,
    meter_id,
    normal_read,
    object_label,
    outgoing,
    pushed_label,
    seconds,
    with_access,
)
from custom_components.dlms_mqtt.seal import seal

ENERGY, VOLTAGE, STATUS = (f"{row['obis']}:2" for row in OBJECTS)


def rebuilt(read: Any, **changes: Any) -> Any:
    """The block after a form that was sent as it was shown, but for the changes."""
    normal = normal_read({"read": read})
    quick, every = fast(normal)
    fields = {"wanted": chosen(normal, OBJECTS), "fast_wanted": quick, "fast_every": every} | changes
    return build_read(normal, OBJECTS, **fields)


@pytest.mark.parametrize(
    "read",
    [
        {"set": "core", "except": [], "also": []},
        {"set": "all", "except": ["energy_import"], "also": []},
        {"set": "none", "except": [], "also": [{"obis": "1.0.1.8.0.255", "class": 3, "attribute": 2}]},
        {"set": "core", "except": ["voltage_l1", "not_of_this_meter"], "also": []},
        {
            "set": "core",
            "except": [],
            "also": [
                {"obis": "1.0.1.8.0.255", "transform": "value / 1000", "every": "10s"},
                {"obis": "0.0.94.34.11.255", "class": 1, "attribute": 2, "writable": True, "at": "00:05"},
                {"obis": "1.0.32.7.0.255", "every": "1m"},
            ],
        },
    ],
)
def test_a_form_sent_as_shown_changes_nothing(read: Any) -> None:
    after = rebuilt(read)
    assert after["set"] == read["set"]
    assert sorted(after["except"]) == sorted(read["except"])
    assert after["also"] == read["also"]


KEY, LONG_KEY = "0011" * 8, "0011" * 16


@pytest.mark.parametrize(
    ("suite", "key", "error", "sent"),
    [
        ("automatic", KEY, {}, None),
        ("automatic", LONG_KEY, {}, 2),
        ("0", KEY, {}, 0),
        ("1", KEY, {}, 1),
        ("2", LONG_KEY, {}, 2),
        ("0", LONG_KEY, {"encryption_key": "key_length"}, None),
        ("1", LONG_KEY, {"encryption_key": "key_length"}, None),
        ("2", KEY, {"encryption_key": "key_length"}, None),
        ("automatic", "0011", {"encryption_key": "key_length"}, None),
        ("automatic", "001", {"encryption_key": "not_hex"}, None),
        ("2", "", {}, 2),  # stays as it was given before
    ],
)
def test_keys_have_the_length_of_their_suite(suite: str, key: str, error: dict[str, str], sent: int | None) -> None:
    fields = {"suite": suite, "encryption_key": key}
    assert access_errors(fields, {}) == error
    if not error:
        assert with_access({}, fields, lambda secret: secret).get("suite") == sent


def test_changes() -> None:
    assert rebuilt("core", wanted=[ENERGY]) == {"set": "core", "except": ["voltage_l1"], "also": []}
    assert rebuilt({"set": "core"}, wanted=[ENERGY, VOLTAGE, STATUS])["also"] == [
        {"obis": "1.0.96.5.0.255", "class": 1, "attribute": 2}
    ]
    quick = {"obis": "1.0.32.7.0.255", "every": "10s"}
    slower = rebuilt({"also": [quick]}, fast_every=20)
    assert slower["also"] == [{"obis": "1.0.32.7.0.255", "every": "20s"}]
    none = rebuilt({"also": [quick]}, fast_wanted=[], fast_every=10)
    assert none == {"set": "core", "except": [], "also": []}
    named = rebuilt({"also": [{**quick, "name": "U"}]}, fast_wanted=[], fast_every=None)
    assert named["also"] == [{"obis": "1.0.32.7.0.255", "name": "U"}]
    gone = rebuilt({"also": [{**quick, "name": "U"}]}, wanted=[ENERGY], fast_wanted=[])
    assert gone == {"set": "core", "except": ["voltage_l1"], "also": []}


def test_short_forms() -> None:
    assert normal_read({}) == {"set": "core", "except": [], "also": []}
    items = ["1.0.1.8.0.255", "3/1.0.32.7.0.255:3", "rubbish"]
    assert normal_read({"read": items}) == {
        "set": "none",
        "except": [],
        "also": [
            {"obis": "1.0.1.8.0.255"},
            {"class": 3, "obis": "1.0.32.7.0.255", "attribute": 3},
            {"obis": "rubbish"},
        ],
    }


def test_what_a_request_may_carry() -> None:
    writable = {"obis": "0.0.94.34.11.255", "writable": True}
    config = {
        "name": "House",
        "connection": {"tcp": "h:1", "password": "***", "encryption_key": "sealed:x"},
        "read": ["1.0.1.8.0.255", writable],
        "allow": ["write"],
        "actions": {"x": {}},
    }
    assert outgoing(config) == {
        "name": "House",
        "connection": {"tcp": "h:1", "encryption_key": "sealed:x"},
        "read": {"set": "none", "except": [], "also": [{"obis": "1.0.1.8.0.255"}]},
    }
    assert outgoing({}) == {"connection": {}}


@pytest.mark.parametrize(
    ("text", "value"), [("30s", 30), ("5m", 300), ("1h30m", 5400), ("1d", 86400), ("00:05", None), (None, None)]
)
def test_intervals(text: Any, value: int | None) -> None:
    assert seconds(text) == value


def test_ids_and_addresses() -> None:
    assert meter_id("Zähler Süd 1", []) == "zahler-sud-1"
    assert meter_id("House", ["house", "house-2"]) == "house-3"
    assert meter_id("...", []) == "meter"
    assert host_port("10.0.0.5", 4059.0) == "10.0.0.5:4059"
    assert host_port("[fe80::1]", 1) == "[fe80::1]:1"


def test_what_came_is_readable() -> None:
    clock = {"obis": "0.0.1.0.0.255", "class": 8, "key": "clock", "name": "Clock"}
    assert pushed_label({**clock, "value": "2026-11-30T05:19:27.490000"}) == "Clock: 2026-11-30 05:19"
    assert pushed_label({**clock, "value": None}) == "Clock: ?"
    assert pushed_label({"class": 3, "key": "power", "value": 250, "unit": "W"}) == "power: 250 W"


def test_codes_as_displays_show_them() -> None:
    assert [object_label(row) for row in OBJECTS[1:]] == ["Voltage L1 [V] (1-0:32.7.0)", "Status (1-0:96.5.0)"]
    assert object_label({"obis": "1.0.1.6.0.1"}) == "1.0.1.6.0.1 (1-0:1.6.0*1)"
    assert object_label({"obis": "C.1.0", "key": "serial"}) == "serial (C.1.0)"  # a clear-text readout's


def test_the_seal_is_that_of_the_bridge() -> None:
    """The test vector of the bridge's documentation."""
    octets = iter((bytes(range(0x20, 0x40)), bytes(range(0x40, 0x4C))))
    public, connection = "j0DFrbaPJWJK5bIU6nZ6bslNgp09e14a0bpvPiE4KF8=", {"tcp": "192.0.2.10:4059"}
    sealed = seal("text:12345678", public, "house", connection, lambda count: next(octets))
    assert sealed == (
        "sealed:NYBy1jZYgNGu6jKa35EhODhR7SGijjt16WXQ0s0WYlRAQUJDREVGR0hJSkuAmj5NfQ5fWH3pmUkbps+xurXUtpfF5AxJVB22LA=="
    )
    octets = iter([bytes(range(32, 64)), bytes(range(64, 76))])
    calls = {"bind": "tcp://0.0.0.0:4059"}
    assert seal("text:12345678", public, "house", calls, lambda count: next(octets)) == (
        "sealed:NYBy1jZYgNGu6jKa35EhODhR7SGijjt16WXQ0s0WYlRAQUJDREVGR0hJSkuAmj5NfQ5fWH3pmUkbBt6VeuGY7zqDsWJEK4TMFQ=="
    )
    with pytest.raises(ValueError, match=r"base64|32"):
        seal("text:x", "!", "house", {})
    with pytest.raises(ValueError, match="32"):
        seal("text:x", base64.b64encode(b"short").decode(), "house", {})
