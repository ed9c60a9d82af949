"""OBIS codes in the spellings that people write."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dlms_mqtt.errors import ConfigError
from dlms_mqtt.protocol.obis import Obis

ENERGY = Obis((1, 0, 1, 8, 0, 255))


@pytest.mark.parametrize(
    "text",
    [
        "1-0:1.8.0*255",
        "1.0.1.8.0.255",
        "1-0:1.8.0.255",
        "1-0:1.8.0",
        "1.8.0",
        "0100010800FF",
        "0100010800ff",
        "1-0:1.8.0&255",
        "1.0.1.8.0",
        "1.0.1.8.0*255",
        "1.8.0*255",
        " 1-0:1.8.0 ",
    ],
)
def test_every_spelling(text: str) -> None:
    assert Obis.parse(text) == ENERGY


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.8",
        "1.8.0.255",  # C.D.E.F or A.B.C.D?
        "256.0.1.8.0.255",
        "1.0.1.8.0.256",
        "1-0:1.8.0*",
        "1-0:1.8",
        "1:0-1.8.0",
        "1.0.1.8.0.255.1",
        "0100010800F",
        "0100010800FFF",
        "-1.0.1.8.0.255",
        "١.٨.٠",
        "energy_import",
    ],
)
def test_no_code(text: str) -> None:
    assert Obis.recognise(text) is None
    with pytest.raises(ConfigError, match="is not an OBIS code"):
        Obis.parse(text)


@given(st.binary(min_size=6, max_size=6).map(Obis))
def test_what_is_printed_is_read(obis: Obis) -> None:
    assert Obis.parse(str(obis)) == Obis.parse(obis.classic) == Obis.parse(obis.hex()) == obis


def test_billing_periods() -> None:
    assert Obis.parse("1.8.1*03") == Obis.parse("1-0:1.8.1&3") == Obis((1, 0, 1, 8, 1, 3))
