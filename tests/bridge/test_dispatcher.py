from __future__ import annotations

import asyncio
import json

import pytest

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.bridge.api.message import Message
from dlms_mqtt.bridge.api.payload import MAX_REQUEST
from dlms_mqtt.bridge.api.topics import Topics
from dlms_mqtt.bridge.requests import repeated_ids
from dlms_mqtt.bridge.requests.dispatcher import _MOST_REPLIES, Commands
from dlms_mqtt.bridge.requests.repeated_ids import REMEMBERED
from dlms_mqtt.client.state.state_file import MEMORY
from dlms_mqtt.client.state.store import Store
from dlms_mqtt.errors import AccessRefused, StoreError

TOPICS = Topics("dlms_mqtt", "main")


class Desk:
    """Commands with handlers that count."""

    def __init__(self, clock, store=None):
        self.clock = clock
        self.sent: list[tuple[str, dict, bytes | None]] = []
        self.calls: list = []
        self.commands = Commands(TOPICS, self.find, self.send, clock, store or Store(MEMORY))

    def send(self, topic, payload, correlation):
        self.sent.append((topic, json.loads(payload), correlation))

    def find(self, address):
        handlers = {
            "read": self.read,
            "slow": self.slow,
            "wrong": self.wrong,
            "objects": self.objects,
            "tariff": self.read,
            **dict.fromkeys(("meter/validate", "meter/add", "meter/remove"), self.read),
        }
        if address.name not in handlers:
            raise RequestError("unknown-request", f"there is no request '{address.name}'")
        return handlers[address.name]

    async def read(self, request):
        self.calls.append((request.value, request.text, request.body))
        return {"value": len(self.calls)}

    async def slow(self, request):
        self.calls.append("slow")
        await asyncio.sleep(request.get("seconds", int, default=1000))
        return {"done": True}

    async def wrong(self, request):
        refused, full = AccessRefused("no", code=3, name="read-write-denied"), StoreError("the disk is full")
        kinds = {"refused": refused, "full": full, "bug": KeyError("a")}
        raise kinds[request.body["kind"]]

    async def objects(self, request):
        request.progress(1, 2, "reading")
        return {"objects": []}

    async def ask(self, topic, payload, **more):
        payload = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        taken = self.commands.receive(Message(f"dlms_mqtt/{topic}", payload, **more))
        await asyncio.sleep(0.01)
        return taken

    @property
    def replies(self):
        return [reply for _, reply, _ in self.sent]


@pytest.fixture
async def desk(clock):
    desk = Desk(clock)
    yield desk
    await desk.commands.close()


async def test_a_request_gets_one_reply(desk):
    await desk.ask("meter/h/request/read", {"id": "42", "items": []})
    assert desk.sent == [("dlms_mqtt/meter/h/response/read", {"id": "42", "status": "ok", "data": {"value": 1}}, None)]


async def test_a_plain_value(desk):
    await desk.ask("meter/h/set/tariff", b"night")
    await desk.ask("meter/h/set/tariff", b"21.50")
    await desk.ask("meter/h/set/tariff", {"id": 7, "value": 2})
    assert [call[:2] for call in desk.calls] == [("night", "night"), (pytest.approx(21.5), "21.50"), (2, "2")]
    assert desk.sent[0][0] == "dlms_mqtt/meter/h/response/set/tariff"
    assert [reply.get("id") for reply in desk.replies] == [None, None, 7]


@pytest.mark.parametrize(
    ("payload", "code", "request_id"),
    [
        (b"no json", "bad-request", None),
        (b"null", "bad-request", None),
        (b"[1]", "bad-request", None),
        (b"\xff\xfe", "bad-request", None),
        (b"{" * 50_000, "bad-request", None),
        (b"x" * (MAX_REQUEST + 1), "bad-request", None),
        (b'{"id": []}', "bad-request", None),
        (b'{"id": true}', "bad-request", None),
        (b'{"id": 1, "timeout": "x"}', "bad-request", 1),
        (b'{"id": 1, "timeout": -1}', "bad-request", 1),
        (b'{"id": 1.5}', None, 1.5),
    ],
)
async def test_every_message_is_answered(desk, payload, code, request_id):
    await desk.ask("meter/h/request/read", payload)
    (reply,) = desk.replies
    assert reply.get("error", {}).get("code") == code
    assert reply.get("id") == request_id


async def test_a_message_that_is_not_utf8_on_set(desk):
    await desk.ask("meter/h/set/tariff", b"\xff\xfe")
    assert desk.replies[0]["error"]["code"] == "bad-request"


async def test_an_unknown_request(desk):
    await desk.ask("bridge/main/request/dance", {"id": 1})
    assert desk.sent[0][0] == "dlms_mqtt/bridge/main/response/dance"
    assert desk.replies[0]["error"]["code"] == "unknown-request"


async def test_what_is_no_command_gets_none(desk):
    assert not await desk.ask("meter/h/request/read", b"")
    assert not await desk.ask("meter/h/request/read", {"id": 1}, retained=True)
    assert not await desk.ask("meter/h/state", {"id": 1})
    assert desk.sent == []


async def test_the_meters_refusal(desk):
    await desk.ask("meter/h/request/wrong", {"kind": "refused"})
    assert desk.replies[0]["error"]["code"] == "access-denied"
    assert desk.replies[0]["error"]["detail"] == {"result": 3, "name": "read-write-denied"}


@pytest.mark.expect_log("failed")
async def test_a_fault_of_ours_is_answered_too(desk):
    await desk.ask("meter/h/request/wrong", {"kind": "bug"})
    assert desk.replies[0]["error"]["code"] == "internal"


async def test_a_disk_that_is_full_is_no_fault_of_ours(desk):
    """Whoever keeps the state has told it; a traceback for each request would fill the log too."""
    await desk.ask("meter/h/request/wrong", {"kind": "full"})
    assert desk.replies[0]["error"]["code"] == "internal"
    assert desk.replies[0]["error"]["message"] == "the disk is full"


async def test_an_id_is_on_the_disk_before_its_request_runs_and_no_other(clock, tmp_path):
    """What is not run costs the disk nothing: whoever floods us with it would hold the bridge."""

    def written():
        return store.read("SELECT count(*) FROM facts WHERE namespace = 'requests'")[0][0]

    async def slow(request):
        return {"written": written()}

    with Store(tmp_path / "state.sqlite") as store:
        desk = Desk(clock, store)
        desk.slow = slow
        for number in range(5):
            await desk.ask("meter/h/request/dance", {"id": number})
            await desk.ask("meter/h/request/slow", {"id": number, "count": 0})
        assert written() == 0 and len(desk.sent) == 10
        await desk.ask("meter/h/request/slow", {"id": 9})
        assert desk.replies[-1]["data"]["written"] >= 1
        await desk.commands.close()


async def test_a_timeout(desk):
    await desk.ask("meter/h/request/slow", {"id": 1, "timeout": 5})
    assert desk.sent == []
    await asyncio.sleep(5)
    assert desk.replies == [
        {"id": 1, "status": "error", "error": desk.replies[0]["error"]},
    ]
    assert desk.replies[0]["error"]["code"] == "timeout"


async def test_an_id_is_run_once_in_ten_minutes(desk):
    for _ in range(3):
        await desk.ask("meter/h/request/read", {"id": "a"})
    assert len(desk.calls) == 1
    assert desk.replies == [{"id": "a", "status": "ok", "data": {"value": 1}}] * 3
    await desk.ask("meter/h/request/read", {"id": "b"})
    await desk.ask("meter/other/request/read", {"id": "a"})
    assert len(desk.calls) == 3
    await asyncio.sleep(REMEMBERED)
    await desk.ask("meter/h/request/read", {"id": "a"})
    assert len(desk.calls) == 4


async def test_a_repeated_id_waits_for_the_first_reply(desk):
    await desk.ask("meter/h/request/slow", {"id": 1, "seconds": 5})
    await desk.ask("meter/h/request/slow", {"id": 1, "seconds": 5})
    await asyncio.sleep(6)
    assert desk.calls == ["slow"]
    assert [reply["status"] for reply in desk.replies] == ["ok", "ok"]


async def test_a_string_and_a_number_are_two_ids(desk):
    await desk.ask("meter/h/request/read", {"id": 1})
    await desk.ask("meter/h/request/read", {"id": "1"})
    assert len(desk.calls) == 2


async def test_cancel(desk):
    await desk.ask("meter/h/request/slow", {"id": "long"})
    await desk.ask("meter/h/request/cancel", {"id": "long"})
    codes = {reply["id"]: reply for reply in desk.replies if reply["status"] == "error"}
    assert codes["long"]["error"]["code"] == "cancelled"
    assert [reply["data"] for reply in desk.replies if reply["status"] == "ok"] == [{"cancelled": "long"}]
    await desk.ask("meter/h/request/cancel", {"id": "gone"})
    assert desk.replies[-1]["error"]["code"] == "invalid-value"


async def test_an_id_that_names_a_meter_is_asked_anew(desk):
    for verb in ("validate", "validate", "add", "remove", "add"):
        await desk.ask(f"bridge/main/request/meter/{verb}", {"id": "flat", "config": {}})
    assert [reply["data"]["value"] for reply in desk.replies] == [1, 2, 3, 4, 5]
    for _ in range(2):
        await desk.ask("bridge/main/request/meter/add", {"id": "a", "meter": "flat", "config": {}})
    assert [reply["data"]["value"] for reply in desk.replies[5:]] == [6, 6]


async def test_cancel_again_after_it_found_nothing(desk):
    await desk.ask("meter/h/request/cancel", {"id": "long"})
    await desk.ask("meter/h/request/slow", {"id": "long"})
    await desk.ask("meter/h/request/cancel", {"id": "long"})
    codes = [reply.get("error", {}).get("code", "") for reply in desk.replies]
    assert codes[0] == "invalid-value" and sorted(codes[1:]) == ["", "cancelled"]
    await desk.ask("meter/h/request/cancel", {})
    assert desk.replies[-1]["error"]["code"] == "bad-request"


async def test_one_meter_cannot_cancel_another_ones_request(desk):
    await desk.ask("meter/h/request/slow", {"id": "long"})
    await desk.ask("meter/other/request/cancel", {"id": "long"})
    assert [reply["status"] for reply in desk.replies] == ["error"]


async def test_too_many_at_once(desk):
    for number in range(40):
        await desk.ask("meter/h/request/slow", {"id": number})
    busy = [reply["error"]["code"] for reply in desk.replies]
    assert busy == ["busy"] * 8


async def test_the_end_answers_what_still_runs(desk):
    await desk.ask("meter/h/request/slow", {"id": 1})
    await desk.ask("meter/h/request/slow", {"seconds": 50})
    await desk.commands.close()
    assert [reply["error"]["code"] for reply in desk.replies] == ["cancelled", "cancelled"]


async def test_nothing_is_taken_after_the_end(desk):
    await desk.commands.close()
    assert not await desk.ask("meter/house/request/read", {"id": 1})
    assert not desk.calls and not desk.sent


async def test_long_work_sends_progress(desk):
    await desk.ask("meter/h/request/objects", {"id": 1})
    assert [reply["status"] for reply in desk.replies] == ["progress", "ok"]
    assert desk.replies[0] == {"id": 1, "status": "progress", "data": {"done": 1, "total": 2, "stage": "reading"}}


async def test_mqtt_5_response_topic_and_correlation_data(desk):
    more = {"response_topic": "client/7", "correlation": b"\x01\x02"}
    await desk.ask("meter/h/request/read", {}, **more)
    await desk.ask("meter/h/request/read", {}, response_topic="dlms_mqtt/meter/h/state")
    assert [(topic, correlation) for topic, _, correlation in desk.sent] == [
        ("client/7", b"\x01\x02"),
        ("dlms_mqtt/meter/h/response/read", None),
    ]


async def test_an_id_runs_nothing_however_many_came_between(desk):
    await desk.ask("meter/h/set/tariff", {"id": 7, "value": 1})
    for number in range(_MOST_REPLIES + 50):
        await desk.ask("meter/h/request/read", {"id": f"other{number}"})
    calls = len(desk.calls)
    await desk.ask("meter/h/set/tariff", {"id": 7, "value": 1})
    assert len(desk.calls) == calls
    assert desk.replies[-1]["id"] == 7 and desk.replies[-1]["error"]["code"] == "bad-request"
    assert "not run again" in desk.replies[-1]["error"]["message"]
    await desk.ask("meter/other/set/tariff", {"id": 7, "value": 1})
    assert desk.replies[-1]["status"] == "ok", "another meter's ids are others"


async def test_an_id_runs_nothing_after_a_restart(clock, tmp_path):
    """What changes something is on the disk before it runs: a killed bridge does not run it again."""
    with Store(tmp_path / "state") as store:
        first = Desk(clock, store)
        await first.ask("meter/h/do/slow", {"id": "a"})
        await first.ask("meter/h/request/read", {"id": "b"})
        assert list(store.items("requests").values()) == [round(clock.time())], "reading is not written down"
        second = Desk(clock, store)
        await second.ask("meter/h/do/slow", {"id": "a"})
        assert second.calls == [] and second.replies[-1]["error"]["code"] == "bad-request"
        await first.commands.close()
        await asyncio.sleep(REMEMBERED)
        third = Desk(clock, store)
        await third.ask("meter/h/set/tariff", {"id": "a", "value": 1})
        await third.ask("meter/h/do/tariff", {"id": "c"})
        assert len(third.calls) == 2 and len(store.items("requests")) == 2, "what is old is forgotten on the disk too"


async def test_more_ids_than_can_be_kept_are_refused(desk, monkeypatch):
    monkeypatch.setattr(repeated_ids, "_MOST", 3)
    for number in range(4):
        await desk.ask("meter/h/request/read", {"id": number})
    assert [reply["status"] for reply in desk.replies] == ["ok"] * 3 + ["error"]
    assert desk.replies[-1]["error"]["code"] == "busy"
    await asyncio.sleep(REMEMBERED + 1)
    await desk.ask("meter/h/request/read", {"id": 9})
    assert desk.replies[-1]["status"] == "ok"


@pytest.mark.parametrize("fact", ["x", None, [], {"a": 1}])
async def test_a_damaged_memory_of_ids_is_none(clock, fact):
    store = Store(MEMORY)
    store.set("requests", "0011", fact)
    desk = Desk(clock, store)
    await desk.ask("meter/h/do/tariff", {"id": "a"})
    assert desk.replies[-1]["status"] == "ok"
