from __future__ import annotations

import pytest

from dlms_mqtt.bridge.api.errors import LockedOut
from dlms_mqtt.bridge.meters.lockout import PAUSES, Lockout


def test_attempts_then_growing_pauses():
    state, now, pauses = Lockout("s"), 0.0, []
    for _ in range(7):
        state.check(now)
        state = state.refused(now, attempts=2)
        pauses.append(state.until - now if state.until > now else 0)
        now = max(now, state.until)
    assert pauses == [0, *PAUSES, PAUSES[-1], PAUSES[-1]]


def test_locked_out_says_until_when():
    state = Lockout("s").refused(100, attempts=1)
    with pytest.raises(LockedOut) as error:
        state.check(100 + PAUSES[0] - 1)
    assert error.value.until == 100 + PAUSES[0]
    state.check(100 + PAUSES[0])


def test_success_starts_afresh():
    assert Lockout("s").refused(0, 1).succeeded() == Lockout("s")


def test_the_pause_survives_a_restart_but_not_new_settings():
    state = Lockout("s").refused(0, 1)
    assert Lockout.restore(state.dump(), "s") == state
    assert Lockout.restore(state.dump(), "other") == Lockout("other")
    assert Lockout.restore(None, "s") == Lockout("s")


def test_no_more_than_five_attempts_in_any_day():
    state, now, moments = Lockout("s"), 0.0, []
    while now < 10 * 86400:
        moments.append(now)
        state = state.refused(now, attempts=2)
        now = max(now + 30, state.until)
    assert max(sum(1 for other in moments if moment <= other < moment + 86400) for moment in moments) <= 5


def test_a_time_that_was_told_by_a_wrong_clock_locks_nobody_out_for_years():
    ahead = 1.8e9 + 365 * 86400
    state = Lockout("s").refused(ahead, attempts=1)
    with pytest.raises(LockedOut):
        state.check(ahead + 1)
    state.check(1.8e9)
    again = state.refused(1.8e9, attempts=1)  # what was counted stays: the next pause is the longer one
    assert again.until == 1.8e9 + PAUSES[1]
    with pytest.raises(LockedOut):
        again.check(1.8e9 - 3600)  # set back a little, as at a start without a battery: still paused
