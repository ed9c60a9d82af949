"""What a meter has counted up to, over associations and processes: a session played back begins too low."""

from __future__ import annotations

import pytest

from dlms_mqtt.client.client import DlmsClient
from dlms_mqtt.client.state.peer_history import PeerHistory, PushCounters, PushHistory
from dlms_mqtt.client.state.store import PEER_COUNTERS, Store
from dlms_mqtt.errors import SecurityError, StoreError
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.obis import Obis
from tests.client.our_meter import WAYS, OurMeter

KEY, TITLE = "aa", bytes(8)
NAME = AttributeDescriptor(1, Obis.parse("0.0.42.0.0.255"), 2)


class Recorder(OurMeter):
    """Its answers are kept; ``played_back`` go on the line in place of them."""

    def __init__(self):
        super().__init__(framing="wrapper")
        self.kept, self.played_back = [], []
        self.line.fault = self._shape

    def _shape(self, data):
        self.kept.append(data)
        return [(0.0, self.played_back.pop(0) if self.played_back else data)]

    async def read(self, store, way):
        """In a process of its own."""
        settings = self.settings(**WAYS[way], retries=0, timeout=1.0)
        async with DlmsClient(settings, transport=self.line, store=store, peer="m association") as client:
            return await client.get(NAME)


@pytest.mark.parametrize("way", ["none, encrypted", "low, authenticated"])
async def test_a_recorded_association_without_a_challenge_is_refused(clock, store, way):
    async with Recorder() as meter:
        for _ in range(4):
            recorded = len(meter.kept)
            answer = await meter.read(store, way)
        meter.played_back = meter.kept[recorded:]
        with pytest.raises(SecurityError) as refused:
            await meter.read(store, way)
        assert refused.value.reason == "counter"
        meter.played_back.clear()
        assert await meter.read(store, way) == answer, "the meter itself goes on being read"


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "state.sqlite") as store:
        yield store


def _associations(store, *firsts):
    """Each in a process of its own; each answers three times."""
    for first in firsts:
        history = PeerHistory(store, "m association")
        for counter in range(first, first + 3):
            history.take(KEY, TITLE, counter)


def test_a_session_of_before_is_refused_in_another_process(store):
    _associations(store, 10, 20, 30, 40)
    for played_back in (10, 30, 40):
        with pytest.raises(SecurityError, match=r"received before|fell from 40"):
            _associations(store, played_back)
    _associations(store, 43)


def test_a_meter_that_counts_anew_each_time_is_not_held_to_it(store):
    _associations(store, 0, 0, 5, 0, 0, 1, 0)


def test_it_is_held_to_it_again_when_it_counts_on(store):
    _associations(store, 50, 0, 10, 20, 30)
    with pytest.raises(SecurityError):
        _associations(store, 10)


def test_within_a_process_every_association_is_written_once(store, monkeypatch):
    writes = []
    monkeypatch.setattr(store, "set", lambda *row: writes.append(dict(row[-1]["counters"])))
    history = PeerHistory(store, "m association")
    for first in (1, 10):
        history.begin()
        for counter in range(first, first + 5):
            history.take(KEY, TITLE, counter)
    assert [list(row.values()) for row in writes] == [[1], [10]]


def test_what_nobody_vouches_for_is_not_kept(store):
    for history in (PeerHistory(store, "m association"), PushHistory(store, "listen")):
        history.take(KEY, TITLE, 1 << 31, verified=False)
    assert store.items(PEER_COUNTERS) == {}


@pytest.mark.parametrize(
    "kept",
    [
        *(1, [], {}, {"counters": 1}, {"counters": {}, "rose": "x"}, {"a": 1}),
        {"counters": {f"aa/{TITLE.hex()}/1": {"a": 1}}, "rose": 3},
    ],
)
def test_a_damaged_memory_is_none(store, kept):
    store.set(PEER_COUNTERS, "m association", kept)
    _associations(store, 7)


def test_a_store_that_cannot_be_used_keeps_nobody_from_reading(store):
    store.close()
    _associations(store, 7, 8)


def test_pushes_are_kept_one_by_one(store):
    PushHistory(store, "listen").take(KEY, TITLE, 7)
    with pytest.raises(SecurityError, match="received before"):
        PushHistory(store, "listen").take(KEY, TITLE, 7)
    PushHistory(store, "listen").take(KEY, TITLE, 8)


def test_pushes_of_a_meter_at_work_are_kept_now_and_then_and_ahead(store):
    counters, counter, written = PushCounters(store, "m"), 100, []
    for second in range(0, 600, 10):
        counter += 1
        counters.take(KEY, TITLE, counter)
        counters.keep_ahead(float(second))
        written.append(store.get(PEER_COUNTERS, "m"))
        assert all(kept >= counter for kept in written[-1].values()), "a killed process takes none twice"
    assert len({str(row) for row in written}) <= 20, "of sixty"
    refused = PushCounters(store, "m")
    with pytest.raises(SecurityError):
        refused.take(KEY, TITLE, counter)
    counters.close()
    PushCounters(store, "m").take(KEY, TITLE, counter + 1)  # a clean end loses nothing


def test_pushes_are_taken_where_the_disk_takes_nothing(store, monkeypatch):
    def full(*_):
        raise StoreError("no space left")

    for name in ("set", "peer_counters"):
        monkeypatch.setattr(store, name, full)
    counters = PushCounters(store, "m")
    counters.take(KEY, TITLE, 5)
    counters.keep_ahead(0.0)
    with pytest.raises(SecurityError):
        counters.take(KEY, TITLE, 5)
