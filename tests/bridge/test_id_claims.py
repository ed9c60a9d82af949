"""Who holds which id: what other bridges say is taken note of within bounds, and costs little however many speak."""

from __future__ import annotations

import json

import pytest

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.presence import id_claims
from dlms_mqtt.bridge.presence.id_claims import Claims

OURS, OLDER, YOUNGER = (f"{year}-01-01T00:00:00+00:00" for year in (2026, 2025, 2027))


async def _send(topic, payload):
    raise AssertionError("nobody is asked here")


@pytest.fixture
def claims():
    return Claims(Topics("dlms_mqtt", "main"), OURS, _send)


def _say(claims, bridge, info):
    payload = info if isinstance(info, bytes) else json.dumps(info).encode()
    return claims.seen(f"dlms_mqtt/bridge/{bridge}/info", payload)


def test_the_older_one_has_the_meter(claims):
    assert _say(claims, "other", {"started": OLDER, "meters": [{"id": "house"}, {"id": 5}, "flat", {}]}) == "other"
    assert claims.contested(["house", "flat"]) == ["house"] == claims.contested(["house"], "other")
    assert not claims.contested(["house"], "third")
    _say(claims, "other", {"started": YOUNGER, "meters": [{"id": "house"}]})
    assert not claims.contested(["house"])


@pytest.mark.parametrize(
    "info", [b"", b"{", b"[]", b"5", {}, {"meters": {"id": "house"}}, {"started": 5, "meters": [{"id": "house"}]}]
)
def test_what_says_nothing_claims_nothing(claims, info):
    _say(claims, "other", {"started": OLDER, "meters": [{"id": "house"}]})
    assert _say(claims, "other", info) == "other"
    assert not claims.contested(["house"])


@pytest.mark.parametrize("topic", ["dlms_mqtt/bridge/x", "dlms_mqtt/bridge/x/health", "other/bridge/x/info"])
def test_what_is_none_of_ours(claims, topic):
    assert claims.seen(topic, b"online") == ""


def test_ten_thousand_bridges_are_no_more_than_a_thousand(claims):
    for number in range(10 * id_claims._MOST):
        _say(claims, f"x{number}", {"started": OLDER, "meters": [{"id": "house"}]})
        claims.seen(f"dlms_mqtt/bridge/x{number}/state", b"online")
    assert len(claims._infos) == len(claims._online) == id_claims._MOST
    _say(claims, "main", {"started": OLDER})
    assert claims.rival_started() == OLDER, "our own id is never crowded out"
    for number in range(id_claims._MOST):
        _say(claims, f"x{number}", b"")
    _say(claims, "late", {"started": OLDER, "meters": [{"id": "flat"}]})
    assert claims.contested(["flat"]) == ["flat"], "whoever is gone makes room"


def test_a_bridge_with_very_many_meters(claims):
    rows = [{"id": f"m{number}"} for number in range(3 * id_claims._MOST)]
    _say(claims, "other", {"started": OLDER, "meters": rows})
    assert len(claims._infos["other"].meters) == id_claims._MOST
