"""Names of objects for people: the catalogue's where it has one, else put together from the groups of the OBIS code."""

from __future__ import annotations

from functools import lru_cache

from dlms_mqtt.cosem.classes import VALUES, class_name, find
from dlms_mqtt.cosem.pattern import PatternTable
from dlms_mqtt.meter.catalogue.electricity import BASES, FLOWS, KINDS, LEVELS, MEASURES, PHASES, Measure, electricity
from dlms_mqtt.meter.catalogue.objects import FACETS, TABLE

Texts = tuple[str, str]  # English, German

MEDIA: dict[int, Texts] = {
    0: ("General", "Allgemein"),
    1: ("Electricity", "Strom"),
    4: ("Heat cost", "Heizkosten"),
    5: ("Cooling", "Kälte"),
    6: ("Heat", "Wärme"),
    7: ("Gas", "Gas"),
    8: ("Cold water", "Kaltwasser"),
    9: ("Hot water", "Warmwasser"),
    15: ("Other", "Sonstiges"),
}

# Objects that are no value of their own but worth a name: lists, profiles, settings.
_OBJECTS: tuple[tuple[str, Texts], ...] = (
    ("0.*.2.0.0.255", ("Modem configuration", "Modem-Einstellung")),
    ("0.*.2.1.0.255", ("Auto connect", "Automatische Verbindung")),
    ("0.*.2.2.0.255", ("Auto answer", "Automatische Rufannahme")),
    ("0.*.10.0.0.255", ("Global meter reset script", "Skript Zähler zurücksetzen")),
    ("0.*.10.0.1.255", ("End of billing period script", "Skript Abrechnungsperiode beenden")),
    ("0.*.10.0.100.255", ("Tariff script table", "Tarif-Skripte")),
    ("0.*.10.0.106.255", ("Disconnect script table", "Abschalt-Skripte")),
    ("0.*.10.0.107.255", ("Image activation script table", "Skripte Firmware aktivieren")),
    ("0.*.10.0.108.255", ("Push script table", "Push-Skripte")),
    ("0.*.10.0.*.255", ("Script table {e}", "Skripttabelle {e}")),
    ("0.*.11.0.*.255", ("Special days table", "Sondertage")),
    ("0.*.12.0.*.255", ("Schedule", "Zeitplan")),
    ("0.*.13.0.*.255", ("Activity calendar", "Tarifkalender")),
    ("0.*.14.0.*.255", ("Register activation", "Registeraktivierung")),
    ("0.*.15.0.0.255", ("End of billing period schedule", "Zeitplan Abrechnung")),
    ("0.*.15.0.1.255", ("Disconnect schedule", "Zeitplan Abschaltung")),
    ("0.*.15.0.2.255", ("Image activation schedule", "Zeitplan Firmware-Aktivierung")),
    ("0.*.15.0.4.255", ("Push schedule", "Zeitplan Push")),
    ("0.*.15.*.*.255", ("Single action schedule {e}", "Einzelaktion {e}")),
    ("0.*.16.0.*.255", ("Register monitor{n}", "Registerüberwachung{n}")),
    ("0.*.16.1.*.255", ("Parameter monitor{n}", "Parameterüberwachung{n}")),
    ("0.*.17.0.*.255", ("Limiter{n}", "Begrenzer{n}")),
    ("0.*.20.0.0.255", ("Optical port", "Optische Schnittstelle")),
    ("0.*.20.0.1.255", ("Electrical port", "Elektrische Schnittstelle")),
    ("0.*.21.0.*.255", ("Readout list{n}", "Ableseliste{n}")),
    ("0.*.22.0.*.255", ("HDLC setup", "HDLC-Einstellung")),
    ("0.*.24.0.*.255", ("M-Bus slave port", "M-Bus-Slave-Schnittstelle")),
    ("0.*.24.1.*.255", ("M-Bus client {b}", "M-Bus-Client {b}")),
    ("0.*.24.3.*.*", ("M-Bus profile {b}", "M-Bus-Profil {b}")),
    ("0.*.24.5.*.*", ("M-Bus control log {b}", "M-Bus-Schaltlogbuch {b}")),
    ("0.*.24.6.*.*", ("M-Bus master port", "M-Bus-Master-Schnittstelle")),
    ("0.*.25.0.0.255", ("TCP-UDP setup", "TCP-UDP-Einstellung")),
    ("0.*.25.1.0.255", ("IPv4 setup", "IPv4-Einstellung")),
    ("0.*.25.2.0.255", ("MAC address setup", "MAC-Adresse")),
    ("0.*.25.3.0.255", ("PPP setup", "PPP-Einstellung")),
    ("0.*.25.4.0.255", ("GPRS modem setup", "GPRS-Modem")),
    ("0.*.25.5.0.255", ("SMTP setup", "SMTP-Einstellung")),
    ("0.*.25.6.0.255", ("GSM diagnostic", "GSM-Diagnose")),
    ("0.*.25.7.0.255", ("IPv6 setup", "IPv6-Einstellung")),
    ("0.*.25.9.*.255", ("Push setup{n}", "Push-Einstellung{n}")),
    ("0.*.25.10.*.255", ("NTP setup", "NTP-Einstellung")),
    ("0.*.25.11.*.255", ("LTE monitoring", "LTE-Überwachung")),
    ("0.*.26.*.*.255", ("S-FSK PLC setup", "S-FSK-PLC-Einstellung")),
    ("0.*.28.*.*.255", ("PRIME PLC setup", "PRIME-PLC-Einstellung")),
    ("0.*.29.*.*.255", ("G3 PLC setup", "G3-PLC-Einstellung")),
    ("0.*.40.0.0.255", ("Current association", "Aktuelle Verbindung")),
    ("0.*.40.0.*.255", ("Association {e}", "Verbindung {e}")),
    ("0.*.41.0.0.255", ("Logical devices", "Logische Geräte")),
    ("0.*.43.0.*.255", ("Security setup{n}", "Sicherheitseinstellung{n}")),
    ("0.*.44.0.*.255", ("Image transfer", "Firmwareübertragung")),
    ("0.*.44.1.*.255", ("Function control", "Funktionssteuerung")),
    ("0.*.65.*.*.255", ("Utility table {d}.{e}", "ANSI-Tabelle {d}.{e}")),
    ("0.*.66.0.*.255", ("Compact data{n}", "Kompaktdaten{n}")),
    ("0.0.96.3.10.255", ("Disconnect control", "Abschalteinrichtung")),
    ("0.*.96.3.20-29.255", ("Arbitrator {e}", "Vorrangsteuerung {e}")),
    ("0-1.*.96.50-99.*.*", ("Manufacturer specific value {d}.{e}", "Herstellerspezifischer Wert {d}.{e}")),
    ("*.*.98.1.*.*", ("Billing profile{n}", "Abrechnungsprofil{n}")),
    ("*.*.98.2.*.*", ("Second billing profile{n}", "Zweites Abrechnungsprofil{n}")),
    ("*.*.98.10.*.*", ("Register list{n}", "Registerliste{n}")),
    ("*.*.99.1.*.*", ("Load profile{n}", "Lastgang{n}")),
    ("*.*.99.2.*.*", ("Second load profile{n}", "Zweiter Lastgang{n}")),
    ("*.*.99.3.*.*", ("Test profile{n}", "Prüfprofil{n}")),
    ("*.*.99.10.*.*", ("Dip profile{n}", "Einbruchprofil{n}")),
    ("*.*.99.12.*.*", ("Connection profile{n}", "Verbindungsprofil{n}")),
    ("*.*.99.13.*.*", ("GSM diagnostic profile", "GSM-Diagnoseprofil")),
    ("*.*.99.97.*.*", ("Power failure log{n}", "Ausfall-Logbuch{n}")),
    ("*.*.99.98.*.*", ("Event log{n}", "Ereignislogbuch{n}")),
    ("*.*.99.99.*.*", ("Certification log{n}", "Eichlogbuch{n}")),
    ("*.*.99.*.*.*", ("Profile {d}.{e}", "Profil {d}.{e}")),
    ("*.*.98.*.*.*", ("List {d}.{e}", "Liste {d}.{e}")),
    ("*.*.97.97.*.*", ("Error register{n}", "Fehlerregister{n}")),
    ("*.*.97.98.*.*", ("Alarm register{n}", "Alarmregister{n}")),
    ("*.*.96.*.*.*", ("Service entry {d}.{e}", "Serviceeintrag {d}.{e}")),
    ("*.*.94.*.*.*", ("Country specific value {d}.{e}", "Länderspezifischer Wert {d}.{e}")),
    ("*.*.128-254.*.*.*", ("Manufacturer specific value {c}.{d}.{e}", "Herstellerspezifischer Wert {c}.{d}.{e}")),
    ("*.*.*.128-254.*.*", ("Manufacturer specific value {c}.{d}.{e}", "Herstellerspezifischer Wert {c}.{d}.{e}")),
)
_OBJECT_TABLE = PatternTable(_OBJECTS)
_ATTRIBUTE_WORDS = {"de": "Attribut", "en": "attribute"}
_PERIOD_WORDS = {"de": "Abrechnungsperiode", "en": "billing period"}
_CHANNEL_WORDS = {"de": "Kanal", "en": "channel"}
_UNKNOWN_MEASURE = Measure("", "", "{k} {d}", "{k}größe {d}")
_CURRENT = 255
OWN_CHANNELS = (0, 1)  # group B of the meter itself; Nordic meters call their only channel 1


@lru_cache(maxsize=1024)  # a capture, and a meter, has the same few again and again
def object_name(obis: bytes, class_id: int | None = None, attribute: int = 2, language: str = "en") -> str:
    """A name for any object: "Active energy import tariff 1", "Load profile 1", "Gas 43.2.0 (attribute 3)"."""
    name = _value_name(obis, class_id, attribute, language)
    if name is not None:
        return name
    name = _value_name(obis, class_id, 2, language) or _composed(obis, class_id, language)
    facet = FACETS.get((class_id, attribute))
    if facet:
        return name + facet.texts[2 if language == "de" else 1]
    return name if attribute in (0, 2) else f"{name} ({_attribute(class_id, attribute, language)})"


def may_be_value(class_id: int | None) -> bool:
    """Can an object of this class have a meaning of its own? A class that is not told can."""
    return class_id is None or class_id in VALUES


def _groups(obis: bytes) -> dict[str, object]:
    """What a name may mention: the groups, and ``n``, group E where it is not 0."""
    return dict(zip("abcdef", obis, strict=True)) | {"e5": obis[4] - 5, "n": f" {obis[4]}" if obis[4] else ""}


def _value_name(obis: bytes, class_id: int | None, attribute: int, language: str) -> str | None:
    for row in TABLE.candidates(obis):
        if row.attribute == attribute and may_be_value(class_id):
            text = row.de if language == "de" else row.en
            channel = "" if "{b}" in row.en else _channel(obis, language)
            return text.format(**_groups(obis)) + channel + _period(obis, language)
    return None


def _composed(obis: bytes, class_id: int | None, language: str) -> str:
    return _plain_name(obis, class_id, language) + _channel(obis, language) + _period(obis, language)


def _plain_name(obis: bytes, class_id: int | None, language: str) -> str:
    found = electricity(obis) if obis[0] == 1 and class_id != 7 else None
    if found is not None:
        return found.name_in(language)
    texts = _OBJECT_TABLE.find(obis)
    if texts is not None:
        return texts[language == "de"].format(**_groups(obis))
    return (_electrical(obis, language) if obis[0] == 1 else None) or _numbers(obis, class_id, language)


def _numbers(obis: bytes, class_id: int | None, language: str) -> str:
    medium = MEDIA.get(obis[0], MEDIA[15])[language == "de"]
    kind = f" {class_name(class_id)}" if class_id is not None else ""
    return f"{medium}{kind} {obis[2]}.{obis[3]}.{obis[4]}"


def _electrical(obis: bytes, language: str) -> str | None:
    """What group C says, where groups D and E go beyond the tables: "Voltage L1 45.130"."""
    c, d, e = obis[2:5]
    return _base_name(c, d, e, language == "de") if c in BASES else _flow_name(c, d, e, language == "de")


def _base_name(c: int, d: int, e: int, german: bool) -> str:
    base, phase = BASES[c]
    level = LEVELS.get(d)
    name = " ".join(filter(None, (base.de if german else base.en, phase.upper())))
    return f"{name}{level[2 if german else 1]} {e}" if level else f"{name} {d}.{e}"


def _flow_name(c: int, d: int, e: int, german: bool) -> str | None:
    offset = (c - 1) // 20 * 20
    flow, measure = FLOWS.get(c - offset), MEASURES.get(d, _UNKNOWN_MEASURE)
    if flow is None or offset not in PHASES:
        return None
    kind = KINDS[flow.kind]
    name = measure.de.format(k=kind.de, d=flow.de) if german else measure.en.format(k=kind.en, d=flow.en)
    rest = f"{d}.{e}" if measure is _UNKNOWN_MEASURE else str(e)
    return " ".join(filter(None, (name[:1].upper() + name[1:], PHASES[offset].upper(), rest)))


def _channel(obis: bytes, language: str) -> str:
    in_name = obis[0] == 0 and obis[2] == 24  # the M-Bus objects' names have it
    return "" if obis[1] in OWN_CHANNELS or in_name else f", {_CHANNEL_WORDS.get(language, 'channel')} {obis[1]}"


def _period(obis: bytes, language: str) -> str:
    if obis[5] == _CURRENT or obis[2] in (98, 99):
        return ""
    return f", {_PERIOD_WORDS.get(language, 'billing period')} {obis[5]}"


def _attribute(class_id: int | None, attribute: int, language: str) -> str:
    model = find(class_id) if class_id is not None else None
    known = model.attribute(attribute) if model else None
    if known is not None:
        return known.name.replace("_", " ")
    return f"{_ATTRIBUTE_WORDS.get(language, 'attribute')} {attribute}"
