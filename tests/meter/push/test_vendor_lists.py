"""Lists that vendors publish: told by name, length, types and text, with the scalers that the message leaves out."""

from __future__ import annotations

import pytest

from dlms_mqtt.cosem.structures import ScalerUnit
from dlms_mqtt.meter.push.vendor_lists import listed_scaler, unnamed
from dlms_mqtt.protocol.axdr.data import Data, DataType
from dlms_mqtt.protocol.obis import Obis

ENERGY = Obis((1, 0, 1, 8, 0, 255))


def u32(value: int) -> Data:
    return Data(DataType.DOUBLE_LONG_UNSIGNED, value)


def octets(text: bytes) -> Data:
    return Data(DataType.OCTET_STRING, text)


def test_published_scalers() -> None:
    assert listed_scaler("Kamstrup_V0001", Obis((1, 1, 31, 7, 0, 255))) == ScalerUnit(-2, 33)
    assert listed_scaler("Kamstrup_V0001", Obis((0, 1, 31, 7, 0, 255))) is None
    assert listed_scaler("AIDON_V0001", ENERGY) is None


@pytest.mark.parametrize(("raw", "scaler"), [(0, 0), (233, 0), (1000, 0), (1001, -2), (22199, -2)])
def test_voltages_that_only_their_size_tells(raw: int, scaler: int) -> None:
    """Some grid operators' Kamstrup meters send 0.01 V in the same list; nothing has more than 1,000 V."""
    voltage, current = Obis((1, 1, 32, 7, 0, 255)), Obis((1, 1, 31, 7, 0, 255))
    assert listed_scaler("Kamstrup_V0001", voltage, raw) == ScalerUnit(scaler, 35)
    assert listed_scaler("Kamstrup_V0001", current, raw) == ScalerUnit(-2, 33)


def test_a_list_with_codes_has_the_scales_of_the_one_without() -> None:
    assert listed_scaler("KFM_001", Obis((1, 0, 31, 7, 0, 255)), 32) == ScalerUnit(-3, 33)
    assert listed_scaler("KFM_001", Obis((1, 0, 32, 7, 0, 255)), 2322) == ScalerUnit(-1, 35)
    assert listed_scaler("KFM_001", ENERGY, 1142) == ScalerUnit(0, 30)
    assert listed_scaler("KFM_001", Obis((0, 0, 1, 0, 0, 255))) is None


def test_lists_without_codes_are_told_by_types_and_text() -> None:
    energies = [u32(number) for number in range(8)]
    assert unnamed([octets(b"ISK1030777478586"), *energies])[3].obis == ENERGY
    assert unnamed([octets(b"999999999999"), *energies])[5].obis == ENERGY
    for head in (octets(b"ABC"), octets(b""), octets(bytes(12)), u32(1)):
        assert unnamed([head, *energies]) == {}
    assert unnamed([octets(b"999999999999"), *energies[1:]]) == {}
    assert unnamed([]) == {}
