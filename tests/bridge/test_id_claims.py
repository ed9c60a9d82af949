"""Who holds which id: what other bridges say is taken note of within bounds, and costs little however many speak."""

from __future__ import annotations

import json

import pytest

from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.presence import id_claims
from dlms_mqtt.bridge.presence.id_claims import Claims, Info

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
    "info",
    [
        b"",
        b"{",
        b"[]",
        b"5",
        {},
        {"meters": {"id": "house"}},
        {"started": 5, "meters": [{"id": "house"}]},
        {"started": "", "meters": [{"id": "house"}]},
    ],
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


def test_what_is_one_too_many_is_not_even_read(claims, monkeypatch):
    """It cost a tenth of a millisecond each: a flood of them held our own readings back for seconds."""
    read = []
    monkeypatch.setattr(id_claims, "info_in", lambda payload: read.append(payload) or id_claims.Info(OLDER))
    said = [_say(claims, f"x{number}", {"started": OLDER}) for number in range(2 * id_claims._MOST)]
    assert len(read) == id_claims._MOST and said[id_claims._MOST :] == [""] * id_claims._MOST


def test_a_bridge_with_very_many_meters(claims):
    rows = [{"id": f"m{number}"} for number in range(3 * id_claims._MOST)]
    _say(claims, "other", {"started": OLDER, "meters": rows})
    assert len(claims._infos["other"].meters) == id_claims._MOST


class Others:
    """The other bridges of a broker: who answers a ping, and with what."""

    def __init__(self, **answers):
        self.answers, self.topics = answers, []
        self.claims = Claims(Topics("dlms_mqtt", "main"), OURS, self.send)

    async def send(self, topic, payload):
        self.topics.append(topic)
        bridge = topic.split("/")[2]
        if bridge in self.answers:
            reply = {"id": json.loads(payload)["id"], "status": "ok", "data": self.answers[bridge]}
            self.claims.seen(f"dlms_mqtt/bridge/{bridge}/response/ping", json.dumps(reply).encode())

    def online(self, bridge, meters=(), started=OLDER, managed=()):
        rows = [{"id": meter, "managed": meter in managed} for meter in meters]
        _say(self.claims, bridge, {"started": started, "meters": rows})
        self.claims.seen(f"dlms_mqtt/bridge/{bridge}/state", b"online")


async def test_the_holder_of_a_meter_is_who_has_it_and_answers(clock):
    others = Others(alive={"started": OLDER})
    others.online("dead", ["house"])
    others.online("alive", ["house", "flat"])
    assert await others.claims.holder("house") == "alive"
    assert clock.elapsed == id_claims._ANSWER  # so long was waited for the dead one
    assert await others.claims.holder("barn") == ""
    others.claims.seen("dlms_mqtt/bridge/alive/state", b"offline")
    assert await others.claims.holder("flat") == ""
    assert [topic.split("/")[2] for topic in others.topics] == ["dead", "alive"]


async def test_many_that_are_gone_cost_no_more_than_one(clock):
    """A broker that died with its bridges keeps their words; each would cost three seconds at every start."""
    others = Others(alive={"started": OLDER})
    for number in range(200):
        others.online(f"dead{number}", ["house", f"flat{number}"])
    others.online("alive", ["house", "flat7"])
    meters = ["house", "barn", *(f"flat{number}" for number in range(200))]
    assert await others.claims.holders(meters) == {"house": "alive", "flat7": "alive"}
    assert clock.elapsed == id_claims._ANSWER
    assert len(others.topics) == 201, "each is asked once, however many meters it says it has"
    assert await others.claims.holders(["barn"]) == {}
    assert not others.claims._pings and len(others.topics) == 201


def test_what_others_say_fills_no_memory(claims):
    """Of meters a number in all, of ids and times those that can be: a thousand large messages were 400 MB."""
    rows = [{"id": f"m{number}"} for number in range(id_claims._MOST)]
    for number in range(2 * id_claims._MOST_METERS // id_claims._MOST):
        _say(claims, f"x{number}", {"started": OLDER, "meters": rows})
    noted = [len(info.meters) for info in claims._infos.values()]
    assert sum(noted) == id_claims._MOST_METERS and len(noted) == 2 * id_claims._MOST_METERS // id_claims._MOST
    _say(claims, "main", {"started": OLDER, "meters": rows})
    assert len(claims.announced_as_ours(())) == id_claims._MOST, "our own are never crowded out"
    for number in range(len(noted)):
        _say(claims, f"x{number}", {"started": OLDER, "meters": rows[:5]})
    assert sum(len(info.meters) for name, info in claims._infos.items() if name != "main") == 5 * len(noted)
    long = "x" * (id_claims._LONGEST + 1)
    _say(claims, "other", {"started": long, "meters": [{"id": long}, {"id": "house"}]})
    assert claims._infos["other"] == Info(None, {"house": False})
    assert _say(claims, long, {"started": OLDER}) == ""


@pytest.mark.parametrize(("answer", "taken"), [({"started": OLDER}, True), ({"started": OURS}, False), (None, False)])
async def test_our_own_id_is_taken_by_another_instance_that_lives(clock, answer, taken):
    """An answer of our own, heard again, is none; nor is one without data."""
    others = Others(main=answer)
    assert not await others.claims.bridge_is_taken()
    others.online("main")
    assert await others.claims.bridge_is_taken() is taken


async def test_who_has_our_id_and_our_start_is_ourselves(clock):
    others = Others()
    others.online("main", started=OURS)
    assert others.claims.rival_started() is None
    assert not await others.claims.bridge_is_taken()
    assert others.topics == []


def test_meters_that_an_earlier_run_of_ours_has_left(claims):
    rows = [{"id": "house"}, {"id": "flat", "managed": True}, {"id": "barn", "managed": "yes"}]
    _say(claims, "main", {"started": OLDER, "meters": rows})
    assert claims.announced_as_ours({"house"}) == {"flat": True, "barn": False}
    claims.seen("dlms_mqtt/bridge/main/state", b"online")
    assert claims.announced_as_ours({"house"}) == {}  # it may be another one that is slow to answer


def test_what_is_subscribed_to(claims):
    assert claims.filters == (
        "dlms_mqtt/bridge/+/state", "dlms_mqtt/bridge/+/info", "dlms_mqtt/bridge/+/response/ping",
    )  # fmt: skip


def test_an_answer_that_nobody_waits_for(claims):
    for payload in (b'{"id": "x", "data": {}}', b"{", b"[]"):
        assert claims.seen("dlms_mqtt/bridge/other/response/ping", payload) == "other"
