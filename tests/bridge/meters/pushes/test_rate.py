"""So many pushes as fast as they come, then a few each second."""

from __future__ import annotations

from dlms_mqtt.bridge.meters.pushes.rate import A_SECOND, AT_ONCE, PushRate


def test_what_was_kept_through_an_outage_is_taken_at_once() -> None:
    rate = PushRate()
    assert all(rate.admits(1000.0) for _ in range(AT_ONCE))
    assert not rate.admits(1000.0)


def test_then_a_few_each_second_however_many_come() -> None:
    rate = PushRate()
    for _ in range(AT_ONCE):
        rate.admits(0.0)
    taken = [sum(rate.admits(second + n / 1000) for n in range(1000)) for second in range(1, 5)]
    assert all(A_SECOND - 1 <= count <= 2 * A_SECOND for count in taken)
    assert sum(taken) <= 5 * A_SECOND


def test_it_is_calm_again_once_there_is_room() -> None:
    rate = PushRate()
    for _ in range(AT_ONCE):
        rate.admits(0.0)
    assert not rate.calm
    assert rate.admits(AT_ONCE / 2 / A_SECOND + 1)
    assert rate.calm


def test_a_meter_that_pushes_each_second_is_never_held_back() -> None:
    rate = PushRate()
    assert all(rate.admits(float(second)) and rate.calm for second in range(10_000))
