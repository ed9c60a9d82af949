from __future__ import annotations

import pytest

from dlms_mqtt.bridge.meters.lockout import PAUSES, SPACE, Lockout, forget
from dlms_mqtt.client.state.store import Store


def test_attempts_then_growing_pauses():
    state, now, pauses = Lockout("s"), 0.0, []
    for _ in range(7):
        assert state.left(now) == 0
        state = state.refused(now, attempts=2)
        pauses.append(state.left(now))
        now = max(now, state.until)
    assert pauses == [0, *PAUSES, PAUSES[-1], PAUSES[-1]]


def test_the_pause_has_an_end():
    state = Lockout("s").refused(100, attempts=1)
    assert state.left(100 + PAUSES[0] - 1) == 1
    assert state.left(100 + PAUSES[0]) == 0


def test_success_starts_afresh_and_is_remembered():
    assert Lockout("s").refused(0, 1).succeeded("w") == Lockout("s", worked="w")


def test_the_pause_survives_a_restart_but_not_new_secrets():
    state = Lockout("s").refused(0, 1)
    assert Lockout.restore(state.dump(), "s") == state
    assert Lockout.restore(state.dump(), "other") == Lockout("other")
    assert Lockout.restore(None, "s") == Lockout("s")


def test_the_pause_of_the_version_before_is_kept():
    saved = {"settings": "a fingerprint of everything", "refusals": 3, "until": 5000.0}
    assert Lockout.restore(saved, "s") == Lockout("s", 3, 5000.0)


@pytest.mark.parametrize(
    "saved",
    [
        3,
        [],
        "x",
        {"refusals": -4},
        {"settings": "s", "worked": 5, "refusals": "many", "until": None, "newer": 1},
        {"settings": "s", "worked": "", "refusals": 10**400, "until": 1e300},
    ],
)
def test_facts_of_another_shape_are_no_fault(saved):
    assert Lockout.restore(saved, "s") == Lockout("s")


def test_no_more_than_five_attempts_in_any_day():
    state, now, moments = Lockout("s"), 0.0, []
    while now < 10 * 86400:
        moments.append(now)
        state = state.refused(now, attempts=2)
        now = max(now + 30, state.until)
    assert max(sum(1 for other in moments if moment <= other < moment + 86400) for moment in moments) <= 5


def test_silence_pauses_but_never_longer_than_the_first_pause():
    state, now = Lockout("s"), 0.0
    for _ in range(9):
        state = state.unheard(now, attempts=2)
        now = max(now + 30, state.until)
    assert state.left(state.until - 1) == 1 and state.left(state.until - 1e6) <= PAUSES[1]
    assert state.refusals == 2


def test_a_time_that_was_told_by_a_wrong_clock_locks_nobody_out_for_longer_than_the_pause():
    ahead = 1.8e9 + 365 * 86400
    state = Lockout("s").refused(ahead, attempts=1)
    assert state.left(ahead + 1) == PAUSES[0] - 1
    assert state.left(1.8e9) == PAUSES[0], "and the pause is kept: the clock at this start is the one that is wrong"


@pytest.mark.parametrize(
    ("saved", "stays"),
    [
        (Lockout("s").refused(0, 2).dump(), True),
        (Lockout("s", worked="a").dump(), False),
        ({"refusals": "?"}, False),
        ("?", False),
        (None, False),
    ],
)
def test_what_was_refused_outlives_the_meter(saved, stays):
    """Each time that a meter was taken out of the configuration and put in again two more wrong passwords went out."""
    with Store(":memory:") as store:
        store.set(SPACE, "house", saved)
        forget(store, "house")
        assert (store.get(SPACE, "house") is not None) is stays
