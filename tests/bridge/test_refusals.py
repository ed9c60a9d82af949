"""What the broker refuses: told once for neighbours, until the last of them is taken, and bounded."""

from __future__ import annotations

import pytest

from dlms_mqtt.bridge.mqtt.refusals import Refusals

STATE = "dlms_mqtt/meter/house/value/power"
OTHER = "dlms_mqtt/meter/house/value/energy"


@pytest.mark.expect_log("does not take what is sent to", "again")
def test_neighbours_are_told_once(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    refusals.refused(STATE, "not authorized")
    refusals.refused(OTHER, "not authorized")
    refusals.refused(STATE, "not authorized")
    assert refusals.sentences == ["dlms_mqtt/meter/house/value/...: not authorized"]
    assert len(caplog.messages) == 1
    refusals.taken(STATE)
    assert refusals.sentences  # the neighbour is still refused
    refusals.taken(OTHER)
    assert refusals.sentences == []
    assert len(caplog.messages) == 2
    refusals.taken(OTHER)
    assert len(caplog.messages) == 2


@pytest.mark.expect_log("lets nobody hear")
def test_a_subscription_is_another_matter() -> None:
    refusals = Refusals()
    refusals.deaf("dlms_mqtt/#", "not authorized")
    assert refusals.sentences == ["hearing dlms_mqtt/#: not authorized"]
    refusals.taken("dlms_mqtt/#")
    assert refusals.sentences
    refusals.clear()
    assert refusals.sentences == []


@pytest.mark.expect_log("does not take what is sent to")
def test_replies_that_go_everywhere_fill_no_memory() -> None:
    refusals = Refusals()
    for number in range(1000):
        refusals.refused(f"reply/{number}", "no")
    assert len(refusals.sentences) == 200
