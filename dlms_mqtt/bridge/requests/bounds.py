"""How large a request may be: a bound for every number, time, list and text as one table; beyond it ``bad-request``."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from dlms_mqtt.bridge.api.errors import RequestError
from dlms_mqtt.client.procedures.profile import LAST_ENTRY
from dlms_mqtt.frozen import dataclass

MOST_VALUES = 100_000  # in one reply
LONGEST_SPAN = timedelta(days=3660)  # of a profile
FIRST_YEAR, LAST_YEAR = 1990, 2099
LONGEST_PAUSE = 1440  # minutes
LONGEST_LISTEN = 3600  # s
_DEEPEST, _MOST_PARTS = 32, 20_000  # of everything that is in a request
_LARGEST = 10**300


@dataclass(frozen=True, slots=True)
class Bound:
    """What a field may be. ``least`` and ``most``: of a number its value, of a text or list its length."""

    kinds: tuple[type[Any], ...]
    words: str
    least: float = 0
    most: float = 0

    def holds(self, value: Any) -> bool:
        """Is this value within the bound?"""
        if isinstance(value, bool):
            return bool in self.kinds
        if not isinstance(value, self.kinds):
            return False
        return self.least <= (len(value) if isinstance(value, str | list | dict) else value) <= self.most


def _number(least: float, most: float) -> Bound:
    return Bound((int,), f"a number from {least:g} to {most:.0f}", least, most)


def _text(most: int) -> Bound:
    return Bound((str,), f"a text of at most {most} characters", 0, most)


def _list(most: int) -> Bound:
    return Bound((list,), f"a list of at most {most} entries", 0, most)


#: The fields of requests. ``value`` may be anything within the bounds of the whole.
BOUNDS: dict[str, Bound] = {
    "timeout": Bound((int, Decimal), "a number of seconds above 0, at most 86400", 1e-9, 86400),
    "items": _list(500),
    "keys": _list(500),
    "obis": _text(64),
    "class": _number(0, 0xFFFF),
    "attribute": _number(0, 127),
    "method": _number(0, 127),
    "type": _text(64),
    "key": _text(64),
    "meter": _text(64),
    "from": _text(64),
    "to": _text(64),
    "first": _number(1, LAST_ENTRY),
    "count": _number(1, MOST_VALUES),
    "minutes": _number(1, LONGEST_PAUSE),
    "listen": Bound((int, Decimal), "a number of seconds from 1 to 3600", 1, LONGEST_LISTEN),
    "language": _text(64),
    "set": Bound((bool, str), "true, or a time in ISO 8601", 0, 64),
    "config": Bound((dict,), "a JSON object", 0, 100),
    "line": Bound((str, dict), "{serial, tcp or udp}, or {bind} with listen", 0, 256),
}
_LONGEST_TEXT = 65_536


def check(body: Mapping[str, Any]) -> None:
    """RequestError that names the field beyond its bound."""
    for name, bound in BOUNDS.items():
        value = body.get(name)
        if value is not None and not bound.holds(value):
            raise RequestError("bad-request", f"'{name}' is {bound.words}")
    if not all(isinstance(key, str) and len(key) <= 64 for key in body.get("keys") or ()):
        raise RequestError("bad-request", "'keys' is a list of texts of at most 64 characters")
    for name, value in body.items():
        _check_parts(name, value)


def _check_parts(name: str, value: Any) -> None:
    """Whatever else it may be: not too deep, too much, too long or too large a number."""
    parts, layer = 0, list[Any]([value])
    for _ in range(_DEEPEST):
        parts += len(layer)
        if parts > _MOST_PARTS:
            raise RequestError("bad-request", f"'{name}' has more than {_MOST_PARTS} parts")
        for part in layer:
            _check_part(name, part)
        layer = [inner for part in layer for inner in _inside(part)]
        if not layer:
            return
    raise RequestError("bad-request", f"'{name}' is nested more than {_DEEPEST} deep")


def _check_part(name: str, part: Any) -> None:
    if isinstance(part, str) and len(part) > _LONGEST_TEXT:
        raise RequestError("bad-request", f"'{name}' holds a text of more than {_LONGEST_TEXT} characters")
    if isinstance(part, int | Decimal) and not -_LARGEST < part < _LARGEST:
        raise RequestError("bad-request", f"'{name}' holds a number of more than 300 digits")


def _inside(part: Any) -> Any:
    return part if isinstance(part, list) else part.values() if isinstance(part, dict) else ()


def check_moment(name: str, moment: datetime) -> datetime:
    """RequestError for a time that no meter has lived."""
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise RequestError("bad-request", f"'{name}' is a time of the years {FIRST_YEAR} to {LAST_YEAR}")
    return moment
