"""A line to a broker that exists in the test alone: it keeps what is sent and answers when it is told to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class OddClient:
    """``largest``: characters of a message that it takes; ``refused``: topics that it says no to, and why."""

    def __init__(self, largest: int = 1000) -> None:
        self.largest = largest
        self.sent: list[tuple[str, str]] = []
        self.properties: list[dict[str, Any]] = []
        self.refused: dict[str, str] = {}
        self.unanswered: list[tuple[str, Callable[[str], None]]] = []

    def takes(self, topic: str, payload: str, beside: int = 0) -> bool:
        return len(payload) + beside <= self.largest

    async def start(self, topic: str, payload: str, answered: Callable[[str], None], **properties: Any) -> None:
        self.sent.append((topic, payload))
        self.properties.append(properties)
        self.unanswered.append((topic, answered))

    async def send(self, topic: str, payload: str, **properties: Any) -> str:
        self.sent.append((topic, payload))
        self.properties.append(properties)
        return self.refused.get(topic, "")

    def answer(self) -> None:
        waiting, self.unanswered = self.unanswered, []
        for topic, answered in waiting:
            answered(self.refused.get(topic, ""))
