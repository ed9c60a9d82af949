"""Attributes that keep failing are left out, tried again rarely, and told; the others keep their interval."""

from __future__ import annotations

import itertools

import pytest

from dlms_mqtt.bridge.reading.failing import FailingAttributes, refusing_all
from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.errors import AccessRefused, AttributeFailed, ResponseTimeout, ServiceRefused
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis

GOOD, BAD, OTHER = (AttributeDescriptor(3, Obis.parse(f"1.0.{group}.7.0.255"), 2) for group in (1, 32, 52))
ALL = [GOOD, BAD, OTHER]


def well(attribute: AttributeDescriptor) -> Measured:
    return Measured(attribute, Data(DataType.UNSIGNED, 1))


def failed(asked: bool = True) -> AttributeFailed:
    return AttributeFailed("no answer", error=ResponseTimeout("no answer"), target="a value", sent=asked)


def cycle(failing: FailingAttributes, now: float, *bad: AttributeDescriptor) -> list[AttributeDescriptor]:
    """One poll: what was asked; ``bad`` do not answer."""
    due = failing.due(ALL, now)
    assert failing.judge({at: failed() if at in bad else well(at) for at in due}, len(ALL), now) is None
    return due


def test_one_failure_says_nothing_yet() -> None:
    failing = FailingAttributes()
    assert cycle(failing, 0, BAD) == ALL
    assert failing.sentence == ""
    assert cycle(failing, 10, BAD) == ALL


def test_what_keeps_failing_is_left_out_and_tried_again_ever_more_rarely() -> None:
    failing = FailingAttributes()
    asked = [now for now in range(0, 20_000, 10) if BAD in cycle(failing, now, BAD)]
    pauses = [after - before for before, after in itertools.pairwise(asked)]
    assert pauses[:5] == [10, 60, 300, 900, 3600]
    assert set(pauses[5:]) == {3600}  # never given up
    assert f"{BAD.obis} (" in failing.sentence
    assert str(GOOD.obis) not in failing.sentence


def test_the_others_keep_their_interval() -> None:
    failing = FailingAttributes()
    assert all({GOOD, OTHER} <= set(cycle(failing, now, BAD)) for now in range(0, 1000, 10))


def test_an_answer_takes_it_in_again() -> None:
    failing = FailingAttributes()
    for now in (0, 10):
        cycle(failing, now, BAD)
    assert BAD not in failing.due(ALL, 60)
    assert BAD in cycle(failing, 70)
    assert failing.sentence == ""
    assert cycle(failing, 80) == ALL


def test_a_refusal_is_an_answer() -> None:
    """What the meter refuses is told elsewhere, and asked for as before."""
    failing = FailingAttributes()
    for now in range(0, 100, 10):
        answers = {GOOD: well(GOOD), BAD: AccessRefused("no", name="object-undefined"), OTHER: well(OTHER)}
        assert failing.judge(answers, 3, now) is None
        assert failing.due(ALL, now) == ALL


def test_where_nothing_is_answered_the_meter_fails_and_no_attribute() -> None:
    failing = FailingAttributes()
    for now in (0, 10, 20):
        error = failing.judge({at: failed() for at in ALL}, 3, now)
        assert isinstance(error, ResponseTimeout)
        assert failing.due(ALL, now) == ALL
    refused = failing.judge({at: ServiceRefused("exception") for at in ALL}, 3, 30)
    assert isinstance(refused, ServiceRefused)


def test_exceptions_among_refusals_and_no_value_at_all() -> None:
    exception, no = ServiceRefused("exception"), AccessRefused("no", name="object-undefined")
    assert FailingAttributes().judge({GOOD: no, BAD: exception, OTHER: no}, 3, 0) is exception
    assert FailingAttributes().judge({GOOD: well(GOOD), BAD: exception, OTHER: no}, 3, 0) is None
    assert FailingAttributes().judge({GOOD: no, BAD: exception}, 5, 0) is None, "too few of what is planned"


def test_a_meter_that_refuses_everything_says_so() -> None:
    no = AccessRefused("no", name="read-write-denied")
    assert "(read-write-denied)" in refusing_all(dict.fromkeys(ALL, no), 3)
    assert refusing_all({GOOD: well(GOOD), BAD: no}, 2) == ""
    assert refusing_all({GOOD: no}, 3) == "" and refusing_all({}, 0) == ""


@pytest.mark.parametrize("asked", [True, False])
def test_what_was_not_asked_because_the_line_went_is_not_held_against_it(asked: bool) -> None:
    failing = FailingAttributes()
    error = failing.judge({GOOD: well(GOOD), BAD: failed(asked), OTHER: failed(asked)}, 6, 0)
    assert isinstance(error, ResponseTimeout) is not asked
    failing.judge({GOOD: well(GOOD), BAD: failed(asked), OTHER: failed(asked)}, 6, 1)
    assert (failing.due(ALL, 2) == ALL) is not asked
