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


@pytest.mark.expect_log("does not take what is sent to", "lets nobody hear", "again", "lets us hear")
def test_another_line_that_refuses_the_same_is_not_told_again(caplog: pytest.LogCaptureFixture) -> None:
    """Each start told all of it twice: it looks around under a name of its own first."""
    refusals = Refusals()
    for why in ("not authorized", "not authorized", "quota"):
        refusals.clear()
        assert refusals.sentences == []
        refusals.taken(OTHER)
        refusals.refused(STATE, why)
        refusals.deaf("dlms_mqtt/#", why)
        assert len(refusals.sentences) == 2
    assert len(caplog.messages) == 4
    refusals.taken(STATE)
    refusals.heard("dlms_mqtt/#")
    refusals.refused(STATE, "quota")
    refusals.deaf("dlms_mqtt/#", "quota")
    assert len(caplog.messages) == 8
    refusals.clear()
    refusals.taken(STATE)
    refusals.refused(STATE, "quota")
    assert len(caplog.messages) == 9, "it was allowed in between"


@pytest.mark.expect_log("lets nobody hear", "does not take", "lets us hear dlms_mqtt/#")
def test_a_subscription_is_another_matter(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    refusals.deaf("dlms_mqtt/#", "not authorized")
    refusals.deaf("other/#", "not authorized")
    assert refusals.sentences == ["hearing dlms_mqtt/#: not authorized", "hearing other/#: not authorized"]
    refusals.taken("dlms_mqtt/#")
    refusals.refused(STATE, "not authorized")
    assert refusals.unheard == ["dlms_mqtt/#", "other/#"]
    refusals.heard("dlms_mqtt/#")
    refusals.heard("dlms_mqtt/#")
    assert refusals.unheard == ["other/#"] and len(caplog.messages) == 4
    refusals.clear()
    assert refusals.sentences == []


@pytest.mark.expect_log("not take what is sent to", "again")
@pytest.mark.parametrize(("topic", "groups"), [("a/b/{}/c", 200), ("reply/{}", 200), ("a/b/c/{}", 1)])
def test_replies_that_go_everywhere_fill_no_memory(caplog: pytest.LogCaptureFixture, topic: str, groups: int) -> None:
    """Somebody who may ask but get no answer names ever new topics for it."""
    refusals = Refusals()
    for number in range(1000):
        refusals.refused(topic.format(number), "no")
    assert len(refusals.sentences) == len(caplog.messages) == groups
    for number in range(200):
        refusals.taken(topic.format(number))
    assert refusals.sentences == []  # nothing was noted of the others
