"""Names of objects for people: the catalogue's where it has one, else put together from the groups of the OBIS code."""

from __future__ import annotations

from functools import lru_cache

from dlms_mqtt.cosem.classes import VALUES, class_name, find
from dlms_mqtt.cosem.pattern import PatternTable
from dlms_mqtt.languages.texts import ENGLISH, Phrase, Title, Word, titled
from dlms_mqtt.meter.catalogue.electricity import BASES, FLOWS, KINDS, LEVELS, MEASURES, PHASES, Measure, electricity
from dlms_mqtt.meter.catalogue.objects import FACETS, TABLE

CHANNEL, PERIOD, ATTRIBUTE = "channel {b}", "billing period {f}", "attribute {n}"

MEDIA: dict[int, str] = {
    0: "General",
    1: "Electricity",
    4: "Heat cost",
    5: "Cooling",
    6: "Heat",
    7: "Gas",
    8: "Cold water",
    9: "Hot water",
    15: "Other",
}

# Objects that are no value of their own but worth a name: lists, profiles, settings.
OBJECTS: tuple[tuple[str, str], ...] = (
    ("0.*.2.0.0.255", "Modem configuration"),
    ("0.*.2.1.0.255", "Auto connect"),
    ("0.*.2.2.0.255", "Auto answer"),
    ("0.*.10.0.0.255", "Global meter reset script"),
    ("0.*.10.0.1.255", "End of billing period script"),
    ("0.*.10.0.100.255", "Tariff script table"),
    ("0.*.10.0.106.255", "Disconnect script table"),
    ("0.*.10.0.107.255", "Image activation script table"),
    ("0.*.10.0.108.255", "Push script table"),
    ("0.*.10.0.*.255", "Script table {e}"),
    ("0.*.11.0.*.255", "Special days table"),
    ("0.*.12.0.*.255", "Schedule"),
    ("0.*.13.0.*.255", "Activity calendar"),
    ("0.*.14.0.*.255", "Register activation"),
    ("0.*.15.0.0.255", "End of billing period schedule"),
    ("0.*.15.0.1.255", "Disconnect schedule"),
    ("0.*.15.0.2.255", "Image activation schedule"),
    ("0.*.15.0.4.255", "Push schedule"),
    ("0.*.15.*.*.255", "Single action schedule {e}"),
    ("0.*.16.0.*.255", "Register monitor{n}"),
    ("0.*.16.1.*.255", "Parameter monitor{n}"),
    ("0.*.17.0.*.255", "Limiter{n}"),
    ("0.*.20.0.0.255", "Optical port"),
    ("0.*.20.0.1.255", "Electrical port"),
    ("0.*.21.0.*.255", "Readout list{n}"),
    ("0.*.22.0.*.255", "HDLC setup"),
    ("0.*.24.0.*.255", "M-Bus slave port"),
    ("0.*.24.1.*.255", "M-Bus client {b}"),
    ("0.*.24.3.*.*", "M-Bus profile {b}"),
    ("0.*.24.5.*.*", "M-Bus control log {b}"),
    ("0.*.24.6.*.*", "M-Bus master port"),
    ("0.*.25.0.0.255", "TCP-UDP setup"),
    ("0.*.25.1.0.255", "IPv4 setup"),
    ("0.*.25.2.0.255", "MAC address setup"),
    ("0.*.25.3.0.255", "PPP setup"),
    ("0.*.25.4.0.255", "GPRS modem setup"),
    ("0.*.25.5.0.255", "SMTP setup"),
    ("0.*.25.6.0.255", "GSM diagnostic"),
    ("0.*.25.7.0.255", "IPv6 setup"),
    ("0.*.25.9.*.255", "Push setup{n}"),
    ("0.*.25.10.*.255", "NTP setup"),
    ("0.*.25.11.*.255", "LTE monitoring"),
    ("0.*.26.*.*.255", "S-FSK PLC setup"),
    ("0.*.28.*.*.255", "PRIME PLC setup"),
    ("0.*.29.*.*.255", "G3 PLC setup"),
    ("0.*.40.0.0.255", "Current association"),
    ("0.*.40.0.*.255", "Association {e}"),
    ("0.*.41.0.0.255", "Logical devices"),
    ("0.*.43.0.*.255", "Security setup{n}"),
    ("0.*.44.0.*.255", "Image transfer"),
    ("0.*.44.1.*.255", "Function control"),
    ("0.*.65.*.*.255", "Utility table {d}.{e}"),
    ("0.*.66.0.*.255", "Compact data{n}"),
    ("0.0.96.3.10.255", "Disconnect control"),
    ("0.*.96.3.20-29.255", "Arbitrator {e}"),
    ("0-1.*.96.50-99.*.*", "Manufacturer specific value {d}.{e}"),
    ("*.*.98.1.*.*", "Billing profile{n}"),
    ("*.*.98.2.*.*", "Second billing profile{n}"),
    ("*.*.98.10.*.*", "Register list{n}"),
    ("*.*.99.1.*.*", "Load profile{n}"),
    ("*.*.99.2.*.*", "Second load profile{n}"),
    ("*.*.99.3.*.*", "Test profile{n}"),
    ("*.*.99.10.*.*", "Dip profile{n}"),
    ("*.*.99.12.*.*", "Connection profile{n}"),
    ("*.*.99.13.*.*", "GSM diagnostic profile"),
    ("*.*.99.97.*.*", "Power failure log{n}"),
    ("*.*.99.98.*.*", "Event log{n}"),
    ("*.*.99.99.*.*", "Certification log{n}"),
    ("*.*.99.*.*.*", "Profile {d}.{e}"),
    ("*.*.98.*.*.*", "List {d}.{e}"),
    ("*.*.97.97.*.*", "Error register{n}"),
    ("*.*.97.98.*.*", "Alarm register{n}"),
    ("*.*.96.*.*.*", "Service entry {d}.{e}"),
    ("*.*.94.*.*.*", "Country specific value {d}.{e}"),
    ("*.*.128-254.*.*.*", "Manufacturer specific value {c}.{d}.{e}"),
    ("*.*.*.128-254.*.*", "Manufacturer specific value {c}.{d}.{e}"),
)
_OBJECT_TABLE = PatternTable(OBJECTS)
UNKNOWN_MEASURE = Measure("quantity", "", "{k} {d}")
_CURRENT = 255
OWN_CHANNELS = (0, 1)  # group B of the meter itself; Nordic meters call their only channel 1


@lru_cache(maxsize=1024)  # a capture, and a meter, has the same few again and again
def object_name(obis: bytes, class_id: int | None = None, attribute: int = 2, language: str = ENGLISH) -> str:
    """A name for any object: "Active energy import tariff 1", "Load profile 1", "Gas 43.2.0 (attribute 3)"."""
    return object_title(obis, class_id, attribute).in_language(language)


def object_title(obis: bytes, class_id: int | None, attribute: int) -> Title:
    """The same in no language yet."""
    title = _value_title(obis, class_id, attribute)
    if title is not None:
        return title
    title = _value_title(obis, class_id, 2) if attribute != 2 else None
    title = title or _with_channel(_plain_title(obis, class_id), obis)
    facet = FACETS.get((class_id, attribute))
    if facet:
        return title.extended(facet.en, {})
    return title if attribute in (0, 2) else title.extended("({a})", {"a": _attribute(class_id, attribute)})


def may_be_value(class_id: int | None) -> bool:
    """Can an object of this class have a meaning of its own? A class that is not told can."""
    return class_id is None or class_id in VALUES


def _groups(obis: bytes) -> dict[str, object]:
    """What a name may mention: the groups, and ``n``, group E where it is not 0."""
    return dict(zip("abcdef", obis, strict=True)) | {"e5": obis[4] - 5, "n": f" {obis[4]}" if obis[4] else ""}


def _value_title(obis: bytes, class_id: int | None, attribute: int) -> Title | None:
    for row in TABLE.candidates(obis):
        if row.attribute == attribute and may_be_value(class_id):
            title = titled(row.en, **_groups(obis))
            return _with_period(title, obis) if "{b}" in row.en else _with_channel(title, obis)
    return None


def _plain_title(obis: bytes, class_id: int | None) -> Title:
    found = electricity(obis) if obis[0] == 1 and class_id != 7 else None
    if found is not None:
        return found.title
    text = _OBJECT_TABLE.find(obis)
    if text is not None:
        return titled(text, **_groups(obis))
    return (_electrical(obis) if obis[0] == 1 else None) or _numbers(obis, class_id)


def _numbers(obis: bytes, class_id: int | None) -> Title:
    medium = Word(MEDIA.get(obis[0], MEDIA[15]))
    kind = f"{class_name(class_id)} " if class_id is not None else ""
    return titled("{medium} {rest}", medium=medium, rest=f"{kind}{obis[2]}.{obis[3]}.{obis[4]}")


def _electrical(obis: bytes) -> Title | None:
    """What group C says, where groups D and E go beyond the tables: "Voltage L1 45.130"."""
    c, d, e = obis[2:5]
    return _base_title(c, d, e) if c in BASES else _flow_title(c, d, e)


def _base_title(c: int, d: int, e: int) -> Title:
    base, phase = BASES[c]
    level = LEVELS.get(d)
    title = titled(base.en).extended(phase.upper(), {})
    return title.extended(level[1], {}).extended(f"{e}", {}) if level else title.extended(f"{d}.{e}", {})


def _flow_title(c: int, d: int, e: int) -> Title | None:
    offset = (c - 1) // 20 * 20
    flow, measure = FLOWS.get(c - offset), MEASURES.get(d, UNKNOWN_MEASURE)
    if flow is None or offset not in PHASES:
        return None
    title = measure.title(KINDS[flow.kind], flow).extended(PHASES[offset].upper(), {})
    return title.extended(f"{d}.{e}" if measure is UNKNOWN_MEASURE else str(e), {})


def _with_channel(title: Title, obis: bytes) -> Title:
    in_name = obis[0] == 0 and obis[2] == 24  # the M-Bus objects' names have it
    if obis[1] not in OWN_CHANNELS and not in_name:
        title = title.extended(CHANNEL, {"b": obis[1]}, ", ")
    return _with_period(title, obis)


def _with_period(title: Title, obis: bytes) -> Title:
    if obis[5] == _CURRENT or obis[2] in (98, 99):
        return title
    return title.extended(PERIOD, {"f": obis[5]}, ", ")


def _attribute(class_id: int | None, attribute: int) -> Phrase | str:
    model = find(class_id) if class_id is not None else None
    known = model.attribute(attribute) if model else None
    return known.name.replace("_", " ") if known is not None else Phrase(ATTRIBUTE, {"n": attribute})
