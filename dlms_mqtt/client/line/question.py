"""One question with all its blocks: until when an answer is waited for, and what came that was none."""

from __future__ import annotations

from dataclasses import dataclass, field

from dlms_mqtt.client.settings import ConnectionSettings

_PATIENCE = 20.0  # s at least for one attribute: meters say that they are there, and need that long now and then
_KEPT = 512  # octets of an invalid answer, for a diagnosis


def usual_patience(settings: ConnectionSettings) -> float:
    """Seconds that a question waits for a part of its answer; only a long answer may take the whole exchange."""
    quick = max(_PATIENCE, 2 * settings.timeout * (settings.retries + 1))
    return min(quick, settings.exchange_timeout)


@dataclass(slots=True)
class Question:
    """Times are those of the event loop, in seconds."""

    deadline: float
    patience: float  # s that may pass without any part of an answer
    began: float
    progress: float  # when the last part came, or the question went out
    parts: int = 0  # blocks and segments of the answer that have come
    signs: int = 0  # of life: the meter is there, and says nothing else
    strays: int = 0  # answers to other questions
    pushes: int = 0
    received: bytes = b""
    broken: set[str] = field(default_factory=set)

    @property
    def ends(self) -> float:
        """When it is given up, if nothing comes."""
        return min(self.deadline, self.progress + self.patience)

    def note(self, data: bytes) -> None:
        """Keep the first octets that came, for a diagnosis."""
        if len(self.received) < _KEPT:
            self.received += data
