"""Writes what `keys.txt` must hold: one object for every key that the catalogue can make, repetitions aside.

Phases and tariffs repeat (`_l1`, `_t1`, proved by tests), so only some are listed. `python tests/meter/frozen_keys.py`
prints the list; new lines may be added to the file, none may ever change.
"""

from __future__ import annotations

from collections.abc import Iterator

from dlms_mqtt.meter.catalogue.electricity import BASES, FLOWS, LEVELS, MEASURES
from dlms_mqtt.meter.catalogue.lookup import quantity
from dlms_mqtt.meter.catalogue.objects import FACETS, ROWS
from dlms_mqtt.protocol.obis import Obis


def addresses() -> Iterator[tuple[Obis, int | None, int]]:
    """OBIS, class (where it matters) and attribute."""
    for c in FLOWS:
        for d in MEASURES:
            yield electric(c, d)
    for phase in (20, 40, 60):
        for c in (1, 2, 3, 4, 9, 10, 16):
            yield from (electric(c + phase, d) for d in (7, 8))
    for c in (1, 2, 3, 4):
        yield from (electric(c, 8, tariff) for tariff in range(1, 9))
        yield electric(c, 6, 1)
    for c in BASES:
        yield from (electric(c, d) for d in LEVELS)
        yield from (electric(c, 7, e) for e in (3, 124, 125, 126))
    yield from (electric(81, 7, e) for e in range(77) if e % 10 in (0, 1, 2, 4, 5, 6, 7) and e // 10 in (0, 1, 2))
    for class_id, attribute in FACETS:
        yield Obis((1, 0, 1, 6, 0, 255)), class_id, attribute
    for row in ROWS:
        a, b, c, d, e, f = (group.replace("*", "0").split(",")[0].split("-")[0] for group in row.pattern.split("."))
        yield Obis.parse(f"{a}.{b}.{c}.{d}.{e}.{255 if '*' in row.pattern.split('.')[5] else f}"), None, row.attribute
    yield Obis.parse("1.2.1.8.0.255"), None, 2
    yield Obis.parse("1.0.1.8.0.1"), None, 2
    yield Obis.parse("1.0.96.55.0.255"), None, 2


def electric(c: int, d: int, e: int = 0) -> tuple[Obis, None, int]:
    """One value of the electricity tables."""
    return Obis((1, 0, c, d, e, 255)), None, 2


def lines() -> list[str]:
    """``OBIS:attribute[/class] key``, sorted."""
    found = {
        f"{obis}:{attribute}{f'/{class_id}' if class_id else ''} {quantity(obis, class_id, attribute).key}"
        for obis, class_id, attribute in addresses()
    }
    return sorted(found, key=lambda line: (line.split()[1], line))


if __name__ == "__main__":
    print("\n".join(lines()))
