"""What a search ends with: a connection that works, or the likeliest causes; and everything learned on the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import field
from typing import Any

from dlms_mqtt.frozen import dataclass
from dlms_mqtt.meter.finder.evidence import Evidence
from dlms_mqtt.protocol.framing.sign_on import Identification
from dlms_mqtt.protocol.secret import Secret
from dlms_mqtt.transport.base import format_address

LOST = frozenset({"silence", "line", "lists"})
"""Reasons of a failed attempt that may be the line's."""


@dataclass(frozen=True, slots=True)
class Limits:
    """``seconds`` for the whole search; ``clients``: how many are asked without a password.

    ``patience``: for an association that was left open; ``numbers``: of the meter, as printed on it; ``go_on``: ask
    all the same where it is known what is there (a meter that speaks by itself, a silent network address, an echo).
    """

    seconds: float = 600.0
    clients: int = 6
    patience: float = 20.0
    numbers: tuple[str, ...] = ()
    go_on: bool = False


@dataclass(slots=True)
class Facts:
    """What the search has seen so far; the diagnosis is made of this."""

    seen: Counter[Evidence] = field(default_factory=Counter)
    sign_on: Counter[str] = field(default_factory=Counter)
    identification: Identification | None = None
    has_speed: bool = True
    network: bool = False
    linked: bool = False
    answered_late: bool = False
    associated: bool = False
    refusals: list[str] = field(default_factory=list)
    path_faults: set[str] = field(default_factory=set)
    oddities: set[str] = field(default_factory=set)
    wants_password: list[int] = field(default_factory=list)
    stations: set[tuple[int, int | None, int]] = field(default_factory=set)
    closed: int = 0
    out_of_time: bool = False
    failure: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """The end of a search. ``connection``: as below ``connection:`` of the configuration; ``names``: of the cases."""

    found: bool
    connection: Mapping[str, Any]
    diagnosis: str
    causes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    learned: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    complete: bool = False

    def json(self) -> dict[str, Any]:
        """For the bridge's ``meter/find`` and for ``find --json``; no secret is in it."""
        return {
            "found": self.found,
            "complete": self.complete,
            "connection": {key: _plain(value) for key, value in self.connection.items() if not _secret(value)},
            "diagnosis": self.diagnosis,
            "causes": list(self.causes),
            "cases": list(self.names),
            "learned": dict(self.learned),
            "seconds": round(self.seconds, 1),
        }


def _secret(value: Any) -> bool:
    return isinstance(value, Secret)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], int):
        return format_address(*value)
    if isinstance(value, tuple | list):
        return list(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)
