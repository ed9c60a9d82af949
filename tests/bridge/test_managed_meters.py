"""Meters that are managed over MQTT: what a publisher may say, where secrets may go, and the files they are kept in."""

from __future__ import annotations

import contextlib
import os

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
