from __future__ import annotations

import pytest

from dlms_mqtt.meter.catalogue.names import object_name
from dlms_mqtt.protocol.obis import Obis

EXPECTED = [
    # OBIS, class, attribute, English, German
    ("1.0.1.8.0.255", 3, 2, "Active energy import", "Wirkenergie Bezug"),
    ("1.0.1.8.0.255", 3, 3, "Active energy import (scaler unit)", "Wirkenergie Bezug (scaler unit)"),
    ("1.0.1.6.0.255", 4, 5, "Maximum active demand import time", "Wirkleistung Bezug Maximum Zeitpunkt"),
    ("1.0.1.8.0.255", None, 9, "Active energy import (attribute 9)", "Wirkenergie Bezug (Attribut 9)"),
    ("1.0.99.1.0.255", 7, 2, "Load profile", "Lastgang"),
    ("1.0.99.1.0.255", 7, 3, "Load profile (capture objects)", "Lastgang (capture objects)"),
    ("1.0.98.1.2.255", 7, 2, "Billing profile 2", "Abrechnungsprofil 2"),
    ("0.0.99.98.1.255", 7, 2, "Event log 1", "Ereignislogbuch 1"),
    ("0.0.40.0.0.255", 15, 2, "Current association", "Aktuelle Verbindung"),
    ("0.0.40.0.3.255", 15, 2, "Association 3", "Verbindung 3"),
    ("0.1.24.1.0.255", 72, 9, "M-Bus 1 device type", "M-Bus 1 Gerätetyp"),
    ("0.0.96.3.10.255", 70, 3, "Supply state", "Schaltzustand"),
    ("0.0.1.0.0.255", 8, 4, "Clock status", "Uhrenstatus"),
    ("0.0.1.0.0.255", 8, 7, "Clock (daylight savings deviation)", "Uhr (daylight savings deviation)"),
    ("0.0.25.9.0.255", 40, 2, "Push setup", "Push-Einstellung"),
    ("0.2.22.0.0.255", 23, 2, "HDLC setup, channel 2", "HDLC-Einstellung, Kanal 2"),
    ("1.0.96.55.3.255", 1, 2, "Manufacturer specific value 55.3", "Herstellerspezifischer Wert 55.3"),
    ("1.0.32.7.140.255", 3, 2, "Voltage L1 140", "Spannung L1 140"),
    ("1.0.21.99.0.255", 3, 2, "Active import L1 99.0", "Wirkgröße Bezug L1 99.0"),
    ("7.0.43.2.0.255", 3, 2, "Gas Register 43.2.0", "Gas Register 43.2.0"),
    ("7.0.43.2.0.255", None, 2, "Gas 43.2.0", "Gas 43.2.0"),
    (
        "1.0.1.8.1.2",
        3,
        2,
        "Active energy import tariff 1, billing period 2",
        "Wirkenergie Bezug Tarif 1, Abrechnungsperiode 2",
    ),
    ("200.0.1.2.3.255", 1, 2, "Other Data 1.2.3", "Sonstiges Data 1.2.3"),
]


@pytest.mark.parametrize(("obis", "class_id", "attribute", "english", "german"), EXPECTED)
def test_names(obis: str, class_id: int | None, attribute: int, english: str, german: str) -> None:
    code = Obis.parse(obis)
    assert object_name(code, class_id, attribute) == english
    assert object_name(code, class_id, attribute, "de") == german
