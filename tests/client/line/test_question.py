"""How long a question waits, and what it keeps of what came instead of an answer."""

from __future__ import annotations

import pytest

from dlms_mqtt.client.line.question import Question
from dlms_mqtt.client.settings import ConnectionSettings

SETTINGS = ConnectionSettings(tcp=("10.0.0.1", 4059), timeout=5.0, retries=3, exchange_timeout=300.0)


def test_one_attribute_has_the_time_of_its_repeats() -> None:
    question = Question.asked(100.0, SETTINGS)
    assert (question.deadline, question.patience) == (400.0, 40.0)
    assert question.ends == 140.0


def test_a_patient_one_has_the_time_of_the_exchange() -> None:
    assert Question.asked(100.0, SETTINGS, patient=True).ends == 400.0


def test_parts_of_an_answer_prolong_it_to_the_deadline_at_most() -> None:
    question = Question.asked(100.0, SETTINGS)
    question.progress = 200.0
    assert question.ends == 240.0
    question.progress = 390.0
    assert question.ends == 400.0


@pytest.mark.parametrize(("timeout", "retries", "patience"), [(0.5, 0, 20.0), (5.0, 3, 40.0), (60.0, 3, 300.0)])
def test_patience_has_bounds(timeout: float, retries: int, patience: float) -> None:
    settings = ConnectionSettings(tcp=("10.0.0.1", 4059), timeout=timeout, retries=retries, exchange_timeout=300.0)
    assert Question.asked(0.0, settings).patience == patience


def test_only_the_first_octets_are_kept() -> None:
    question = Question.asked(0.0, SETTINGS)
    for _ in range(100):
        question.note(b"x" * 100)
    assert len(question.received) == 600


def test_what_answers_something_else_is_counted_together() -> None:
    question = Question.asked(0.0, SETTINGS)
    question.pushes, question.strays = 2, 3
    assert question.others == 5
