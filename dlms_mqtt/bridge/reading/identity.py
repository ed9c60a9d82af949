"""Who the meter is: one remembered identity per key, so that a reading that lacks one of them changes nothing.

Only another value of the *same* key, seen twice, is another meter: one that boots answers with nothing or zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

SEEN = 2  # times that another identity must be seen
_NOTHING = "0fFxX.-?* \x00"  # characters that an empty or erased identity is made of
_DEVICE_NAME = "logical_device_name"
_MAKER = 3  # letters of the manufacturer, with which a logical device name begins: they are no meter's own
_TELEGRAM = "device_id_1"  # the meter's number in a P1 telegram; beside a serial number it may be anything
#: From the surest on: another one is told by the first of them.
KEYS = ("serial_number", "electricity_id", _DEVICE_NAME, _TELEGRAM)


class Change(NamedTuple):
    """The meter was replaced by another one: which identity says so, what it was and is, and when (Unix time)."""

    key: str
    old: str
    new: str
    time: float


def is_nothing(raw: Any) -> bool:
    """Are these octets an identity that nobody has written, or that was erased? Of spaces the text is hexadecimal."""
    return isinstance(raw, bytes) and not raw.strip(b"\0 \xff")


class Identity:
    """The identities of one meter by key."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._others: dict[str, tuple[str, int]] = {}  # values that differ, and how often they were seen in a row
        self.in_doubt = False  # has the last read told, for the first time, of another meter?

    @property
    def landmarks(self) -> frozenset[tuple[str, str]]:
        """Changes when something is learned."""
        return frozenset(self._known.items())

    def seen(self, found: Mapping[str, str], now: float) -> Change | None:
        """What one read says; the change when it is another meter for the second time."""
        found = {key: text for key in KEYS if _own_part(key, text := found.get(key, "")).strip(_NOTHING)}
        if found.keys() | self._known.keys() != {_TELEGRAM}:
            found.pop(_TELEGRAM, None)
        self.in_doubt = False
        changes = [change for key, text in found.items() if (change := self._compare(key, text, now))]
        if changes:  # the other keys of the old meter are as old
            self._known = dict(found)
            self._others.clear()
            self.in_doubt = False
        return changes[0] if changes else None

    def _compare(self, key: str, text: str, now: float) -> Change | None:
        known = self._known.setdefault(key, text)
        if text == known:
            self._others.pop(key, None)
            return None
        self.in_doubt |= key not in self._others  # a value that is another one each time keeps nothing back for ever
        before, times = self._others.get(key, (text, 0))
        times = times + 1 if before == text else 1
        self._others[key] = text, times
        return Change(key, known, text, now) if times >= SEEN else None

    def dump(self) -> dict[str, str]:
        """What a restart must not forget, as JSON."""
        return dict(self._known)

    def restore(self, saved: Any) -> None:
        """The opposite of ``dump``."""
        self._known = {str(key): str(text) for key, text in dict(saved).items()}


def _own_part(key: str, text: str) -> str:
    """What tells this meter from others of its make."""
    return text[_MAKER:] if key == _DEVICE_NAME else text
