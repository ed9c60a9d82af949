"""Attributes that keep failing: left out and tried again rarely, so that the others keep their interval."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dlms_mqtt.client.services.memory import Measured
from dlms_mqtt.errors import AttributeFailed, DlmsMqttError, MeterRefused, ServiceRefused
from dlms_mqtt.protocol.apdu.descriptors import AttributeDescriptor

# s until the next try after so many failures in a row; a single one says nothing yet
_PAUSES = (0.0, 60.0, 300.0, 900.0, 3600.0)


Answers = Mapping[AttributeDescriptor, Measured | MeterRefused]


def asks_most(answers: Answers, planned: int) -> bool:
    """Was at least half of what is ``planned`` asked? A cycle of some tells nothing of the others."""
    return 2 * len(answers) >= planned


def _is_nothing(answers: Answers, planned: int) -> bool:
    """Was most of it asked, and not one value given?"""
    return asks_most(answers, planned) and not any(isinstance(answer, Measured) for answer in answers.values())


def refusing_all(answers: Answers, planned: int) -> str:
    """A sentence where a meter that is well gives nothing at all."""
    if not answers or not _is_nothing(answers, planned):
        return ""
    names = ", ".join(sorted({answer.name for answer in answers.values() if isinstance(answer, MeterRefused)}))
    return f"the meter refuses everything that is read ({names}); its rights may be those of another client or password"


@dataclass(slots=True)
class _Row:
    failures: int
    again: float  # on the monotonic clock
    name: str


class FailingAttributes:
    """Of one meter: what failed, how often, when it is tried again. ``now``: the monotonic clock, s."""

    def __init__(self) -> None:
        self._rows: dict[AttributeDescriptor, _Row] = {}

    def due(self, attributes: Iterable[AttributeDescriptor], now: float) -> list[AttributeDescriptor]:
        """Those that are asked now."""
        return [at for at in attributes if at not in self._rows or self._rows[at].again <= now]

    def judge(self, answers: Answers, planned: int, now: float) -> DlmsMqttError | None:
        """Note what failed alone. An error: it was no attribute that failed, but the meter or the line.

        ``planned``: attributes that are read of this meter. Where at least half of them were asked and none was
        answered, the meter is not well, however it acknowledges.
        """
        refused = [answer for answer in answers.values() if isinstance(answer, ServiceRefused)]
        if refused and (len(refused) == len(answers) or _is_nothing(answers, planned)):
            return refused[0]  # it answers with exceptions and no value: none is refused, the meter is not well
        failed = [answer for answer in answers.values() if isinstance(answer, AttributeFailed)]
        if failed and len(failed) == len(answers) and asks_most(answers, planned):
            return failed[0].error
        for attribute, answer in answers.items():
            if not isinstance(answer, AttributeFailed):
                self._rows.pop(attribute, None)
            elif answer.sent:
                self._failed(attribute, answer.name, now)
        return next((answer.error for answer in failed if not answer.sent), None)

    def _failed(self, attribute: AttributeDescriptor, name: str, now: float) -> None:
        failures = self._rows[attribute].failures + 1 if attribute in self._rows else 1
        pause = _PAUSES[min(failures, len(_PAUSES)) - 1]
        self._rows[attribute] = _Row(failures, now + pause, name)

    @property
    def sentence(self) -> str:
        """What is left out, for health; empty where nothing is."""
        words = sorted(f"{attribute.obis} ({row.name})" for attribute, row in self._rows.items() if row.failures > 1)
        sentence = f"not answered, so left out and tried again rarely: {', '.join(words)}; read.except ends that"
        return sentence if words else ""
