"""How a meter wants to be asked for a code: whole, reduced, or by a name of its own."""

from __future__ import annotations

import pytest

from dlms_mqtt.cosem.data_lines import data_lines
from dlms_mqtt.cosem.local_names import address_of
from dlms_mqtt.protocol.obis import Obis


@pytest.mark.parametrize(
    ("code", "readout", "address"),
    [
        ("1-0:1.8.0", "C.1.0(1)\r\n1.8.1(1*kWh)", "1.8.0"),
        ("1-0:1.8.0", "1-0:1.8.1(1*kWh)", "1-0:1.8.0"),
        ("1-0:1.8.0", "1-0:1.8.1*255(1*kWh)", "1-0:1.8.0*255"),
        ("1-0:1.8.0*1", "1-0:1.8.1*255(1*kWh)", "1-0:1.8.0*01"),
        ("1-0:1.8.0*1", "1.8.1(1*kWh)", "1.8.0*01"),
        ("1-0:1.8.2", "SNUMB(1)", "ET0PE"),
        ("1-0:52.7.0", "ET0PE(1)", "VOLTA"),
        ("1-0:9.8.0", "ET0PE(1)", "9.8.0"),
        ("1-0:1.8.0", "", "1.8.0"),
    ],
)
def test_address(code: str, readout: str, address: str) -> None:
    assert address_of(Obis.parse(code), readout) == address


@pytest.mark.parametrize("readout", ["1.8.1(1*kWh)", "1-0:1.8.1(1*kWh)", "1-0:1.8.1*255(1*kWh)"])
def test_the_answer_means_the_same_code(readout: str) -> None:
    code = Obis.parse("1-0:32.7.0")
    (line,) = data_lines(f"{address_of(code, readout)}(230.1*V)\r\n")
    assert line.obis == code
