"""Units: codes that the published frames name, and the way back."""

from __future__ import annotations

import pytest

from dlms_mqtt.protocol.units import UNITS, unit_code
from tests.frames_data import entries


def published(node):
    if isinstance(node, dict):
        found = [(node["unit_code"], node["unit"])] if "unit_code" in node else []
        return found + [pair for value in node.values() for pair in published(value)]
    return [pair for value in node for pair in published(value)] if isinstance(node, list) else []


@pytest.mark.parametrize("pair", sorted(set(published(entries("push")))))
def test_published(pair):
    code, unit = pair
    assert UNITS[code] == unit


@pytest.mark.parametrize("code", UNITS)
def test_every_symbol_leads_to_a_code_of_that_symbol(code):
    found = unit_code(UNITS[code])
    assert found is not None
    assert UNITS[found] == UNITS[code]


@pytest.mark.parametrize(("text", "code"), [("kWh", None), ("m3", 13), ("m³", 13), (" varh ", 32), ("", 255)])
def test_spellings(text, code):
    assert unit_code(text) == code
