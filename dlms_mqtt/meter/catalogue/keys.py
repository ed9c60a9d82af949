"""Keys of the catalogue (``energy_import``), the other way round: the object and attribute that a key stands for.

It is found from the catalogue's own rows and then looked up again, so the two can never disagree.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache, lru_cache

from dlms_mqtt.cosem.reference import ObjectRef
from dlms_mqtt.meter.catalogue.electricity import BASES, FLOWS, LEVELS, MEASURES, PHASES, electricity
from dlms_mqtt.meter.catalogue.lookup import ELECTRICITY, quantity
from dlms_mqtt.meter.catalogue.objects import FACETS, ROWS, Row
from dlms_mqtt.protocol.obis import Obis

_KEY = re.compile(r"(?:ch(?P<b>\d{1,3})_)?(?P<rest>\w+?)(?:_billing_(?P<f>\d{1,3}))?")
_LAST = re.compile(r"(?P<rest>\w+?)_(?:t|harmonic_)(?P<e>\d{1,3})")
_UNKNOWN = re.compile(r"obis_(\d{1,3})_(\d{1,3})_(\d{1,3})_(\d{1,3})_(\d{1,3})_(\d{1,3})_(\d{1,3})")
_DISTORTIONS = (0, 124, 125, 126)  # group E of what is no harmonic by number


@lru_cache(maxsize=1024)
def of_key(key: str) -> ObjectRef | None:
    """The object and attribute that a key of the catalogue stands for; None where it is no key."""
    for class_id, obis, attribute in _candidates(key):
        if max(obis) <= 255 and quantity(bytes(obis), class_id, attribute).key == key:
            return ObjectRef(class_id, Obis(obis), attribute)
    return None


_Place = tuple[int | None, tuple[int, ...], int]


def _candidates(key: str) -> Iterator[_Place]:
    """What the key may stand for, in the order of the catalogue."""
    if unknown := _UNKNOWN.fullmatch(key):
        groups = tuple(map(int, unknown.groups()))
        yield None, groups[:6], groups[6]
    match = _KEY.fullmatch(key)
    if match is None:
        return
    for place in (*_plain(key), *_plain(match["rest"]), *_facets(match["rest"])):
        yield _moved(place, match["b"], match["f"])
    yield from (_moved(place, None, None) for place in _plain(key))


def _moved(place: _Place, channel: str | None, period: str | None) -> _Place:
    class_id, groups, attribute = place
    b = groups[1] if channel is None else int(channel)
    f = groups[5] if period is None else int(period)
    return class_id, (groups[0], b, *groups[2:5], f), attribute


def _plain(key: str) -> Iterator[_Place]:
    for row in ROWS:
        yield from _of_row(row, key)
    electrical = _electrical()
    if key in electrical:
        yield None, electrical[key], 2
    if (match := _LAST.fullmatch(key)) and match["rest"] in electrical:
        found = electrical[match["rest"]]
        yield None, (*found[:4], int(match["e"]), found[5]), 2


def _facets(key: str) -> Iterator[_Place]:
    """``demand_max_import_time``: another attribute of the value."""
    for (class_id, attribute), facet in FACETS.items():
        if key.endswith(facet.key):
            for _, groups, _ in _plain(key.removesuffix(facet.key)):
                yield class_id, groups, attribute


def _of_row(row: Row, key: str) -> Iterator[_Place]:
    named = _template(row.key).fullmatch(key)
    if named is None:
        return
    given = {name: int(text) for name, text in named.groupdict().items()}
    a, b, c, d, e, f = (_first(text) for text in row.pattern.split("."))
    if row.pattern.startswith("0-1.") and c == 0:
        a = ELECTRICITY  # codes of the meter in general and of electricity: electricity meters have the second
    e = given.get("e", given.get("e5", e - 5) + 5)
    yield None, (a, given.get("b", b), c, d, e, 255 if row.pattern.endswith("*") else f), row.attribute


@cache
def _template(key: str) -> re.Pattern[str]:
    return re.compile(re.sub(r"{(\w+)}", r"(?P<\1>\\d{1,3})", key))


def _first(group: str) -> int:
    return int(re.split("[,-]", group.replace("*", "0"))[0])


@cache
def _electrical() -> dict[str, tuple[int, ...]]:
    """Every key of an electrical quantity without tariff and harmonic."""
    flows = ((flow + phase, measure, 0) for phase in PHASES for flow in FLOWS for measure in MEASURES)
    bases = ((base, level, e) for base in BASES for level in LEVELS for e in _DISTORTIONS)
    angles = ((81, 7, e) for e in range(100))
    found: dict[str, tuple[int, ...]] = {}
    for c, d, e in (*flows, *bases, *angles):
        groups = (ELECTRICITY, 0, c, d, e, 255)
        if meant := electricity(bytes(groups)):
            found.setdefault(meant.key, groups)
    return found
