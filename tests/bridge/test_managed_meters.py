"""Meters that are managed over MQTT: what a publisher may say, where secrets may go, and the files they are kept in."""

from __future__ import annotations

import contextlib
import os
from decimal import Decimal

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.config import managed_meters
from dlms_mqtt.bridge.config.seal import SealKey, seal

PORT, OTHER = "tcp://0.0.0.0:4059", "tcp://0.0.0.0:9999"
ASKED = {"listen": PORT, "ask": True}


def test_secrets_stay_only_on_the_same_line():
    stored = {
        "connection": {"tcp": "a", "password": "text:x"},
        "allow": ["write"],
        "read": {"also": [{"obis": "1.0.1.8.0.255", "writable": True}]},
    }
    same = managed_meters.completed({"connection": {"tcp": "a"}, "read": "core"}, stored)
    assert same["connection"]["password"] == "text:x"
    assert same["allow"] == ["write"]
    assert same["read"] == {"set": "core", "also": [{"obis": "1.0.1.8.0.255", "writable": True}]}
    moved = managed_meters.completed({"connection": {"tcp": "evil"}}, stored)
    assert "password" not in moved["connection"]


@pytest.mark.parametrize("odd", [5, "x", [1], True])
def test_an_odd_connection_is_a_mistake_that_is_told(odd):
    stored = {"connection": {"tcp": "a", "password": "text:x"}}
    assert managed_meters.completed({"connection": odd}, stored)["connection"] == odd
    assert managed_meters.completed({"connection": {"tcp": "a"}}, {"connection": odd})["connection"] == {"tcp": "a"}


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ({"connection": {"bind": PORT}}, {"connection": {"bind": PORT}}, True),
        ({"connection": {"bind": PORT}}, {"connection": {"bind": OTHER}}, False),
        ({"connection": {"bind": PORT}}, {"push": ASKED}, True),
        ({"push": ASKED}, {"push": ASKED}, True),
        ({"push": ASKED}, {"push": {**ASKED, "listen": OTHER}}, False),
        ({"push": {"listen": PORT}}, {"push": ASKED}, False),
        ({"push": {"listen": PORT}}, {"push": {"listen": OTHER}}, True),  # nothing is sent to whoever calls there
        (
            {"connection": {"tcp": "a"}, "push": {"listen": "connection", "ask": True}},
            {"connection": {"tcp": "a"}},
            True,
        ),
    ],
)
def test_secrets_of_meters_that_call_stay_only_on_the_same_port(before, after, same):
    """Whoever may publish could have the password sent to a port where he calls himself."""
    secret = {"password": "text:x"}
    stored = {**before, "connection": {**before.get("connection", {}), **secret}}
    assert ("password" in managed_meters.completed(after, stored).get("connection", {})) == same
    key = SealKey(bytes(range(32)))
    sealed = {"password": seal("text:x", key.public, os.urandom, "house", managed_meters._line(before))}
    copied = {**after, "connection": {**after.get("connection", {}), **sealed}}
    with contextlib.nullcontext() if same else pytest.raises(RequestError, match="another bridge, meter or line"):
        assert managed_meters.remote_config(copied, key, "house")["connection"]["password"] == "text:x"


def test_meter_ids_of_requests():
    assert managed_meters.meter_id_of({"id": "7", "meter": "flat"}) == "flat"
    assert managed_meters.meter_id_of({"id": "flat"}) == "flat"
    for bad in ({}, {"meter": 5}, {"meter": "../x"}, {"meter": "A"}, {"meter": ""}):
        with pytest.raises(RequestError):
            managed_meters.meter_id_of(bad)


KEY = SealKey(bytes(range(32)))


@pytest.mark.parametrize(
    ("request_", "name", "told"),
    [
        (5, "bad-request", "JSON object"),
        ({"preset": "../../etc/passwd"}, "invalid-value", "name of a preset"),
        ({"preset": 5}, "invalid-value", "name of a preset"),
        ({"allow": ["write"]}, "not-allowed", "allow can't be set over MQTT"),
        ({"actions": ["disconnect"]}, "not-allowed", "actions can't be set"),
        ({"read": {"also": [{"obis": "1.0.1.8.0.255", "writable": True}]}}, "not-allowed", "writable can't be set"),
        ({"read": [{"obis": "1.0.1.8.0.255", "writable": True}]}, "not-allowed", "writable can't be set"),
        ({"connection": {"serial": "/dev/../etc/shadow"}}, "not-allowed", "serial line can't be set"),
        ({"connection": {"serial": "spy:///dev/ttyUSB0?file=/tmp/x"}}, "not-allowed", "serial line can't be set"),
        ({"connection": {"serial": "esphome://head/?key=abc"}}, "not-allowed", "key in the address is not sealed"),
        ({"connection": {"tcp": "a", "password": "text:x"}}, "not-allowed", "'password' must be sealed"),
        ({"connection": {"tcp": "a", "password": 5}}, "not-allowed", "'password' must be sealed"),
        ({"connection": {"tcp": "a", "password": "sealed:rubbish"}}, "invalid-value", "seal"),
    ],
)
def test_what_a_publisher_may_not_say(request_, name, told):
    with pytest.raises(RequestError) as caught:
        managed_meters.remote_config(request_, KEY, "house")
    assert caught.value.code == name
    assert told in caught.value.message or told in caught.value.detail.values()


def test_a_sealed_secret_says_what_it_is():
    line = {"tcp": "a"}
    named = seal("file:/etc/passwd", KEY.public, os.urandom, "house", line)
    with pytest.raises(RequestError, match=r"A sealed .password. is text:"):
        managed_meters.remote_config({"connection": line | {"password": named}}, KEY, "house")
    none = managed_meters.remote_config({"connection": line | {"password": None}}, KEY, "house")
    assert none["connection"]["password"] is None


def test_the_seals_in_a_request():
    sealed = seal("text:x", KEY.public, os.urandom, "house", {"tcp": "a"})
    assert managed_meters.seals_in({"connection": {"tcp": "a", "password": sealed, "encryption_key": "text:y"}}) == [
        sealed
    ]
    assert managed_meters.seals_in({"connection": 5}) == managed_meters.seals_in(5) == []


def test_numbers_and_lists_are_what_a_file_can_hold():
    sent = {"supply": {"amperes": Decimal("63.5")}, "read": ["energy_import", Decimal(2)], "name": "House"}
    found = managed_meters.remote_config(sent, KEY, "house")
    assert found == {"supply": {"amperes": 63.5}, "read": ["energy_import", 2], "name": "House"}
    assert type(found["supply"]["amperes"]) is float


def test_rows_that_the_file_makes_writable_stay(tmp_path):
    row = {"obis": "1.0.1.8.0.255", "writable": True}
    stored = {"read": {"set": "core", "also": [row, {"obis": "1.0.2.8.0.255"}]}}
    for read, kept in (
        ("all", {"set": "all", "also": [row]}),
        ([{"obis": "1.0.1.8.0.255", "key": "mine"}, "power"], {"set": "none", "also": ["power", row]}),
        ({"set": "none", "also": 5}, {"set": "none", "also": [row]}),
    ):
        assert managed_meters.completed({"read": read}, stored)["read"] == kept


def test_a_meter_is_kept_and_forgotten(tmp_path):
    assert managed_meters.stored_config(tmp_path, "flat") == {}
    managed_meters.write_meter(tmp_path, "flat", {"name": "Wöhnung", "connection": {"tcp": "a"}})
    file = tmp_path / "meters" / "flat.yaml"
    assert file.stat().st_mode & 0o777 == 0o600
    assert managed_meters.stored_config(tmp_path, "flat") == {"name": "Wöhnung", "connection": {"tcp": "a"}}
    file.write_text("- no mapping\n")
    assert managed_meters.stored_config(tmp_path, "flat") == {}
    managed_meters.remove_meter(tmp_path, "flat")
    managed_meters.remove_meter(tmp_path, "flat")
    assert not file.exists()
